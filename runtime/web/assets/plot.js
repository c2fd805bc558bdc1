// Lines over time, as SVG; the numbers are in the caption too.

import { fill, h } from "./dom.js";
import { lasting } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 600;
const HEIGHT = 150;

/** Make a figure; `lines` returns [[name, [[x, y], ...]], ...] whenever `draw` is called. */
export function plot(title, lines, unit = "") {
  const picture = document.createElementNS(SVG, "svg");
  const caption = h("figcaption");
  const [highest, since] = [h("span"), h("span")];
  picture.setAttribute("class", "plot");
  picture.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  picture.setAttribute("preserveAspectRatio", "none");
  picture.setAttribute("aria-hidden", "true");
  const draw = () => {
    const found = lines();
    const points = found.flatMap(([, each]) => each);
    const top = Math.max(0, ...points.map(([, y]) => y));
    const most = top || 1;
    const [first, last] = [Math.min(...points.map(([x]) => x)), Math.max(...points.map(([x]) => x))];
    picture.replaceChildren(...found.map(([, each], number) => {
      const line = document.createElementNS(SVG, "polyline");
      line.setAttribute("class", `line${number}`);
      line.setAttribute("points", each.map(([x, y]) =>
        `${((x - first) / Math.max(1, last - first)) * WIDTH},${HEIGHT - 5 - (y / most) * (HEIGHT - 10)}`).join(" "));
      return line;
    }));
    fill(caption, h("b", {}, title), found.map(([name, each], number) => h("span", { class: `line${number}` }, `${name} ${shown(each.at(-1)?.[1] ?? 0)}${unit}`)));
    highest.textContent = `${shown(top)}${unit}`;
    since.textContent = last > first ? `${lasting(Math.round(last - first))} ago` : "";
  };
  draw();
  return { figure: h("figure", {}, caption, picture, h("p", { class: "scale", "aria-hidden": "true" }, since, h("span", {}, "highest ", highest), h("span", {}, "now"))), draw };
}

const shown = (number) => (number >= 100 ? Math.round(number) : Number(number.toPrecision(3))).toLocaleString();
