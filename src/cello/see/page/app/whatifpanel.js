// The panel of `whatif.js`: what can be changed, what has been, and the net's output beside it.
import { make, refill, visible } from "./dom.js";
import { scrubbed } from "./scrub.js";
import { chances, percent } from "./prediction.js";
import { plain, short } from "./numbers.js";

const INPUTS = 12; // numbers of a step that are shown
const ENTRIES = 96; // of a weight, or of a larger input
const OUTPUTS = 8;
const DIGITS = 7; // of what was read, for which a field has room

// Says why nothing can be changed.
export function refusal(explorer, why) {
  const note = make("p", { className: "note" });
  const section = make("section", { className: "whatif" }, note);
  const tell = () => { note.textContent = explorer.say("Nothing can be changed here: {}.", why); };
  explorer.state.on(["language"], tell);
  tell();
  explorer.detail.element.after(section);
}

// At which of the steps that both have, `size` numbers each, they are furthest apart.
function mostChanged(before, after, size) {
  let [most, largest] = [0, -1];
  for (let i = 0; i < Math.min(before.length, after.length); i++) {
    const change = Math.abs(after[i] - before[i]);
    if (change > largest) [most, largest] = [Math.floor(i / size), change];
  }
  return most;
}

export class WhatIfPanel {
  constructor(model) {
    this.model = model;
    this.changes = make("div"); // what can be changed
    this.result = make("div"); // and what becomes of it
    this.element = make("section", { className: "whatif" }, this.changes, this.result);
    this.text = make("textarea", { rows: 3, spellcheck: false,
      oninput: () => this.later(() => this.model.type(this.text.value)) });
    this.drawing = make("input", { type: "checkbox",
      onchange: () => this.model.explorer.state.set({ drawing: this.drawing.checked }) });
    this.weight = 0;
    this.unfolded = new Set();
    model.explorer.detail.element.after(this.element);
  }

  // Show a weight.
  choose(weight) {
    this.weight = weight;
    this.unfolded.add("weights");
  }

  later(act) {
    clearTimeout(this.timer);
    this.timer = setTimeout(act, 60);
  }

  // All of it anew; what one is writing in, or dragging, stays.
  draw() {
    const { model } = this;
    const say = (text, ...parts) => model.say(text, ...parts);
    this.result.replaceChildren(...(model.before?.equal ? this.outcome(say) : []));
    if (this.changes.querySelector(".dragged")) return;
    const within = this.element.contains(document.activeElement) && document.activeElement;
    const key = within && within.dataset.key;
    const head = [make("h2", {}, say("What if?")), this.status(say)];
    if (!model.before?.equal) {
      refill(this.changes, ...head);
      return;
    }
    if (within !== this.text) this.text.value = this.written();
    refill(this.changes, ...head, ...this.inputs(say), ...this.forces(say),
      ...this.weights(say));
    if (within === this.text) this.text.focus();
    else if (key) this.element.querySelector(`[data-key="${key}"]`)?.focus();
  }

  written() {
    const { typed, tokens, rerun, sequence } = this.model;
    return typed.text(tokens ?? rerun.book.tokens(sequence) ?? []);
  }

  // Whether the page runs the net as Python did.
  status(say) {
    const { model } = this;
    const { before } = model;
    const note = (text) => make("p", { className: "note" }, text);
    if (!before) {
      if (model.rerun.quick(model.sequence)) return note(say("The net runs …"));
      return make("button", { type: "button", onclick: () => model.begin() },
        say("run the net in this page"));
    }
    if (!before.equal) {
      return note(before.error ? String(before.error.message)
        : say("Run in this page, the net gives other numbers than were recorded, by up to {}: it "
          + "cannot be changed here.", short(before.largest, 3)));
    }
    return note(say("This page runs the net itself: {} numbers as recorded, the largest difference "
      + "{}.", before.count, short(before.largest, 3)));
  }

  number(value, label, change, step) {
    return scrubbed(value, label, change, () => this.draw(), step);
  }

  key(element, name) {
    element.dataset.key = name;
    return element;
  }

  button(text, act, name, pressed) {
    const button = this.key(make("button", { type: "button", onclick: act }, text), name);
    if (pressed !== undefined) button.setAttribute("aria-pressed", String(pressed));
    return button;
  }

  // ------------------------------------------------------------ what is read

