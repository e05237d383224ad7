// One step of one unit: the numbers of all values of the layer, their arithmetic, the diagram.
import { make } from "./dom.js";
import { short } from "./numbers.js";

const FEW = 6; // units of a value that are shown if it has no unit of this number

export class Detail {
  // `say(text)` translates; `ask` fetches arithmetic, or is null.
  constructor(say, ask) {
    this.say = say;
    this.ask = ask;
    this.element = make("section", { className: "detail" });
    this.wanted = this.drawn = ""; // which step, and which one is there
  }

  async show(book, state) {
    const key = [state.sequence, state.layer, state.t, state.unit].join("/");
    this.wanted = key;
    const layer = book.layer(state.sequence, state.layer);
    if (!layer || state.t >= layer.length) {
      this.element.replaceChildren();
      this.drawn = key;
      return;
    }
    const numbers = await Promise.all(
      layer.values.map((value) => book.numbers(state.sequence, state.layer, value.name)))
      .catch(() => []); // the explorer says what went wrong
    if (this.wanted !== key) return; // another step has been asked for meanwhile
    this.draw(book, state, layer, numbers, this.prepared(book, key));
    if (this.ask && !this.prepared(book, key)) {
      const answer = await this.ask("explain", {
        sequence: state.sequence, layer: state.layer, t: state.t, unit: state.unit });
      book.head.arithmetic[key] = answer.lines;
      if (this.wanted === key) this.draw(book, state, layer, numbers, answer.lines);
    }
  }

  prepared(book, key) {
    return book.head.arithmetic[key];
  }

  draw(book, state, layer, numbers, lines) {
    const { say } = this;
    const told = new Map(lines ?? []);
    const token = book.tokens(state.sequence)?.[state.t];
    const title = [
      `${say("step")} ${state.t}`, token === undefined ? null : `“${token}”`,
      `${layer.name ? `${layer.name} · ` : ""}${say("unit")} ${state.unit}`,
      layer.reverse ? say("read from the end") : null].filter((part) => part).join(" · ");
    const rows = numbers.map((shown) => this.row(shown, state, told.get(shown.name)));
    const cell = book.head.cells[state.layer] ?? {};
    const parts = [make("h2", {}, title), make("table", {}, make("tbody", {}, ...rows))];
    if (cell.diagram) parts.unshift(this.diagram(cell.diagram, numbers, state));
    if (!told.size && layer.cell && !this.ask) {
      parts.push(make("p", { className: "note" },
        say("The arithmetic of this step is not in this file.")));
    }
    if (cell.equations) {
      parts.push(make("details", {}, make("summary", {}, say("The equations")),
        make("pre", {}, cell.equations)));
    }
    this.element.replaceChildren(...parts);
    this.drawn = [state.sequence, state.layer, state.t, state.unit].join("/");
  }

  row(shown, { t, unit }, line) {
    const at = t * shown.size;
    const own = unit < shown.size && shown.name !== "x";
    const number = own
      ? short(shown.data[at + unit], 7)
      : Array.from(shown.data.slice(at, at + Math.min(FEW, shown.size)), (n) => short(n, 4))
        .join(", ") + (shown.size > FEW ? ", …" : "");
    const row = make("tr", {},
      make("th", { scope: "row" }, shown.name),
      make("td", { className: "number", colSpan: line ? 1 : 2 }, number));
    if (line) row.append(make("td", { className: "arithmetic", title: line }, middle(line)));
    row.dataset.name = shown.name;
    if (own) row.dataset.number = String(shown.data[at + unit]);
    if (shown.meaning) {
      row.lastChild.append(make("div", { className: "meaning" }, this.say(shown.meaning)));
    }
    return row;
  }

  // The cell's drawing, with the numbers of this step where it has places for them.
  diagram(text, numbers, { t, unit }) {
    const parsed = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
    const drawing = document.importNode(parsed, true);
    const byName = new Map(numbers.map((shown) => [shown.name, shown]));
    for (const place of drawing.querySelectorAll("[data-value]")) {
      const shown = byName.get(place.dataset.value);
      if (!shown) continue;
      const number = shown.data[t * shown.size + (unit < shown.size ? unit : 0)];
      const written = place.querySelector(".number") ?? place;
      written.textContent = short(number, 4);
      place.addEventListener("pointerenter", () => this.light(shown.name));
      place.addEventListener("pointerleave", () => this.light(null));
    }
    return make("figure", {}, drawing);
  }

  light(name) {
    for (const row of this.element.querySelectorAll("tr")) {
      row.classList.toggle("lit", row.dataset.name === name);
    }
  }
}

// A line of arithmetic without the name at its beginning and the number at its end.
function middle(line) {
  return line.slice(line.indexOf("=") + 1, line.lastIndexOf("=")).trim();
}
