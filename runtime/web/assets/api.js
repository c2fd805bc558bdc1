// Requests to the server this page came from.

import { parse } from "./json.js";

export class ApiError extends Error {
  constructor(status, problem) {
    super(explained(problem) || `HTTP status ${status}`);
    this.status = status;
    this.problem = problem;
  }
}

function explained(problem) {
  const errors = (problem?.errors ?? []).map((one) => `${one.pointer || "/"}: ${one.detail}`);
  return errors.length ? errors.join("; ") : problem?.detail ?? problem?.title;
}

/** Return the JSON value of an answer, its text if it is none; throw `ApiError` unless it is 2xx. */
export async function ask(path, { method = "GET", body, headers = {}, signal } = {}) {
  let answer;
  try {
    answer = await fetch(path, { method, body, headers: body === undefined ? headers : { "Content-Type": "application/json", ...headers }, signal });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, { detail: "the server does not answer" });
  }
  const text = await answer.text();
  const isJson = /[/+]json\b/.test(answer.headers.get("Content-Type") ?? "");
  const value = isJson && text ? parse(text) : text;
  if (!answer.ok) throw new ApiError(answer.status, isJson ? value : undefined);
  return value;
}

export const post = (path, body) => ask(path, { method: "POST", body });

const PATIENCE_MS = 1500;

/** Give parts of the list of invocations until there are `count`, or some and it takes long.
 *
 * The server looks at so many at a time: of few among very many, it finds none in a part.
 */
export async function* search(query, { count, cursor, signal }) {
  const began = performance.now();
  let found = 0;
  do {
    const asked = new URLSearchParams({ ...query, limit: count });
    if (cursor) asked.set("cursor", cursor);
    const part = await ask(`invocations?${asked}`, { signal });
    yield part;
    found += part.invocations.length;
    cursor = part.next_cursor;
  } while (cursor && found < count && (!found || performance.now() - began < PATIENCE_MS));
}

export const at = (id) => `invocations/${encodeURIComponent(id)}`;

/** Do something now and every so many milliseconds, while the page is seen, until `signal`. */
export function repeat(act, milliseconds, signal) {
  let timer;
  const turn = async () => {
    clearTimeout(timer);
    if (!document.hidden) await act();
    if (!signal.aborted) timer = setTimeout(turn, milliseconds);
  };
  signal.addEventListener("abort", () => clearTimeout(timer));
  document.addEventListener("visibilitychange", () => { if (!document.hidden && !signal.aborted) turn(); }, { signal });
  return turn();
}
