// The HTTP API, as openapi.json describes it.

import { ask } from "./api.js";
import { fill, h, table } from "./dom.js";
import { show } from "./json.js";

const METHODS = ["get", "post", "put", "delete", "options"];

export async function api(view, { signal }) {
  const document_ = await ask("openapi.json", { signal });
  const tags = new Map();
  for (const [path, item] of Object.entries(document_.paths)) {
    for (const method of METHODS.filter((one) => item[one])) {
      const operation = item[method];
      const tag = operation.tags?.[0] ?? "other";
      if (!tags.has(tag)) tags.set(tag, []);
      tags.get(tag).push(details(document_, method, path, operation, item.parameters ?? []));
    }
  }
  fill(view, h("h1", {}, "HTTP API"), h("p", {}, document_.info.description ?? ""), h("p", {}, h("a", { href: "openapi.json" }, "openapi.json"), ` (OpenAPI ${document_.openapi})`),
    [...tags].map(([tag, operations]) => [h("h2", {}, tag), operations]));
}

function details(document_, method, path, operation, shared) {
  const body = h("div");
  // Its schemas are many: they are written when somebody looks.
  const draw = () => {
    if (body.childElementCount) return;
    const parameters = [...shared, ...(operation.parameters ?? [])].map((one) => resolved(document_, one));
    const request = Object.entries(resolved(document_, operation.requestBody ?? {}).content ?? {});
    fill(body, h("p", {}, operation.description ?? ""),
      parameters.length ? table("Parameters", [
        ["Parameter", (one) => one.name], ["In", (one) => one.in], ["", (one) => (one.required ? "required" : "")], ["Meaning", (one) => one.description ?? ""],
      ], parameters) : null,
      request.map(([type, media]) => [h("h3", {}, `Body: ${type}`), h("pre", { tabindex: "0" }, show(resolved(document_, media.schema ?? {})))]),
      table("Answers", [
        ["Status", ([status]) => status], ["Meaning", ([, answer]) => answer.description ?? ""], ["Media types", ([, answer]) => Object.keys(answer.content ?? {}).join(", ")],
      ], Object.entries(operation.responses).map(([status, answer]) => [status, resolved(document_, answer)])));
  };
  return h("details", { class: "box", ontoggle: draw },
    h("summary", {}, h("span", { class: "mono" }, `${method.toUpperCase()} ${path}`), " ", h("span", { class: "faint" }, operation.summary ?? "")), body);
}

function resolved(document_, value) {
  if (!value.$ref?.startsWith("#/")) return value;
  return value.$ref.slice(2).split("/").reduce((found, name) => found?.[name.replace(/~1/g, "/").replace(/~0/g, "~")], document_) ?? value;
}
