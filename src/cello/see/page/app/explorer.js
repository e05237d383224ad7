// The explorer: puts the parts together and says what each action does.
import { Book } from "./book.js";
import { clamp, short } from "./numbers.js";
import { Controls } from "./controls.js";
import { drawCurve, drawNow } from "./curve.js";
import { Detail } from "./detail.js";
import { drawCursor, HeatMap, rowHeight } from "./heat.js";
import { KEYS, listen } from "./keys.js";
import { make, visible } from "./dom.js";
import { ordered } from "./order.js";
import { Palette, Scale } from "./colours.js";
import { said } from "./words.js";
import { SearchPanel } from "./searchpanel.js";
import { State } from "./state.js";
import { strength } from "./search.js";
import { TextView } from "./text.js";

// What buttons and keys do; each is handed on by itself.
const ACTIONS = ["fit", "help", "jump", "language", "layer", "mark", "play", "search", "theme", "value"];
const SECONDS_A_STEP = 0.4;
const ZOOMS = [0.01, 96]; // least and most pixels a step

export class Explorer {
  // `source.numbers(block)` gives numbers; `ask(what, about)` asks Python, if there is one.
  constructor(root, head, source, ask = null) {
    this.root = root;
    this.ask = ask;
    this.loading = 0; // how much is asked for and not there yet
    for (const action of ACTIONS) this[action] = this[action].bind(this);
    this.state = new State({
      sequence: 0, other: -1, layer: "", value: "", unit: 0, t: 0, left: 0, zoom: 12, order: "number",
      scores: null, marks: null, painting: false, playing: false, hover: null, shown: null,
      shownOther: null, book: null, width: 0,
      language: navigator.language.startsWith("zh") ? "zh" : "en",
      theme: matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light" });
    this.build();
    this.wire();
    this.open(head, source);
  }

  say(text) {
    return said(this.state.language, text);
  }

  build() {
    const say = (text) => this.say(text);
    this.controls = new Controls(this.state, this, say);
    this.texts = [0, 1].map(() => new TextView({
      step: (t) => this.go(t), paint: (from, to) => this.brush(from, to) }));
    this.canvases = [0, 1].map(() => make("canvas"));
    this.maps = this.canvases.map((canvas) => new HeatMap(canvas));
    this.cursors = [0, 1].map(() => make("canvas", { className: "cursor" }));
    this.curve = make("canvas");
    this.now = make("canvas", { className: "cursor" });
    this.tip = make("div", { className: "tip", hidden: true });
    this.tip.setAttribute("role", "tooltip");
    this.stacks = this.canvases.map((canvas, number) =>
      make("div", { className: "map" }, canvas, this.cursors[number]));
    this.still = make("div", { className: "still" },
      make("div", { className: "curve" }, this.curve, this.now), ...this.stacks);
    this.wide = make("div", { className: "wide" }, this.still);
    this.scroller = make("div", { className: "scroller", tabIndex: -1 }, this.wide);
    this.caption = make("p", { className: "caption" });
    this.caption.setAttribute("aria-live", "polite");
    this.detail = new Detail(say, this.ask, (text, event) => this.showTip(text, event));
    this.search_ = new SearchPanel(say, {
      marks: (marks) => this.state.set({ marks }),
      painting: (painting) => this.state.set({ painting }),
      found: (list) => this.score(list),
      choose: (found) => this.look({ value: found.value, unit: found.unit }) });
    this.keys = make("dialog", { className: "keys" });
    this.extra = make("div", { className: "extra" });
    this.root.classList.add("cello");
    this.root.tabIndex = 0;
    this.root.replaceChildren(this.controls.element, make("div", { className: "body" },
      make("main", {}, this.extra, this.texts[0].element, this.texts[1].element, this.caption,
        this.scroller, this.detail.diagram),
      make("aside", {}, this.detail.element, this.search_.element)), this.tip, this.keys);
  }

  wire() {
    const { state } = this;
    listen(this.root, this);
    this.scroller.addEventListener("scroll", () =>
      state.set({ left: this.scroller.scrollLeft / state.zoom }));
    this.scroller.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, this.at(event).t);
    }, { passive: false });
    for (const [number, map] of this.stacks.entries()) {
      map.addEventListener("pointermove", (event) => this.hover(event, number));
      map.addEventListener("pointerleave", () => state.set({ hover: null }));
      map.addEventListener("pointerdown", (event) => {
        const { t, unit } = this.at(event, number);
        this.go(t);
        if (unit !== undefined) state.set({ unit });
        this.root.focus({ preventScroll: true });
      });
    }
    this.curve.addEventListener("pointerdown", (event) => this.go(this.at(event).t));
    this.resized = new ResizeObserver(() => state.set({ width: this.scroller.clientWidth }));
    this.resized.observe(this.scroller);
    const text = ["book", "sequence", "other", "width", "layer"];
    const numbers = ["shown", "shownOther", "theme"];
    const drawn = [...numbers, "left", "zoom", "width"];
    state.on(["theme"], () => this.dress());
    state.on(["book", "sequence", "other", "layer", "value", "unit", "order", "playing", "language",
      "scores"], () => this.controls.draw(state.book));
    state.on(["book", "language"], () => this.search_.draw(state.book, state));
    state.on(["language"], () => this.relabel?.());
    state.on(["zoom", "width", "shown"], () => this.size());
    state.on(text, () => this.layText());
    state.on([...text, ...numbers, "unit", "marks"], () => this.paintText());
    state.on(["t"], () => this.texts.forEach((view) => view.point(state.t)));
    state.on([...drawn, "order", "scores"], () => this.drawMaps());
    state.on([...drawn, "unit", "marks"], () => this.drawCurve());
    state.on([...drawn, "t", "unit", "order", "scores", "hover"], () => this.drawCursors());
    state.on(["t", "unit", "shown", "hover", "language"], () => this.caption_());
    state.on(["t", "unit", "sequence", "layer", "language", "book"], () =>
      this.detail.show(state.book, state));
  }

  // Let go of what would go on by itself.
  close() {
    clearInterval(this.timer);
    this.resized.disconnect();
    this.texts.forEach((view) => view.close());
  }

  // ------------------------------------------------------------ what is looked at

  // Another head, with the same choices as far as they still make sense.
  open(head, source) {
    const book = new Book(head, source);
    const { state } = this;
    const sequence = Math.min(state.sequence, book.sequences.length - 1);
    const layers = book.layers(sequence);
    const layer = layers.find((found) => found.name === state.layer && state.book)
      ?? layers.find((found) => found.values.some((value) => value.kind === "state")) ?? layers[0];
    const known = layer?.values.some((value) => value.name === state.value);
    const states = layer?.values.filter((value) => value.kind === "state") ?? [];
    const value = known ? state.value
      : (states.find((found) => found.name === "c") ?? states[0] ?? layer?.values[0])?.name;
    state.set({ book, sequence, other: Math.min(state.other, book.sequences.length - 1) });
    this.dress();
    return this.look({ layer: layer?.name ?? "", value: value ?? "",
      unit: known ? state.unit : undefined });
  }

  // Choose sequence, layer, value or unit; a value that is opened shows what varies most.
  async look(changes) {
    const { state } = this;
    const { book } = state;
    const wanted = { sequence: state.sequence, other: state.other, layer: state.layer,
      value: state.value, ...changes };
    const about = book.about(wanted.sequence, wanted.layer, wanted.value);
    const same = about && wanted.layer === state.layer && state.unit < about.size;
    const unit = changes.unit ?? (same && state.shown ? state.unit : about?.varies ?? 0);
    const steps = book.layer(wanted.sequence, wanted.layer)?.length ?? 0;
    const order = state.order === "score" && wanted.value !== state.value ? "number" : state.order;
    state.set({ ...wanted, unit, order, t: clamp(state.t, 0, Math.max(0, steps - 1)) });
    const numbers = (sequence) =>
      sequence < 0 ? null : book.numbers(sequence, wanted.layer, wanted.value);
    this.loading += 1;
    const [shown, shownOther] = await Promise.all([numbers(wanted.sequence), numbers(wanted.other)])
      .catch((error) => this.fail(error));
    this.loading -= 1;
    const now = ["sequence", "other", "layer", "value"].every((key) => wanted[key] === state[key]);
    if (now && book === state.book) {
      state.set({ shown, shownOther });
      if (this.fresh !== false) this.fit();
      this.fresh = false;
    }
  }

  // Say what went wrong, in place of numbers.
  fail(error) {
    this.caption.textContent = `${error.message ?? error}`;
    this.caption.classList.add("failed");
    return [null, null];
  }

  set(changes) { this.state.set(changes); }
  sequence(sequence) { return this.look({ sequence }); }
  other(other) { return this.look({ other }); }
  value(value) { return this.look({ value }); }

  layer(layer) {
    const values = this.state.book.layer(this.state.sequence, layer).values;
    const found = values.find((value) => value.name === this.state.value)
      ?? values.find((value) => value.kind === "state") ?? values[0];
    return this.look({ layer, value: found.name });
  }

  unit(unit) {
    const size = this.state.shown?.size ?? 1;
    this.state.set({ unit: clamp(Math.round(unit) || 0, 0, size - 1) });
  }

  // Along the order of the heat map.
  nextUnit(by) {
    const order = this.order();
    const place = clamp(order.indexOf(this.state.unit) + by, 0, order.length - 1);
    if (order.length) this.unit(order[place]);
  }

  nextValue(by) {
    const values = this.state.book.layer(this.state.sequence, this.state.layer).values;
    const place = values.findIndex((value) => value.name === this.state.value);
    this.value(values[(place + by + values.length) % values.length].name);
  }

  order() {
    const { shown, order, scores } = this.state;
    const key = [shown, order, scores];
    if (!shown) return [];
    if (!this.orderKey || key.some((part, i) => part !== this.orderKey[i])) {
      this.orderKey = key;
      this.orderNow = ordered(order, shown, scores);
    }
    return this.orderNow;
  }

  score(list) {
    const scores = [];
    for (const found of list) scores[found.unit] = strength(found);
    this.state.set({ scores, order: "score" });
    if (list.length) this.unit(list[0].unit);
  }

  // ------------------------------------------------------------ along time

  get length() {
    return this.state.shown?.length ?? 0;
  }

  go(t) {
    if (!this.length) return;
    const { state } = this;
    const next = clamp(t, 0, this.length - 1);
    state.set({ t: next });
    this.texts[0].reveal(next);
    const seen = state.width / state.zoom;
    if (next < state.left || next + 1 > state.left + seen) {
      this.scroller.scrollLeft = (next - seen / 2) * state.zoom;
    }
  }

  move(by) { this.go(this.state.t + by); }

  play() {
    const { state } = this;
    state.set({ playing: !state.playing });
    clearInterval(this.timer);
    if (!state.playing) return;
    if (state.t >= this.length - 1) this.go(0);
    this.timer = setInterval(() => {
      if (state.t >= this.length - 1) this.play();
      else this.move(1);
    }, 1000 * SECONDS_A_STEP);
  }

  // To where the unit changes most; then to where it changes second most, and so on.
  jump() {
    const { shown, unit } = this.state;
    if (!shown?.length) return;
    if (this.jumpShown !== shown || this.jumpUnit !== unit) {
      Object.assign(this, { jumpShown: shown, jumpUnit: unit, jumps: 0 });
      const change = (t) => Math.abs(
        shown.data[t * shown.size + unit] - (t ? shown.data[(t - 1) * shown.size + unit] : 0)) || 0;
      this.largest = Array.from({ length: shown.length }, (_, t) => t)
        .sort((a, b) => change(b) - change(a) || a - b).slice(0, 50);
    }
    this.go(this.largest[this.jumps++ % this.largest.length]);
  }

  zoom(by, around = this.state.t) {
    const { state } = this;
    const before = state.zoom;
    const zoom = clamp(before * by, ...ZOOMS);
    const x = (around - state.left) * before;
    const left = Math.max(0, around - x / zoom);
    state.set({ zoom, left });
    this.size();
  }

  // All steps at once, or as many as can be told apart.
  fit() {
    const { state } = this;
    const width = this.scroller.clientWidth;
    state.set({ width, zoom: clamp(width / Math.max(1, this.length), 0.01, 96), left: 0 });
    this.size();
  }

  size() {
    const { state } = this;
    this.wide.style.width = `${Math.max(state.width, this.length * state.zoom)}px`;
    this.scroller.scrollLeft = state.left * state.zoom;
  }

  // ------------------------------------------------------------ marking

  brush(from, to) {
    if (!this.state.painting) return;
    const marks = this.state.marks?.slice() ?? new Uint8Array(this.length);
    marks.fill(1, Math.min(from, to), Math.max(from, to) + 1);
    this.state.set({ marks });
  }

  mark() {
    const marks = this.state.marks?.slice() ?? new Uint8Array(this.length);
    marks[this.state.t] = 1 - marks[this.state.t];
    this.state.set({ marks });
  }

  // ------------------------------------------------------------ look

  dress() {
    this.palette = new Palette(this.state.theme);
    this.root.dataset.theme = this.state.theme;
  }

  theme() { this.state.set({ theme: this.state.theme === "dark" ? "light" : "dark" }); }
  language() { this.state.set({ language: this.state.language === "zh" ? "en" : "zh" }); }

  search() {
    this.search_.expression.scrollIntoView({ block: "nearest" });
    this.search_.expression.focus();
  }

  help() {
    if (this.keys.open) return this.keys.close();
    this.keys.replaceChildren(make("h2", {}, this.say("keys")), make("table", {},
      make("tbody", {}, ...KEYS.map(([key, what]) => make("tr", {},
        make("th", { scope: "row" }, key), make("td", {}, this.say(what)))))),
    make("button", { type: "button", onclick: () => this.keys.close() }, "OK"));
    return this.keys.showModal();
  }

  // ------------------------------------------------------------ drawing

  get view() {
    const { width, left, zoom } = this.state;
    return { width, left, zoom };
  }

  layText() {
    const { state } = this;
    [state.sequence, state.other].forEach((sequence, number) => {
      const tokens = sequence < 0 ? null : state.book.tokens(sequence);
      const length = state.book.layer(sequence, state.layer)?.length ?? 0;
      this.texts[number].lay(tokens, length);
    });
  }

  paintText() {
    const { state, palette } = this;
    [state.shown, state.shownOther].forEach((shown, number) => {
      if (!shown) return;
      const scale = new Scale(shown);
      const colour = (t) => {
        if (t >= shown.length) return ["none", "inherit"];
        const step = scale.step(shown.data[t * shown.size + Math.min(state.unit, shown.size - 1)]);
        return [palette.css[step], palette.ink[step]];
      };
      this.texts[number].paint(colour, number ? null : state.marks, state.t);
    });
  }

  drawMaps() {
    const { state } = this;
    [state.shown, state.shownOther].forEach((shown, number) => {
      this.stacks[number].hidden = !shown?.length;
      if (!shown?.length || !state.width) return;
      this.stacks[number].style.height = `${shown.size * rowHeight(shown.size)}px`;
      this.maps[number].draw(shown, this.order(), new Scale(shown), this.palette, this.view);
    });
  }

  drawCursors() {
    const { state } = this;
    const style = getComputedStyle(this.root);
    const colours = [style.getPropertyValue("--ink"), style.getPropertyValue("--soft")];
    if (this.length) drawNow(this.now, state.t, this.view, colours[1]);
    [state.shown, state.shownOther].forEach((shown, number) => {
      if (!shown?.length || !state.width) return;
      const cursors = [{ t: state.t, unit: state.unit, colour: colours[0] }];
      if (state.hover?.map === number) cursors.push({ ...state.hover, colour: colours[1] });
      drawCursor(this.cursors[number], shown, this.order(), this.view, cursors);
    });
  }

  drawCurve() {
    const { state } = this;
    const shown = [state.shown, state.shownOther].filter((some) => some?.length);
    this.curve.parentElement.hidden = !shown.length;
    if (!shown.length || !state.width) return;
    const style = getComputedStyle(this.root);
    const colour = (name) => style.getPropertyValue(name);
    const lines = shown.map((some) => ({ ...some, unit: Math.min(state.unit, some.size - 1) }));
    drawCurve(this.curve, lines, new Scale(shown[0]), this.view, {
      marks: state.marks, length: this.length, ink: colour("--ink"),
      tokens: shown[0].tokens, paper: colour("--paper"), grid: colour("--line"),
      band: colour("--band"), lines: [colour("--first"), colour("--second")] });
  }

  caption_() {
    const { shown, hover, unit, book } = this.state;
    if (!shown) return;
    this.caption.classList.remove("failed");
    if (!shown.length) {
      this.caption.textContent = this.say("This sequence is empty.");
      return;
    }
    const tell = (step, of) => {
      const token = shown.tokens?.[step];
      const number = short(shown.data[step * shown.size + of], 7);
      const read = token === undefined ? "" : ` · ${this.say("read")} “${visible(token)}”`;
      return `${shown.name}[${of}] = ${number} · ${this.say("step")} ${step}${read}`;
    };
    const meaning = shown.meaning ? ` · ${this.say(shown.meaning)}` : "";
    const rounded = book.head.blocks?.[shown.block]?.dtype === "float16"
      ? ` · ${this.say("numbers are rounded to half precision")}` : "";
    const t = Math.min(this.state.t, shown.length - 1);
    this.caption.textContent = tell(t, Math.min(unit, shown.size - 1)) + meaning + rounded;
    this.showTip(hover ? tell(hover.t, hover.unit) : "", hover?.event);
  }

  showTip(text, event) {
    this.tip.hidden = !text;
    if (!text) return;
    this.tip.textContent = text;
    this.tip.style.left = `${Math.min(event.clientX + 14, innerWidth - 280)}px`;
    this.tip.style.top = `${event.clientY + 16}px`;
  }

  // Which step and unit are under the pointer.
  at(event, number = 0) {
    const shown = [this.state.shown, this.state.shownOther][number];
    const box = this.stacks[number].getBoundingClientRect();
    const left = this.still.getBoundingClientRect().left;
    const t = Math.floor((event.clientX - left) / this.state.zoom + this.state.left);
    const place = Math.floor((event.clientY - box.top) / rowHeight(shown.size));
    return { t: clamp(t, 0, shown.length - 1), unit: this.order()[place] };
  }

  hover(event, map) {
    const { t, unit } = this.at(event, map);
    this.state.set({ hover: unit === undefined ? null : { t, unit, map, event } });
  }
}
