// What /metrics says, and what it said since this page was opened: for the plots.

import { ask, repeat } from "./api.js";

const EVERY_MS = 2000;
const MOST = 450;
const LINE = /^(eyas_[a-z_]+)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-z_]+)="((?:[^"\\]|\\.)*)"/g;

export const samples = [];
const listeners = new Set();

/** Read the text form: a list of {name, labels, value}. */
export function read(text) {
  const found = [];
  for (const line of text.split("\n")) {
    const match = LINE.exec(line);
    if (!match) continue;
    const labels = {};
    for (const [, name, value] of (match[2] ?? "").matchAll(LABEL)) labels[name] = value.replace(/\\(.)/g, (_all, one) => (one === "n" ? "\n" : one));
    found.push({ name: match[1], labels, value: Number(match[3]) });
  }
  return found;
}

/** Sum the values of a metric, of those that have these labels. */
export const sum = (found, name, labels = {}) =>
  found.filter((one) => one.name === name && Object.entries(labels).every(([key, value]) => one.labels[key] === value))
    .reduce((total, one) => total + one.value, 0);

/** Call a listener after each new sample until `signal`, and now if there is one. */
export function watch(listener, signal) {
  listeners.add(listener);
  signal.addEventListener("abort", () => listeners.delete(listener));
  if (samples.length) listener();
}

/** Go on sampling as long as the page is open. */
export function start() {
  repeat(async () => {
    let found = [];
    try {
      found = read(await ask("metrics"));
    } catch {
      // What is shown then: that nothing answers.
    }
    const sample = { at: performance.now() / 1000, found };
    for (const [key, name, labels] of [
      ["accepted", "eyas_invocations_accepted_total"], ["finished", "eyas_invocations_finished_total"],
      ["failed", "eyas_invocations_finished_total", { status: "failed" }],
      ["queued", "eyas_messages", { place: "queue" }], ["delayed", "eyas_messages", { place: "delayed" }],
      ["running", "eyas_invocations_open", { status: "running" }],
      ["dead", "eyas_dead_letters"], ["workers", "eyas_workers"], ["up", "eyas_broker_up"],
      ["oldest", "eyas_oldest_queued_age_seconds"], ["modules", "eyas_failed_modules"],
    ]) sample[key] = sum(found, name, labels);
    sample.answers = found.length > 0;
    samples.push(sample);
    if (samples.length > MOST) samples.shift();
    for (const listener of listeners) listener();
  }, EVERY_MS, new AbortController().signal);
}

/** Return how a counter grew per second, from each sample to the next. */
export function rates(key) {
  const found = [];
  for (let i = 1; i < samples.length; i++) {
    const [before, now] = [samples[i - 1], samples[i]];
    const isKnown = before.up && now.up;
    found.push([now.at, isKnown ? Math.max(0, now[key] - before[key]) / (now.at - before.at) : 0]);
  }
  return found;
}

export const values = (key) => samples.map((sample) => [sample.at, sample[key]]);
