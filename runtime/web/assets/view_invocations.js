// Invocations, by function, status and time.

import { ask, at, search } from "./api.js";
import { button, fill, h } from "./dom.js";
import { empty, list } from "./view_overview.js";

const STATUSES = ["queued", "running", "retrying", "succeeded", "failed", "cancelled", "expired"];
const MINUTES = [["15", "15 minutes"], ["60", "hour"], ["360", "6 hours"]];
const AT_A_TIME = 50;

export async function invocations(view, { query, signal }) {
  const functions = (await ask("functions", { signal })).functions.map((one) => one.name);
  const output = h("div", { tabindex: "-1" });
  const pages = h("div");
  const looking = h("p", { class: "faint", role: "status" });
  const more = button("Show more", () => next(), { output });
  let rows = null;
  let cursor = null;
  let turn = 0;
  const refresh = h("button", { type: "button", onclick: () => {
    rows = cursor = null;
    fill(output);
    next().catch((error) => { if (!signal.aborted) fill(output, h("p", { class: "error", role: "alert" }, error.message)); });
  } }, "Refresh");
  const choose = (name, label, every, options) => h("label", {}, label, " ",
    h("select", { id: name, onchange: (event) => {
      if (event.target.value) query.set(name, event.target.value);
      else query.delete(name);
      // The page stays, and the focus where it is.
      history.pushState(null, "", `#/invocations?${query}`);
      refresh.click();
    } }, h("option", { value: "" }, every), options.map(([value, text]) => h("option", { value, selected: query.get(name) === value }, text))));
  const wanted = () => {
    const chosen = Object.fromEntries(["function", "status"].filter((name) => query.get(name)).map((name) => [name, query.get(name)]));
    const minutes = Number(query.get("minutes"));
    return minutes > 0 ? { ...chosen, since: new Date(Date.now() - minutes * 60_000).toISOString() } : chosen;
  };
  const next = async () => {
    more.hidden = true;
    looking.textContent = "Looking…";
    const mine = ++turn;
    try {
      for await (const found of search(wanted(), { count: AT_A_TIME, cursor, signal })) {
        if (mine !== turn) return;
        if (found.invocations.length && rows) rows.add(found.invocations);
        else if (found.invocations.length) fill(pages, rows = list("Invocations", found.invocations));
        cursor = found.next_cursor;
      }
      if (!rows) fill(pages, ["function", "status", "minutes"].some((name) => query.get(name)) ? h("p", {}, "None is like that. ", h("a", { href: "#/invocations" }, "Show all")) : empty());
    } finally {
      if (mine !== turn) return;
      looking.textContent = "";
      more.hidden = cursor === null;
    }
    if (cursor && document.activeElement === document.body) more.focus({ preventScroll: true });
  };
  const sought = h("input", { id: "id", "aria-label": "Id", placeholder: "Go to an id", spellcheck: "false", autocomplete: "off" });
  fill(view, h("h1", {}, "Invocations"),
    h("div", { class: "row" },
      choose("function", "Function", "all", functions.map((one) => [one, one])), choose("status", "Status", "all", STATUSES.map((one) => [one, one])),
      choose("minutes", "Accepted", "at any time", MINUTES.map(([value, text]) => [value, `in the last ${text}`])),
      refresh,
      h("form", { onsubmit: (event) => {
        event.preventDefault();
        if (sought.value.trim()) location.hash = `#/${at(sought.value.trim())}`;
      } }, sought)),
    pages, looking, more, output);
  await next();
}
