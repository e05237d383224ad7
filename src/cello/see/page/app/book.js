// The head and the numbers that belong to it, fetched when they are first asked for.

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
    if (!this.loaded.has(about.block)) {
      this.loaded.set(about.block, this.source.numbers(about.block));
    }
    const data = await this.loaded.get(about.block);
    const { length } = this.layer(sequence, layer);
    const rounded = this.head.blocks[about.block].dtype === "float16";
    const digits = rounded ? 4 : 7; // as many as can be told
    return { ...about, data, layer, length, rounded, digits, tokens: this.tokens(sequence) };
  }
}
