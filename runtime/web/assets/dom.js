// Elements. Whatever comes from outside becomes text: nothing here or elsewhere writes HTML.

/** Make an element: `h("a", {href: "#/"}, "text", otherElement)`. Empty children are left out. */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== undefined && value !== null) element.setAttribute(key, value);
  }
  element.append(...children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== false));
  return element;
}

/** Put this in place of what an element holds; the focus goes to what is like the one that had it. */
export function fill(element, ...children) {
  const focused = element !== document.activeElement && element.contains(document.activeElement) ? name(document.activeElement) : null;
  element.replaceChildren(...children.flat(Infinity).filter(Boolean));
  if (focused) [...element.querySelectorAll("a, button, select, [tabindex]")].find((one) => name(one) === focused)?.focus({ preventScroll: true });
}

const name = (element) => element.id || [element.tagName, element.getAttribute("href"), element.getAttribute("aria-label")].join(" ");

/** Make a table; `columns` are [heading, cell of a row, class]. Its `add(rows)` makes it longer. */
export function table(caption, columns, rows) {
  const body = h("tbody");
  const element = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", {}, h("thead", {}, h("tr", {}, columns.map(([heading, , kind]) => (heading ? h("th", { scope: "col", class: kind }, heading) : h("td"))))), body));
  element.add = (more) => body.append(...more.map((row) => h("tr", {}, columns.map(([, cell, kind]) => h("td", { class: kind }, cell(row))))));
  element.add(rows);
  return element;
}

/** Make a definition list of [name, value] that have a value. */
export function facts(pairs) {
  const known = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl", { class: "facts" }, known.map(([term, value]) => [h("dt", {}, term), h("dd", {}, value)]));
}

/** Make a button that does something once at a time, and shows in `output` why it could not.
 *
 * It is never disabled, which would take the focus from it.
 */
export function button(text, act, { output, main = false, id, label } = {}) {
  const element = h("button", { type: main ? "submit" : "button", class: main ? "main" : "", id, "aria-label": label, onclick: async () => {
    if (element.hasAttribute("aria-disabled")) return;
    element.setAttribute("aria-disabled", "true");
    if (output) fill(output);
    try {
      await act();
    } catch (error) {
      if (!output) throw error;
      if (error.name !== "AbortError") fill(output, h("p", { class: "error", role: "alert" }, error.message));
    } finally {
      element.removeAttribute("aria-disabled");
      // What it belonged to is gone: what it has done is told in `output`.
      if (output && !element.checkVisibility() && document.activeElement === document.body) output.focus({ preventScroll: true });
    }
  } }, text);
  return element;
}

const MOST = 20_000;

/** Show text as it is; the beginning of it, if it is so long that the page would become slow. */
export function long(text, kind) {
  const pre = h("pre", { tabindex: "0", class: kind }, text.slice(0, MOST));
  if (text.length <= MOST) return pre;
  const all = button(`Show all ${text.length.toLocaleString()} characters`, () => {
    pre.textContent = text;
    pre.focus();
    all.remove();
  });
  return h("div", {}, pre, all);
}