  inputs(say) {
    const { model } = this;
    const { t } = model.explorer.state;
    const parts = [];
    if (model.typed.possible && !model.series) {
      parts.push(make("label", {}, make("span", {}, say("What to read")), this.text));
      if (model.unknown !== undefined) {
        parts.push(make("p", { className: "note failed" },
          say("This page does not know “{}”: it knows what was recorded.", model.unknown)));
      }
    }
    const { input, size } = model;
    if (t >= input.length / size) return parts;
    const row = [];
    const numbers = model.series || model.running.stages[0].ids ? 0 : size;
    if (model.series) row.push(...this.measured(model.series, t, say));
    if (numbers <= INPUTS) row.push(...this.read(t, numbers, say));
    if (t + 1 < input.length / size) {
      row.push(this.button(say("swap with the next step"), () => model.swap(t), "swap"));
    }
    parts.push(make("div", { className: "row" },
      make("span", { className: "what" }, `${say("input")}, ${say("step")} ${t}`), ...row));
    if (numbers > INPUTS) {
      parts.push(this.folded("numbers", say("Numbers: drag one, or type"), () => [
        make("div", { className: "row" }, ...this.read(t, Math.min(numbers, ENTRIES), say)),
        ...this.cut(numbers, say)]));
    }
    return parts;
  }

  // The first numbers of step t; of several inputs each has its own name.
  read(t, many, say) {
    const { model } = this;
    const { input, size } = model;
    const parts = model.running.parts.length ? model.running.parts : [["x", size, false]];
    const names = parts.flatMap(([part, count, whole]) =>
      Array.from({ length: count }, (_, i) => [count > 1 ? `${part}[${i}]` : part, whole]));
    return names.slice(0, many).map(([name, whole], place) =>
      make("label", {}, make("span", {}, name), this.key(this.number(
        Number(input[t * size + place].toPrecision(DIGITS)), `${name}, ${say("step")} ${t}`,
        (value) => model.setInput(t, place, whole ? Math.round(value) : value), 1), `x${place}`)));
  }

  // What stands folded up, and is made while it is open.
  folded(which, title, inside) {
    const keep = (open) => this.unfolded[open ? "add" : "delete"](which);
    // What is drawn anew between a click and what comes of it is as the click wants it.
    const summary = make("summary", { onclick: () => keep(!this.unfolded.has(which)) }, title);
    return make("details", { open: this.unfolded.has(which), ontoggle: ({ target }) => {
      keep(target.open);
      if (target.children.length === 1) target.append(...inside());
    } }, summary, ...(this.unfolded.has(which) ? inside() : []));
  }

  // That not all are shown, if it is so.
  cut(many, say) {
    return many > ENTRIES
      ? [make("p", { className: "note" }, say("the first {} of {}", ENTRIES, many))] : [];
  }

  // What was measured at step t, in its own units.
  measured(series, t, say) {
    return series.targets.map((name, target) => make("label", {}, make("span", {}, visible(name)),
      this.key(this.number(Number(plain(series.data[t * series.count + target], 5)),
        `${visible(name)}, ${say("step")} ${t}`,
        (value) => this.model.setMeasured(t, t, target, value),
        Number(plain(series.deviations[target] / 20, 1))), `x${target}`)));
  }

  // ------------------------------------------------------------ values

  forces(say) {
    const { model } = this;
    const { layer, value: name, unit, t, shown } = model.explorer.state;
    if (!model.canForce(layer, name, unit)) {
      const made = model.rerun.stepOf(layer) && name !== "x" && !name.endsWith("_prev");
      return made ? [make("p", { className: "note" },
        say("{} cannot be forced in this page; in Python, cello.intervene can.", name))] : [];
    }
    const now = model.forcedAt(name, t);
    const number = now ?? shown?.data[t * shown.size + unit] ?? 0;
    const set = (value) => model.force(layer, name, unit, t, t, value);
    const gate = shown?.kind === "gate";
    const all = (value) => model.force(layer, name, unit, 0, model.input.length / model.size - 1, value);
    return [make("div", { className: "row" },
      make("span", { className: "what" }, `${layer ? `${layer}.` : ""}${name}[${unit}], ${say("step")} ${t}`),
      this.key(this.number(Number(plain(number, 5)), `${name}[${unit}]`, set), "force"),
      ...(gate ? [this.button(say("shut"), () => set(0), "shut", now === 0),
        this.button(say("open"), () => set(1), "open", now === 1),
        this.button(say("shut at all steps"), () => all(0), "shutall")] : []),
      ...(now === undefined ? [] : [this.button(say("as computed"), () => all(null), "asis")]),
      make("label", { className: "check" }, this.drawing, say("draw on the curve")))];
  }

