// What is looked at, in words: the step, the number, what colours mean, what is under the pointer.
import { Legend } from "./legend.js";
import { make } from "./dom.js";
import { named, told, toldInFull } from "./told.js";
import { save } from "./save.js";
import { Scale } from "./colours.js";

// Whether a value is NaN anywhere; looked for once.
const hasNone = (some) => (some.hasNone ??= some.data.some(Number.isNaN));

export class Captions {
  // `say(text)` translates.
  constructor(state, say) {
    Object.assign(this, { state, say });
    this.unit = new Legend();
    this.units = new Legend();
    this.difference = new Legend();
    this.lines = [make("p", { className: "caption" }), make("p", { className: "caption other" })];
    this.lines[0].setAttribute("aria-live", "polite");
    this.element = make("div", { className: "captions" },
      make("div", {}, ...this.lines), this.unit.element);
    this.about = make("span");
    this.some = make("span", { hidden: true });
    this.own = this.box("own");
    this.less = this.box("difference");
    this.save = make("button", { type: "button", onclick: () => save(this.state.shown) });
    this.head = make("div", { className: "maphead" },
      this.some, this.about, this.units.element, this.own, this.less, this.save);
    this.tip = make("div", { className: "tip", popover: "manual", role: "tooltip" }); // above all
  }

  box(name) {
    const input = make("input", { type: "checkbox", checked: this.state[name],
      onchange: () => this.state.set({ [name]: input.checked }) });
    return make("label", { className: "check" }, input, make("span"));
  }

  // What the colours mean, and what the maps show: `all` are the sequences, `scale` is that of
  // the unit.
  label(all, scale, palette) {
    const { say } = this;
    const { own, difference, shownOther } = this.state;
    const [shown, second] = all;
    const ends = (some) => {
      const { low, high } = new Scale(some);
      return own && some.size > 1 && some.kind !== "gate" ? [say("low"), say("high")] : [low, high];
    };
    this.unit.element.hidden = !shown?.length;
    this.head.hidden = !shown?.length;
    this.own.hidden = shown?.size === 1;
    this.difference.element.hidden = !(second && difference);
    if (!shown?.length) return;
    const none = (some) => (hasNone(some) ? say("no number") : "");
    this.unit.draw(palette, [scale.low, scale.high]);
    this.units.draw(palette, ends(shown), "", none(shown));
    if (second) this.difference.draw(palette, ends(second), second.name, none(second));
    this.about.textContent = shown.size > 1
      ? say("{}: {} units, one a row", shown.name, shown.size) : shown.name;
    this.own.lastChild.textContent = say("each by its own range");
    this.less.lastChild.textContent = say("difference of the other");
    this.less.hidden = !shownOther;
    this.save.textContent = say("save as CSV");
  }

  // Below the curve stands one token in so many.
  thinned(every) {
    this.some.hidden = every < 2;
    this.some.textContent = this.say("named above: one step in {}", every);
  }

  // What the curve shows.
  curve(shown) {
    return this.say("{} along time", named(shown, this.state.unit));
  }

  // The step and the unit.
  tell(all) {
    const { shown, unit, t } = this.state;
    if (!shown) return;
    this.lines[0].classList.remove("failed");
    all.forEach((some, number) => {
      const line = this.lines[number];
      line.hidden = !some || (number > 0 && t >= some.length);
      if (line.hidden) return;
      line.textContent = some.length
        ? toldInFull(this.say, some, Math.min(t, some.length - 1), Math.min(unit, some.size - 1))
        : this.say("This sequence is empty.");
    });
  }

  // Those under the pointer.
  tellHover(all) {
    const { hover } = this.state;
    const shown = hover && all[hover.map];
    this.showTip(shown ? told(this.say, shown, hover.t, hover.unit) : "", hover?.event);
  }

  showTip(text, event) {
    if (this.tip.isConnected) this.tip.togglePopover(Boolean(text));
    if (!text) return;
    this.tip.textContent = text;
    const { width, height } = this.tip.getBoundingClientRect();
    const below = event.clientY + 16 + height < innerHeight;
    this.tip.style.left = `${Math.max(0, Math.min(event.clientX + 14, innerWidth - width - 8))}px`;
    this.tip.style.top = `${below ? event.clientY + 16 : event.clientY - 10 - height}px`;
  }

  // Say what went wrong, in place of numbers.
  fail(text) {
    this.lines[0].textContent = text;
    this.lines[0].classList.add("failed");
  }
}
