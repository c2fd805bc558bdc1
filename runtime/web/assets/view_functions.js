// Functions: what there is, and running one.

import { ask, at, post } from "./api.js";
import { button, facts, fill, h, table } from "./dom.js";
import { payloadForm } from "./form.js";
import { show } from "./json.js";
import { list } from "./view_overview.js";
import { follow } from "./live.js";
import { lasting, of, status } from "./words.js";

export async function functions(view, { signal }) {
  const found = await ask("functions", { signal });
  fill(view, h("h1", {}, "Functions"),
    found.failed.map((one) => h("div", { class: "box" },
      h("h2", { class: "error" }, `${one.module} cannot be used`), h("p", {}, one.error), h("pre", { tabindex: "0" }, one.traceback))),
    found.functions.length
      ? table("Functions", [
        ["Function", (one) => of(one.name)], ["Description", (one) => one.description ?? ""],
        ["Triggers", (one) => one.triggers.join(", ")], ["Timeout", (one) => lasting(one.timeout), "number"], ["Retries", (one) => String(one.retries), "number"],
      ], found.functions)
      : h("div", { class: "box" }, h("p", {}, "There are no functions. Write the first one, it is served as soon as it is saved:"), h("pre", {}, "eyas new hello")));
}

export async function aFunction(view, { names: [name], signal }) {
  const path = `functions/${encodeURIComponent(name)}`;
  const found = await ask(path, { signal });
  const form = payloadForm(found.payload_schema);
  const output = h("div", { "aria-live": "polite" });
  const latest = h("div");
  const refresh = async () => {
    const { invocations } = await ask(`invocations?limit=10&function=${encodeURIComponent(name)}`, { signal });
    fill(latest, invocations.length ? list(`Latest invocations of ${name}`, invocations) : h("p", { class: "faint" }, "None yet: run it above."));
  };
  const run = async () => {
    const { id } = await post(path, form.text());
    const line = h("p");
    const result = h("div");
    fill(output, line, result);
    follow(id, signal, (record) => {
      fill(line, status(record.status), " ", h("a", { href: `#/${at(record.id)}`, class: "mono" }, record.id));
      if (record.result !== undefined) fill(result, h("pre", { tabindex: "0" }, show(record.result)));
      if (record.error) fill(result, h("pre", { class: "error", tabindex: "0" }, `${record.error.type}: ${record.error.message}`));
      if (record.finished_at) refresh().catch(() => {});
    });
  };
  const submit = button("Run", run, { output, main: true, id: "run" });
  fill(view, h("h1", {}, name), h("p", {}, found.description ?? ""),
    h("form", { class: "box", "aria-label": `Run ${name}`, onsubmit: (event) => { event.preventDefault(); submit.click(); } }, form.element, h("p", { class: "row" }, submit), output),
    h("h2", {}, "Options"),
    facts([
      ["module", found.module], ["triggers", found.triggers.join(", ")], ["events", found.on.join(", ")], ["schedule", found.schedule ?? (found.every ? `every ${lasting(found.every)}` : "")],
      ["timeout", lasting(found.timeout)], ["retries", String(found.retries)], ["concurrency", found.concurrency && String(found.concurrency)], ["maximum age", lasting(found.max_age)],
      ["counted", Object.entries(found.counts).map(([key, count]) => `${key} ${count.toLocaleString()}`).join(", ")],
    ]),
    h("h2", {}, "Latest invocations"), latest,
    h("details", {}, h("summary", {}, "Schemas"), h("h3", {}, "Payload"), h("pre", { tabindex: "0" }, show(found.payload_schema)), h("h3", {}, "Result"), h("pre", { tabindex: "0" }, show(found.result_schema))));
  await refresh();
}
