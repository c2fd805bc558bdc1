// Invocations, by function, status and time.

import { ask } from "./api.js";
import { button, fill, h } from "./dom.js";
import { empty, list } from "./view_overview.js";

const STATUSES = ["queued", "running", "retrying", "succeeded", "failed", "cancelled", "expired"];

export async function invocations(view, { query, signal }) {
  const functions = (await ask("functions", { signal })).functions.map((one) => one.name);
  const output = h("div");
  const choose = (name, label, options) => h("label", {}, label, " ",
    h("select", { id: name, onchange: (event) => {
      if (event.target.value) query.set(name, event.target.value);
      else query.delete(name);
      location.hash = `#/invocations?${query}`;
    } }, h("option", { value: "" }, "all"), options.map((one) => h("option", { value: one, selected: query.get(name) === one }, one))));
  const chosen = new URLSearchParams([...query].filter(([key]) => ["function", "status", "since"].includes(key)));
  const pages = h("div");
  let cursor = null;
  const more = button("Show more", async () => { await next(); }, { output });
  const next = async () => {
    const found = await ask(`invocations?limit=50&${chosen}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`, { signal });
    if (found.invocations.length) pages.append(list("Invocations", found.invocations));
    cursor = found.next_cursor;
    more.hidden = cursor === null;
    if (!pages.childElementCount && cursor === null) fill(pages, [...chosen].length ? h("p", { class: "faint" }, "None is like that.") : empty());
  };
  fill(view, h("h1", {}, "Invocations"),
    h("p", { class: "row" }, choose("function", "Function", functions), choose("status", "Status", STATUSES), button("Refresh", async () => { fill(pages); cursor = null; await next(); }, { output })),
    pages, more, output);
  await next();
}
