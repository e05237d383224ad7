// The explorer: puts the parts together and says what each action does.
import { About } from "./about.js";
import { Book } from "./book.js";
import { Chain } from "./chain.js";
import { clamp } from "./numbers.js";
import { Controls } from "./controls.js";
import { Detail } from "./detail.js";
import { KEYS, listen } from "./keys.js";
import { followPrinting } from "./print.js";
import { make } from "./dom.js";
import { ordered } from "./order.js";
import { PatternPanel } from "./patternpanel.js";
import { said } from "./words.js";
import { Scene } from "./scene.js";
import { SearchPanel } from "./searchpanel.js";
import { SharesPanel } from "./sharespanel.js";
import { State } from "./state.js";
import { strength } from "./search.js";
import { Tour } from "./tour.js";

// What buttons and keys do; each is handed on by itself.
const ACTIONS = ["fit", "greys", "help", "jump", "language", "layer", "mark", "markTo", "play",
  "search", "theme", "tour", "value"];
const SECONDS_A_STEP = 0.4;
const THUMB = 600; // pixels of width, up to which little is said at first
const LARGEST = 50; // changes that are gone through

// Where a unit changes most, in the order of reading; to become no number is the largest change
// there is. `first` is the unit's number before the first step; unless it is known, nothing changes
// there.
function largestChanges({ data, size, length }, unit, reverse, first) {
  const at = (t) => data[t * size + unit];
  const [begin, back] = reverse ? [length - 1, 1] : [0, -1];
  const changes = Float64Array.from({ length }, (_, t) => {
    const before = t === begin ? first ?? at(t) : at(t + back);
    const change = Math.abs(at(t) - before);
    return change === change ? change : Number.isFinite(before) ? Infinity : 0;
  });
  const larger = (a, b) => (changes[a] === changes[b] ? a - b : changes[b] - changes[a]);
  return Array.from(changes.keys()).sort(larger).slice(0, LARGEST);
}

// That of the address, such as page.html?lang=zh, or of the browser.
function languageAtFirst() {
  const wanted = new URLSearchParams(location.search).get("lang") ?? navigator.language;
  return wanted.startsWith("zh") ? "zh" : "en";
}

