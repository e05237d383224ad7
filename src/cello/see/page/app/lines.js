// Lines of arithmetic, with the numbers of a step filled in: see `cello.see.arithmetic.templates`.
import { short } from "./numbers.js";

// `line` is text, and in turn with it what is open. `at(source, place)` gives a number of a value,
// or, for a whole number instead of a name, one that is the same at every step; `terms` of a sum
// left open are written.
export function filled(line, at, terms, digits) {
  const parts = line.flatMap((part, i) => (i % 2 ? opened(part, at, terms) : [part]));
  return parts.reduce((text, part, i) =>
    text + (typeof part === "number" ? signed(text, part, parts[i + 1], digits) : part), "")
    .replaceAll(" + −", " − ");
}

// A number; or of a sum the largest products that add something, in their order, as text in turn
// with numbers.
function opened(what, at, terms) {
  if (!Array.isArray(what[1])) return [at(...what)];
  const [count, ...factors] = what;
  const product = Array.from({ length: count }, (_, k) =>
    factors.map(([source, first, step]) => at(source, first + k * step)));
  const sizes = product.map((numbers) => Math.abs(numbers.reduce((a, b) => a * b)));
  const size = (k) => (Number.isNaN(sizes[k]) ? Infinity : sizes[k]);
  const largest = [...sizes.keys()].sort((a, b) => size(b) - size(a) || a - b).slice(0, terms)
    .filter((k, i) => i === 0 || sizes[k] !== 0).sort((a, b) => a - b);
  const shown = largest.flatMap((k, i) =>
    product[k].flatMap((number, j) => (j ? ["·", number] : i ? [" + ", number] : [number])));
  return [...shown, ` + … + ${count - largest.length} more terms`];
}

// A number between texts; a minus needs brackets unless it begins a term.
function signed(before, number, after, digits) {
  const size = short(Math.abs(number), digits).replace("inf", "∞");
  if (!(number < 0)) return size;
  return /[·−/^] ?$/.test(before) || /^[²^]/.test(after) ? `(−${size})` : `−${size}`;
}
