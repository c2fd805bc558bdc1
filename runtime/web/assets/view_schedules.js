// Functions that run by themselves.

import { ask, post } from "./api.js";
import { button, fill, h, table } from "./dom.js";
import { lasting, of, time } from "./words.js";

export async function schedules(view, { signal }) {
  const output = h("div", { role: "status", tabindex: "-1" });
  const body = h("div");
  const refresh = async () => {
    const found = (await ask("schedules", { signal })).schedules;
    const act = (one, what) => async () => {
      const answer = await post(`schedules/${encodeURIComponent(one.name)}/${what}`);
      await refresh();
      if (answer.id) fill(output, h("p", {}, "Accepted: ", h("a", { href: `#/invocations/${encodeURIComponent(answer.id)}`, class: "mono" }, answer.id)));
    };
    fill(body, found.length
      ? table("Schedules", [
        ["Function", (one) => of(one.name)], ["Runs", (one) => one.schedule ?? (one.every ? `every ${lasting(one.every)}` : "")], ["Time zone", (one) => one.timezone ?? ""],
        ["Next", (one) => (one.paused ? "paused" : time(one.next_run_at))], ["Latest", (one) => time(one.last_run_at)],
        ["", (one) => h("span", { class: "actions" }, button("Run now", act(one, "run"), { output, id: `run-${one.name}`, label: `Run now: ${one.name}` }),
          button(one.paused ? "Resume" : "Pause", act(one, one.paused ? "resume" : "pause"), { output, id: `pause-${one.name}`, label: `${one.paused ? "Resume" : "Pause"} ${one.name}` }))],
      ], found)
      : h("div", { class: "box" }, h("p", {}, "No function has a schedule. To have one run every five minutes:"), h("pre", {}, '@function(schedule="*/5 * * * *")\ndef clean_up() -> None: ...')));
  };
  fill(view, h("h1", {}, "Schedules"), output, body);
  await refresh();
}
