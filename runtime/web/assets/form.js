// A form made of a function's payload schema. What the schema cannot say simply is written as JSON.

import { h } from "./dom.js";
import { show } from "./json.js";

const SIMPLE = new Set(["string", "integer", "number", "boolean"]);

/** Make a form: `element`; `text()`, which returns the payload as JSON text; and `blame(error)`. */
export function payloadForm(schema, payload) {
  const area = h("textarea", { id: "payload", name: "payload", spellcheck: "false", class: "large" });
  area.value = show(payload === undefined ? sample(schema, schema) : payload);
  const asJson = { element: h("div", { class: "field wide" }, h("label", { for: "payload" }, "Payload (JSON)"), area), text: () => area.value, blame: () => {} };
  const members = payload === undefined ? fieldsOf(schema) : null;
  if (!members?.length) return asJson;
  const fields = members.map(([name, member, isRequired]) => field(name, member, isRequired, schema));
  const text = () => `{${fields.map((one) => one.text()).filter((one) => one !== "").join(", ")}}`;
  const element = h("div", {}, fields.map((one) => one.element));
  element.append(h("button", { type: "button", onclick: () => {
    area.value = text();
    element.replaceChildren(asJson.element);
    asJson.isShown = true;
    area.focus();
  } }, "Write it as JSON"));
  // Mark the fields that the server's answer is about.
  const blame = (error) => {
    const pointers = (error?.problem?.errors ?? []).map((one) => one.pointer);
    for (const one of fields) one.input.toggleAttribute("aria-invalid", pointers.some((pointer) => `${pointer}/`.startsWith(`/${one.name.replace(/~/g, "~0").replace(/\//g, "~1")}/`)));
    element.querySelector("[aria-invalid]")?.focus();
  };
  return { element, text: () => (asJson.isShown ? area.value : text()), blame };
}

function fieldsOf(schema) {
  const whole = resolved(schema, schema);
  if (whole?.type !== "object" || !whole.properties) return null;
  const required = new Set(whole.required ?? []);
  return Object.entries(whole.properties).map(([name, member]) => [name, resolved(member, schema), required.has(name)]);
}

/** Follow a reference; a type or null is that type, `isNullable`. */
function resolved(schema, root) {
  const { $ref, ...rest } = schema ?? {};
  const name = $ref?.match(/^#\/\$defs\/(.+)$/)?.[1].replace(/~1/g, "/").replace(/~0/g, "~");
  const found = name ? { ...resolved(root.$defs?.[name], root), ...rest } : rest;
  const others = found.anyOf?.filter((one) => one.type !== "null");
  if (others?.length !== 1 || found.anyOf.length !== 2) return found;
  const { anyOf, ...kept } = found;
  return { ...resolved(others[0], root), ...kept, isNullable: true };
}

function field(name, schema, isRequired, root) {
  const id = `field-${name}`;
  const type = schema.enum ? "enum" : SIMPLE.has(schema.type) ? schema.type : "json";
  const given = schema.default === undefined || schema.default === null ? (type === "json" && isRequired ? show(sample(schema, root)) : "")
    : type === "string" ? schema.default : show(schema.default);
  const input = inputs[type](id, schema, given, isRequired);
  const hint = [type === "json" ? `${kind(schema, root)}, as JSON` : type === "enum" ? "" : kind(schema, root), isRequired ? "required" : "", schema.description ?? "", limits(schema)].filter(Boolean).join(", ");
  if (hint) input.setAttribute("aria-describedby", `${id}-hint`);
  const text = () => {
    const isBox = input.type === "checkbox";
    const value = isBox ? String(input.checked) : input.value;
    if (isBox && !isRequired && value === (given || "false")) return "";
    if (value === "" && isRequired && schema.isNullable) return `${JSON.stringify(name)}: null`;
    // An empty text is one if it was emptied, or if there must be one.
    if (value === "" && !(type === "string" && (isRequired || given !== ""))) return "";
    return `${JSON.stringify(name)}: ${type === "string" ? JSON.stringify(value) : value.trim()}`;
  };
  return { name, input, text, element: h("div", { class: "field" }, h("label", { for: id }, name), h("span", { id: `${id}-hint`, class: "faint" }, hint), " ", input) };
}

const choice = (id, options, isOptional) => h("select", { id }, isOptional ? h("option", { value: "" }, "(not given)") : null,
  options.map(([value, isChosen]) => h("option", { value: JSON.stringify(value), selected: isChosen }, String(value))));

const inputs = {
  string: (id, schema, given) => (schema.maxLength > 200 || given.includes("\n") ? h("textarea", { id }, given) : h("input", { id, value: given })),
  // Of type text: a number field would round what has many digits. The server says what is wrong.
  integer: (id, _schema, given) => h("input", { id, value: given, inputmode: "numeric", autocomplete: "off" }),
  number: (id, _schema, given) => h("input", { id, value: given, inputmode: "decimal", autocomplete: "off" }),
  boolean: (id, schema, given) => (schema.isNullable ? choice(id, [[true, given === "true"], [false, given === "false"]], true) : h("input", { id, type: "checkbox", checked: given === "true" })),
  enum: (id, schema, given, isRequired) => choice(id, schema.enum.map((one) => [one, show(one) === given]), !isRequired || schema.isNullable),
  json: (id, _schema, given) => h("textarea", { id, spellcheck: "false" }, given),
};

const limits = (schema) => [
  ["at least", schema.minimum], ["above", schema.exclusiveMinimum], ["at most", schema.maximum], ["below", schema.exclusiveMaximum],
].filter(([, limit]) => limit !== undefined).map(([text, limit]) => `${text} ${limit}`).join(", ");

/** Say in a few words what a schema wants. */
function kind(schema, root, depth = 0) {
  const one = resolved(schema, root);
  if (depth > 3) return "…";
  if (one.anyOf) return one.anyOf.map((each) => kind(each, root, depth + 1)).join(" or ");
  if (one.type === "array") return one.items ? `array of ${kind(one.items, root, depth + 1)}` : "array";
  return one.title ?? one.format ?? one.type ?? (one.enum ? "one of some values" : "anything");
}

/** Make a value that a schema wants, as something to begin with. */
function sample(schema, root, depth = 0) {
  const one = resolved(schema, root);
  if (one.default !== undefined || one.examples?.length) return one.default ?? one.examples?.[0] ?? null;
  if (one.enum) return one.enum[0];
  if (one.anyOf) return depth < 4 ? sample(one.anyOf[0], root, depth + 1) : null;
  if (one.type === "array") return depth < 3 && one.items ? [sample(one.items, root, depth + 1)] : [];
  if (one.type === "object") return Object.fromEntries((one.required ?? []).filter(() => depth < 4).map((name) => [name, sample(one.properties?.[name], root, depth + 1)]));
  return { string: "", integer: one.minimum ?? 0, number: one.minimum ?? 0, boolean: false, null: null }[one.type] ?? {};
}
