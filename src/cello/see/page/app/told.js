// A step of a unit in a sentence.
import { quoted } from "./dom.js";
import { short } from "./numbers.js";

// Such as c[3], or c alone if that is all there is.
export const named = (shown, unit) => (shown.size > 1 ? `${shown.name}[${unit}]` : shown.name);

export function told(say, shown, t, unit) {
  const number = short(shown.data[t * shown.size + unit], shown.digits);
  const token = shown.tokens?.[t];
  const read = token === undefined ? "" : ` · ${say("read")} ${quoted(token)}`;
  return `${named(shown, unit)} = ${number} · ${say("step")} ${t}${read}`;
}

// With what there is to know of the value.
export function toldInFull(say, shown, t, unit) {
  const notes = [shown.meaning, shown.rounded && "numbers are rounded to half precision"];
  return [told(say, shown, t, unit), ...notes.filter((note) => note).map(say)].join(" · ");
}
