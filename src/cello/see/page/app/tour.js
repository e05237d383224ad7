// A tour: a few stops at which one memory is explained by what happens to it here, then free play.
import { make, quoted, refill } from "./dom.js";
import { largestSize, short, typeset } from "./numbers.js";

// Of what a gate does at 1 and at 0, what is worth a stop.
const EVENTS = ["1 lets in", "1 lets out", "1 forgets", "0 forgets", "1 takes the new", "0 takes the new",
  "0 does not"];
const GATES = 3; // that are shown
const [SHUT, OPEN] = [0.1, 0.9]; // up to which, and from which on, a gate is said to be so
const LINES = 3; // of arithmetic

export class Tour {
  constructor(explorer) {
    this.explorer = explorer;
    this.open = make("button", { type: "button", className: "begin", onclick: () => this.toggle() });
    this.open.dataset.control = "tour";
    this.card = make("section", { className: "tour", hidden: true });
    this.element = make("div", {}, this.open, this.card);
    explorer.state.on(["book", "language"], () => this.redraw());
    explorer.state.on(["book", "sequence", "layer"], () => this.follow());
  }

  say(text, ...parts) { return this.explorer.say(text, ...parts); }

  // Begin, or end wherever it is.
  async toggle() {
    if (this.stops) return this.end();
    const { book, sequence, layer } = this.explorer.state;
    const known = book.layer(sequence, layer)?.values.some(({ kind }) => kind === "state");
    const where = known ? layer : book.nearest(sequence, null, null).layer;
    if (where !== layer) await this.explorer.layer(where);
    this.stops = await this.plan();
    return this.stops && this.go(0);
  }

  // Another net, sequence or layer is looked at: what is told here is of the one before.
  follow() {
    const { book, sequence, layer } = this.explorer.state;
    if (this.stops && (book !== this.of?.book || sequence !== this.of.sequence || layer !== this.of.layer)) {
      this.end();
    }
  }

  end() {
    this.stops = null;
    this.card.hidden = true;
    this.explorer.state.set({ lit: [] });
    this.redraw();
    this.explorer.root.focus({ preventScroll: true });
  }

  async go(number) {
    const { explorer, stops } = this;
    this.number = Math.max(0, Math.min(number, stops.length - 1));
    const { t, value, lit } = stops[this.number];
    if (value && value !== explorer.state.value) await explorer.look({ value, unit: this.of.unit });
    if (this.stops !== stops) return; // ended meanwhile
    if (t !== undefined) explorer.go(t);
    explorer.state.set({ lit, unit: this.of.unit });
    this.redraw();
    this.card.scrollIntoView({ block: "nearest" });
    this.card.querySelector("[data-control='next stop']").focus({ preventScroll: true });
  }

  redraw() {
    const { explorer, stops, number } = this;
    this.open.textContent = this.say("Show me around");
    this.open.hidden = Boolean(stops)
      || !explorer.state.book?.layers(explorer.state.sequence).some(({ cell }) => cell);
    this.card.hidden = !stops;
    if (!stops) return;
    const last = number === stops.length - 1;
    const button = (text, act, off = false) => {
      const made = make("button", { type: "button", onclick: act, disabled: off }, this.say(text));
      made.dataset.control = text === "look around" ? "next stop" : text;
      return made;
    };
    const lines = stops[number].lines ?? [];
    this.card.setAttribute("aria-label", this.say("Show me around"));
    refill(this.card, make("p", { role: "status" },
      make("span", { className: "what" }, `${number + 1} / ${stops.length} `), stops[number].text()),
    ...lines.map((line) => make("p", { className: "sum" }, line)),
    make("p", { className: "buttons" }, button("stop before", () => this.go(number - 1), number === 0),
      last ? button("look around", () => this.end()) : button("next stop", () => this.go(number + 1)),
      ...(last ? [] : [button("end (Esc)", () => this.end())])));
  }

  // ------------------------------------------------------------ where it leads

  async plan() {
    const { state } = this.explorer;
    const { book, sequence, layer, unit } = state;
    const { values, length, reverse } = book.layer(sequence, layer);
    const states = values.filter(({ kind }) => kind === "state");
    const memory = states.find(({ name }) => name === state.value)
      ?? states.find(({ name }) => name === "c") ?? states[0];
    if (!memory || !length) return null;
    this.of = { book, sequence, layer, unit: Math.min(unit, memory.size - 1) };
    const numbers = async (name) => {
      const found = await book.numbers(sequence, layer, name);
      const at = Math.min(this.of.unit, (found?.size ?? 1) - 1);
      return found && Array.from({ length }, (_, t) => found.data[t * found.size + at]);
    };
    const now = await numbers(memory.name);
    const kept = await numbers(`${memory.name}_prev`);
    const old = kept ?? now.map((_, t) => now[t + (reverse ? 1 : -1)] ?? 0);
    const moved = now.map((number, t) => Math.abs(number - old[t]) || 0);
    const story = { name: memory.name, now, old, moved };
    const stops = [{ value: memory.name, lit: [memory.name], text: () => this.say(
      "The net reads {} [step|steps], and remembers {} from each to the next (↻ above). Follow "
      + "memory {}: the text, the curve and the diagram show it.", length,
      states.map(({ name }) => name).join(", "), `${memory.name}[${this.of.unit}]`) }];
    const gates = values.filter(({ kind, size, meaning }) => kind === "gate" && meaning
      && this.of.unit < size && EVENTS.some((event) => meaning.includes(event)));
    const used = new Set();
    for (const gate of gates.slice(0, GATES)) {
      stops.push(await this.atGate(gate, await numbers(gate.name), story, used));
    }
    if (!gates.length) stops.push(await this.atChange(story, used, true), await this.atChange(story, used));
    stops.push(await this.atRest(story, used));
    stops.push({ lit: [], text: () => this.say("Now look around: choose a step in the text, a "
      + "layer above, a number to change under “What if?”. T begins anew.") });
    return stops.filter((stop) => stop);
  }

