// What if: changes of what the net reads, of its weights and of values, and what becomes of them.
import { Rerun } from "./rerun.js";
import { Typed, asToken } from "./typed.js";
import { WhatIfPanel, refusal } from "./whatifpanel.js";

// What one can do with a net that the page runs; or why the page cannot run it.
export function offerWhatIf(explorer, running, makers) {
  if (running?.stages) return new WhatIf(explorer, running, makers);
  if (running) refusal(explorer, running.why);
  return null;
}

class WhatIf {
  // `running` is of the page's head; `makers` are the steps of the net.
  constructor(explorer, running, makers) {
    Object.assign(this, { explorer, running });
    this.rerun = new Rerun(explorer.state.book, running, makers);
    this.panel = new WhatIfPanel(this);
    this.forget();
    for (const kind of ["pointerdown", "focusin"]) {
      explorer.root.addEventListener(kind, ({ target }) => { this.touched = target; }, true);
    }
    explorer.detail.press = (name) => this.press(name);
    explorer.scene.on.draw = (from, to, value) => this.draw(from, to, value);
    explorer.scene.on.drawSeries = (from, to, place, value) => this.drawSeries(from, to, place, value);
    const { state } = explorer;
    state.on(["sequence", "book"], () => this.follow());
    state.on(["t", "unit", "layer", "value", "language", "sequence", "book", "drawing", "outlooks"], () =>
      this.panel.draw());
    if (this.rerun.quick(state.sequence)) this.begin();
    else this.panel.draw();
  }

  say(text, ...parts) { return this.explorer.say(text, ...parts); }

  // How many sequences were recorded; the one after them is what the changes make.
  get count() { return this.rerun.book.sequences.length; }

  // The recorded sequence that is looked at, or that the changed one comes from.
  get sequence() {
    const { sequence } = this.explorer.state;
    return sequence < this.count ? sequence : this.from ?? 0;
  }

  forget() {
    Object.assign(this, { rows: null, tokens: null, forced: new Map(), weights: new Map(),
      after: null });
  }

  get any() { return Boolean(this.rows || this.forced.size || this.weights.size); }

  // Run as it was recorded, and compare.
  async begin() {
    const { sequence } = this;
    try {
      const inputs = this.running.sequences.map(async ({ rows, size }) => (
        { size, numbers: await this.rerun.book.block(rows) }));
      this.typed ??= new Typed(this.rerun.book, await Promise.all(inputs));
      this.before = await this.rerun.recorded(sequence);
    } catch (error) {
      this.before = { equal: false, error };
    }
    this.panel.draw(true);
  }

  // Another recorded sequence is looked at: changes were those of the one before.
  follow() {
    const { sequence } = this.explorer.state;
    if (sequence >= this.count || sequence === this.seen) return;
    this.seen = sequence;
    if (this.from !== undefined && sequence !== this.from && this.any) this.forget();
    this.before = null;
    if (this.rerun.quick(sequence)) this.begin();
  }

  // The rows of the inputs as they are now, to be changed.
  get input() { return this.rows ?? this.before.result.input.rows; }

  get size() { return this.running.sequences[this.sequence].size; }

  // ------------------------------------------------------------ changes

  setInput(t, place, value) {
    const rows = this.input.slice();
    rows[t * this.size + place] = value;
    return this.setRows(rows);
  }

  // The series that is read, and what one forecasts of it, if that is what the net does.
  get series() { return this.explorer.state.outlooks?.[0] ?? null; }

  // What was measured of a target, in its own units.
  setMeasured(from, to, target, value) {
    const { series, size } = this;
    const rows = this.input.slice();
    for (let t = from; t <= to; t++) {
      rows[t * size + target] = series.scaled(value, target);
      if (series.size > series.count) rows[t * size + series.count + target] = 1; // it is there
    }
    return this.setRows(rows);
  }

  drawSeries(from, to, target, value) {
    if (this.before?.equal && this.series) this.setMeasured(from, to, target, value);
  }

  // Exchange what is read at a step and at the next one.
  swap(t) {
    const { size } = this;
    const rows = this.input.slice();
    const next = rows.slice((t + 1) * size, (t + 2) * size);
    rows.copyWithin((t + 1) * size, t * size, (t + 1) * size);
    rows.set(next, t * size);
    const tokens = Array.from(this.tokens ?? this.rerun.book.tokens(this.sequence) ?? []);
    if (this.series) return this.setRows(rows); // whose times stay
    if (tokens.length) [tokens[t], tokens[t + 1]] = [tokens[t + 1], tokens[t]];
    return this.setRows(rows, tokens.length ? tokens : null);
  }

  setRows(rows, tokens = this.tokens) {
    const recorded = this.before.result.input.rows;
    const same = rows.length === recorded.length && rows.every((n, i) => n === recorded[i]);
    this.rows = same ? null : rows;
    const row = (t) => Array.from(rows.subarray(t * this.size, (t + 1) * this.size));
    this.tokens = same ? null
      : this.typed.numeric ? Array.from({ length: rows.length / this.size }, (_, t) => asToken(row(t)))
        : tokens;
    return this.apply();
  }

  type(text) {
    const { tokens, rows, unknown } = this.typed.read(text);
    this.unknown = unknown;
    return rows.length ? this.setRows(rows, tokens) : this.panel.draw();
  }

