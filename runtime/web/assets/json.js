// JSON without losing a digit: integers that a double cannot hold are BigInts here.

const LARGE = /^-?\d{16,}$/;

export function parse(text) {
  return JSON.parse(text, (_key, value, context) =>
    typeof value === "number" && context?.source !== undefined && LARGE.test(context.source)
      ? BigInt(context.source)
      : value);
}

/** Return JSON text for people, on one line if that is short. */
export function show(value) {
  const line = write(value, 0, "");
  return line.length <= 100 ? line : write(value, 2, "");
}

function write(value, indent, margin) {
  if (typeof value === "bigint") return String(value);
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const entries = Array.isArray(value)
    ? value.map((one) => ["", one])
    : Object.entries(value).map(([name, one]) => [`${JSON.stringify(name)}: `, one]);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  if (!entries.length) return open + close;
  const inner = margin + " ".repeat(indent);
  const lines = entries.map(([name, one]) => name + write(one, indent, inner));
  return indent ? `${open}\n${inner}${lines.join(`,\n${inner}`)}\n${margin}${close}` : open + lines.join(", ") + close;
}
