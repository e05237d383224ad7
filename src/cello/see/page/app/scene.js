// What is looked at, drawn: the text, the curve, the heat maps, and what is under the pointer.
import { Captions } from "./captions.js";
import { clamp } from "./numbers.js";
import { drawCurve, drawNow, labelEvery, numberAt } from "./curve.js";
import { differenceOf } from "./difference.js";
import { drawCursor, HeatMap, rowHeight } from "./heat.js";
import { followPointer } from "./pointer.js";
import { make } from "./dom.js";
import { Outlook } from "./outlook.js";
import { Palette, Scale, scaleOfUnit } from "./colours.js";
import { Prediction } from "./prediction.js";
import { TextView } from "./text.js";

const ZOOMS = [0.01, 96]; // least and most pixels a step
// Pixels, up to which there is one column, and up to which the page is used with a thumb.
const NARROW = 900, SMALL = 600;
const INKS = ["ink", "soft", "line", "band", "first", "second"]; // of the style

export class Scene {
  // `say(text)` translates; `on.go(t)` chooses a step, `on.brush(from, to)` marks some, and
  // `on.order()` says in which order units stand.
  constructor(root, state, say, on) {
    Object.assign(this, { root, state, say, on });
    this.fitted = true; // until one zooms
    this.all = [null, null]; // the sequence, and another or how it differs
    this.scales = new Map(); // of units, as far as they have been asked for
    this.texts = [0, 1].map((number) => new TextView({
      step: (t) => this.choose(t), paint: (from, to) => on.brush(from, to),
      hover: (t, event) => this.hoverText(number, t, event) }));
    const picture = () => make("canvas", { role: "img" });
    this.canvases = [0, 1].map(picture);
    this.maps = this.canvases.map((canvas) => new HeatMap(canvas));
    const cursor = () => make("canvas", { className: "cursor", ariaHidden: "true" });
    this.cursors = [0, 1].map(cursor);
    this.curve = picture();
    this.now = cursor();
    this.stacks = this.canvases.map((canvas, number) =>
      make("div", { className: "map", role: "group" }, canvas, this.cursors[number]));
    this.captions = new Captions(state, say);
    this.outlook = new Outlook(state, say, { go: on.go, choose: (t) => this.choose(t),
      drawSeries: (...drawn) => on.drawSeries(...drawn) },
    (text, event) => this.captions.showTip(text, event));
    this.prediction = new Prediction(say, state, (number, steps) => this.texts[number].err(steps));
    this.still = make("div", { className: "still" }, this.outlook.element,
      make("div", { className: "curve" }, this.curve, this.now), this.captions.head,
      this.stacks[0], this.captions.difference.element, this.stacks[1]);
    this.wide = make("div", { className: "wide" }, this.still);
    this.scroller = make("div", { className: "scroller", tabIndex: 0, role: "application" }, this.wide);
    this.elements = [
      ...this.texts.map((view) => view.element), this.prediction.element, this.outlook.told,
      this.captions.element,
      this.scroller];
    this.listen();
    this.follow();
  }

  listen() {
    const { state } = this;
    this.scroller.addEventListener("scroll", () =>
      state.set({ left: this.scroller.scrollLeft / state.zoom }));
    followPointer(this);
    this.resized = new ResizeObserver(() => this.resize());
    this.resized.observe(this.root);
    this.resized.observe(this.scroller); // which may get a scroll bar beside it
    this.cut = new ResizeObserver(() => this.stacks.forEach((stack) => {
      stack.tabIndex = stack.scrollHeight > stack.clientHeight ? 0 : -1;
    }));
    this.stacks.forEach((stack) => this.cut.observe(stack));
  }

  // As wide as there is room. In a notebook, this may be hidden in a tab: then nothing changes.
  resize() {
    const { clientWidth } = this.root;
    if (!clientWidth) return;
    this.root.classList.toggle("narrow", clientWidth <= NARROW);
    this.root.classList.toggle("small", clientWidth <= SMALL);
    this.state.set({ width: this.scroller.clientWidth });
  }

