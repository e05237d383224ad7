// Series as curves, with the forecast from the step that is looked at, its bands, and what came.
import { axis, AXIS, line, trace } from "./curve.js";
import { clamp, short } from "./numbers.js";
import { cleared, make, visible } from "./dom.js";
import { Forecasts } from "./series.js";

const TARGET_HEIGHT = 110; // pixels of a target
const TOP = 20; // of that for its name
const [ABOVE, BELOW] = [8, 16]; // the curve, for the numbers there
const [BAND, OTHER] = [0.22, [6, 4]];

export class Outlook {
  // `say(text)` translates; `on` are those of the scene, `tip(text, event)` shows a text at the pointer.
  constructor(state, say, on, tip) {
    Object.assign(this, { state, say, on, tip });
    this.canvas = make("canvas", { role: "img" });
    this.element = make("div", { className: "series", hidden: true }, this.canvas);
    this.told = make("p", { className: "prediction outlook", hidden: true });
    state.on(["book", "sequence", "other"], () => this.find());
    state.on(["outlooks", "t", "language"], () => this.tell());
    this.listen();
  }

  // The series that are looked at, and those they are compared with.
  async find() {
    const { book, sequence, other } = this.state;
    const all = await Promise.all([sequence, other].map((number) =>
      (number < 0 ? null : this.of(book, number).catch(() => null))));
    const now = book === this.state.book && sequence === this.state.sequence && other === this.state.other;
    if (now) this.state.set({ outlooks: all });
  }

  async of(book, number) {
    const about = book.sequences[number]?.series;
    if (!about) return null;
    const [read, said] = await Promise.all([book.block(about.block), book.numbers(number, "", "output")]);
    const found = new Forecasts(about, read, said.data, said.length);
    return Object.assign(found, { tokens: book.tokens(number) });
  }

  // How many steps a forecast reaches beyond the last one.
  get beyond() {
    return this.shown?.ahead ?? 0;
  }

  get shown() {
    return this.state.outlooks?.[0] ?? null;
  }

  // ------------------------------------------------------------ drawing

  draw(view, inks) {
    const { shown } = this;
    this.element.hidden = !shown;
    if (!shown || !view.width) return;
    const context = cleared(this.canvas, view.width, shown.count * TARGET_HEIGHT + AXIS);
    context.font = "12px system-ui, sans-serif";
    for (let d = 0; d < shown.count; d++) this.panel(context, d, view, inks);
    context.setLineDash([]);
    context.globalAlpha = 1;
    axis(context, shown.count * TARGET_HEIGHT + AXIS / 2, view,
      { ink: inks.ink, tokens: shown.allTimes, length: shown.length + shown.ahead });
    this.canvas.setAttribute("aria-label", this.say("the series {}, and its forecast",
      shown.targets.join(this.say(", "))));
  }

  panel(context, d, view, inks) {
    const { outlooks, t } = this.state;
    const [shown, other] = outlooks;
    const y = this.height(d);
    const x = (step) => (step + 0.5 - view.left) * view.zoom;
    const [low, high] = shown.range(d);
    const now = Math.min(t, shown.length - 1);
    context.globalAlpha = 1;
    context.setLineDash([]);
    context.strokeStyle = inks.line;
    for (const number of [low, high]) line(context, 0, y(number), view.width, y(number));
    this.forecast(context, shown, now, d, x, y, inks.first, true);
    if (other) this.forecast(context, other, Math.min(now, other.length - 1), d, x, y, inks.second, false);
    if (other) {
      this.measured(context, other, d, x, y, view, { colour: inks.second, dash: OTHER });
    }
    this.measured(context, shown, d, x, y, view, { colour: inks.soft, dash: [], width: 1 });
    context.save(); // what has been read stands out from what came after it
    context.beginPath();
    context.rect(0, 0, x(now) + 1, shown.count * TARGET_HEIGHT);
    context.clip();
    this.measured(context, shown, d, x, y, view, { colour: inks.ink, dash: [], width: 2 });
    context.restore();
    context.strokeStyle = inks.soft;
    line(context, x(now), d * TARGET_HEIGHT + TOP, x(now), (d + 1) * TARGET_HEIGHT);
    context.fillStyle = inks.ink;
    context.textAlign = "left";
    context.textBaseline = "middle";
    context.font = "600 12px system-ui, sans-serif";
    context.fillText(visible(shown.targets[d]), 3, d * TARGET_HEIGHT + TOP / 2);
    context.font = "12px system-ui, sans-serif";
    context.textBaseline = "top";
    context.fillText(short(low, 3), 3, y(low) + 2);
    context.textAlign = "right"; // of the name
    context.fillText(short(high, 3), view.width - 3, d * TARGET_HEIGHT + 4);
  }

  // Where a number of a target stands.
  height(d) {
    const [low, high] = this.shown.range(d);
    const room = TARGET_HEIGHT - TOP - ABOVE - BELOW;
    return (number) => d * TARGET_HEIGHT + TOP + ABOVE + (room * (high - number)) / (high - low);
  }

  measured(context, shown, d, x, y, view, { colour, dash, width = 1.4 }) {
    context.strokeStyle = context.fillStyle = colour;
    context.setLineDash(dash);
    context.lineWidth = width;
    trace(context, shown.measured(d), x, y, view);
    context.setLineDash([]);
    context.lineWidth = 1;
  }

