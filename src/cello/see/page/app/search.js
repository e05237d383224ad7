// Which units tell a property of the steps: the area under the ROC curve of each, beside what the
// best of them would reach by chance.
import { workerFor } from "./worker.js";

const SHIFTS = 19; // of the labels along time, at most: one in twenty chances is farther out

// For each step, 1 if the expression matches there.
export function matching(tokens, expression, separator) {
  const pattern = new RegExp(expression, "gu");
  const starts = [];
  let text = "";
  for (const token of tokens) {
    starts.push(text.length);
    text += token + separator;
  }
  const marks = new Uint8Array(tokens.length);
  let step = 0;
  for (const match of text.matchAll(pattern)) {
    const [begin, end] = [match.index, match.index + match[0].length];
    while (step < tokens.length && starts[step] + tokens[step].length <= begin) step++;
    for (let at = step; at < tokens.length && starts[at] < end; at++) marks[at] = 1;
  }
  return marks;
}

const GIVEN_UP = 3000; // milliseconds for an expression

// Matches in a worker, so that an expression that would take for ever can be given up.
export class Matcher {
  // The marks; null if another expression has come since.
  async match(tokens, expression, separator) {
    this.stop();
    const worker = this.worker = workerFor(matching);
    const told = await new Promise((done) => {
      this.given = done;
      this.timer = setTimeout(() => done({ late: true }), GIVEN_UP);
      worker.onmessage = ({ data }) => done(data);
      worker.onerror = () => done({});
      worker.postMessage([tokens, expression, separator]);
    });
    if (worker === this.worker) this.stop();
    if (told.late) throw new Error("This expression takes too long.");
    if (!told.made && !told.stopped) throw new Error("not a regular expression");
    return told.made ?? null;
  }

  stop() {
    clearTimeout(this.timer);
    this.worker?.terminate();
    this.worker = null;
    this.given?.({ stopped: true });
  }
}

// How many of the sorted numbers are below one, or not above it.
function place(sorted, number, orEqual) {
  let [from, to] = [0, sorted.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if (sorted[middle] < number || (orEqual && sorted[middle] === number)) from = middle + 1;
    else to = middle;
  }
  return from;
}

// Where the number of each step stands among those of all steps, from 1 on, ties in their middle;
// and how many numbers there are. What is no number has no rank.
export function ranksOf({ data, size, length }, unit) {
  const numbers = new data.constructor(length);
  for (let t = 0; t < length; t++) numbers[t] = data[t * size + unit];
  const sorted = numbers.filter((number) => number === number).sort();
  const ranks = Float64Array.from(numbers, (number) => (number === number
    ? (place(sorted, number, false) + place(sorted, number, true) + 1) / 2 : NaN));
  return { ranks, count: sorted.length };
}

// The chance that the unit is higher at one of `steps`, moved on by `shift`, than at another step;
// ties count half.
export function area({ ranks, count }, steps, shift) {
  let [marked, sum] = [0, 0];
  for (const step of steps) {
    const rank = ranks[(step + shift) % ranks.length];
    if (rank === rank) {
      marked += 1;
      sum += rank;
    }
  }
  const others = count - marked;
  return marked && others ? (sum - (marked * (marked + 1)) / 2) / (marked * others) : 0.5;
}

export const strength = (found) => Math.max(found.area, 1 - found.area);

// By how many steps labels are moved on, the end to the beginning: so they stay as smooth as they
// are, and lose their meaning.
export function shiftsOf(length) {
  const count = Math.min(SHIFTS, Math.max(0, length - 1));
  return Array.from({ length: count }, (_, i) => Math.round(((i + 1) * length) / (count + 1)));
}

// All units of some values of the same steps, `shown` one after the other: the most telling first;
// and the best that any unit reaches for labels that were shifted. Lets the page draw in between.
export async function ranked(all, marks) {
  const found = [];
  let [begin, chance, shifts] = [performance.now(), 0.5, []];
  for await (const shown of all) {
    shifts = shiftsOf(shown.length);
    const steps = Array.from(marks.keys()).filter((t) => marks[t] && t < shown.length);
    for (let unit = 0; unit < shown.size; unit++) {
      const ranks = ranksOf(shown, unit);
      found.push({ layer: shown.layer, value: shown.name, unit, area: area(ranks, steps, 0) });
      for (const shift of shifts) {
        chance = Math.max(chance, strength({ area: area(ranks, steps, shift) }));
      }
      if (performance.now() - begin > 8) {
        await new Promise((next) => setTimeout(next));
        begin = performance.now();
      }
    }
  }
  found.sort((a, b) => strength(b) - strength(a));
  return { found, chance, shifts: shifts.length };
}