  // What is drawn anew when something changes.
  follow() {
    const { state } = this;
    const text = ["book", "sequence", "other", "width", "layer"];
    const look = ["theme", "grey"];
    const numbers = ["shown", "shownOther", "difference", ...look];
    const drawn = [...numbers, "left", "zoom", "width"];
    state.on(["shown", "shownOther", "difference"], () => this.compare());
    state.on([...look, "book"], () => this.dress());
    state.on(["width", "shown", "outlooks"], () => { if (this.fitted) this.fit(); });
    state.on(["zoom", "width", "shown", "outlooks"], () => this.size());
    state.on(text, () => this.layText());
    state.on([...text, ...numbers, "unit", "marks"], () => this.paintText());
    state.on(["unit"], () => this.stacks.forEach((stack) => this.revealUnit(stack)));
    state.on(["t"], () => this.texts.forEach((view) => view.point(state.t)));
    state.on([...drawn, "order", "scores", "own"], () => this.drawMaps());
    state.on([...drawn, "unit", "marks"], () => this.drawCurve());
    state.on([...look, "left", "zoom", "width", "outlooks", "t", "language"], () => this.drawSeries());
    state.on([...drawn, "t", "unit", "order", "scores", "hover"], () => this.drawCursors());
    state.on([...numbers, "t", "unit", "language"], () => this.captions.tell(this.all));
    state.on(["shown", "shownOther", "difference", "hover"], () => this.captions.tellHover(this.all));
    state.on([...numbers, "unit", "own", "language"], () => this.label());
  }

  close() {
    this.resized.disconnect();
    this.cut.disconnect();
    this.texts.forEach((view) => view.close());
  }

  dress() {
    this.palette = new Palette(this.state.theme, this.state.grey);
    this.root.dataset.theme = this.state.theme;
    const style = getComputedStyle(this.root);
    this.colours = Object.fromEntries(INKS.map((name) => [name, style.getPropertyValue(`--${name}`)]));
  }

  // ------------------------------------------------------------ along time

  get length() {
    return this.state.shown?.length ?? 0;
  }

  // How many steps there are to see, those that are forecast beyond the last one too.
  get extent() {
    return this.length + this.outlook.beyond;
  }

  get view() {
    const { width, left, zoom } = this.state;
    return { width, left, zoom };
  }

  // A step, and a unit if one is given; then keys go on from there.
  choose(t, unit) {
    this.on.go(t);
    if (unit !== undefined) this.state.set({ unit });
    this.root.focus({ preventScroll: true });
  }

  // Bring a step into sight.
  reveal(t) {
    const { state } = this;
    this.texts[0].reveal(t);
    const seen = state.width / state.zoom;
    if (t < state.left || t + 1 > state.left + seen) {
      this.scroller.scrollLeft = (t - seen / 2) * state.zoom;
    }
  }

  // Bring the row of the unit into sight, where there are more units than room.
  revealUnit(stack) {
    const row = rowHeight(this.state.shown?.size ?? 1);
    const top = this.on.order().indexOf(this.state.unit) * row;
    const seen = stack.clientHeight;
    if (top < stack.scrollTop || top + row > stack.scrollTop + seen) stack.scrollTop = top - seen / 2;
  }

  zoom(by, around) {
    const { state } = this;
    const before = state.zoom;
    const zoom = clamp(before * by, ...ZOOMS);
    const x = (around - state.left) * before;
    const left = Math.max(0, around - x / zoom);
    this.fitted = false;
    state.set({ zoom, left });
    this.size();
  }

  // All steps at once, or as many as can be told apart; so too when the window changes.
  fit() {
    const { state } = this;
    const width = this.scroller.clientWidth;
    this.fitted = true;
    state.set({ width, zoom: clamp(width / Math.max(1, this.extent), ...ZOOMS), left: 0 });
    this.size();
  }

  size() {
    const { state } = this;
    this.wide.style.width = `${Math.max(state.width, this.extent * state.zoom)}px`;
    this.scroller.scrollLeft = state.left * state.zoom;
  }

  // ------------------------------------------------------------ drawing

  compare() {
    const { shown, shownOther: other, difference } = this.state;
    this.all = [shown, shown && other && difference ? differenceOf(other, shown) : other];
    this.scales.clear();
  }

  // The scale of a unit: one for both sequences, but a difference has its own.
  scale(unit, number) {
    const own = this.state.difference ? number : 0;
    const key = `${unit} ${own}`;
    if (!this.scales.has(key)) {
      const all = this.state.difference ? [this.all[number]] : this.all;
      this.scales.set(key, scaleOfUnit(all.filter((some) => some?.length), unit));
    }
    return this.scales.get(key);
  }

  layText() {
    const { state } = this;
    this.root.classList.toggle("two", state.other >= 0);
    [state.sequence, state.other].forEach((sequence, number) => {
      // Of a series, the curves show what was read.
      const known = sequence >= 0 && !state.book.sequences[sequence]?.series;
      const tokens = known ? state.book.tokens(sequence) : null;
      const length = state.book.layer(sequence, state.layer)?.length ?? 0;
      this.texts[number].lay(tokens, length, state.width, state.t);
    });
  }

