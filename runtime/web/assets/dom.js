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

/** Put this in place of what an element holds, and keep the focus where it was, if that is still there. */
export function fill(element, ...children) {
  const focused = element.contains(document.activeElement) ? document.activeElement.id : "";
  element.replaceChildren(...children.flat(Infinity).filter(Boolean));
  if (focused) document.getElementById(focused)?.focus();
}

/** Make a table; `columns` are [heading, cell of a row, class]. */
export function table(caption, columns, rows) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", {},
      h("thead", {}, h("tr", {}, columns.map(([heading, , kind]) => h("th", { scope: "col", class: kind }, heading)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, columns.map(([, cell, kind]) => h("td", { class: kind }, cell(row))))))));
}

/** Make a definition list of [name, value] that have a value. */
export function facts(pairs) {
  const known = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl", { class: "facts" }, known.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

/** Make a button that does something once at a time, and shows in `output` why it could not. */
export function button(text, act, { output, main = false, id } = {}) {
  const element = h("button", { type: "button", class: main ? "main" : "", id, onclick: async () => {
    element.disabled = true;
    if (output) fill(output);
    try {
      await act();
    } catch (error) {
      if (!output) throw error;
      fill(output, h("p", { class: "error", role: "alert" }, error.message));
    } finally {
      element.disabled = false;
    }
  } }, text);
  return element;
}
