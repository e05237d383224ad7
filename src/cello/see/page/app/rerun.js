// The net of a page runs again, as it was recorded or with changes: see
// `cello.see.page.running.given`.
import { Net } from "./net.js";

// Products with weights, and numbers to be compared, up to which the page runs the net unasked.
const MANY = 3e8, LOTS = 2 ** 20;
// By how much numbers may differ, as a share of the largest of their value, or of 1.
const TOLERANCES = { float16: 2e-3, float32: 1e-4, float64: 1e-10 };

export class Rerun {
  // `book` is the recording, `running` of its head, `makers` the steps.
  constructor(book, running, makers) {
    Object.assign(this, { book, running, makers, runs: new Map() });
    this.source = { ...book.source, numbers: (block) => book.block(block) }; // fetched once
  }

  // What may be said at once: whether it is little enough to run unasked.
  quick(sequence) {
    const size = ({ shape }) => (shape.length > 1 ? shape[0] * shape[1] : 0);
    const products = this.running.weights.reduce((sum, weight) => sum + size(weight), 0);
    const numbers = [...this.values(sequence)].reduce(
      (sum, { layer, about }) => sum + about.size * layer.length, 0);
    return products * this.book.steps(sequence) <= MANY && numbers <= LOTS;
  }

  async ready() {
    const { running } = this;
    this.net ??= new Net(running, this.makers, (await this.book.block(running.numbers)).slice());
    return this.net;
  }

  // A sequence as it was recorded: the run, and how far its numbers are from the recording.
  async recorded(sequence) {
    if (!this.runs.has(sequence)) this.runs.set(sequence, this.compared(sequence));
    return this.runs.get(sequence);
  }

  async compared(sequence) {
    const net = await this.ready();
    const { rows, size, begin, resets } = this.running.sequences[sequence];
    const numbers = await this.book.block(rows);
    const input = { rows: numbers, length: numbers.length / size, begin, resets };
    const result = net.run(input);
    let [count, largest, equal] = [0, 0, true];
    for (const { layer, about } of this.values(sequence)) {
      const made = this.made(result, layer, about.name);
      const { data } = await this.book.numbers(sequence, layer.name, about.name);
      if (!made) continue;
      const { apart, most } = difference(data, made);
      count += made.length;
      largest = Math.max(largest, apart);
      equal &&= apart <= TOLERANCES[this.book.head.blocks[about.block].dtype] * most;
    }
    const once = await this.book.answer(sequence);
    if (once?.once) {
      const { apart, most } = difference(once.data, this.answer(result, once));
      count += once.size;
      largest = Math.max(largest, apart);
      equal &&= apart <= TOLERANCES.float32 * most;
    }
    return { result, count, largest, equal };
  }

  * values(sequence) {
    for (const layer of this.book.layers(sequence)) {
      for (const about of layer.values) yield { layer, about };
    }
  }

  // The numbers of a value in a run, if the net makes it.
  made(result, layer, name) {
    if (layer.cell) return this.net.value(result, layer.name, name);
    return layer.name === "" && name === "output" ? this.net.output(result) : undefined;
  }

  // Of each step the first numbers that the net reads.
  firstOf({ rows, length }, width, size) {
    return Float64Array.from({ length: length * size }, (_, i) =>
      rows[Math.floor(i / size) * width + (i % size)]);
  }

  // What a run says of the whole sequence: the output of its last step.
  answer(result, { size }) {
    return this.net.output(result).slice(-size);
  }

  // Run with `changes`: {rows, forced, weights}, a Map of [number of the weight, place, value] by
  // any key. Only what can be other than before runs.
  async changed(sequence, { rows, forced, weights }) {
    const net = await this.ready();
    const { result: old } = await this.recorded(sequence);
    const same = rows.length === old.input.rows.length;
    const { size } = this.running.sequences[sequence];
    const input = { ...old.input, rows, length: rows.length / size,
      resets: same ? old.input.resets : [] };
    const kept = [...weights.values()].map(([weight, place]) => [weight, place,
      net.weights[weight][place]]);
    weights.forEach(([weight, place, value]) => { net.weights[weight][place] = value; });
    const stage = Math.min(...kept.map(([weight]) => this.stageOf(weight)));
    const options = same ? { old, changed: spanOf(old.input.rows, rows, size), stage } : {};
    const result = net.run(input, forced, options);
    kept.forEach(([weight, place, value]) => { net.weights[weight][place] = value; });
    return result;
  }

  // The step of a layer, if it has one.
  stepOf(layer) {
    const found = this.running.stages.flatMap(({ layers = [] }) => layers)
      .find(({ name }) => name === layer);
    return found && this.running.steps[found.step];
  }

  // The first stage that reads a weight.
  stageOf(weight) {
    const { stages, steps } = this.running;
    return stages.findIndex((stage) => stage.weight === weight
      || stage.layers?.some(({ step }) => steps[step].weights.includes(weight)));
  }

  // The recording with a run as one sequence more, and the source of its numbers.
  joined(sequence, result, { title, tokens, told, changed }) {
    const { head } = this.book;
    const extra = new Map();
    const blocks = head.blocks.slice();
    const layers = this.book.layers(sequence).map((layer) => ({ ...layer,
      length: result.input.length,
      values: layer.values.flatMap((about) => {
        const numbers = this.made(result, layer, about.name);
        if (!numbers) return [];
        const block = blocks.push({ dtype: this.running.dtype }) - 1;
        extra.set(block, numbers);
        return [{ ...about, ...range(numbers, about), block }];
      }) }));
    const { answer: once } = head.sequences[sequence];
    const { series } = head.sequences[sequence];
    const read = series && { ...series, block: blocks.push({ dtype: this.running.dtype }) - 1 };
    if (read) extra.set(read.block, this.firstOf(result.input, this.running.sequences[sequence].size, series.size));
    const answer = once && { ...once, block: blocks.push({ dtype: this.running.dtype }) - 1 };
    if (once) extra.set(answer.block, this.answer(result, once));
    const shown = { ...head.sequences[sequence], title, tokens, outputs: 0, shares: undefined, stated: undefined, answer,
      series: read,
      layers: layers.filter(({ values }) => values.length) };
    const source = { told, changed, numbers: (block) => extra.get(block) ?? this.book.block(block) };
    return [{ ...head, sequences: [...head.sequences, shown], blocks }, source];
  }
}

function difference(recorded, made) {
  let [apart, most] = [0, 1];
  for (let i = 0; i < recorded.length; i++) {
    const [a, b] = [recorded[i], made[i]];
    if (a === b || (a !== a && b !== b)) continue;
    const size = Math.abs(a);
    if (size > most && size < Infinity) most = size;
    const far = Math.abs(a - b);
    apart = Math.max(apart, far === far ? far : Infinity);
  }
  for (const number of recorded) {
    const size = Math.abs(number);
    if (size > most && size < Infinity) most = size;
  }
  return { apart, most };
}

// The first and the last step at which rows differ.
function spanOf(one, other, size) {
  const differs = (number, i) => number !== other[i];
  const [first, last] = [one.findIndex(differs), one.findLastIndex(differs)];
  return first < 0 ? null : [Math.floor(first / size), Math.floor(last / size)];
}

function range(numbers, { low, high }) {
  for (let i = 0; i < numbers.length; i++) {
    const number = numbers[i];
    if (number < low && number > -Infinity) low = number;
    if (number > high && number < Infinity) high = number;
  }
  return { low, high };
}
