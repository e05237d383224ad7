// The head and the numbers that belong to it, fetched when they are first asked for.
import { filled } from "./lines.js";
import { largestSize } from "./numbers.js";

const LARGE = 2 ** 20; // numbers of a value
const [HALF, FULL] = [4, 7]; // digits of numbers in half and in full precision

export class Book {
  // `source.numbers(block)` gives the numbers of a block.
  constructor(head, source) {
    this.head = head;
    this.source = source;
    this.loaded = new Map();
    this.split = new Map();
  }

  get sequences() {
    return this.head.sequences;
  }

  layers(sequence) {
    return this.sequences[sequence]?.layers ?? [];
  }

  layer(sequence, name) {
    return this.layers(sequence).find((layer) => layer.name === name);
  }

  about(sequence, layer, value) {
    return this.layer(sequence, layer)?.values.find((found) => found.name === value);
  }

  // The layer and the value of a sequence that are called so; or else one that has a memory, and it.
  nearest(sequence, layer, value) {
    const layers = this.layers(sequence);
    const states = (found) => found?.values.filter(({ kind }) => kind === "state") ?? [];
    const own = layers.find(({ name }) => name === layer)
      ?? layers.find((found) => states(found).length) ?? layers[0];
    const found = own?.values.find(({ name }) => name === value)
      ?? states(own).find(({ name }) => name === "c") ?? states(own)[0] ?? own?.values[0];
    return { layer: own?.name ?? "", value: found?.name ?? "" };
  }

  steps(sequence) {
    return Math.max(0, ...this.layers(sequence).map((layer) => layer.length));
  }

  // What was read at each step; null if nothing is known.
  tokens(sequence) {
    if (!this.split.has(sequence)) {
      const given = this.sequences[sequence]?.tokens ?? null;
      this.split.set(sequence, typeof given === "string" ? Array.from(given) : given);
    }
    return this.split.get(sequence);
  }

  // The numbers of a value, step by step: at(t, unit) is data[t * size + unit].
  async numbers(sequence, layer, value) {
    const about = this.about(sequence, layer, value);
    if (!about) return null;
    const data = await this.block(about.block);
    const { length } = this.layer(sequence, layer);
    const digits = this.digits(about.block);
    const rounded = digits === HALF;
    return { ...about, data, layer, length, rounded, digits, tokens: this.tokens(sequence) };
  }

  // What the net says: of each step, or `once` of the whole sequence.
  async answer(sequence) {
    const once = this.sequences[sequence]?.answer;
    if (!once) return this.numbers(sequence, "", "output");
    return { ...once, data: await this.block(once.block), length: 1, once: true };
  }

  // As many as can be told.
  digits(block) {
    return this.head.blocks[block].dtype === "float16" ? HALF : FULL;
  }

  // Show numbers, one a step, as a value of a layer that no cell makes.
  add(sequence, layer, name, numbers) {
    const block = this.head.blocks.push({ dtype: "float32" }) - 1;
    this.loaded.set(block, Promise.resolve(numbers));
    const largest = largestSize(numbers);
    let found = this.layer(sequence, layer);
    if (!found) {
      found = { name: layer, cell: "", length: numbers.length, reverse: false, values: [] };
      this.layers(sequence).push(found);
    }
    found.values = found.values.filter((value) => value.name !== name);
    found.values.push({ name, kind: "value", size: 1, block, low: -largest, high: largest, varies: 0,
      meaning: "" });
  }

  // All values of a layer at step t: `row` holds the numbers of each. Of large ones that are not here
  // yet, Python is asked for that step alone, if there is a Python that can be asked so.
  async step(sequence, layer, t) {
    const { values, length } = this.layer(sequence, layer);
    const large = ({ block, size }) => !this.loaded.has(block) && size * length > LARGE;
    const asked = this.source.step ? values.filter(large) : [];
    const rows = asked.length ? await this.source.step(asked, t) : [];
    return Promise.all(values.map(async (value) => {
      const row = rows[asked.indexOf(value)];
      if (row) return { ...value, row, digits: this.digits(value.block) };
      const { data, size, ...shown } = await this.numbers(sequence, layer, value.name);
      return { ...shown, size, row: data.subarray(t * size, (t + 1) * size) };
    }));
  }

  block(number) {
    if (!this.loaded.has(number)) this.loaded.set(number, this.source.numbers(number));
    return this.loaded.get(number);
  }

  // The arithmetic of a unit at a step, by the name of the value, as far as it can be told without
  // Python; `values` are those of the layer at that step.
  async lines({ sequence, layer, t, unit }, values) {
    const { lines, arithmetic } = this.head;
    const found = new Map(arithmetic[[sequence, layer, t, unit].join("/")]);
    const told = () => this.source.told?.({ sequence, layer, t, unit }, found) ?? found;
    const changed = this.source.changed?.(sequence, layer); // weights that are other than recorded
    const open = lines[layer]?.[changed ? "open" : "as_recorded"];
    if (!open) return told();
    const fixed = await Promise.all(open.fixed.map((number, place) =>
      changed?.(open.parameters[place]) ?? this.block(number)));
    const known = new Map(values.map((shown) => [shown.name, shown]));
    const at = (source, place) => {
      const shown = known.get(source);
      return shown ? shown.row[place] : fixed[source][place];
    };
    for (const [name, line] of Object.entries(open.units[unit] ?? {})) {
      const digits = Math.min(known.get(name).digits, 5);
      if (!found.has(name)) found.set(name, filled(line, at, open.terms, digits));
    }
    return told();
  }
}
