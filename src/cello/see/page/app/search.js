// Which units tell a property of the steps: the area under the ROC curve of each.

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

// The chance that a unit is higher at a marked step than at another; ties count half.
export function area(shown, unit, marks) {
  const { data, size, length } = shown;
  const counts = [0, 0];
  const groups = [0, 1].map(() => new data.constructor(length));
  for (let t = 0; t < length; t++) {
    const number = data[t * size + unit];
    const group = marks[t] ? 1 : 0;
    if (number === number) groups[group][counts[group]++] = number;
  }
  const [others, marked] = groups.map((numbers, group) => numbers.subarray(0, counts[group]).sort());
  if (!others.length || !marked.length) return 0.5;
  let below = 0, upTo = 0, sum = 0;
  for (const number of marked) {
    while (below < others.length && others[below] < number) below++;
    while (upTo < others.length && others[upTo] <= number) upTo++;
    sum += (below + upTo) / 2;
  }
  return sum / (others.length * marked.length);
}

// All units of a value with their areas, the most telling first; lets the page draw in between.
export async function ranked(shown, marks) {
  const found = [];
  let begin = performance.now();
  for (let unit = 0; unit < shown.size; unit++) {
    found.push({ layer: shown.layer, value: shown.name, unit, area: area(shown, unit, marks) });
    if (performance.now() - begin > 8) {
      await new Promise((next) => setTimeout(next));
      begin = performance.now();
    }
  }
  return found.sort((a, b) => strength(b) - strength(a));
}

export const strength = ({ area }) => Math.max(area, 1 - area);
