// Lines over time, as SVG; the numbers are in the caption too.

import { fill, h } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 600;
const HEIGHT = 150;

/** Make a figure; `lines` returns [[name, [[x, y], ...]], ...] whenever `draw` is called. */
export function plot(title, lines, unit = "") {
  const picture = document.createElementNS(SVG, "svg");
  const caption = h("figcaption");
  picture.setAttribute("class", "plot");
  picture.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  picture.setAttribute("preserveAspectRatio", "none");
  picture.setAttribute("aria-hidden", "true");
  const draw = () => {
    const found = lines();
    const points = found.flatMap(([, each]) => each);
    const most = Math.max(1, ...points.map(([, y]) => y));
    const [first, last] = [Math.min(...points.map(([x]) => x)), Math.max(...points.map(([x]) => x))];
    picture.replaceChildren(...found.map(([, each], number) => {
      const line = document.createElementNS(SVG, "polyline");
      line.setAttribute("class", `line${number}`);
      line.setAttribute("points", each.map(([x, y]) =>
        `${((x - first) / Math.max(1, last - first)) * WIDTH},${HEIGHT - 5 - (y / most) * (HEIGHT - 10)}`).join(" "));
      return line;
    }));
    fill(caption, `${title}: `, found.map(([name, each], number) => [
      number ? ", " : "", h("span", { class: `line${number}` }, `${name} ${shown(each.at(-1)?.[1] ?? 0)}${unit}`),
    ]), h("span", { class: "faint" }, ` (highest ${shown(most)}${unit})`));
  };
  draw();
  return { figure: h("figure", {}, picture, caption), draw };
}

const shown = (number) => (number >= 100 ? Math.round(number) : Number(number.toPrecision(3))).toLocaleString();
