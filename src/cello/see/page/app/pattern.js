// Where else a pattern of units is: those that are on at all steps of a stretch, found elsewhere.
// The search of LSTMVis (Strobelt et al., 2018, doi 10.1109/TVCG.2017.2744158).

const MOST = 0.75; // of the units that must be on elsewhere

// The first stretch of marked steps, [first, last]; null if none is marked.
export function stretchOf(marks, length) {
  const first = marks ? marks.indexOf(1) : -1;
  if (first < 0 || first >= length) return null;
  const end = marks.indexOf(0, first);
  return [first, Math.min(end < 0 ? length : end, length) - 1];
}

// From where on each unit is on: so far up its own range.
export function levelsOf({ data, size, length }, share) {
  return Array.from({ length: size }, (_, unit) => {
    let [low, high] = [Infinity, -Infinity];
    for (let at = unit; at < size * length; at += size) {
      if (data[at] < low) low = data[at];
      if (data[at] > high) high = data[at];
    }
    return high > low ? low + share * (high - low) : Infinity; // one that never moves is never on
  });
}

// The units that are on at all steps from `first` to `last`, but not at all steps there are.
export function unitsOn({ data, size, length }, levels, [first, last]) {
  const on = (unit, t) => data[t * size + unit] >= levels[unit];
  return Array.from(levels.keys()).filter((unit) => {
    for (let t = first; t <= last; t++) if (!on(unit, t)) return false;
    for (let t = 0; t < length; t++) if (!on(unit, t)) return true;
    return false;
  });
}

// Stretches at which most of the units are on: {first, last, units}, the last the mean of how many.
export function stretchesOf({ data, size, length }, levels, units) {
  const least = Math.max(1, Math.ceil(MOST * units.length));
  const found = [];
  let [first, sum] = [-1, 0];
  for (let t = 0; t <= length; t++) {
    const count = t < length ? units.filter((unit) => data[t * size + unit] >= levels[unit]).length : 0;
    if (count >= least) {
      if (first < 0) [first, sum] = [t, 0];
      sum += count;
    } else if (first >= 0) {
      found.push({ first, last: t - 1, units: sum / (t - first) });
      first = -1;
    }
  }
  return found;
}
