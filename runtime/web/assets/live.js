// Following one invocation: the server sends an event for each change of its record.

import { at } from "./api.js";
import { parse } from "./json.js";

/** Call `listener` with the record as it is, and at each change, until it has ended or `signal`. */
export function follow(id, signal, listener) {
  const source = new EventSource(`${at(id)}/events`);
  const stop = () => source.close();
  signal.addEventListener("abort", stop);
  source.addEventListener("status", (event) => {
    const record = parse(event.data);
    if (record.finished_at) stop();
    if (!signal.aborted) listener(record);
  });
}
