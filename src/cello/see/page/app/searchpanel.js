// "Remember this": mark steps by an expression or by painting, and rank the units that tell them.
import { make } from "./dom.js";
import { matching, ranked, strength } from "./search.js";
import { short } from "./numbers.js";

const SHOWN = 40; // units in the list

export class SearchPanel {
  // `actions.marks(marks)`, `.found(list)`, `.choose(unit)` and `.painting(on)` do what they say.
  constructor(say, actions) {
    Object.assign(this, { say, actions });
    this.element = make("section", { className: "search" });
    this.expression = make("input", { type: "search", spellcheck: false,
      oninput: () => this.match() });
    this.brush = make("input", { type: "checkbox",
      onchange: () => actions.painting(this.brush.checked) });
    this.all = make("input", { type: "checkbox" });
    this.status = make("p", { className: "note" });
    this.status.setAttribute("role", "status");
    this.results = make("ol", { className: "found" });
  }

  draw(book, state) {
    const { say } = this;
    Object.assign(this, { book, state });
    this.expression.setAttribute("aria-label", say("regular expression"));
    this.expression.placeholder = say("regular expression");
    this.element.replaceChildren(
      make("h2", {}, say("Search a unit")),
      make("p", { className: "note" }, say(
        "Which unit tells where this is? Write a regular expression, or paint a part of the text.")),
      make("div", { className: "row" }, this.expression,
        make("label", { className: "check" }, this.brush, say("paint")),
        make("button", { type: "button", onclick: () => this.clear() }, say("clear"))),
      make("div", { className: "row" },
        make("label", { className: "check" }, this.all, say("in all values of the layer")),
        make("button", { type: "button", className: "rank", onclick: () => this.rank() },
          say("rank units"))),
      this.status, this.results);
  }

  match() {
    const tokens = this.book.tokens(this.state.sequence);
    if (!tokens || !this.expression.value) return this.clear();
    const separator = tokens.some((token) => Array.from(token).length > 1) ? " " : "";
    try {
      const marks = matching(tokens, this.expression.value, separator);
      this.actions.marks(marks);
      this.status.textContent =
        `${marks.reduce((sum, mark) => sum + mark, 0)} ${this.say("steps are marked")}`;
    } catch {
      this.status.textContent = this.say("not a regular expression");
    }
    return undefined;
  }

  clear() {
    this.actions.marks(null);
    this.status.textContent = "";
    this.results.replaceChildren();
  }

  async rank() {
    const { book, state, say } = this;
    const { marks } = state;
    const layer = book.layer(state.sequence, state.layer);
    const marked = marks ? marks.slice(0, layer.length).reduce((sum, mark) => sum + mark, 0) : 0;
    if (!marked || marked === layer.length) {
      this.status.textContent = say("Mark some steps, but not all.");
      return;
    }
    const names = this.all.checked ? layer.values.map((value) => value.name) : [state.value];
    const found = [];
    for (const name of names) {
      this.status.textContent = `${name} …`;
      found.push(...await ranked(await book.numbers(state.sequence, state.layer, name), marks));
    }
    found.sort((a, b) => strength(b) - strength(a));
    this.status.textContent = say("1 tells it always, 0.5 says nothing");
    this.results.replaceChildren(...found.slice(0, SHOWN).map((unit) => make("li", {},
      make("button", { type: "button", onclick: () => this.actions.choose(unit) },
        `${unit.value}[${unit.unit}]  ${short(strength(unit), 3)}${unit.area < 0.5 ? " (−)" : ""}`))));
    this.actions.found(found.filter((unit) => unit.value === state.value));
  }
}