  // The step at which a gate does what it is there for, and most depends on it.
  async atGate(gate, open, story, used) {
    const event = EVENTS.find((some) => gate.meaning.includes(some));
    const out = event.includes("lets out");
    const matters = out ? story.now : event.includes("forgets") ? story.old : story.moved;
    const ever = open.some((share) => (event[0] === "1") === (share >= 0.5));
    const asOpen = (event[0] === "1") === ever; // else it never does what one hopes to see
    const weight = (t) => (asOpen ? open[t] : 1 - open[t]) * Math.abs(matters[t]);
    const t = largest(open.length, weight, used);
    if (t < 0) return null;
    return { t, lit: [gate.name, story.name], lines: out ? [] : await this.lines(t, [story.name]),
      text: () => `${this.reads(t)} ${this.does(gate, open[t])} `
        + (out ? this.say("{} is {}.", story.name, short(story.now[t], 4)) : this.goes(story, t)) };
  }

  // Without gates, a memory is computed anew at each step, by way of all that a step computes.
  async atChange(story, used, explained = false) {
    const t = largest(story.now.length, (at) => story.moved[at], used);
    if (t < 0) return null;
    const how = () => (explained ? `${this.say(
      "Each step computes {} anew, from what it reads and from what was remembered.", story.name)} ` : "");
    return { t, lit: [story.name], lines: await this.lines(t),
      text: () => `${this.reads(t)} ${how()}${this.goes(story, t)}` };
  }

  // Where most is remembered and least changes, if much is kept anywhere.
  async atRest(story, used) {
    const most = largestSize(story.moved) || 1;
    const t = largest(story.now.length,
      (at) => Math.abs(story.old[at]) * (1 - story.moved[at] / most), used);
    if (t < 0 || !(2 * story.moved[t] < Math.abs(story.old[t]))) return null;
    return { t, lit: [story.name, `${story.name}_prev`], lines: await this.lines(t, [story.name]),
      text: () => `${this.reads(t)} ${this.say("Here the memory keeps most of what it had.")} `
        + this.goes(story, t) };
  }

  // What a gate does: all the way where it is nearly shut or nearly open, else by how much.
  does({ name, meaning }, open) {
    const whole = open <= SHUT || open >= OPEN;
    const does = this.part(meaning, open <= SHUT ? "0" : "1")();
    return whole ? this.say("Gate {} is {}: it {}.", name, short(open, 3), does)
      : this.say("Gate {} is {}: it {}, to {} %.", name, short(open, 3), does, Math.round(100 * open));
  }

  // What a gate does at 1 or at 0, in the language of the page.
  part(meaning, half) {
    return () => this.say(meaning).split(/[,，]\s*/).find((text) => text.startsWith(half))
      ?.replace(/^[01]\s*/, "") ?? "";
  }

  reads(t) {
    const token = this.of.book.tokens(this.of.sequence)?.[t];
    return token === undefined ? this.say("Step {}.", t) : this.say("Step {} reads {}.", t, quoted(token));
  }

  goes({ name, now, old }, t) {
    return this.say("{} goes from {} to {}.", name, short(old[t], 4), short(now[t], 4));
  }

  // The arithmetic of some values, or of the last few of a step, as far as the page can tell it.
  async lines(t, names = null) {
    const { book, sequence, layer, unit } = this.of;
    const rows = await book.step(sequence, layer, t).catch(() => []);
    const lines = await book.lines({ sequence, layer, t, unit }, rows).catch(() => new Map());
    const told = (names ?? rows.map(({ name }) => name)).map((name) => lines.get(name));
    return told.filter((line) => line).slice(-LINES).map(typeset);
  }
}

// The step that weighs most of those that have not been used; -1 if there is none.
function largest(length, weight, used) {
  let best = -1;
  for (let t = 0; t < length; t++) {
    if (!used.has(t) && (best < 0 || weight(t) > weight(best))) best = t;
  }
  used.add(best);
  return best;
}
