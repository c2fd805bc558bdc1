// A form made of a function's payload schema. What the schema cannot say simply is written as JSON.

import { h } from "./dom.js";
import { show } from "./json.js";

const SIMPLE = new Set(["string", "integer", "number", "boolean"]);

/** Make a form: `element`, and `text()`, which returns the payload as JSON text. */
export function payloadForm(schema, payload) {
  const area = h("textarea", { id: "payload", name: "payload", spellcheck: "false", "aria-label": "Payload, as JSON" });
  const members = fieldsOf(schema);
  area.value = show(payload ?? (members ? {} : sample(schema)));
  const asJson = { element: h("div", { class: "field" }, h("label", { for: "payload" }, "Payload (JSON)"), area), text: () => area.value };
  if (!members?.length || payload !== undefined) return asJson;
  const fields = members.map(([name, member, isRequired]) => field(name, member, isRequired));
  const text = () => `{${fields.map((one) => one.text()).filter((one) => one !== "").join(", ")}}`;
  const element = h("div", {}, fields.map((one) => one.element));
  const toJson = h("button", { type: "button", onclick: () => {
    area.value = text();
    element.replaceChildren(asJson.element);
    asJson.isShown = true;
    area.focus();
  } }, "Write it as JSON");
  element.append(toJson);
  return { element, text: () => (asJson.isShown ? area.value : text()) };
}

function fieldsOf(schema) {
  const whole = resolved(schema, schema);
  if (whole?.type !== "object" || !whole.properties) return null;
  const required = new Set(whole.required ?? []);
  return Object.entries(whole.properties).map(([name, member]) => [name, resolved(member, schema), required.has(name)]);
}

function resolved(schema, root) {
  const name = schema?.$ref?.match(/^#\/\$defs\/(.+)$/)?.[1];
  return name ? root.$defs?.[name.replace(/~1/g, "/").replace(/~0/g, "~")] ?? schema : schema;
}

function field(name, schema, isRequired) {
  const id = `field-${name}`;
  const type = schema.enum ? "enum" : SIMPLE.has(schema.type) ? schema.type : "json";
  const given = schema.default === undefined || schema.default === null ? "" : type === "string" ? schema.default : show(schema.default);
  const input = inputs[type](id, schema, given, isRequired);
  const hint = [type === "json" ? "JSON" : type === "enum" ? "" : schema.type, isRequired ? "required" : "", schema.description ?? "", limits(schema)].filter(Boolean).join(", ");
  const text = () => {
    const value = type === "boolean" ? String(input.checked) : input.value;
    if (type !== "boolean" && value === "" && !(isRequired && type === "string")) return "";
    if (type === "boolean" && !isRequired && value === (given || "false")) return "";
    return `${JSON.stringify(name)}: ${type === "string" ? JSON.stringify(value) : value.trim()}`;
  };
  return { element: h("div", { class: "field" }, h("label", { for: id }, name, " ", h("span", { class: "faint" }, hint)), input), text };
}

const inputs = {
  string: (id, schema, given) => (schema.maxLength > 200 || schema.maxLength === undefined && given.includes("\n")
    ? h("textarea", { id }, given)
    : h("input", { id, value: given, minlength: schema.minLength, maxlength: schema.maxLength, pattern: schema.pattern })),
  // Of type text: a number field would round what has many digits.
  integer: (id, _schema, given, isRequired) => h("input", { id, value: given, inputmode: "numeric", pattern: "-?[0-9]+", required: isRequired, autocomplete: "off" }),
  number: (id, _schema, given, isRequired) => h("input", { id, value: given, inputmode: "decimal", required: isRequired, autocomplete: "off" }),
  boolean: (id, _schema, given) => h("input", { id, type: "checkbox", checked: given === "true" }),
  enum: (id, schema, given, isRequired) => h("select", { id },
    isRequired ? null : h("option", { value: "" }, "(not given)"),
    schema.enum.map((one) => h("option", { value: JSON.stringify(one), selected: JSON.stringify(one) === JSON.stringify(schema.default) || show(one) === given }, String(one)))),
  json: (id, _schema, given) => h("textarea", { id, spellcheck: "false" }, given),
};

const limits = (schema) => [
  schema.minimum !== undefined ? `at least ${schema.minimum}` : "", schema.maximum !== undefined ? `at most ${schema.maximum}` : "",
].filter(Boolean).join(", ");

function sample(schema) {
  return { string: "", integer: 0, number: 0, boolean: false, array: [], object: {} }[schema?.type] ?? {};
}
