// What only a live page has: a text to be read, and values that are forced.
import { make, refill } from "./dom.js";

const PAUSE = 120; // milliseconds after the last key until the net runs

export class LivePanel {
  // `ask(question, about)` gives another head, and the source of its numbers.
  constructor(explorer, text, ask) {
    Object.assign(this, { explorer, ask });
    this.typed = make("textarea", { value: text, spellcheck: false, rows: 3,
      oninput: () => this.later() });
    this.status = make("p", { className: "note", role: "status" });
    this.begin = this.number();
    this.end = this.number();
    this.value = make("input", { type: "number", step: "any", value: 0, required: true });
    this.all = make("input", { type: "checkbox" });
    this.form = make("form", { className: "force", onsubmit: (event) => this.force(event) });
    explorer.search_.element.before(this.form);
    this.what = make("span");
    explorer.state.on(["language"], () => this.draw()); // else one would be typing elsewhere
    explorer.state.on(["book", "value", "unit", "layer"], () => this.tell());
    explorer.state.on(["t"], () => this.point());
    this.draw();
    this.tell();
  }

  number() {
    return make("input", { type: "number", min: 0, value: 0, required: true,
      oninput: () => { this.chosen = true; } });
  }

  labelled(text, control) {
    return make("label", {}, make("span", {}, this.explorer.say(text)), control);
  }

  draw() {
    const say = (text) => this.explorer.say(text);
    refill(this.explorer.extra,
      this.labelled("What to read", this.typed), this.status);
    refill(this.form,
      make("h2", {}, say("Force a value"), ": ", this.what),
      make("div", { className: "row" }, this.labelled("from step", this.begin),
        this.labelled("to step", this.end), this.labelled("to", this.value),
        make("label", { className: "check" }, this.all, say("all units")),
        make("button", {}, say("force")),
        make("button", { type: "button", onclick: () => this.read() }, say("undo"))));
  }

  // Which value would be forced.
  tell() {
    const { book, sequence, layer, value, unit } = this.explorer.state;
    this.what.textContent = `${layer ? `${layer}.${value}` : value}[${unit}]`;
    this.form.hidden = !book?.layer(sequence, layer)?.cell; // only what a cell makes
  }

  // The step that is looked at, until others have been chosen.
  point() {
    if (!this.chosen) this.begin.value = this.end.value = this.explorer.state.t;
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.read(), PAUSE);
  }

  // One question at a time, and of those that have come up meanwhile only the latest: what is on
  // the page may still be asked about, and Python remembers the last few answers only.
  async show(...asked) {
    this.next = asked;
    if (this.busy) return;
    this.busy = true;
    while (this.next) {
      const [question, about, changes] = this.next;
      this.next = null;
      await this.answer(question, about, changes);
    }
    this.busy = false;
  }

  async answer(question, about, changes) {
    try {
      const [head, source] = await this.ask(question, about);
      if (this.next) return;
      this.status.textContent = head.notice.length ? this.explorer.say(
        "Of this text, {} [sequence|sequences] of {} [step|steps] are read at most.", ...head.notice) : "";
      this.status.classList.remove("failed");
      this.explorer.state.set(changes);
      await this.explorer.open(head, source);
    } catch (error) {
      this.status.textContent = error.message;
      this.status.classList.add("failed");
    }
  }

  read() {
    return this.show("read", { text: this.typed.value }, { other: -1, marks: null, scores: null });
  }

  // The line of the text that is looked at.
  get sequence() {
    const { sequence, book } = this.explorer.state;
    return book.head.forced ?? sequence;
  }

  force(event) {
    event.preventDefault();
    const { layer, value, unit } = this.explorer.state;
    return this.show("force", {
      text: this.typed.value, sequence: this.sequence, name: layer ? `${layer}.${value}` : value,
      begin: Number(this.begin.value), end: Number(this.end.value),
      unit: this.all.checked ? null : unit, value: Number(this.value.value),
    }, { sequence: 0, other: 1 });
  }
}
