// Values as people read them.

import { h } from "./dom.js";

export const status = (name) => h("span", { class: `status ${name}` }, name);

/** The beginning of an id that is random, and all of one that says something. */
const short = (id) => (/^[0-9a-f]{8}-[0-9a-f-]{27}$/.test(id) ? id.slice(0, 8) : id.length > 40 ? `${id.slice(0, 40)}…` : id);

export const link = (record) => h("a", { href: `#/invocations/${encodeURIComponent(record.id)}`, class: "mono", title: record.id }, short(record.id));

export const of = (name) => h("a", { href: `#/functions/${encodeURIComponent(name)}` }, name);

/** A time of day, and the day if that is not today. */
export function time(text) {
  if (!text) return "";
  const at = new Date(text);
  const day = at.toDateString() === new Date().toDateString() ? "" : `${at.toLocaleDateString()} `;
  const clock = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23" });
  return h("time", { datetime: text, title: text }, day + clock);
}

/** A length of time, in units that suit it. */
export function lasting(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "";
  if (seconds < 1) return `${Number((Math.max(0, seconds) * 1000).toPrecision(3))} ms`;
  if (seconds < 60) return `${Number(seconds.toPrecision(3))} s`;
  let left = Math.round(seconds);
  const parts = [];
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]]) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count) parts.push(`${count} ${unit}`);
  }
  return parts.slice(0, 2).join(" ");
}

/** How far something is, as its handler has said. */
export function progress({ done, total, message }) {
  const text = total ? `${done} of ${total}` : String(done);
  return h("p", {}, total ? h("progress", { value: String(done), max: String(total), "aria-label": "Progress" }) : null, ` ${text} `, message && h("span", { class: "faint" }, message));
}

export const between = (start, end) => lasting((new Date(end) - new Date(start)) / 1000);
