// Runs a net, stage after stage: see `cello.see.page.running`. Of what was run before, only the
// steps run again that a change can reach. The functions are what steps are written with.
import { ARRAYS } from "./decode.js";
import { fround } from "./functions.js";

export class Net {
  // `about` describes it; `makers` are the functions of its steps, `numbers` its weights.
  constructor(about, makers, numbers) {
    Object.assign(this, { about, numbers, Numbers: ARRAYS[about.dtype] });
    const size = ({ shape }) => shape.reduce((a, b) => a * b, 1);
    this.weights = about.weights.map((own) => numbers.subarray(own.at, own.at + size(own)));
    this.steps = about.steps.map((step, number) =>
      makers[number](step.weights.map((weight) => this.weights[weight])));
  }

  // `input`: {length, rows, begin, resets}: of each step its ids or numbers, one after the other;
  // by a layer's name, the states that it begins with; the steps before which they are set back.
  // `forced`: each {layer, name, unit, from, to, value}. `old` is what has been run before with
  // other inputs from step `changed[0]` to `changed[1]`, other weights of the stages from `stage`
  // on, and what is in `old.forced`.
  run(input, forced = [], { old = null, changed = null, stage = Infinity } = {}) {
    const all = [0, input.length - 1];
    const result = { input, forced, stages: [] };
    let rows = input.rows, span = old ? changed : all;
    this.about.stages.forEach((about, number) => {
      const before = old?.stages[number];
      if (number >= stage) span = all;
      const made = about.kind === "table" ? this.table(about, rows, span, before)
        : this.cells(about, rows, span, before, input, forced, old?.forced ?? []);
      result.stages.push(made);
      ({ rows, span } = made);
    });
    return result;
  }

  // Room for so many numbers a step, with what was there before.
  room(length, width, before) {
    return before ? before.slice() : new this.Numbers(length * width);
  }

  // Vectors of ids; an id that there is not counts as none.
  table({ rows: kind, size, ids, outputs, weight }, input, span, before) {
    const rows = this.room(input.length / ids, outputs, before?.rows);
    const table = this.weights[weight];
    const width = kind === "beside" ? outputs / ids : kind === "sum" ? outputs
      : weight < 0 ? 0 : this.about.weights[weight].shape[1];
    for (let t = span?.[0] ?? 0; t <= (span?.[1] ?? -1); t++) {
      rows.fill(0, t * outputs, (t + 1) * outputs);
      for (let k = 0; k < ids; k++) {
        const id = input[t * ids + k];
        if (!(id >= 0 && id < size)) continue;
        if (kind === "count") {
          rows[t * outputs + id] += 1;
          continue;
        }
        const many = table.length / width;
        const place = kind === "beside" ? k : kind === "window" ? Math.floor(id / many) : 0;
        const to = t * outputs + place * width;
        for (let i = 0; i < width; i++) rows[to + i] += table[(id % many) * width + i];
      }
    }
    return { rows, span };
  }

  // One cell, or two, one in each direction.
  cells(about, rows, span, before, input, forced, forcedBefore) {
    const layers = about.layers.map((layer, number) => {
      const own = ({ layer: name }) => name === layer.name;
      const reached = reach(span, [...forced, ...forcedBefore].filter(own));
      return this.layer(layer, rows, reached, before?.layers[number], input, forced.filter(own));
    });
    const spans = layers.map((layer) => layer.span).filter((some) => some);
    const joinedSpan = spans.length ? [Math.min(...spans.map(([a]) => a)),
      Math.max(...spans.map(([, b]) => b))] : null;
    if (layers.length === 1) return { layers, rows: layers[0].y, span: joinedSpan };
    return { layers, rows: this.join(about, layers, input.length), span: joinedSpan };
  }

  join({ join, outputs }, layers, length) {
    const rows = new this.Numbers(length * outputs);
    let at = 0;
    for (const { y } of layers) {
      const width = y.length / length;
      for (let t = 0; t < length; t++) {
        for (let i = 0; i < width; i++) rows[t * outputs + at + i] += y[t * width + i];
      }
      if (join === "concat") at += width;
    }
    return join === "mean" ? rows.map((number) => number * 0.5) : rows;
  }

  // `span`: the first and the last step at which something is other than before, if any is.
  layer(layer, rows, span, before, input, forced) {
    const { length } = input;
    const about = this.about.steps[layer.step];
    const step = this.steps[layer.step];
    if (!span && before) return { ...before, span: null };
    const y = this.room(length, about.outputs, before?.y);
    const seen = about.seen.map((size, number) => this.room(length, size, before?.seen[number]));
    const states = about.states.map((size, n) => this.room(length, size, before?.states[n]));
    const way = layer.reverse ? -1 : 1;
    const end = layer.reverse ? -1 : length;
    const first = layer.reverse ? span?.[1] ?? -1 : span?.[0] ?? length;
    const past = first - way; // the step before the first
    const begin = input.begin?.[layer.name] ?? layer.initial;
    const prev = about.states.map((size, n) => this.Numbers.from(
      past >= 0 && past < length ? states[n].subarray(past * size, (past + 1) * size) : begin[n]));
    const x = new this.Numbers(about.inputs);
    for (let t = first; t !== end; t += way) {
      if (input.resets?.includes(t)) prev.forEach((state, n) => state.set(layer.initial[n]));
      for (let i = 0; i < about.width; i++) x[i] = rows[t * about.width + i];
      force(x, about.forced, forced, t, 1);
      step(x, y, prev, seen, t);
      force(x, about.forced, forced, t, 0);
      prev.forEach((state, n) => states[n].set(state, t * state.length));
    }
    return { y, seen, states, span: layer.reverse ? [0, first] : [first, length - 1] };
  }

  // The numbers of a named value of a layer, step by step; undefined if there is no such value.
  value(result, layer, name) {
    for (const [number, { layers }] of this.about.stages.entries()) {
      const place = layers?.findIndex((found) => found.name === layer) ?? -1;
      if (place < 0) continue;
      const made = result.stages[number].layers[place];
      const which = this.about.steps[layers[place].step].names[name];
      return which === undefined ? undefined : which < 0 ? made.y : made.seen[which];
    }
    return undefined;
  }

  // What the net puts out.
  output(result) {
    return result.stages.at(-1).rows;
  }
}

// The steps that a change of the input and forced values reach.
function reach(span, forced) {
  const ends = [...(span ? [span] : []), ...forced.map(({ from, to }) => [from, to])];
  return ends.length ? [Math.min(...ends.map(([a]) => a)), Math.max(...ends.map(([, b]) => b))] : null;
}

// Tell a step, or no more, what is forced at t.
function force(x, places, forced, t, on) {
  for (const { name, unit, from, to, value } of forced) {
    if (t < from || t > to) continue;
    const [at, size] = places[name];
    x[at + unit] = on;
    x[at + size + unit] = value;
  }
}
