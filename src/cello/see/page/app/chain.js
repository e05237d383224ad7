// The whole net, from what is read to what comes out; its layers are chosen here.
import { make, refill } from "./dom.js";

export class Chain {
  // `say(text)` translates, `choose(layer)` shows a layer.
  constructor(say, choose) {
    Object.assign(this, { say, choose });
    this.list = make("ol", { className: "chain" });
    this.element = make("nav", {}, this.list);
  }

  draw(book, { sequence, layer }) {
    const { say } = this;
    const layers = book.layers(sequence);
    const named = (name) => layers.some((some) => some.name === name);
    const shown = new Set();
    const box = (name, title, ...lines) => {
      const inside = [make("b", {}, title), ...lines.filter((line) => line)
        .map((line) => make("span", {}, line))];
      if (name === null || !named(name) || layers.length < 2) return make("div", {}, ...inside);
      shown.add(name);
      const button = make("button", { type: "button", onclick: () => this.choose(name) }, ...inside);
      button.dataset.control = `layer ${name}`;
      button.setAttribute("aria-pressed", String(name === layer));
      button.title = name;
      return button;
    };
    const items = book.head.net.map(({ tracks, join }) => make("li", {}, ...tracks.map((track) =>
      box(track.layer, track.cell || track.stages.map(({ title }) => say(title)).join(" + "),
        ...this.told(track), track.memory.length ? `↻ ${track.memory.join(", ")}` : "",
        track.reverse ? say("read from the end") : "")),
    ...(join ? [make("span", { className: "join" }, say(join))] : [])));
    const output = layers.find(({ name }) => name === "")?.values.find(({ kind }) => kind === "output");
    const once = book.sequences[sequence]?.answer;
    const ends = output || once ? [make("li", {}, box(output ? "" : null, say("output"),
      this.size((output ?? once).size), once ? say("once, at the end") : ""))] : [];
    const others = layers.filter(({ name }) => !shown.has(name) && layers.length > 1)
      .map(({ name, cell }) => make("li", { className: "apart" }, box(name, say(name), cell)));
    this.element.setAttribute("aria-label", say("the whole net"));
    refill(this.list, make("li", {}, make("div", {}, make("b", {}, say("input")))), ...items, ...ends,
      ...others);
  }

  size(size) {
    return this.say("{} [number|numbers]", size);
  }

  told({ stages, cell }) {
    return stages.map(({ title, size, line }) => {
      const told = line || (size === null ? "" : this.say("{} [unit|units]", size));
      return cell ? `${this.say(title)}: ${told}` : told;
    });
  }
}