  paintText() {
    const { state, palette } = this;
    this.all.forEach((shown, number) => {
      if (!shown?.length) return;
      const scale = this.scale(state.unit, number);
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
    this.all.forEach((shown, number) => {
      this.stacks[number].hidden = !shown?.length;
      if (!shown?.length || !state.width) return;
      const stack = this.stacks[number];
      stack.style.height = `${shown.size * rowHeight(shown.size)}px`;
      const common = new Scale(shown);
      const scales = Array.from(
        { length: shown.size }, (_, unit) => (state.own ? this.scale(unit, number) : common));
      this.maps[number].draw(shown, this.on.order(), scales, this.palette, this.view);
    });
  }

  drawCursors() {
    const { state } = this;
    const { ink, soft } = this.colours;
    if (this.length) drawNow(this.now, state.t, this.view, soft);
    this.all.forEach((shown, number) => {
      if (!shown?.length || !state.width) return;
      const cursors = [{ t: state.t, unit: state.unit, colour: ink }];
      if (state.hover?.map === number) cursors.unshift({ ...state.hover, colour: soft });
      drawCursor(this.cursors[number], shown, this.on.order(), this.view, cursors);
    });
  }

  drawSeries() {
    this.outlook.draw(this.view, this.colours);
  }

  // What is right at each step of the sequence, if that is known.
  get labels() {
    const { book, sequence } = this.state;
    const { expected, answer } = book.sequences[sequence] ?? {};
    return expected && !answer ? { names: book.head.labels, of: expected } : null;
  }

  drawCurve() {
    const { state } = this;
    const shown = this.all.filter((some) => some?.length);
    this.curve.parentElement.hidden = !shown.length;
    if (!shown.length || !state.width) return;
    const { ink, line, band, first, second } = this.colours;
    const lines = shown.map((some) => ({ ...some, unit: Math.min(state.unit, some.size - 1) }));
    const scales = shown.map((some) => this.scale(state.unit, this.all.indexOf(some)));
    const [bottom, top] = [Math.min(...scales.map((scale) => scale.bottom)),
      Math.max(...scales.map((scale) => scale.top))];
    this.curveScale = { bottom, top };
    this.captions.thinned(labelEvery(shown[0].tokens, state.zoom));
    drawCurve(this.curve, lines, this.curveScale, this.view, {
      marks: state.marks, length: this.length, ink, tokens: shown[0].tokens, grid: line, band,
      lines: [first, second], labels: this.labels, dark: state.theme === "dark" });
  }

  // What the colours mean, and what the pictures show.
  label() {
    const { shown, unit } = this.state;
    this.captions.label(this.all, shown?.length ? this.scale(unit, 0) : null, this.palette);
    this.scroller.setAttribute("aria-label", this.say("along time: arrow keys, ? for all keys"));
    this.texts.forEach((view) => view.element.setAttribute("aria-label", this.say("what was read")));
    if (!shown?.length) return;
    this.curve.setAttribute("aria-label", this.captions.curve(shown));
    for (const picture of [...this.canvases, ...this.stacks]) {
      picture.setAttribute("aria-label", this.captions.about.textContent);
    }
  }

  // ------------------------------------------------------------ under the pointer

  // Which step is there.
  stepAt(x) {
    const left = this.still.getBoundingClientRect().left;
    return clamp(Math.floor((x - left) / this.state.zoom + this.state.left), 0, this.length - 1);
  }

  // Which number the curve has at a height of the window, as it stands now.
  numbersOfCurve() {
    const [{ top }, scale] = [this.curve.getBoundingClientRect(), this.curveScale];
    return (y) => numberAt(y - top, scale);
  }

  // Which step and unit of a sequence are under the pointer, on the curve or on a map.
  at(event, number, onCurve) {
    const shown = this.all[number];
    const t = Math.min(this.stepAt(event.clientX), shown.length - 1);
    if (onCurve) return { t, unit: Math.min(this.state.unit, shown.size - 1) };
    const { top } = this.canvases[number].getBoundingClientRect();
    return { t, unit: this.on.order()[Math.floor((event.clientY - top) / rowHeight(shown.size))] };
  }

  hoverText(number, t, event) {
    const shown = this.all[number];
    const inside = shown && t !== null && t < shown.length;
    const unit = inside && Math.min(this.state.unit, shown.size - 1);
    this.state.set({ hover: inside ? { t, unit, map: number, event } : null });
  }
}