  // A value from one step to another; `value` null: as the net computes it.
  force(layer, name, unit, from, to, value) {
    for (let t = from; t <= to; t++) {
      const key = [layer, name, unit, t].join("/");
      if (value === null) this.forced.delete(key);
      else this.forced.set(key, { layer, name, unit, from: t, to: t, value });
    }
    return this.apply();
  }

  // What the value that is looked at is forced to at step t.
  forcedAt(name, t) {
    const { layer, unit } = this.explorer.state;
    return this.forced.get([layer, name, unit, t].join("/"))?.value;
  }

  // A value in the diagram: shut, open, as it is.
  press(name) {
    const { layer, unit, t } = this.explorer.state;
    if (!this.before?.equal || !this.canForce(layer, name, unit)) return;
    const now = this.forcedAt(name, t);
    this.force(layer, name, unit, t, t, now === undefined ? 0 : now === 0 ? 1 : null);
  }

  draw(from, to, value) {
    const { layer, value: name, unit } = this.explorer.state;
    if (this.before?.equal && this.canForce(layer, name, unit)) {
      this.force(layer, name, unit, from, to, value);
    }
  }

  canForce(layer, name, unit) {
    return unit < (this.rerun.stepOf(layer)?.forced[name]?.[1] ?? 0);
  }

  setWeight(weight, place, value) {
    const key = `${weight}/${place}`;
    if (value === this.rerun.net.weights[weight][place]) this.weights.delete(key);
    else this.weights.set(key, [weight, place, value]);
    return this.apply();
  }

  // All changes at once, in place of those that there are.
  give({ rows = null, tokens = null, weights = [], forced = [] }) {
    this.forget();
    for (const one of weights) this.weights.set(`${one[0]}/${one[1]}`, one);
    for (const one of forced) this.forced.set([one.layer, one.name, one.unit, one.from].join("/"), one);
    return rows ? this.setRows(this.input.constructor.from(rows), tokens) : this.apply();
  }

  undo() {
    this.forget();
    this.unknown = undefined;
    return this.apply();
  }

  // ------------------------------------------------------------ what becomes of them

  // One run at a time, and of the changes that come meanwhile only the last.
  async apply() {
    this.wanted = true;
    if (this.busy) return;
    this.busy = true;
    while (this.wanted) {
      this.wanted = false;
      await this.inPlace(() => this.show());
    }
    this.busy = false;
  }

  // What one has touched stays under the pointer, whatever comes above it.
  async inPlace(act) {
    const kept = this.touched?.closest("section, canvas, .text");
    const place = () => kept.getBoundingClientRect().top + scrollY; // on the page
    const before = kept?.isConnected ? place() : 0;
    await act();
    const back = () => {
      if (!kept?.isConnected) return;
      const wanted = scrollY + place() - before;
      scrollTo({ top: wanted, behavior: "instant" });
      if (wanted - scrollY < 1) return; // there is not enough below
      const { root } = this.explorer;
      root.style.paddingBottom = `${parseFloat(getComputedStyle(root).paddingBottom) + wanted - scrollY}px`;
      scrollTo({ top: wanted, behavior: "instant" });
    };
    requestAnimationFrame(() => requestAnimationFrame(back)); // once all has been drawn
  }

  async show() {
    const { explorer, rerun, sequence } = this;
    this.from = sequence;
    if (!this.any) {
      this.after = null;
      explorer.state.set({ sequence, other: -1 });
      return explorer.open(rerun.book.head, rerun.source);
    }
    this.after = await rerun.changed(sequence, { rows: this.input, weights: this.weights,
      forced: [...this.forced.values()] });
    const tokens = this.tokens ?? rerun.book.head.sequences[sequence].tokens;
    const [head, source] = rerun.joined(sequence, this.after, {
      title: this.say("with the changes"), tokens, told: (place, lines) => this.told(place, lines),
      changed: (...about) => this.changed(...about) });
    explorer.state.set({ sequence: this.count, other: sequence });
    return explorer.open(head, source);
  }

  // If weights of a layer were changed, what gives the numbers of one by its name in the cell.
  changed(sequence, layer) {
    const own = sequence === this.count ? this.rerun.stepOf(layer)?.weights ?? [] : [];
    if (![...this.weights.values()].some(([one]) => own.includes(one))) return null;
    return (name) => {
      const called = (one) => this.running.weights[one].name;
      const weight = own.find((one) => called(one) === (layer ? `${layer}.${name}` : name))
        ?? own.find((one) => `.${called(one)}`.endsWith(`.${name}`)); // that of another layer too
      if (weight === undefined) return undefined; // it cannot be changed
      const numbers = this.rerun.net.weights[weight].slice();
      this.weights.forEach(([one, place, value]) => { if (one === weight) numbers[place] = value; });
      return numbers;
    };
  }

  // The arithmetic of a changed step: none of what is forced.
  told({ sequence, layer, t, unit }, lines) {
    if (sequence !== this.count) return lines;
    for (const name of [...lines.keys()]) {
      if (this.forced.has([layer, name, unit, t].join("/"))) {
        lines.set(name, this.say("{} = forced = {}", name, this.forced.get(
          [layer, name, unit, t].join("/")).value));
      }
    }
    return lines;
  }
}