  // From the last number that is known: the bands between quantiles, and the middle one.
  forecast(context, shown, t, d, x, y, colour, banded) {
    const known = shown.unscaled(shown.base[t * shown.count + d], d);
    const all = [shown.levels.map(() => known), ...shown.from(t, d)];
    if (all.flat().some(Number.isNaN)) return;
    const path = (level) => all.map((quantiles, step) => [x(t + step), y(quantiles[level])]);
    const follow = (points) => points.forEach((point) => context.lineTo(...point));
    context.strokeStyle = context.fillStyle = colour;
    context.setLineDash(banded ? [] : OTHER);
    context.lineWidth = 2;
    context.globalAlpha = BAND;
    for (let level = 0; banded && level < shown.middle; level++) {
      context.beginPath();
      follow(path(level));
      follow(path(shown.levels.length - 1 - level).reverse());
      context.fill();
    }
    context.globalAlpha = 1;
    context.beginPath();
    follow(path(shown.middle));
    context.stroke();
    context.setLineDash([]);
    context.lineWidth = 1;
  }

  // ------------------------------------------------------------ in words

  // Step t and what it is called.
  time(shown, t) {
    const name = shown.allTimes?.[t];
    return name ? visible(name) : `${this.say("step")} ${t}`;
  }

  tell() {
    const { shown, say } = this;
    this.told.hidden = !shown;
    if (!shown) return;
    const t = Math.min(this.state.t, shown.length - 1);
    const { ahead, levels } = shown;
    const share = Math.round(100 * (levels.at(-1) - levels[0]));
    const parts = shown.targets.flatMap((name, d) => [...new Set([1, ahead])].map((step) => {
      const quantiles = shown.at(t, step, d);
      const number = short(quantiles[shown.middle], 4);
      const band = levels.length > 1 ? ` ${say("({} to {} in {} %)", short(quantiles[0], 4),
        short(quantiles.at(-1), 4), share)}` : "";
      const came = shown.data[(t + step) * shown.count + d];
      return make("span", {}, make("b", {}, `${this.time(shown, t + step)}: `),
        `${shown.count > 1 ? `${visible(name)} ` : ""}${number}${band}`,
        ...(t + step < shown.length && !Number.isNaN(came)
          ? [make("span", { className: "came" }, ` ${say("it was {}", short(came, 4))}`)] : []));
    }));
    this.told.replaceChildren(make("span", { className: "what" },
      say("the net forecasts, from {} on", this.time(shown, t))), ...parts);
  }

  // ------------------------------------------------------------ under the pointer

  listen() {
    let drawn = null; // where the series was drawn last
    this.canvas.addEventListener("pointermove", (event) => {
      const { shown } = this;
      if (!shown) return;
      const { t, d } = this.place(event);
      this.tip(this.written(shown, t, d), event);
      if (!(event.buttons & 1) || event.pointerType === "touch") return;
      if (!drawn) this.on.go(Math.min(t, shown.length - 1));
      else if (t < shown.length) {
        this.on.drawSeries(Math.min(t, drawn.t), Math.max(t, drawn.t), drawn.d, drawn.number(event.clientY));
        drawn.t = t;
      }
    });
    this.canvas.addEventListener("pointerleave", (event) => this.tip("", event));
    this.canvas.addEventListener("pointerdown", (event) => {
      const { shown } = this;
      if (!shown) return;
      const { t, d } = this.place(event);
      if (t >= shown.length) return;
      this.on.choose(t);
      if (!this.state.drawing) return;
      this.canvas.setPointerCapture(event.pointerId);
      drawn = { t, d, number: this.numbers(d) };
      this.on.drawSeries(t, t, d, drawn.number(event.clientY));
    });
    this.canvas.addEventListener("lostpointercapture", () => { drawn = null; });
  }

  // Which step, of those to come too, and which target are under the pointer.
  place({ clientX, clientY }) {
    const { left, top } = this.canvas.getBoundingClientRect();
    const { zoom, left: first } = this.state;
    return { t: clamp(Math.floor((clientX - left) / zoom + first), 0, this.shown.length + this.shown.ahead - 1),
      d: clamp(Math.floor((clientY - top) / TARGET_HEIGHT), 0, this.shown.count - 1) };
  }

  // Which number of a target is at a height of the window, as the picture stands now.
  numbers(d) {
    const { top } = this.canvas.getBoundingClientRect();
    const [low, high] = this.shown.range(d);
    const [bottom, above] = [low, high].map(this.height(d));
    return (y) => Number((low + ((bottom - (y - top)) / (bottom - above)) * (high - low)).toPrecision(4));
  }

  written(shown, t, d) {
    const now = Math.min(this.state.t, shown.length - 1);
    const was = t < shown.length ? shown.data[t * shown.count + d] : NaN;
    const parts = [this.time(shown, t)];
    if (!Number.isNaN(was)) parts.push(`${visible(shown.targets[d])} ${short(was, 4)}`);
    if (t > now && t <= now + shown.ahead) {
      parts.push(this.say("forecast {}", short(shown.at(now, t - now, d)[shown.middle], 4)));
    }
    return parts.join(" · ");
  }
}
