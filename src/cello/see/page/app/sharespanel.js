// Where an output comes from: how much each step mattered to it, shown as a value along time.
import { make, refill, visible } from "./dom.js";
import { forecastNames } from "./series.js";

const SHARES = "shares"; // the layer that they are shown as

export class SharesPanel {
  // `explorer.ask` finds them; without it, some are prepared in the page.
  constructor(explorer) {
    this.explorer = explorer;
    this.output = make("input", { type: "number", min: 0, value: 0, required: true });
    this.names = make("select");
    this.status = make("p", { className: "note", role: "status" });
    this.element = make("form", {
      className: "force shares", onsubmit: (event) => this.show(event) });
  }

  draw() {
    const say = (text) => this.explorer.say(text);
    const { book, sequence, layer } = this.explorer.state;
    const outputs = book?.sequences[sequence]?.outputs ?? 0;
    this.element.hidden = !outputs;
    this.output.max = outputs - 1;
    const series = book?.sequences[sequence]?.series;
    this.labels = outputs < 2 ? null : series ? forecastNames(series, this.explorer.say.bind(this.explorer))
      : book.head.labels;
    const names = Array.from(this.labels ?? [], visible);
    if (String(names) !== String(Array.from(this.names.options, ({ text }) => text))) {
      this.names.replaceChildren(...names.map((name, unit) => new Option(name, unit)));
    }
    this.chosen = this.labels ? this.names : this.output;
    refill(this.element,
      make("h2", {}, say(this.once(book, sequence) ? "Where the answer at the end comes from"
        : "Where an output of this step comes from")),
      make("div", { className: "row" },
        make("label", {}, make("span", {}, say("output")), this.chosen),
        this.button("show", {}),
        this.button("back", { type: "button", hidden: layer !== SHARES, onclick: () => this.back() })),
      this.status);
  }

  // Whether the net answers once for the whole sequence; that is the output of step 0.
  once(book, sequence) {
    return Boolean(book?.sequences[sequence]?.answer);
  }

  button(what, properties) {
    const button = make("button", properties, this.explorer.say(what));
    button.dataset.control = what;
    return button;
  }

  async show(event) {
    event.preventDefault();
    const { explorer } = this;
    const { book, sequence, layer, value, unit } = explorer.state;
    const once = this.once(book, sequence);
    const t = once ? 0 : explorer.state.t;
    if (layer !== SHARES) this.before = { layer, value, unit };
    const place = { sequence, t, unit: Number(this.chosen.value) };
    try {
      const name = `output[${this.labels?.[place.unit] ?? place.unit}]${once ? "" : `, step ${t}`}`;
      book.add(sequence, SHARES, name, await this.find(book, place));
      this.status.textContent = explorer.say("gradient × input of each step");
      this.status.classList.remove("failed");
      await explorer.look({ sequence, other: -1, layer: SHARES, value: name, unit: 0 });
    } catch (error) {
      this.status.textContent = error.message;
      this.status.classList.add("failed");
    }
  }

  back() {
    this.status.textContent = "";
    return this.explorer.look(this.before);
  }

  // A number for each step.
  async find(book, place) {
    if (this.explorer.ask) {
      return Float32Array.from((await this.explorer.ask("shares", place)).shares);
    }
    const { block, targets } = book.sequences[place.sequence].shares;
    const number = targets.findIndex(([t, unit]) => t === place.t && unit === place.unit);
    if (number < 0) {
      const own = targets.filter(([, unit]) => unit === place.unit).map(([t]) => t);
      const near = own.sort((a, b) => Math.abs(a - place.t) - Math.abs(b - place.t))[0];
      const where = near === undefined ? "–" : near;
      throw new Error(`${this.explorer.say("This file holds it for other steps, the nearest:")} ${where}`);
    }
    const length = book.steps(place.sequence);
    return (await book.block(block)).subarray(number * length, (number + 1) * length);
  }
}
