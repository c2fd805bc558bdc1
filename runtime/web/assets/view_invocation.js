// One invocation: its whole story.

import { ask, at, post } from "./api.js";
import { button, facts, fill, h, table } from "./dom.js";
import { payloadForm } from "./form.js";
import { parse, show } from "./json.js";
import { follow } from "./live.js";
import { between, lasting, of, status, time } from "./words.js";

const TOLD = {
  parked: "It waited for one of its function's slots (concurrency).",
  cancelling: "Somebody asked to cancel it while it ran.",
  recovered: "It was nowhere, and was queued again.",
  redriven: "It was taken out of the dead letters and queued again.",
};

export async function invocation(view, { names: [id], signal }) {
  const first = await ask(at(id), { signal });
  const head = h("div", { "aria-live": "polite" });
  const story = h("ol", { class: "timeline" });
  const values = h("div");
  const output = h("div");
  const logs = h("div");
  fill(view, h("h1", {}, "Invocation ", h("span", { class: "mono" }, id)), head, output, h("h2", {}, "What happened"), story, values, h("h2", {}, "Logs"), logs);
  const draw = (record) => {
    fill(head, h("p", { class: "row" }, status(record.status), of(record.function), actions(record, output)),
      facts([["trigger", record.trigger], ["replay of", record.replay_of && h("a", { href: `#/${at(record.replay_of)}` }, record.replay_of)],
        ["dead letter", record.dead_letter], ["progress", record.progress && show(record.progress)], ["attempts", `${record.attempt}, at most ${record.max_attempts} that fail`]]));
    fill(story, steps(record).map(([at_, kind, text, detail]) => h("li", { class: kind }, h("p", {}, time(at_), text, detail && h("span", { class: "faint" }, ` ${detail}`)))));
    fill(values, h("h2", {}, "Payload"), h("pre", { tabindex: "0" }, show(record.payload)),
      record.result !== undefined && [h("h2", {}, "Result"), h("pre", { tabindex: "0" }, show(record.result))],
      record.error && [h("h2", {}, "Error"), h("pre", { class: "error", tabindex: "0" }, `${record.error.type}: ${record.error.message}\n${record.error.stack_trace.join("")}`)]);
    readLogs().catch((error) => { if (!signal.aborted) fill(logs, h("p", { class: "error" }, error.message)); });
  };
  const readLogs = async () => {
    const text = await ask(`${at(id)}/logs`, { signal });
    const lines = text.split("\n").filter(Boolean).map(parse);
    fill(logs, lines.length ? logTable(lines) : h("p", { class: "faint" }, "No line yet. Those of other machines are not shown."));
  };
  draw(first);
  if (!first.finished_at) follow(id, signal, draw);
}

function actions(record, output) {
  const isOpen = !record.finished_at;
  return [
    isOpen && button("Cancel", () => ask(at(record.id), { method: "DELETE" }), { output, id: "cancel" }),
    h("a", { href: `#/${at(record.id)}/replay` }, "Replay"),
    record.dead_letter && button("Redrive", async () => {
      await post(`dead-letters/${encodeURIComponent(record.id)}/redrive`);
      dispatchEvent(new HashChangeEvent("hashchange"));
    }, { output, id: "redrive" }),
  ];
}

/** Return [time, class, text, detail] of each thing that has happened. */
function steps(record) {
  const found = [[record.accepted_at, "queued", "Accepted", record.delay_seconds ? `to wait ${lasting(record.delay_seconds)}` : `(${record.trigger})`]];
  const told = new Set();
  for (const one of record.history ?? []) {
    if (one.attempt !== undefined) told.add(one.attempt);
    if (one.what === "failed") {
      found.push([one.started_at, "running", `Attempt ${one.attempt} began`, one.worker],
        [one.at, "failed", `It failed after ${between(one.started_at, one.at)}: ${one.error.type}: ${one.error.message}`, `again after ${between(one.at, one.due_at)}`]);
    } else if (one.what === "lost") {
      if (one.started_at) found.push([one.started_at, "running", `Attempt ${one.attempt} began`, one.worker]);
      found.push([one.at, "failed", `The process of attempt ${one.attempt} died: it was queued again`, one.worker]);
    } else found.push([one.at, "queued", TOLD[one.what] ?? one.what]);
  }
  if (record.started_at && !told.has(record.attempt)) {
    found.push([record.started_at, "running", `Attempt ${record.attempt} began`, told.size ? "" : `after ${lasting(record.queue_wait_ms / 1000)} in the queue`]);
  }
  if (record.finished_at) found.push([record.finished_at, record.status, `It ${record.status === "cancelled" ? "was cancelled" : record.status}`, told.has(record.attempt) ? "" : record.run_ms === null ? "" : `after ${lasting(record.run_ms / 1000)}`]);
  else if (record.due_at) found.push([record.due_at, "queued", "It is due then"]);
  return found;
}

const SHOWN = new Set(["timestamp", "level", "event", "logger", "process", "instance", "pid", "invocation_id", "request_id", "function", "exception"]);

function logTable(lines) {
  return table("Logs", [
    ["Time", (one) => time(one.timestamp)], ["Process", (one) => one.process], ["Level", (one) => one.level], ["Event", (one) => one.event],
    ["", (one) => [
      h("span", { class: "mono" }, Object.entries(one).filter(([key]) => !SHOWN.has(key)).map(([key, value]) => `${key}=${typeof value === "string" ? value : show(value)}`).join("  ")),
      one.exception && h("pre", {}, one.exception),
    ]],
  ], lines);
}

export async function replay(view, { names: [id], signal }) {
  const record = await ask(at(id), { signal });
  const form = payloadForm({}, record.payload);
  const output = h("div");
  const run = button("Run again", async () => {
    const made = await post(`${at(id)}/replay`, form.text());
    location.hash = `#/${at(made.id)}`;
  }, { output, main: true, id: "run" });
  fill(view, h("h1", {}, "Replay ", h("a", { href: `#/${at(id)}`, class: "mono" }, id)),
    h("p", {}, "A new invocation of ", of(record.function), ", with this payload or another one."), form.element, h("p", {}, run), output);
}
