// Exercises: what is to be reached by changing the net or what it reads. The net of the page says
// after each change whether it is: see `cello.see.page.exercises.answered`.
import { ExerciseCard } from "./exercisecard.js";

export class Exercises {
  // `all` of them, as they stand in the page's head.
  constructor(whatif, all) {
    Object.assign(this, { whatif, all, explorer: whatif.explorer, solved: new Map(), number: 0 });
    this.card = new ExerciseCard(this);
    const { state } = this.explorer;
    state.on(["book", "sequence"], () => this.follow());
    state.on(["language"], () => this.card.draw());
    this.card.draw();
  }

  get now() { return this.all[this.number]; }

  // ------------------------------------------------------------ from one to the next

  toggle() { return this.on ? this.end() : this.go(this.number); }

  async go(number) {
    const { explorer, whatif } = this;
    Object.assign(this, { on: false, number, hinted: false, shown: false });
    if (explorer.guide.stops) explorer.guide.end();
    if (whatif.any) await whatif.undo();
    await explorer.look(this.place());
    explorer.go(this.now.goals[0].t);
    const weights = this.now.change.find(({ kind }) => kind === "weight");
    if (weights) whatif.panel.choose(weights.weight);
    await whatif.begin();
    if (this.number !== number) return; // another has been chosen meanwhile
    this.on = true;
    this.card.draw();
    this.card.begin();
  }

  // Where the first goal is seen: it, or if no cell makes it, a memory.
  place() {
    const { goals: [goal], sequence } = this.now;
    const { book } = this.explorer.state;
    const cell = book.layer(sequence, goal.layer)?.cell;
    return cell ? { sequence, layer: goal.layer, value: goal.name, unit: goal.unit }
      : { sequence, ...book.nearest(sequence, null, null), unit: 0 };
  }

  end() {
    this.on = false;
    this.card.draw();
    this.explorer.root.focus({ preventScroll: true });
  }

  // Something has been changed; or another sequence is looked at, which ends the exercise.
  follow() {
    if (!this.on) return;
    if (this.whatif.sequence === this.now.sequence) this.card.judge();
    else this.end();
  }

  // ------------------------------------------------------------ whether it is reached

  // Of each goal the number as it is now, and whether it is right.
  goals() {
    const { before, after, rerun } = this.whatif;
    const result = after ?? before?.result;
    return this.now.goals.map((goal) => {
      const layer = rerun.book.layer(this.now.sequence, goal.layer);
      const made = result && rerun.made(result, layer, goal.name);
      const { size } = rerun.book.about(this.now.sequence, goal.layer, goal.name);
      const value = made?.[goal.t * size + goal.unit] ?? NaN;
      const met = value >= (goal.low ?? -Infinity) && value <= (goal.high ?? Infinity);
      return { ...goal, size, value, met };
    });
  }

  // What has been changed and may not be, in words.
  forbidden() {
    const { whatif, now } = this;
    const may = (kind, same) => now.change.some((one) => one.kind === kind && (!same || same(one)));
    const names = new Set();
    if (whatif.rows && !may("input") && !(may("order") && this.reordered())) {
      names.add(this.explorer.say("the numbers of the input"));
    }
    for (const [weight] of whatif.weights.values()) {
      if (!may("weight", (one) => one.weight === weight)) names.add(whatif.running.weights[weight].name);
    }
    for (const { layer, name } of whatif.forced.values()) {
      if (!may("value", (one) => one.layer === layer && one.name === name)) names.add(name);
    }
    return [...names];
  }

  // Whether the same rows are read, in whatever order.
  reordered() {
    const { whatif } = this;
    const sorted = (rows) => String(Array.from({ length: rows.length / whatif.size }, (_, t) =>
      rows.subarray(t * whatif.size, (t + 1) * whatif.size).join()).sort().join(";"));
    return sorted(whatif.rows) === sorted(whatif.before.result.input.rows);
  }

  // Whether all is reached, and by nothing that may not be changed.
  judged() {
    const goals = this.goals();
    const forbidden = this.forbidden();
    const reached = goals.every(({ met }) => met);
    const solved = reached && !forbidden.length;
    if (solved && !this.shown) this.solved.set(this.number, true);
    return { goals, forbidden, reached, solved };
  }

  // ------------------------------------------------------------ help

  async show() {
    const { whatif, now: { answer, sequence } } = this;
    const tokens = Array.from(whatif.rerun.book.tokens(sequence) ?? []);
    this.shown = true;
    if (answer.weights.length) [[whatif.panel.weight]] = answer.weights;
    await whatif.give({ ...answer,
      tokens: answer.order && tokens.length ? answer.order.map((t) => tokens[t]) : tokens });
  }

  async anew() {
    this.shown = false;
    await this.whatif.undo();
  }

  // To where something is changed.
  async lead({ kind, layer, name, weight }) {
    const { explorer, whatif: { panel } } = this;
    const keys = { input: "x0", order: "swap", weight: `w${weight}/0`, value: "force" };
    if (kind === "weight") panel.choose(weight);
    if (kind === "input") panel.unfolded.add("numbers");
    if (kind === "value") await explorer.look({ layer, value: name });
    if (kind === "order" && explorer.state.t === explorer.length - 1) explorer.move(-1);
    panel.draw();
    const field = panel.element.querySelector(`[data-key="${keys[kind]}"]`)
      ?? panel.element.querySelector("input, textarea, button");
    field?.scrollIntoView({ block: "nearest" });
    field?.focus({ preventScroll: true });
  }
}
