// What another sequence has more than this one, step by step.

export function differenceOf(other, shown) {
  const length = Math.min(other.length, shown.length);
  const data = other.data.slice(0, length * other.size).map((number, i) => number - shown.data[i]);
  const most = data.reduce((most, number) => {
    const size = Math.abs(number);
    return size > most && size < Infinity ? size : most;
  }, 0);
  const name = `Δ${other.name}`;
  return { ...other, name, data, length, kind: "value", meaning: "", low: -most, high: most };
}
