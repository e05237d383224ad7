// One step of one unit: the numbers of all values of the layer, their arithmetic, the diagram.
import { Drawing } from "./drawing.js";
import { make, quoted, refill } from "./dom.js";
import { short, typeset } from "./numbers.js";

const PAUSE_BETWEEN = 80; // milliseconds, at least, from one step to the next that is shown
const TOGETHER = 1000; // pixels, above which two drawings need the width of the page
const FEW = 6; // units of a value that are shown if it has no unit of this number

export class Detail {
  // `say(text)` translates; `ask` fetches arithmetic, or is null; `tip(text, event)` shows a text
  // at the pointer, or none.
  constructor(say, ask, tip) {
    Object.assign(this, { say, ask, tip });
    this.element = make("section", { className: "detail" });
    this.drawing = new Drawing(say,
      (value, event) => this.light(value, event), (value) => this.press?.(value));
    this.diagram = this.drawing.host;
    this.beside = new Map(); // the numbers of the other direction
    this.other = new Drawing(say, (value, event) =>
      this.tip(value ? `${value} = ${this.beside.get(value) ?? ""}` : "", event),
    () => this.turn?.(this.otherLayer), "diagram-beside");
    this.drawings = make("div", { className: "drawings" }, this.drawing.element, this.other.element);
    this.equations = make("pre", { tabIndex: 0 });
    this.more = make("summary");
    this.more.dataset.control = "equations";
    this.open = make("details", {}, this.more, this.equations); // as it was left, at the next step
    this.wanted = this.drawn = ""; // which step, and which one is there
    this.lit = []; // values that are pointed out
    this.press = null; // is told the value that is pressed in the diagram
    this.turn = null; // is told the layer of the other direction, if its diagram is pressed
  }

  async show(book, { sequence, layer: name, t, unit }) {
    const place = { sequence, layer: name, t, unit };
    const key = Object.values(place).join("/");
    const wanted = this.wanted = `${book.head.run ?? ""} ${key}`;
    const pause = (this.last ?? 0) + PAUSE_BETWEEN - performance.now();
    if (pause > 0) await new Promise((next) => setTimeout(next, pause));
    if (this.wanted !== wanted) return; // another step has been asked for meanwhile
    this.last = performance.now();
    const layer = book.layer(sequence, name);
    if (!layer || t >= layer.length) {
      this.element.replaceChildren();
      this.drawn = wanted;
      return;
    }
    const numbers = await book.step(sequence, name, t).catch((error) => this.fail(error));
    if (this.wanted !== wanted) return;
    if (!numbers) {
      this.drawn = wanted;
      return;
    }
    const other = otherWay(book, sequence, name);
    const beside = other ? await book.step(sequence, other.name, t).catch(() => null) : null;
    if (this.wanted !== wanted) return;
    this.drawBeside(book, place, layer, other, beside);
    const draw = async () => {
      const lines = await book.lines(place, numbers).catch(() => new Map());
      const told = new Map(Array.from(lines, ([value, line]) => [value, typeset(line)]));
      if (this.wanted === wanted) this.draw(book, place, layer, numbers, told);
    };
    await draw();
    const { arithmetic } = book.head;
    const recorded = !book.source.told || sequence < book.sequences.length - 1; // not of this page
    if (this.ask && recorded && !arithmetic[key] && this.wanted === wanted) {
      const answer = await this.ask("explain", place).catch(() => null);
      if (answer) arithmetic[key] = answer.lines;
      await draw();
    }
    this.drawn = this.wanted === wanted ? wanted : this.drawn;
  }

  // Say what went wrong, in place of numbers.
  fail(error) {
    this.element.replaceChildren(make("p", { className: "failed" }, this.say(error.message)));
  }

  draw(book, place, layer, numbers, told) {
    const { say } = this;
    const token = book.tokens(place.sequence)?.[place.t];
    const title = [
      `${say("step")} ${place.t}`, token === undefined ? null : quoted(token),
      layer.name ? `${say("layer")} ${layer.name}` : null, `${say("unit")} ${place.unit}`,
      layer.reverse ? say("read from the end") : null].filter((part) => part).join(" · ");
    const stated = book.sequences[place.sequence].stated?.[layer.name] ?? {};
    const rows = numbers.map((shown) =>
      this.row(shown, place, told.get(shown.name), verdict(shown, place, stated[shown.name])));
    const cell = book.head.cells[place.layer] ?? {};
    const parts = [make("h2", {}, title), make("table", {}, make("tbody", {}, ...rows))];
    this.drawing.show(cell.diagram, say("the cell's diagram"), onWires(numbers, place),
      opening(numbers, place), otherWay(book, place.sequence, place.layer) ? this.named(layer) : "");
    this.drawings.classList.toggle("wide",
      !this.other.element.hidden && this.drawing.width + this.other.width > TOGETHER);
    if (!told.size && layer.cell && !this.ask) {
      parts.push(make("p", { className: "note" },
        say("The arithmetic of this step is not in this file.")));
    }
    if (cell.equations) {
      this.more.textContent = say("The equations");
      this.equations.textContent = cell.equations;
      this.equations.setAttribute("aria-label", say("The equations"));
      parts.push(this.open);
    }
    refill(this.element, ...parts);
    this.lightAll(this.lit);
  }