export class Explorer {
  // `source.numbers(block)` gives numbers; `ask(what, about)` asks Python, if there is one.
  constructor(root, head, source, ask = null) {
    this.root = root;
    this.ask = ask;
    this.seconds = SECONDS_A_STEP; // a step, of playing
    this.loading = 0; // how much is asked for and not there yet
    for (const action of ACTIONS) this[action] = this[action].bind(this);
    this.state = new State({
      sequence: 0, other: -1, layer: "", value: "", unit: 0, t: 0, left: 0, zoom: 12, order: "number",
      scores: null, marks: null, painting: false, drawing: false, playing: false, hover: null, lit: [], shown: null,
      shownOther: null, outlooks: null, book: null, width: 0, own: true, grey: false,
      difference: false,
      language: languageAtFirst(),
      theme: matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light" });
    this.build();
    this.wire();
    this.open(head, source);
  }

  say(text, ...parts) {
    return said(this.state.language, text, ...parts);
  }

  build() {
    const say = (text, ...parts) => this.say(text, ...parts);
    this.controls = new Controls(this.state, this, say);
    this.scene = new Scene(this.root, this.state, say, {
      go: (t) => this.go(t), brush: (from, to) => this.brush(from, to), order: () => this.order() });
    this.detail = new Detail(say, this.ask, (text, event) => this.scene.captions.showTip(text, event));
    this.detail.turn = (layer) => this.turn(layer);
    this.search_ = new SearchPanel(say, {
      marks: (marks) => this.state.set({ marks }),
      painting: (painting) => this.state.set({ painting }),
      busy: (by) => { this.loading += by; },
      found: (list) => this.score(list),
      choose: ({ layer, value, unit }) => this.look({ layer, value, unit }) });
    this.shares = new SharesPanel(this);
    this.pattern = new PatternPanel(say, async (sequence, t) => {
      await this.sequence(sequence);
      this.go(t);
    });
    this.about = new About(say, this.root.clientWidth > THUMB);
    this.guide = new Tour(this);
    this.chain = new Chain(say, (layer) => this.layer(layer));
    this.keys = make("dialog", { className: "keys" });
    this.extra = make("div", { className: "extra" });
    this.root.classList.add("cello");
    this.root.tabIndex = -1; // for keys, wherever one has clicked
    this.root.dataset.lmSuppressShortcuts = true; // those of Jupyter
    this.root.replaceChildren(this.controls.element, make("div", { className: "body" },
      make("main", {}, this.about.element, this.chain.element, this.guide.element, this.extra, ...this.scene.elements,
        this.scene.captions.tip), // shown above all, it belongs to what it tells of
      make("aside", {}, this.detail.element, this.shares.element, this.search_.element, this.pattern.element),
      this.detail.drawings), this.keys);
    if (!this.root.classList.contains("within")) this.root.focus({ preventScroll: true });
  }

  wire() {
    const { state } = this;
    listen(this.root, this);
    this.unprint = followPrinting(this);
    state.on(["unit"], () => this.controls.point());
    state.on(["book", "sequence", "other", "layer", "value", "order", "playing", "language", "scores"],
      () => this.controls.draw(state.book));
    state.on(["book", "language"], () => { this.root.lang = state.language; });
    state.on(["book", "language"], () => this.search_.draw(state.book, state));
    state.on(["book", "language"], () => this.pattern.draw(state.book, state));
    state.on(["book", "sequence", "language"], () => this.about.draw(state.book, state));
    state.on(["book", "sequence", "layer", "language"], () => this.chain.draw(state.book, state));
    state.on(["book", "sequence"], () => this.search_.follow());
    state.on(["book", "sequence", "layer", "language"], () => this.shares.draw());
    state.on(["lit"], () => this.detail.lightAll(state.lit));
    state.on(["t", "unit", "sequence", "layer", "language", "book"], () =>
      this.detail.show(state.book, state));
  }

  // Let go of what would go on by itself.
  close() {
    clearInterval(this.timer);
    this.unprint();
    this.scene.close();
    this.search_.matcher.stop();
  }

  // ------------------------------------------------------------ what is looked at

  // Another head, with the same choices as far as they still make sense.
  open(head, source) {
    const book = new Book(head, source);
    const { state } = this;
    const sequence = Math.min(state.sequence, book.sequences.length - 1);
    const layer = state.book ? state.layer : null; // none has been chosen yet
    const nearest = book.nearest(sequence, layer, state.value);
    const known = book.about(sequence, layer, state.value);
    const first = !state.book && head.begin;
    state.set({ book, sequence, other: Math.min(state.other, book.sequences.length - 1) });
    const { turn } = book.about(sequence, nearest.layer, nearest.value) ?? {};
    return this.look(first || { ...nearest, ...(known ? { unit: state.unit } : { t: turn }) });
  }

  // Choose sequence, layer, value, unit or step; a value that is opened shows what varies most.
  async look(changes) {
    const { state } = this;
    const { book } = state;
    const wanted = { sequence: state.sequence, other: state.other, layer: state.layer,
      value: state.value, ...changes };
    const about = book.about(wanted.sequence, wanted.layer, wanted.value);
    const same = about && wanted.layer === state.layer && state.unit < about.size;
    const unit = changes.unit ?? (same && state.shown ? state.unit : about?.varies ?? 0);
    const steps = book.layer(wanted.sequence, wanted.layer)?.length ?? 0;
    const ranked = ["sequence", "layer", "value"].every((key) => wanted[key] === state[key]);
    if (!ranked) state.set({ scores: null, order: state.order === "score" ? "number" : state.order });
    state.set({ ...wanted, unit, t: clamp(changes.t ?? state.t, 0, Math.max(0, steps - 1)) });
    const numbers = (sequence) =>
      sequence < 0 ? null : book.numbers(sequence, wanted.layer, wanted.value);
    this.loading += 1;
    const [shown, shownOther] = await Promise.all([numbers(wanted.sequence), numbers(wanted.other)])
      .catch((error) => this.fail(error));
    this.loading -= 1;
    const now = ["sequence", "other", "layer", "value"].every((key) => wanted[key] === state[key]);
    if (now && book === state.book) state.set({ shown, shownOther });
  }

  // Say what went wrong, in place of numbers.
  fail(error) {
    this.scene.captions.fail(this.say(`${error.message ?? error}`));
    return [null, null];
  }

  set(changes) { this.state.set(changes); }
  other(other) { return this.look({ other }); }
  value(value) { return this.look({ value }); }

  sequence(sequence) {
    const { book, layer, value } = this.state;
    return this.look({ sequence, ...book.nearest(sequence, layer, value) });
  }

  layer(layer) {
    const { book, sequence, value } = this.state;
    return this.look(book.nearest(sequence, layer, value));
  }

  // To the layer of the other direction, where its diagram shows the same unit.
  turn(layer) {
    const { book, sequence, value, unit } = this.state;
    const nearest = book.nearest(sequence, layer, value);
    const { size } = book.about(sequence, layer, nearest.value);
    return this.look({ ...nearest, ...(unit < size ? { unit } : {}) });
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
    this.scene.reveal(next);
  }

  move(by) { this.go(this.state.t + by); }

  play() {
    const { state } = this;
    state.set({ playing: !state.playing });
    clearInterval(this.timer);
    if (!state.playing) return;
    if (state.t >= this.length - 1) this.go(0);
    this.tick();
  }

  tick() {
    clearInterval(this.timer);
    this.timer = setInterval(() => {
      if (this.state.t >= this.length - 1) this.play();
      else this.move(1);
    }, 1000 * this.seconds);
  }

  // Play slower, or faster.
  pace(by) {
    this.seconds = clamp(this.seconds * by, 1 / 60, 4);
    if (this.state.playing) this.tick();
  }

  // To where the unit changes most; then to where it changes second most, and so on.
  async jump() {
    const { shown, unit, book, sequence } = this.state;
    if (!shown?.length) return;
    if (this.jumpShown !== shown || this.jumpUnit !== unit) {
      Object.assign(this, { jumpShown: shown, jumpUnit: unit, jumps: 0, largest: null });
      const { reverse } = book.layer(sequence, shown.layer);
      this.loading += 1;
      const old = await book.numbers(sequence, shown.layer, `${shown.name}_prev`).catch(() => null);
      this.loading -= 1;
      const first = old?.size === shown.size
        ? old.data[(reverse ? old.length - 1 : 0) * old.size + unit] : undefined;
      if (this.jumpShown !== shown || this.jumpUnit !== unit) return; // another has been chosen
      this.largest = largestChanges(shown, unit, reverse, first);
    }
    if (!this.largest) return; // which is being found
    this.go(this.largest[this.jumps++ % this.largest.length]);
  }

  zoom(by, around = this.state.t) { this.scene.zoom(by, around); }
  fit() { this.scene.fit(); }

  // ------------------------------------------------------------ marking

  brush(from, to) {
    if (!this.state.painting) return;
    const marks = this.state.marks?.slice() ?? new Uint8Array(this.length);
    marks.fill(1, Math.min(from, to), Math.max(from, to) + 1);
    this.state.set({ marks });
  }

  mark() {
    const { t } = this.state;
    const marks = this.state.marks?.slice() ?? new Uint8Array(this.length);
    marks[t] = 1 - marks[t];
    this.state.set({ marks });
  }

  // All from the last marked step before this one.
  markTo() {
    const { t } = this.state;
    const marks = this.state.marks?.slice() ?? new Uint8Array(this.length);
    const from = marks.lastIndexOf(1, t);
    marks.fill(1, from < 0 ? t : from, t + 1);
    this.state.set({ marks });
  }

  // ------------------------------------------------------------ look

  tour() { return this.guide.toggle(); }
  greys() { this.state.set({ grey: !this.state.grey }); }
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
    make("button", { type: "button", onclick: () => this.keys.close() }, this.say("Close")));
    this.keys.setAttribute("aria-label", this.say("keys"));
    return this.keys.showModal();
  }
}
