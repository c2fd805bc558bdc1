// One invocation: its whole story.

import { ask, at, post, repeat } from "./api.js";
import { button, facts, fill, h, long, table } from "./dom.js";
import { payloadForm } from "./form.js";
import { parse, show } from "./json.js";
import { follow } from "./live.js";
import { between, lasting, of, progress, status, time } from "./words.js";

const LOGS_EVERY_MS = 3000;
const MOST_LINES = 500;

const TOLD = {
  parked: "It waited for one of its function's slots (concurrency).",
  cancelling: "Somebody asked to cancel it while it ran.",
  recovered: "It was nowhere, and was queued again.",
  redriven: "It was taken out of the dead letters and queued again.",
};

export async function invocation(view, { names: [id], signal }) {
  const first = await ask(at(id), { signal });
  const [line, choices, known, far, story, values, logs] = [h("span", { role: "status" }), h("span", { class: "row" }), h("div"), h("div"), h("ol", { class: "timeline" }), h("div"), h("div", {}, h("p", { class: "faint" }, "Reading the log files…"))];
  const output = h("div", { tabindex: "-1" });
  fill(view, h("h1", {}, "Invocation ", h("span", { class: "mono" }, id)), h("div", { class: "row" }, line, of(first.function), choices), output, known, far,
    h("h2", {}, "What happened"), story, h("h2", {}, "Payload"), long(show(first.payload)), values, h("h2", {}, "Logs"), logs);
  const drawn = new Map();
  // What is as it was stays: somebody may read it, or be about to press it.
  const put = (element, key, ...children) => {
    if (drawn.get(element) !== key) fill(element, ...children);
    drawn.set(element, key);
  };
  const isOver = new AbortController();
  signal.addEventListener("abort", () => isOver.abort());
  const draw = (record) => {
    const { progress: reported, ...rest } = record;
    const key = show(rest);
    put(line, record.status, status(record.status));
    put(choices, `${record.status} ${record.dead_letter}`, actions(record, output));
    put(known, key, facts([["trigger", record.trigger], ["replay of", record.replay_of && h("a", { href: `#/${at(record.replay_of)}` }, record.replay_of)],
      ["dead letter", record.dead_letter], ["attempts", `${record.attempt} (given up when ${record.max_attempts} ${record.max_attempts === 1 ? "has" : "have"} failed)`]]));
    put(far, show(reported), reported && progress(reported));
    put(story, key, steps(record).map(([at_, kind, text, detail]) => h("li", { class: kind }, h("p", {}, time(at_), text, detail && h("span", { class: "faint" }, ` ${detail}`)))));
    put(values, key,
      record.result !== undefined && [h("h2", {}, "Result"), long(show(record.result))],
      record.error && [h("h2", {}, "Error"), long(`${record.error.type}: ${record.error.message}\n${record.error.stack_trace.join("")}`, "error")]);
    if (record.finished_at) {
      isOver.abort();
      readLogs();
    }
  };
  const readLogs = async () => {
    try {
      const text = await ask(`${at(id)}/logs`, { signal });
      put(logs, text, logTable(text.split("\n").filter(Boolean).map(parse)));
    } catch (error) {
      if (!signal.aborted) put(logs, null, h("p", { class: "error" }, error.message));
    }
  };
  draw(first);
  if (first.finished_at) return;
  follow(id, signal, draw);
  repeat(readLogs, LOGS_EVERY_MS, isOver.signal);
}

function actions(record, output) {
  const isOpen = !record.finished_at;
  return [
    isOpen && button("Cancel", () => ask(at(record.id), { method: "DELETE" }), { output, id: "cancel" }),
    h("a", { href: `#/${at(record.id)}/replay`, id: "replay" }, "Replay"),
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
  let queuedAt = new Date(new Date(record.accepted_at).getTime() + 1000 * (record.delay_seconds ?? 0));
  const began = (attempt, startedAt, worker) => found.push([startedAt, "running", `Attempt ${attempt} began`, `after ${between(queuedAt, startedAt)} in the queue${worker ? `, in ${worker}` : ""}`]);
  for (const one of record.history ?? []) {
    const isTold = told.has(one.attempt);
    if (one.attempt !== undefined) told.add(one.attempt);
    if (one.what === "failed") {
      began(one.attempt, one.started_at, one.worker);
      found.push([one.at, "failed", `It failed after ${between(one.started_at, one.at)}: ${one.error.type}: ${one.error.message}`, `again after ${between(one.at, one.due_at)}`]);
    } else if (one.what === "lost") {
      if (one.started_at) began(one.attempt, one.started_at, one.worker);
      found.push([one.at, "failed", `The process of attempt ${one.attempt} died: it was queued again`, one.worker]);
    } else if (one.what === "given_up") {
      if (one.started_at && !isTold) began(one.attempt, one.started_at, one.worker);
      found.push([one.at, "failed", `It was given up: ${one.error.type}: ${one.error.message}`, one.reason]);
    } else found.push([one.at, "queued", TOLD[one.what] ?? one.what]);
    if (!["parked", "cancelling"].includes(one.what)) queuedAt = one.due_at ?? one.at;
  }
  if (record.started_at && !told.has(record.attempt)) {
    began(record.attempt, record.started_at);
  }
  if (record.finished_at) found.push([record.finished_at, record.status, `It ${record.status === "cancelled" ? "was cancelled" : record.status}`, told.has(record.attempt) ? "" : record.run_ms === null ? "" : `after ${lasting(record.run_ms / 1000)}`]);
  else if (record.due_at) found.push([record.due_at, "queued", "It is due then"]);
  // An attempt may have begun before something that the history had to tell first.
  return found.sort(([one], [other]) => new Date(one) - new Date(other));
}

const SHOWN = new Set(["timestamp", "level", "event", "logger", "process", "instance", "pid", "invocation_id", "request_id", "function", "exception"]);

function logTable(all) {
  // Each look at this page is a request about it.
  const told = all.filter((one) => !(one.event === "request.finished" && one.method === "GET"));
  const lines = told.slice(-MOST_LINES);
  if (!lines.length) return h("p", { class: "faint" }, "No line yet. Those of other machines are not shown.");
  return [told.length > lines.length && h("p", { class: "faint" }, `The latest ${lines.length} of ${told.length.toLocaleString()} lines; all of them: eyas logs --id ID`), table("Logs", [
    ["Time", (one) => time(one.timestamp)], ["Process", (one) => one.process], ["Level", (one) => one.level], ["Event", (one) => one.event],
    ["Details", (one) => [
      h("span", { class: "mono" }, Object.entries(one).filter(([key]) => !SHOWN.has(key)).map(([key, value]) => `${key}=${typeof value === "string" ? value : show(value)}`).join("  ")),
      one.exception && h("pre", { tabindex: "0" }, one.exception),
    ], "text"],
  ], lines)];
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
