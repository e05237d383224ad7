// The bar at the top: which sequence, layer, value and unit; along time; look and language.
import { make, refill } from "./dom.js";
import { worded } from "./words.js";

export class Controls {
  // `actions` are called by name; `say(text)` translates.
  constructor(state, actions, say) {
    Object.assign(this, { state, actions, say });
    this.element = make("header", { className: "bar" });
  }

  // Another unit of the same value has been chosen.
  point() {
    const unit = this.element.querySelector("[data-control='unit']");
    if (unit) unit.value = this.state.unit;
  }

  draw(book) {
    const { state, actions, say } = this;
    const titles = book.sequences.map((sequence, number) => [number, sequence.title]);
    const values = book.layer(state.sequence, state.layer)?.values ?? [];
    const about = book.about(state.sequence, state.layer, state.value);
    const orders = [["number", "by number"], ["peak", "by peak in time"],
      ["cluster", "by clustering"], ["variance", "by variance"]];
    if (state.scores) orders.push(["score", "by score"]);
    const many = titles.length > 1;
    refill(this.element,
      make("h1", {}, worded(state.language, book.head.title) || say("a recurrent net")), this.more(),
      make("div", { className: "choices" }, ...(many ? [
        this.choice("sequence", titles, state.sequence, (v) => actions.sequence(Number(v))),
        this.choice("compare with", [[-1, say("nothing")], ...titles], state.other,
          (v) => actions.other(Number(v)))] : []),
      this.choice("value", values.map((value) => [value.name, value.name]), state.value, actions.value),
      this.number("unit", state.unit, Math.max(0, (about?.size ?? 1) - 1), actions.unit),
      this.choice("order", orders.map(([name, text]) => [name, say(text)]), state.order,
        (order) => actions.set({ order }))),
      make("span", { className: "buttons steps" },
        this.button("⇤", "first step", () => actions.go(0)),
        this.button("←", "step back", () => actions.move(-1)),
        this.button(state.playing ? "❚❚" : "▶", state.playing ? "pause" : "play", actions.play, "play"),
        this.button("→", "step on", () => actions.move(1)),
        this.button("⇥", "last step", () => actions.go(Infinity)),
        this.button("⚡", "largest change", actions.jump)),
      make("span", { className: "buttons looks" },
        this.button("−", "zoom out", () => actions.zoom(1 / 1.5)),
        this.button("+", "zoom in", () => actions.zoom(1.5)),
        this.button("↔", "fit", actions.fit),
        this.button("◐", "light or dark", actions.theme),
        this.button("▥", "colours or greys", actions.greys),
        this.button(say("中文"), "中文", actions.language),
        this.button("?", "keys", actions.help)));
  }

  // Where there is little room, all but the way along time is out of sight until it is wanted.
  more() {
    const button = this.button("☰", "choices", () => {
      const open = this.element.classList.toggle("open");
      button.setAttribute("aria-expanded", open);
    });
    button.classList.add("more");
    button.setAttribute("aria-expanded", this.element.classList.contains("open"));
    return button;
  }

  choice(label, options, chosen, choose) {
    const select = make("select", { onchange: (event) => choose(event.target.value) },
      ...options.map(([value, text]) => make("option", { value: String(value) }, text)));
    select.value = String(chosen);
    return this.labelled(label, select);
  }

  number(label, value, max, choose) {
    return this.labelled(label, make("input", {
      type: "number", min: 0, max, value, onchange: (event) => choose(Number(event.target.value)) }));
  }

  labelled(label, control) {
    control.dataset.control = label.replaceAll(" ", "-");
    return make("label", {}, make("span", {}, this.say(label)), control);
  }

  // `name` stays if the label changes.
  button(sign, label, act, name = label) {
    const button = make("button", { type: "button", title: this.say(label), onclick: act }, sign);
    button.setAttribute("aria-label", this.say(label));
    button.dataset.control = name.replaceAll(" ", "-");
    return button;
  }
}
