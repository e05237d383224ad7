// "Where else is this pattern?": a stretch that is marked, and others with the same units on.
import { levelsOf, stretchesOf, stretchOf, unitsOn } from "./pattern.js";
import { make, refill, visible } from "./dom.js";
import { short } from "./numbers.js";

const LISTED = 30;
const EXCERPT = 24; // letters

export class PatternPanel {
  // `go(sequence, t)` leads to a step; what is marked is in the state of the page.
  constructor(say, go) {
    Object.assign(this, { say, go });
    this.share = make("input", { type: "number", min: 1, max: 99, value: 70, required: true });
    this.status = make("p", { className: "note", role: "status" });
    this.results = make("ol", { className: "found" });
    this.element = make("form", { className: "force pattern", onsubmit: (event) => this.find(event) });
  }

  draw(book, state) {
    Object.assign(this, { book, state });
    const { say } = this;
    refill(this.element,
      make("h2", {}, say("Where else is this pattern?")),
      make("p", { className: "note" }, say("Paint a stretch, or mark it with M: where else are the units on, "
        + "above a share of their range, that are on in all of it?")),
      make("div", { className: "row" },
        make("label", {}, make("span", {}, say("threshold, %")), this.share),
        make("button", { type: "submit" }, say("find"))),
      this.status, this.results);
  }

  async find(event) {
    event.preventDefault();
    const { book, state, say } = this;
    const { sequence, layer, value, shown } = state;
    const stretch = shown && stretchOf(state.marks, shown.length);
    this.results.replaceChildren();
    if (!stretch) {
      this.status.textContent = say("Mark some steps first.");
      return;
    }
    const levels = levelsOf(shown, Number(this.share.value) / 100);
    const units = unitsOn(shown, levels, stretch);
    if (!units.length) {
      this.status.textContent = say("No unit is on at all steps from {} to {} and off elsewhere.", ...stretch);
      return;
    }
    const found = [];
    for (const number of book.sequences.keys()) {
      const numbers = await book.numbers(number, layer, value).catch(() => null);
      if (numbers?.size !== shown.size) continue;
      for (const one of stretchesOf(numbers, levels, units)) {
        const same = number === sequence && one.first <= stretch[1] && one.last >= stretch[0];
        if (!same) found.push({ ...one, sequence: number });
      }
    }
    const wanted = stretch[1] - stretch[0];
    const apart = ({ first, last }) => Math.abs(last - first - wanted);
    found.sort((a, b) => b.units - a.units || apart(a) - apart(b));
    this.list(found, units);
  }

  list(found, units) {
    const { say } = this;
    const names = units.slice(0, 8).join(", ") + (units.length > 8 ? " …" : "");
    this.status.textContent = `${say("{} [unit is|units are] on there: {}.", units.length, names)} `
      + say("{} [other stretch|other stretches].", found.length);
    this.results.replaceChildren(...found.slice(0, LISTED).map((one) => {
      const { sequence, first, last } = one;
      const text = (this.book.tokens(sequence) ?? []).slice(first, last + 1).map(visible).join("");
      const where = this.book.sequences.length > 1 ? `${this.book.sequences[sequence].title}, ` : "";
      const button = make("button", { type: "button", onclick: () => this.go(sequence, first) },
        `${where}${first}–${last}  ${text.slice(0, EXCERPT)}  ${short(one.units, 3)}/${units.length}`);
      button.style.setProperty("--strength", `${(100 * one.units) / units.length}%`);
      return make("li", {}, button);
    }));
  }
}
