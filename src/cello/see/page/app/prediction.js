// What the net says at a step, by name: the likeliest answers, and whether the first is right.
import { make, visible } from "./dom.js";

const ANSWERS = 4; // answers

// Chances of numbers that are chances already, or that a softmax makes chances of. A single number
// is that of the second of two names, before a sigmoid.
export function chances(numbers) {
  const row = numbers.length === 1 ? [0, numbers[0]] : Array.from(numbers);
  const sum = row.reduce((all, number) => all + number, 0);
  if (row.every((number) => number >= 0) && Math.abs(sum - 1) < 1e-3) return row;
  const most = Math.max(...row);
  const powers = row.map((number) => Math.exp(number - most));
  const all = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / all);
}

// The name that is likeliest at step t; -1 if one is no number.
export function answer({ data, size }, t) {
  if (size === 1) return Number.isNaN(data[t]) ? -1 : Number(data[t] > 0);
  let best = 0;
  for (let unit = 0; unit < size; unit++) {
    const number = data[t * size + unit];
    if (Number.isNaN(number)) return -1;
    if (number > data[t * size + best]) best = unit;
  }
  return best;
}

export const percent = (chance) => `${(100 * chance).toFixed(chance > 0.9995 || chance < 0.0005 ? 0 : 1)} %`;

export class Prediction {
  // `say(text)` translates; `wrong(number, steps)` is told at which steps of the sequence that is
  // shown, or of the one beside it, the answer is wrong.
  constructor(say, state, wrong) {
    Object.assign(this, { say, state, wrong });
    this.lines = [0, 1].map(() => make("p", { className: "prediction" }));
    this.element = make("div", { className: "predictions", hidden: true }, ...this.lines);
    state.on(["book", "sequence", "other", "t", "language"], () => this.draw());
  }

  async draw() {
    const { book, sequence, other } = this.state;
    this.element.hidden = !book.head.labels;
    if (!book.head.labels) return;
    const all = await Promise.all([sequence, other].map((number) =>
      (number < 0 ? null : book.answer(number).catch(() => null))));
    const now = book === this.state.book && sequence === this.state.sequence && other === this.state.other;
    if (!now) return;
    all.forEach((output, number) => {
      this.tell(this.lines[number], output, book.sequences[[sequence, other][number]]);
      this.mark(number, output, book.sequences[[sequence, other][number]]?.expected);
    });
  }

  tell(line, output, shown) {
    const { book } = this.state;
    const t = output?.once ? 0 : this.state.t;
    line.hidden = !output || t >= output.length;
    if (line.hidden) return;
    const { labels } = book.head;
    const row = chances(output.data.subarray(t * output.size, (t + 1) * output.size));
    const order = Array.from(row.keys()).sort((a, b) => row[b] - row[a] || a - b);
    const first = answer(output, t);
    const answers = first < 0 ? [this.say("no number")] : order.slice(0, ANSWERS).map((unit) => {
      const part = make("span", { className: "answer" }, `${visible(labels[unit])} ${percent(row[unit])}`);
      part.style.setProperty("--chance", `${100 * row[unit]}%`);
      return part;
    });
    const right = shown.expected?.[t];
    const verdict = right === undefined ? [] : right === first
      ? [make("span", { className: "right" }, `✓ ${this.say("right")}`)]
      : [make("span", { className: "wrong" },
        `✗ ${right < 0 ? this.say("wrong") : this.say("right is {}", visible(labels[right]))}`)];
    const whose = this.state.other < 0 ? "" : `${shown.title}: `;
    line.replaceChildren(make("span", { className: "what" },
      `${whose}${output.once ? this.say("the net says, at the end")
        : this.say("the net says, at step {}", t)}`), ...answers, ...verdict);
  }

  // Which steps are wrong: found once for the numbers of a sequence.
  mark(number, output, expected) {
    if (this.marked?.[number]?.[0] === output?.data) return;
    const steps = output && expected && !output.once && Uint8Array.from(
      { length: Math.min(output.length, expected.length) },
      (_, t) => Number(answer(output, t) !== expected[t]));
    (this.marked ??= [])[number] = [output?.data, steps];
    this.wrong(number, steps || null);
  }
}