  // The cell of the other direction at the same step, on the side of its direction.
  drawBeside(book, place, layer, other, numbers) {
    this.beside = numbers ? onWires(numbers, place) : new Map();
    this.otherLayer = other?.name;
    this.other.element.style.order = layer.reverse ? -1 : 1;
    this.other.show(numbers && book.head.cells[other.name]?.diagram, this.say("the cell's diagram"),
      this.beside, numbers && opening(numbers, place), other && this.named(other));
  }

  named(layer) {
    const { say } = this;
    return [`${say("layer")} ${layer.name}`, ...(layer.reverse ? [say("read from the end")] : [])].join(" · ");
  }

  // Point out values for longer: their rows, and their wires in the diagram.
  lightAll(names) {
    this.lit = names;
    for (const row of this.element.querySelectorAll("tr")) {
      row.classList.toggle("told", names.includes(row.dataset.name));
    }
    this.drawing.light(names);
  }

  // `asStated` is whether the number is what a file states of it; undefined if nothing is stated.
  row(shown, state, line, asStated) {
    const number = written(shown, state, shown.digits, FEW);
    const mark = asStated === undefined ? [] : [make("span", { className: asStated ? "right" : "wrong",
      title: this.say(asStated ? "as the file states" : "not as the file states") }, asStated ? " ✓" : " ✗")];
    const row = make("tr", {},
      make("th", { scope: "row" }, shown.name),
      make("td", { className: "number", colSpan: line ? 1 : 2 }, number, ...mark));
    if (line) {
      row.tabIndex = 0; // long lines are cut unless they are looked at
      row.append(make("td", { className: "arithmetic", title: line }, make("div", {}, middle(line))));
      row.addEventListener("pointerenter", (event) => this.tip(line, event));
      row.addEventListener("pointerleave", (event) => this.tip("", event));
    }
    row.dataset.name = row.dataset.control = shown.name;
    if (hasUnit(shown, state.unit)) {
      row.dataset.number = String(shown.row[state.unit]);
    }
    if (shown.meaning) {
      row.lastChild.append(make("div", { className: "meaning" }, this.say(shown.meaning)));
    }
    return row;
  }

  // Point out a value, with its arithmetic.
  light(name, event) {
    let text = "";
    for (const row of this.element.querySelectorAll("tr")) {
      const found = row.dataset.name === name;
      row.classList.toggle("lit", found);
      if (found) {
        text = row.querySelector(".arithmetic")?.title
          ?? `${name} = ${row.querySelector(".number").textContent}`;
      }
    }
    this.tip(text, event);
  }
}

// The layer that reads the same in the other direction, if there is one.
function otherWay(book, sequence, name) {
  const tracks = book.head.net.map((level) => level.tracks)
    .find((both) => both.length === 2 && both.some(({ layer }) => layer === name)) ?? [];
  const other = tracks.find(({ layer }) => layer !== name);
  return other && book.layer(sequence, other.layer);
}

// What the diagram says of each value.
const onWires = (numbers, place) =>
  new Map(numbers.map((shown) => [shown.name, written(shown, place, 4, 3, 2)]));

// By the name of each gate how far it is open, 0 to 1.
const opening = (numbers, { unit }) => new Map(numbers.filter((shown) =>
  shown.kind === "gate" && hasUnit(shown, unit)).map(({ name, row }) => [name, row[unit]]));

// Whether the number that is shown is as stated, or all of them are.
function verdict(shown, { t, unit }, stated) {
  const row = stated?.slice(t * shown.size, (t + 1) * shown.size) ?? [];
  const told = (hasUnit(shown, unit) ? [row[unit]] : row).filter((one) => one === true || one === false);
  return told.length ? told.every((one) => one) : undefined;
}

// A line of arithmetic without the name at its beginning and the number at its end.
function middle(line) {
  return line.slice(line.indexOf("=") + 1, line.lastIndexOf("=")).trim();
}

// What a net reads has no units of its own.
const hasUnit = (shown, unit) => shown.name !== "x" && unit < shown.size;

// The number of the unit; of a value without such a unit the first few numbers.
function written(shown, { unit }, digits, few, digitsOfFew = 4) {
  if (hasUnit(shown, unit)) return short(shown.row[unit], digits);
  const some = Array.from(shown.row.slice(0, few));
  const texts = some.map((number) => short(number, digitsOfFew));
  return [...texts, ...(shown.size > few ? ["…"] : [])].join(", ");
}
