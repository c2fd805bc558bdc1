// What was given up: why, and running it again.

import { ask, post } from "./api.js";
import { button, fill, h, table } from "./dom.js";
import { lasting, link, of, time } from "./words.js";

export async function deadLetters(view, { signal }) {
  const output = h("div", { "aria-live": "polite" });
  const pages = h("div");
  let cursor = null;
  const more = button("Show more", () => next(), { output });
  const again = async () => { fill(pages); cursor = null; await next(); };
  const act = (done, call) => async () => {
    await call();
    await again();
    fill(output, h("p", {}, done));
  };
  const next = async () => {
    const found = await ask(`dead-letters?limit=50${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`, { signal });
    const path = (one) => `dead-letters/${encodeURIComponent(one.id)}`;
    if (found.dead_letters.length) {
      pages.append(table("Dead letters", [
        ["Invocation", link], ["Function", (one) => of(one.function)], ["Reason", (one) => one.reason],
        ["Error", (one) => (one.error ? `${one.error.type}: ${one.error.message}`.slice(0, 200) : "")], ["Given up", (one) => time(one.finished_at)],
        ["Ran", (one) => lasting(one.run_ms === null ? null : one.run_ms / 1000), "number"],
        ["", (one) => h("span", { class: "row" }, button("Redrive", act(`${one.id} is queued again.`, () => post(`${path(one)}/redrive`)), { output }),
          button("Forget", act(`${one.id} is forgotten.`, () => ask(path(one), { method: "DELETE" })), { output }))],
      ], found.dead_letters));
    } else if (!pages.childElementCount) {
      fill(pages, h("div", { class: "box" }, h("p", {}, "There are none. What fails too often is kept here, with its reason, to be run again.")));
    }
    cursor = found.next_cursor;
    more.hidden = cursor === null;
  };
  fill(view, h("h1", {}, "Dead letters"),
    h("p", { class: "row" }, button("Redrive all", async () => {
      if (confirm("Run all dead letters again?")) await act("All are queued again.", () => post("dead-letters/redrive"))();
    }, { output, id: "redrive-all" })),
    output, pages, more);
  await next();
}
