// Following one invocation: the server sends an event for each change of its record.

import { ask, at } from "./api.js";
import { parse } from "./json.js";

const AGAIN_MS = 2000;

/** Call `listener` with the record as it is, and at each change, until it has ended or `signal`.
 *
 * Browsers have few connections to a server: a page that nobody sees keeps none.
 */
export function follow(id, signal, listener) {
  let source;
  let timer;
  const done = new AbortController();
  const stop = () => { source?.close(); clearTimeout(timer); done.abort(); };
  const tell = (record) => {
    if (record.finished_at) stop();
    if (!signal.aborted) listener(record);
  };
  const open = () => {
    source?.close();
    clearTimeout(timer);
    if (document.hidden || done.signal.aborted) return;
    source = new EventSource(`${at(id)}/events`);
    source.addEventListener("status", (event) => tell(parse(event.data)));
    // It comes again by itself when a connection was lost, and never after an answer such as 503.
    source.addEventListener("error", (event) => { if (event.target.readyState === EventSource.CLOSED && event.target === source) timer = setTimeout(look, AGAIN_MS); });
  };
  const look = async () => {
    try {
      tell(await ask(at(id), { signal: done.signal }));
      open();
    } catch (error) {
      if (error.status === 404 || error.status === 410) stop();
      else if (!done.signal.aborted) timer = setTimeout(look, AGAIN_MS);
    }
  };
  signal.addEventListener("abort", stop);
  document.addEventListener("visibilitychange", open, { signal: done.signal });
  open();
}
