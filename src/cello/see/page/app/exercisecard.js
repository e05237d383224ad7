// The card of an exercise: what to do, what may be changed, how far one is, help.
import { make, refill } from "./dom.js";
import { named } from "./told.js";
import { short } from "./numbers.js";
import { worded } from "./words.js";

const CHANGES = { input: "the numbers of the input", order: "the order of the inputs" };

export class ExerciseCard {
  // `model` are the exercises. While one is on, what can be changed stands below it.
  constructor(model) {
    this.model = model;
    const { explorer, whatif } = model;
    this.open = make("button", { type: "button", className: "begin", onclick: () => model.toggle() });
    this.open.dataset.control = "exercises";
    this.title = make("h2", { tabIndex: -1 });
    this.goals = make("ul", { className: "goals" });
    this.status = make("p", { role: "status" });
    this.element = make("section", { className: "exercise", hidden: true });
    this.place = make("span", { hidden: true }); // where what can be changed stands otherwise
    explorer.guide.open.after(this.open);
    explorer.guide.element.after(this.element);
    whatif.panel.element.before(this.place);
  }

  say(text, ...parts) { return this.model.explorer.say(text, ...parts); }

  button(text, act, off = false, pressed = undefined) {
    const button = make("button", { type: "button", onclick: act, disabled: off }, this.say(text));
    button.dataset.control = text;
    if (pressed !== undefined) button.setAttribute("aria-expanded", String(pressed));
    return button;
  }

  begin() {
    this.element.scrollIntoView({ block: "nearest" });
    this.title.focus({ preventScroll: true });
  }

  draw() {
    const { model } = this;
    const { all, number, now, on, explorer, whatif } = model;
    const { language } = explorer.state;
    this.open.textContent = this.say("Try it: {} [exercise|exercises]", all.length);
    this.open.hidden = Boolean(on);
    this.element.hidden = !on;
    if (!on) {
      this.place.after(whatif.panel.element);
      return;
    }
    if (whatif.panel.element.previousSibling !== this.element) this.element.after(whatif.panel.element);
    const hint = worded(language, now.hint);
    this.title.textContent = this.say("Exercise {} of {}", number + 1, all.length)
      + (model.solved.has(number) ? ` · ✓ ${this.say("solved")}` : "");
    refill(this.element, this.title, make("p", {}, worded(language, now.text)), this.changes(),
      this.goals, this.status,
      ...(hint && model.hinted ? [make("p", { className: "note" }, hint)] : []),
      make("p", { className: "buttons" },
        ...(hint ? [this.button("hint", () => this.hint(), false, Boolean(model.hinted))] : []),
        this.button("show me", () => model.show()), this.button("begin anew", () => model.anew()),
        ...(all.length > 1 ? [
          this.button("exercise before", () => model.go(number - 1), number === 0),
          this.button("next exercise", () => model.go(number + 1), number === all.length - 1)] : []),
        this.button("end", () => model.end())));
    this.judge();
  }

  hint() {
    this.model.hinted = !this.model.hinted;
    this.draw();
  }

  // What may be changed, each leading there.
  changes() {
    const say = (one) => (one.kind in CHANGES ? this.say(CHANGES[one.kind])
      : one.kind === "weight" ? this.say("the weights {}", one.name)
        : this.say(this.gate(one) ? "the gate {}" : "the value {}", this.within(one.layer, one.name)));
    return make("p", { className: "buttons" }, make("span", { className: "what" },
      `${this.say("You may change")}: `), ...this.model.now.change.map((one) => {
      const button = make("button", { type: "button", onclick: () => this.model.lead(one) }, say(one));
      button.dataset.control = `change ${one.kind} ${one.name}`;
      return button;
    }));
  }

  // With the name of its layer, if there are several.
  within(layer, name) {
    const { explorer, now } = this.model;
    const several = explorer.state.book.layers(now.sequence).filter(({ cell }) => cell).length > 1;
    return several && layer ? `${layer}.${name}` : name;
  }

  gate({ layer, name }) {
    const { now, whatif } = this.model;
    return whatif.rerun.book.about(now.sequence, layer, name)?.kind === "gate";
  }

  // How far one is.
  judge() {
    const { goals, forbidden, reached, solved } = this.model.judged();
    this.goals.replaceChildren(...goals.map((goal) => this.goal(goal)));
    const text = solved
      ? this.say(this.model.shown ? "Solved, by the answer that was shown." : "Solved.")
      : reached ? this.say("The goal is reached, but more than what may be changed is changed: "
        + "set {} back.", forbidden.join(this.say(", "))) : this.say("Not yet.");
    const told = solved ? `✓ ${text}` : text;
    if (this.status.textContent !== told) this.status.textContent = told; // it is read out
    this.status.className = solved ? "right" : "";
    this.element.classList.toggle("solved", solved);
    if (solved && !this.model.shown) {
      this.title.textContent = `${this.say("Exercise {} of {}", this.model.number + 1,
        this.model.all.length)} · ✓ ${this.say("solved")}`;
    }
  }

  goal(goal) {
    const { low, high } = goal;
    const digits = 4;
    const wanted = low === high ? this.say("wanted: {}", short(low, digits))
      : low === undefined ? this.say("wanted: at most {}", short(high, digits))
      : high === undefined ? this.say("wanted: at least {}", short(low, digits))
        : this.say("wanted: {} to {}", short(low, digits), short(high, digits));
    const where = this.say("{} at step {}", this.within(goal.layer, named(goal, goal.unit)), goal.t);
    return make("li", { className: goal.met ? "right" : "" },
      `${goal.met ? "✓" : "○"} ${where} ${this.say("is {}", short(goal.value, digits))} · ${wanted}`);
  }
}
