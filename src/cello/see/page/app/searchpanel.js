// "Remember this": mark steps by an expression or by painting, and rank the units that tell them.
import { make, refill } from "./dom.js";
import { Matcher, ranked, strength } from "./search.js";
import { short } from "./numbers.js";

const SHOWN = 40; // units in the list

export class SearchPanel {
  // `actions.marks(marks)`, `.found(list)`, `.choose(unit)` and `.painting(on)` do what they say.
  constructor(say, actions) {
    Object.assign(this, { say, actions, matcher: new Matcher(), asked: Promise.resolve() });
    this.element = make("section", { className: "search" });
    this.expression = make("input", { type: "search", spellcheck: false,
      oninput: () => { this.asked = this.match(); },
      onkeydown: (event) => { if (event.key === "Enter") this.rank(); } });
    this.brush = make("input", { type: "checkbox",
      onchange: () => actions.painting(this.brush.checked) });
    this.among = make("select", {});
    this.status = make("p", { className: "note", role: "status" });
    this.results = make("ol", { className: "found" });
  }

  draw(book, state) {
    const { say } = this;
    Object.assign(this, { book, state });
    this.expression.setAttribute("aria-label", say("regular expression"));
    this.expression.placeholder = say("regular expression");
    const among = this.among.value || "value";
    this.among.replaceChildren(...[["value", "this value"], ["layer", "all values of the layer"],
      ["all", "all layers"]].map(([value, text]) => make("option", { value }, say(text))));
    this.among.value = among;
    refill(this.element,
      make("h2", {}, say("Find a unit")),
      make("p", { className: "note" }, say("Which unit tells where this is? "
        + "Write a regular expression, or paint a part of the text or the curve.")),
      make("div", { className: "row" }, this.expression,
        make("label", { className: "check" }, this.brush, say("paint")),
        make("button", { type: "button", onclick: () => this.clear() }, say("clear"))),
      make("div", { className: "row" },
        make("label", {}, make("span", {}, say("among")), this.among),
        make("button", { type: "button", className: "rank", onclick: () => this.rank() },
          say("rank units"))),
      this.status, this.results);
  }

  // If other steps are there: what is marked by the expression is marked anew, all else no more.
  follow() {
    const { sequence } = this.state;
    const read = this.book.tokens(sequence)?.join("\0") ?? sequence;
    const changed = this.read !== undefined && this.read !== read;
    this.read = read;
    if (changed) this.asked = this.match();
  }

  async match() {
    const tokens = this.book.tokens(this.state.sequence);
    this.failed = false;
    if (!tokens || !this.expression.value) return this.clear();
    const separator = tokens.some((token) => Array.from(token).length > 1) ? " " : "";
    this.actions.busy(1);
    try {
      const marks = await this.matcher.match(tokens, this.expression.value, separator);
      if (!marks) return undefined;
      this.actions.marks(marks);
      this.status.textContent =
        this.say("{} [step is|steps are] marked", marks.reduce((sum, mark) => sum + mark, 0));
    } catch (error) {
      this.failed = true;
      this.status.textContent = this.say(error.message);
    } finally {
      this.actions.busy(-1);
    }
    return undefined;
  }

  clear() {
    this.matcher.stop();
    this.actions.marks(null);
    this.status.textContent = "";
    this.results.replaceChildren();
  }

  // The values that are ranked, one after the other; those of other layers if they have as many
  // steps.
  async * values() {
    const { book, among, status } = this;
    const { sequence, layer, value } = this.state;
    const own = book.layer(sequence, layer);
    const layers = book.layers(sequence).filter((found) =>
      found === own || (among.value === "all" && found.length === own.length));
    for (const found of layers) {
      for (const { name } of found.values) {
        if (among.value === "value" && name !== value) continue;
        status.textContent = `${name} …`;
        yield await book.numbers(sequence, found.name, name);
      }
    }
  }

  async rank() {
    await this.asked;
    if (this.failed) return; // which has been said
    const { state, say } = this;
    const { marks, sequence, layer } = state;
    const { length } = this.book.layer(sequence, layer);
    const marked = marks ? marks.slice(0, length).reduce((sum, mark) => sum + mark, 0) : 0;
    if (!marked || marked === length) {
      this.status.textContent = say("Mark some steps, but not all.");
      return;
    }
    try {
      this.list(await ranked(this.values(), marks));
    } catch (error) {
      this.status.textContent = say(error.message);
    }
  }

  list({ found, chance, shifts }) {
    const { state, say } = this;
    this.status.replaceChildren(
      say("1 tells it always, 0.5 says nothing; (−) is low there"), make("br"),
      say("By chance, with the marks shifted along time in {} [way|ways], "
        + "the best of the {} [unit|units] reaches {}.",
        shifts, found.length, short(chance, 3)));
    this.results.replaceChildren(...found.slice(0, SHOWN).map((unit) => this.result(unit, chance)));
    this.actions.found(
      found.filter((unit) => unit.value === state.value && unit.layer === state.layer));
  }

  result(unit, chance) {
    const { layer, value, area } = unit;
    const name = layer && this.among.value === "all" ? `${layer}.${value}` : value;
    const button = make("button", { type: "button", onclick: () => this.actions.choose(unit) },
      `${name}[${unit.unit}]  ${short(strength(unit), 3)}${area < 0.5 ? " (−)" : ""}`);
    const beyond = (share) => `${100 * (2 * share - 1)}%`; // of the way from 0.5 to 1
    button.style.setProperty("--strength", beyond(strength(unit)));
    button.style.setProperty("--chance", beyond(chance));
    if (strength(unit) <= chance) {
      button.className = "doubtful";
      button.title = this.say("not above chance");
    }
    return make("li", {}, button);
  }
}
