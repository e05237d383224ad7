// The numbers of a value as a file for other programs: a row for each step with what was read, if it
// is known, a column for each unit.
import { make } from "./dom.js";
import { named } from "./told.js";

const EXACT = { float32: 9, float64: 17 }; // digits that are enough to read the same number

export function tableOf(shown) {
  const { data, size, length, tokens } = shown;
  const digits = data instanceof Float64Array ? EXACT.float64 : EXACT.float32;
  const units = Array.from({ length: size }, (_, unit) => named(shown, unit));
  const row = (t) => Array.from(data.subarray(t * size, (t + 1) * size),
    (number) => String(Number(number.toPrecision(digits))));
  const read = (t) => (tokens ? [quotedCell(t < 0 ? "read" : tokens[t] ?? "")] : []);
  return [["step", ...read(-1), ...units], ...Array.from({ length }, (_, t) => [t, ...read(t), ...row(t)])]
    .map((cells) => `${cells.join(",")}\n`);
}

// As RFC 4180 has it.
const quotedCell = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

export function save(shown) {
  const url = URL.createObjectURL(new Blob(tableOf(shown), { type: "text/csv" }));
  const name = [shown.layer, shown.name].filter((part) => part).join(".");
  make("a", { href: url, download: `${name}.csv` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
