// What the net read, coloured by the unit. Only the lines that can be seen exist.
import { clamp } from "./numbers.js";
import { columns, fromRight, make, visible } from "./dom.js";

const LINE = 24; // pixels
const SPARE = 2; // lines above and below
const FRAME = 14; // above and below, pixels: border and padding
const AROUND = 40; // pixels: border, padding and scroll bar
const SHARE = 0.3; // of the window's height, at most
const SHEETS = 200; // lines, at most, on paper

export class TextView {
  // `on.step(t)` is called when a step is chosen, `on.paint(from, to)` when some are painted, and
  // `on.hover(t, event)` when the pointer is on one.
  constructor(on) {
    this.on = on;
    this.sheet = make("div", { className: "sheet" });
    this.element = make("div", { className: "text", tabIndex: 0, role: "group" }, this.sheet);
    this.lines = new Map();
    this.starts = [0];
    this.element.addEventListener("scroll", () => this.show());
    this.element.addEventListener("pointerdown", (event) => this.begin(event));
    this.element.addEventListener("pointerover", (event) => this.drag(event));
    this.element.addEventListener("pointerleave", () => on.hover(null));
    this.up = () => { this.from = null; };
    window.addEventListener("pointerup", this.up);
  }

  close() {
    window.removeEventListener("pointerup", this.up);
  }

  // Break the tokens into lines that fit into `width` pixels, unless they stand in these already; step
  // `now` is in sight then.
  lay(tokens, length, width, now) {
    const laid = { length, width, printed: this.printed, height: innerHeight };
    if (same(this.laid, laid) && sameTokens(this.tokens, tokens)) return;
    Object.assign(this, { laid, tokens });
    this.length = tokens ? Math.min(tokens.length, length) : 0;
    this.words = tokens?.some((token) => Array.from(token).length > 1)
      || tokens?.every((token) => /^\d$/.test(token)); // numbers are no letters
    this.element.hidden = !tokens?.slice(0, this.length).some((token) => token);
    this.starts = [];
    const room = Math.max(20, Math.floor((width - AROUND) / this.letterWidth(width)));
    let used = Infinity;
    const taken = (t) => (this.words ? columns(visible(tokens[t])) + 2 : columns(tokens[t]));
    let word = 0; // where the last word begins, of letters
    for (let t = 0; t < this.length; t++) {
      if (this.words || /\s/.test(tokens[t - 1] ?? " ")) word = t;
      if (used + taken(t) > room || tokens[t - 1] === "\n") {
        const begin = word > (this.starts.at(-1) ?? -1) ? word : t;
        this.starts.push(begin);
        used = 0;
        for (let back = begin; back < t; back++) used += taken(back);
      }
      used += taken(t);
    }
    this.sheet.style.height = `${this.starts.length * LINE}px`;
    const most = this.printed ? SHEETS : Math.max(5, Math.floor((SHARE * innerHeight) / LINE));
    this.element.style.height = `${clamp(this.starts.length, 1, most) * LINE + FRAME}px`;
    this.sheet.dir = tokens && fromRight(tokens) ? "rtl" : "ltr";
    this.redraw();
    this.reveal(now);
  }

  // Of a letter in a window of so many pixels; measured once.
  letterWidth(width) {
    if (this.measured !== width) {
      const probe = make("span", { className: "token" }, "m".repeat(50));
      this.sheet.append(probe);
      this.letter = probe.getBoundingClientRect().width / 50;
      probe.remove();
      if (this.letter) this.measured = width; // 0 where it cannot be seen
    }
    return this.letter || 9;
  }

  redraw() {
    this.lines.forEach((line) => line.remove());
    this.lines.clear();
    this.show();
  }

  // Make the lines that have come into sight, drop those that have left it.
  show() {
    const first = Math.floor(this.element.scrollTop / LINE) - SPARE;
    const last = first + Math.ceil(this.element.clientHeight / LINE) + 2 * SPARE;
    for (const [number, line] of this.lines) {
      if (number < first || number > last) {
        line.remove();
        this.lines.delete(number);
      }
    }
    for (let number = Math.max(0, first); number <= Math.min(last, this.starts.length - 1); number++) {
      if (!this.lines.has(number)) {
        const line = this.line(number);
        this.lines.set(number, line);
        this.sheet.append(line);
      }
    }
  }

  line(number) {
    const line = make("div", { className: "line" });
    line.style.top = `${number * LINE}px`;
    const end = this.starts[number + 1] ?? this.length;
    for (let t = this.starts[number]; t < end; t++) {
      const token = make("span", { className: "token" }, visible(this.tokens[t]));
      token.dataset.t = t;
      line.append(token);
      this.dress(token, t);
    }
    return line;
  }

  // Only what is other than before is set: there are many tokens.
  dress(token, t) {
    const [background, ink] = this.colour?.(t) ?? [];
    if (token.ground !== background) {
      token.ground = background;
      token.style.background = background ?? "";
      token.style.color = ink ?? "";
    }
    const kinds = `token${this.words ? " word" : ""}${t === this.now ? " now" : ""}${
      this.marks?.[t] ? " marked" : ""}${this.wrong?.[t] ? " wrong" : ""}`;
    if (token.className !== kinds) token.className = kinds;
  }

  // `colour(t)` gives background and ink, `marks` which steps are to be remembered.
  paint(colour, marks, now) {
    Object.assign(this, { colour, marks, now });
    for (const line of this.lines.values()) {
      for (const token of line.children) this.dress(token, Number(token.dataset.t));
    }
  }

  // Where the net's answer is wrong.
  err(wrong) {
    this.wrong = wrong;
    this.paint(this.colour, this.marks, this.now);
  }

  // Only the step that is looked at has changed.
  point(now) {
    const before = this.now;
    this.now = now;
    for (const t of [before, now]) {
      const token = this.sheet.querySelector(`[data-t="${t}"]`);
      if (token) this.dress(token, t);
    }
  }

  // Bring a step into sight.
  reveal(t) {
    const number = this.starts.findLastIndex((start) => start <= t);
    const [top, height] = [number * LINE, this.element.clientHeight];
    if (top < this.element.scrollTop || top + LINE + 12 > this.element.scrollTop + height) {
      this.element.scrollTop = Math.max(0, top - height / 2);
      this.show();
    }
  }

  begin(event) {
    const t = event.target.dataset.t;
    if (t === undefined) return;
    event.preventDefault(); // no selection of text
    event.target.releasePointerCapture(event.pointerId); // a finger's is caught where it began
    this.from = Number(t);
    this.on.step(this.from);
    this.on.paint(this.from, this.from);
  }

  drag(event) {
    const { t } = event.target.dataset;
    this.on.hover(t === undefined ? null : Number(t), event);
    if (this.from == null || t === undefined) return;
    this.on.paint(this.from, Number(t));
  }
}

const same = (one, other) => Boolean(one) && Object.keys(other).every((key) => one[key] === other[key]);

const sameTokens = (one, other) => one === other
  || Boolean(one && other) && one.length === other.length && one.every((token, t) => token === other[t]);
