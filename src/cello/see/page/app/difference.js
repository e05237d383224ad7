// What another sequence has more than this one, step by step.
import { largestSize } from "./numbers.js";

export function differenceOf(other, shown) {
  const length = Math.min(other.length, shown.length);
  const data = other.data.slice(0, length * other.size).map((number, i) => number - shown.data[i]);
  const most = largestSize(data);
  const name = `Δ${other.name}`;
  return { ...other, name, data, length, kind: "value", meaning: "", low: -most, high: most };
}