  // ------------------------------------------------------------ weights

  weights(say) {
    const { model } = this;
    const named = model.running.weights.map((about, number) => [number, about])
      .filter(([, { name }]) => name);
    if (!named.length) return [];
    if (!named.some(([number]) => number === this.weight)) [[this.weight]] = named;
    const choice = this.key(make("select", { ariaLabel: say("weight"),
      onchange: (event) => { this.weight = Number(event.target.value); this.draw(); } },
    ...named.map(([number, { name, shape }]) =>
      make("option", { value: String(number) }, `${name} [${shape.join("×")}]`))), "weight");
    choice.value = String(this.weight);
    const { shape, gates } = model.running.weights[this.weight];
    const values = model.rerun.net.weights[this.weight];
    const columns = shape.length > 1 ? values.length / shape[0] : 1;
    const cell = (place) => {
      const own = model.weights.get(`${this.weight}/${place}`);
      const where = columns > 1 ? `${Math.floor(place / columns)}, ${place % columns}` : place;
      const input = this.number(Number(plain(own ? own[2] : values[place], 5)), `[${where}]`,
        (value) => model.setWeight(this.weight, place, value));
      input.title = `[${where}]`;
      input.classList.toggle("changed", Boolean(own));
      return this.key(input, `w${this.weight}/${place}`);
    };
    const units = gates.length && shape[0] / gates.length; // a gate, whose rows have its name
    const rowName = (row) => `${gates[Math.floor(row / units)]}${units > 1 ? `[${row % units}]` : ""}`;
    const grid = () => {
      const made = make("div", { className: "weights" },
        ...Array.from({ length: Math.min(values.length, ENTRIES) }, (_, place) =>
          (units && place % columns === 0 ? [make("span", {}, rowName(place / columns)), cell(place)]
            : [cell(place)])).flat());
      made.style.gridTemplateColumns =
        `${units ? "max-content " : ""}repeat(${Math.min(columns, ENTRIES)}, 5.6em)`;
      return made;
    };
    return [this.folded("weights", say("Weights: drag a number, or type"), () =>
      [make("label", {}, choice), grid(), ...this.cut(values.length, say)])];
  }

  // ------------------------------------------------------------ the outcome

  outcome(say) {
    const { model } = this;
    const { before, after } = model;
    if (!model.any) return [];
    const back = this.button(say("set all back"), () => model.undo(), "undo");
    const parts = [make("div", { className: "row" }, back)];
    if (after && !model.series) parts.push(this.table(say, before.result, after));
    return parts;
  }

  // Numbers of the net's output: the likeliest name, or the first few.
  told(numbers) {
    const { labels } = this.model.explorer.state.book.head;
    if (labels) {
      const row = chances(numbers);
      const first = row.indexOf(Math.max(...row));
      return first < 0 ? this.model.say("no number") : `${visible(labels[first])} ${percent(row[first])}`;
    }
    return numbers.slice(0, OUTPUTS).map((number) => short(number, 4)).join(", ")
      + (numbers.length > OUTPUTS ? ", …" : "");
  }

  // The output at the step that is looked at, where it changes most, and at the last one.
  table(say, before, after) {
    const { t } = this.model.explorer.state;
    const rows = [];
    const size = after.stages.at(-1).rows.length / after.input.length;
    const last = after.input.length - 1;
    const { book, sequence } = this.model.explorer.state;
    const once = book.sequences[sequence]?.answer;
    const at = (result, step) => Array.from(
      result.stages.at(-1).rows.subarray(step * size, (step + 1) * size));
    const most = mostChanged(before.stages.at(-1).rows, after.stages.at(-1).rows, size);
    const steps = once ? [last] : [Math.min(t, last), most, last].sort((a, b) => a - b);
    for (const step of new Set(steps)) {
      const [old, now] = [at(before, step), at(after, step)];
      rows.push(make("tr", { className: String(old) === String(now) ? "" : "other" },
        make("th", { scope: "row" }, `${say("step")} ${step}`),
        make("td", {}, this.told(old) || "–"), make("td", {}, this.told(now))));
    }
    return make("table", { className: "outcome" }, make("thead", {}, make("tr", {},
      make("th", {}, say("the net's output")), make("th", {}, say("as recorded")),
      make("th", {}, say("with the changes")))), make("tbody", {}, ...rows));
  }
}
