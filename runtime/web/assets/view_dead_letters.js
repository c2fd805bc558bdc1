// What was given up: why, and running it again.

import { ask, post } from "./api.js";
import { button, fill, h, table } from "./dom.js";
import { link, of, time } from "./words.js";

export async function deadLetters(view, { signal }) {
  const output = h("div", { role: "status", tabindex: "-1" });
  const pages = h("div");
  let rows = null;
  let cursor = null;
  const act = (done, call) => async () => {
    await call();
    rows = cursor = null;
    await next();
    fill(output, h("p", {}, done));
  };
  const more = button("Show more", () => next(), { output });
  const all = button("Redrive all", async () => {
    if (confirm("Run all dead letters again?")) await act("All are queued again.", () => post("dead-letters/redrive"))();
  }, { output, id: "redrive-all" });
  const actions = (one) => {
    const path = `dead-letters/${encodeURIComponent(one.id)}`;
    return h("span", { class: "actions" },
      button("Redrive", act(`${one.id} is queued again.`, () => post(`${path}/redrive`)), { output, label: `Redrive ${one.id}` }),
      button("Purge", async () => {
        if (confirm(`Forget ${one.id}, with its payload?`)) await act(`${one.id} is forgotten.`, () => ask(path, { method: "DELETE" }))();
      }, { output, label: `Purge ${one.id}` }));
  };
  const next = async () => {
    const found = await ask(`dead-letters?limit=50${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`, { signal });
    if (rows) rows.add(found.dead_letters);
    else if (found.dead_letters.length) {
      fill(pages, rows = table("Dead letters", [
        ["Invocation", link], ["Function", (one) => of(one.function)], ["Reason", (one) => one.reason],
        ["Error", (one) => (one.error ? `${one.error.type}: ${one.error.message}`.slice(0, 200) : ""), "text"], ["Given up", (one) => time(one.finished_at)],
        ["", actions],
      ], found.dead_letters));
    } else fill(pages, h("div", { class: "box" }, h("p", {}, "There are none. What fails too often is kept here, with its reason, to be run again. ", h("a", { href: "#/invocations?status=failed" }, "All that failed"))));
    cursor = found.next_cursor;
    more.hidden = cursor === null;
    all.hidden = !rows;
  };
  more.hidden = all.hidden = true;
  fill(view, h("h1", {}, "Dead letters"), h("p", {}, all), output, pages, more);
  await next();
}
