// Where everything stands, and what runs now.

import { ask } from "./api.js";
import { fill, h, table } from "./dom.js";
import { rates, samples, values, watch } from "./measures.js";
import { plot } from "./plot.js";
import { lasting, link, of, status, time } from "./words.js";

export async function overview(view, { signal }) {
  const tiles = h("ul", { class: "tiles", "aria-label": "Now" });
  const plots = [
    plot("Throughput", () => [["accepted", rates("accepted")], ["finished", rates("finished")], ["failed", rates("failed")]], "/s"),
    plot("Waiting", () => [["queued", values("queued")], ["running", values("running")], ["delayed", values("delayed")]]),
  ];
  const latest = h("div");
  const broken = h("div");
  fill(view, h("h1", {}, "Overview"), broken, tiles, h("div", { class: "plots" }, plots.map((one) => one.figure)), h("h2", {}, "Latest invocations"), latest);
  let shown = "";
  let isAsking = false;
  watch(async () => {
    const now = samples.at(-1);
    fill(tiles, [
      ["queued", now.queued], ["running", now.running], ["delayed", now.delayed], ["dead letters", now.dead, "#/dead-letters"],
      ["workers", now.workers], ["oldest in the queue", now.oldest ? lasting(now.oldest) : "none"],
    ].map(([name, value, href]) => h("li", {}, h("b", {}, value.toLocaleString()), href ? h("a", { href }, name) : name)));
    fill(broken, now.modules ? h("p", { class: "error" }, `${now.modules} module${now.modules === 1 ? "" : "s"} cannot be used: `, h("a", { href: "#/functions" }, "why")) : null);
    for (const one of plots) one.draw();
    if (isAsking) return;
    isAsking = true;
    const found = await ask("invocations?limit=10", { signal }).catch(() => null);
    isAsking = false;
    const text = JSON.stringify(found, (_key, value) => (typeof value === "bigint" ? String(value) : value));
    if (!found || signal.aborted || text === shown) return;
    shown = text;
    fill(latest, found.invocations.length ? list("Latest invocations", found.invocations) : empty());
  }, signal);
}

/** Make a table of records. */
export function list(caption, records) {
  return table(caption, [
    ["Invocation", link], ["Function", (one) => of(one.function)], ["Status", (one) => status(one.status)],
    ["Accepted", (one) => time(one.accepted_at)],
    ["Waited", (one) => lasting(one.queue_wait_ms === null ? null : one.queue_wait_ms / 1000), "number"],
    ["Ran", (one) => lasting(one.run_ms === null ? null : one.run_ms / 1000), "number"],
    ["Attempts", (one) => String(one.attempt), "number"],
  ], records);
}

/** Say what to do when there is nothing. */
export function empty() {
  return h("div", { class: "box" },
    h("p", {}, "Nothing has been invoked yet. ", h("a", { href: "#/functions" }, "Choose a function"), " and run it, or:"),
    h("pre", {}, `curl ${location.origin}/functions/fib -d '{"number": 10}'`));
}
