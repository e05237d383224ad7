// What is looked at, drawn: the text, the curve, the heat maps, and what is under the pointer.
import { clamp, short } from "./numbers.js";
import { drawCurve, drawNow } from "./curve.js";
import { drawCursor, HeatMap, rowHeight } from "./heat.js";
import { make, visible } from "./dom.js";
import { Palette, Scale, scaleOfUnit } from "./colours.js";
import { TextView } from "./text.js";

const ZOOMS = [0.01, 96]; // least and most pixels a step

export class Scene {
  // `say(text)` translates; `on.go(t)` chooses a step, `on.brush(from, to)` marks some, and
  // `on.order()` says in which order units stand.
  constructor(root, state, say, on) {
    Object.assign(this, { root, state, say, on });
    this.texts = [0, 1].map(() => new TextView({
      step: (t) => on.go(t), paint: (from, to) => on.brush(from, to) }));
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
    this.elements = [...this.texts.map((view) => view.element), this.caption, this.scroller];
    this.listen();
    this.follow();
  }

  // What the pointer does.
  listen() {
    const { state } = this;
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
        this.on.go(t);
        if (unit !== undefined) state.set({ unit });
        this.root.focus({ preventScroll: true });
      });
    }
    this.curve.addEventListener("pointerdown", (event) => this.on.go(this.at(event).t));
    this.resized = new ResizeObserver(() => state.set({ width: this.scroller.clientWidth }));
    this.resized.observe(this.scroller);
  }

  // What is drawn anew when something changes.
  follow() {
    const { state } = this;
    const text = ["book", "sequence", "other", "width", "layer"];
    const numbers = ["shown", "shownOther", "theme"];
    const drawn = [...numbers, "left", "zoom", "width"];
    state.on(["theme", "book"], () => this.dress());
    state.on(["zoom", "width", "shown"], () => this.size());
    state.on(text, () => this.layText());
    state.on([...text, ...numbers, "unit", "marks"], () => this.paintText());
    state.on(["t"], () => this.texts.forEach((view) => view.point(state.t)));
    state.on([...drawn, "order", "scores"], () => this.drawMaps());
    state.on([...drawn, "unit", "marks"], () => this.drawCurve());
    state.on([...drawn, "t", "unit", "order", "scores", "hover"], () => this.drawCursors());
    state.on(["t", "unit", "shown", "hover", "language"], () => this.tell());
  }

  close() {
    this.resized.disconnect();
    this.texts.forEach((view) => view.close());
  }

  dress() {
    this.palette = new Palette(this.state.theme);
    this.root.dataset.theme = this.state.theme;
  }

  // ------------------------------------------------------------ along time

  get length() {
    return this.state.shown?.length ?? 0;
  }

  get view() {
    const { width, left, zoom } = this.state;
    return { width, left, zoom };
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

  zoom(by, around) {
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
    state.set({ width, zoom: clamp(width / Math.max(1, this.length), ...ZOOMS), left: 0 });
    this.size();
  }

  size() {
    const { state } = this;
    this.wide.style.width = `${Math.max(state.width, this.length * state.zoom)}px`;
    this.scroller.scrollLeft = state.left * state.zoom;
  }

  // ------------------------------------------------------------ drawing

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
    const all = [state.shown, state.shownOther].filter((some) => some);
    const scale = all.length ? scaleOfUnit(all, state.unit) : null;
    [state.shown, state.shownOther].forEach((shown, number) => {
      if (!shown) return;
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
      this.maps[number].draw(shown, this.on.order(), new Scale(shown), this.palette, this.view);
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
      drawCursor(this.cursors[number], shown, this.on.order(), this.view, cursors);
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
    drawCurve(this.curve, lines, scaleOfUnit(shown, state.unit), this.view, {
      marks: state.marks, length: this.length, ink: colour("--ink"),
      tokens: shown[0].tokens, paper: colour("--paper"), grid: colour("--line"),
      band: colour("--band"), lines: [colour("--first"), colour("--second")] });
  }

  // In words: the step and the unit, and those under the pointer.
  tell() {
    const { shown, hover, unit } = this.state;
    if (!shown) return;
    this.caption.classList.remove("failed");
    if (!shown.length) {
      this.caption.textContent = this.say("This sequence is empty.");
      return;
    }
    const told = (step, of) => {
      const token = shown.tokens?.[step];
      const number = short(shown.data[step * shown.size + of], shown.digits);
      const read = token === undefined ? "" : ` · ${this.say("read")} “${visible(token)}”`;
      const name = shown.size > 1 ? `${shown.name}[${of}]` : shown.name;
      return `${name} = ${number} · ${this.say("step")} ${step}${read}`;
    };
    const meaning = shown.meaning ? ` · ${this.say(shown.meaning)}` : "";
    const note = this.say("numbers are rounded to half precision");
    const rounded = shown.rounded ? ` · ${note}` : "";
    const t = Math.min(this.state.t, shown.length - 1);
    this.caption.textContent = told(t, Math.min(unit, shown.size - 1)) + meaning + rounded;
    this.showTip(hover ? told(hover.t, hover.unit) : "", hover?.event);
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
    return { t: clamp(t, 0, shown.length - 1), unit: this.on.order()[place] };
  }

  hover(event, map) {
    const { t, unit } = this.at(event, map);
    this.state.set({ hover: unit === undefined ? null : { t, unit, map, event } });
  }

  // Say what went wrong, in place of numbers.
  fail(text) {
    this.caption.textContent = text;
    this.caption.classList.add("failed");
  }
}
