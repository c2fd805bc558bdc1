// Functions: what there is, and running one.

import { ask, at, post, search } from "./api.js";
import { button, facts, fill, h, long, table } from "./dom.js";
import { payloadForm } from "./form.js";
import { show } from "./json.js";
import { list } from "./view_overview.js";
import { follow } from "./live.js";
import { lasting, of, progress, status } from "./words.js";

const LATEST = 10;

export async function functions(view, { signal }) {
  const found = await ask("functions", { signal });
  fill(view, h("h1", {}, "Functions"),
    found.failed.map((one) => h("div", { class: "box" },
      h("h2", { class: "error" }, `${one.module} cannot be used`), h("p", {}, one.error), h("pre", { tabindex: "0" }, one.traceback))),
    found.functions.length
      ? table("Functions", [
        ["Function", (one) => of(one.name)], ["Description", (one) => (one.description ?? "").split("\n\n")[0], "text"],
        ["Triggers", (one) => one.triggers.join(", ")], ["Timeout", (one) => lasting(one.timeout), "number"], ["Retries", (one) => String(one.retries), "number"],
      ], found.functions)
      : h("div", { class: "box" }, h("p", {}, "There are no functions. Write the first one, it is served as soon as it is saved:"), h("pre", {}, "eyas new hello")));
}

export async function aFunction(view, { names: [name], signal }) {
  const path = `functions/${encodeURIComponent(name)}`;
  const found = await ask(path, { signal });
  const form = payloadForm(found.payload_schema);
  const output = h("div", { tabindex: "-1" });
  let running = new AbortController();
  signal.addEventListener("abort", () => running.abort());
  const latest = h("div");
  const refresh = async () => {
    const found = [];
    for await (const part of search({ function: name }, { count: LATEST, signal })) found.push(...part.invocations);
    fill(latest, found.length ? list(`Latest invocations of ${name}`, found.slice(0, LATEST)) : h("p", { class: "faint" }, "None yet: run it above."));
  };
  const run = async () => {
    // One is followed at a time: a browser has few connections to a server.
    running.abort();
    running = new AbortController();
    form.blame();
    const { id } = await post(path, form.text()).catch((error) => { form.blame(error); throw error; });
    const line = h("span", { role: "status" });
    const details = h("div");
    fill(output, h("p", {}, line, " ", h("a", { href: `#/${at(id)}`, class: "mono" }, id)), details);
    follow(id, running.signal, (record) => {
      if (line.textContent !== record.status) fill(line, status(record.status));
      fill(details, record.progress && progress(record.progress), record.result !== undefined && long(show(record.result)), record.error && long(`${record.error.type}: ${record.error.message}`, "error"));
      if (record.finished_at) refresh().catch(() => {});
    });
  };
  const submit = button("Run", run, { output, main: true, id: "run" });
  fill(view, h("h1", {}, name), h("p", { class: "told" }, found.description ?? ""),
    h("form", { class: "box", "aria-label": `Run ${name}`, novalidate: true, onsubmit: (event) => event.preventDefault() }, form.element, h("p", { class: "row" }, submit), output),
    h("h2", {}, "Options"),
    facts([
      ["module", found.module], ["triggers", found.triggers.join(", ")], ["events", found.on.join(", ")], ["schedule", found.schedule ?? (found.every ? `every ${lasting(found.every)}` : "")],
      ["timeout", lasting(found.timeout)], ["retries", String(found.retries)], ["concurrency", found.concurrency && String(found.concurrency)], ["maximum age", lasting(found.max_age)],
      ["counted", Object.entries(found.counts).filter(([key, count]) => count || key === "accepted").map(([key, count]) => `${key} ${count.toLocaleString()}`).join(", ")],
    ]),
    h("h2", {}, "Latest invocations"), latest, h("p", {}, h("a", { href: `#/invocations?function=${encodeURIComponent(name)}` }, "All of its invocations")),
    h("details", {}, h("summary", {}, "Schemas"), h("h3", {}, "Payload"), h("pre", { tabindex: "0" }, show(found.payload_schema)), h("h3", {}, "Result"), h("pre", { tabindex: "0" }, show(found.result_schema))));
  await refresh();
}
