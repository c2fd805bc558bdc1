// Which view a hash asks for, and what is on every page.

import { ask } from "./api.js";
import { api } from "./view_api.js";
import { fill, h } from "./dom.js";
import { samples, start, watch } from "./measures.js";
import { deadLetters } from "./view_dead_letters.js";
import { aFunction, functions } from "./view_functions.js";
import { invocation, replay } from "./view_invocation.js";
import { invocations } from "./view_invocations.js";
import { overview } from "./view_overview.js";
import { schedules } from "./view_schedules.js";

const ROUTES = [
  [/^$/, overview, "Overview"],
  [/^functions$/, functions, "Functions"],
  [/^functions\/([^/]+)$/, aFunction, "Function"],
  [/^invocations$/, invocations, "Invocations"],
  [/^invocations\/([^/]+)$/, invocation, "Invocation"],
  [/^invocations\/([^/]+)\/replay$/, replay, "Replay"],
  [/^dead-letters$/, deadLetters, "Dead letters"],
  [/^schedules$/, schedules, "Schedules"],
  [/^api$/, api, "HTTP API"],
];

const main = document.getElementById("main");
let leaving = new AbortController();

async function show() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const [path, query = ""] = location.hash.replace(/^#?\/?/, "").split("?");
  const found = ROUTES.find(([pattern]) => pattern.test(path));
  for (const each of document.querySelectorAll("nav a")) {
    if (`#/${path.split("/")[0]}` === each.getAttribute("href")) each.setAttribute("aria-current", "page");
    else each.removeAttribute("aria-current");
  }
  const view = h("div");
  fill(main, view);
  document.title = "Eyas";
  if (!found) {
    fill(view, h("h1", {}, "There is no such page"), h("p", {}, h("a", { href: "#/" }, "Go to the overview")));
    return;
  }
  const [pattern, draw, title] = found;
  const names = pattern.exec(path).slice(1).map(decoded);
  document.title = [...names, title, "Eyas"].join(" - ");
  main.setAttribute("aria-label", [title, ...names].join(" "));
  try {
    await draw(view, { names, query: new URLSearchParams(query), signal });
  } catch (error) {
    if (signal.aborted) return;
    if (!view.querySelector("h1")) view.append(h("h1", {}, [title, ...names].join(" ")));
    view.append(h("p", { class: "error", role: "alert" }, error.message), h("p", {}, h("button", { type: "button", onclick: show }, "Try again")));
  }
}

function decoded(name) {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

function health() {
  const now = samples.at(-1);
  const trouble = !now.answers ? "The server does not answer" : !now.up ? "The broker does not answer" : !now.workers ? "No worker takes messages" : "";
  // Screen readers tell what changes in `trouble`, and not each number.
  const element = document.getElementById("trouble");
  if (element.textContent !== trouble) element.textContent = trouble;
  document.getElementById("counts").textContent = trouble ? "" : `${now.workers} worker${now.workers === 1 ? "" : "s"}, ${now.queued.toLocaleString()} queued`;
}

async function about() {
  const found = await ask("console/about.json");
  fill(document.getElementById("footer"),
    h("span", {}, `Eyas ${found.version}`),
    h("a", { href: "#/api" }, "HTTP API"), h("a", { href: "metrics" }, "Metrics"),
    found.flower ? h("a", { href: found.flower }, "Flower") : null);
}

document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", () => {
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
  show();
});
start();
watch(health, new AbortController().signal);
about().catch(() => {});
show();
