// What the page is about, in a few sentences: the net, what it reads and gives, what colours mean.
import { make, visible } from "./dom.js";
import { worded } from "./words.js";

const NAMED = 8; // of what the net tells apart

export class About {
  // `say(text)` translates; it is open at first, unless there is little room.
  constructor(say, open) {
    this.say = say;
    this.title = make("summary");
    this.title.dataset.control = "about";
    this.given = make("p", { className: "given" }); // in the words of who made the page
    this.net = make("p");
    this.element = make("details", { className: "about", open }, this.title, this.given, this.net);
  }

  draw(book, { sequence, language }) {
    const { say } = this;
    const description = worded(language, book.head.description);
    this.title.textContent = say("What this shows");
    this.given.textContent = description;
    this.given.hidden = !description;
    this.net.textContent = [...this.sentences(book, sequence),
      say("Blue is low, orange is high."),
      ...(book.layers(sequence).some(({ values }) => values.some(({ meaning }) => meaning))
        ? [say("Gates go from 0 (shut) to 1 (open).")] : []),
      ...(book.sequences[sequence]?.stated ? [say("✓ stands beside a number that is as the file states.")] : []),
      ...(book.sequences[sequence]?.expected && !book.sequences[sequence].answer
        ? [say("The bands below the curve tell what is right at each step.")] : []),
      say("Choose a step to see its numbers and where they come from.")].join(say(" "));
  }

  sentences(book, sequence) {
    const { say } = this;
    const cells = cellsOf(book.layers(sequence), book.head.net);
    if (!cells.length) return [];
    const told = cells.map(({ cell, units, both }) =>
      say(both ? "{} with {} [unit|units] in each direction" : "{} with {} [unit|units]",
        cell.replace(/^Torch(?=.)|(?<=.)Cell$/g, ""), units));
    const layers = say("The net has {} recurrent [layer|layers]: {}.", cells.length, told.join(say(", ")));
    const outputs = book.layer(sequence, "")?.values.find(({ kind }) => kind === "output")?.size;
    const once = book.sequences[sequence]?.answer?.size;
    const steps = book.steps(sequence);
    const { targets, ahead } = book.sequences[sequence]?.series ?? {};
    if (targets) {
      return [layers, say("It reads {} [step|steps] of {}, and at each forecasts the next {}.", steps,
        targets.map(visible).join(say(", ")), ahead), say("The curves show the forecast from the "
        + "step that is chosen, with its bands, and in grey what came.")];
    }
    const names = book.head.labels;
    if (names) {
      const few = names.length > NAMED ? [...names.slice(0, NAMED - 2), "…", names.at(-1)] : names;
      const some = few.map(visible).join(say(", "));
      return [layers, say(once ? "It reads {} [step|steps] and says at the end which of {} it is: {}."
        : "It reads {} [step|steps] and says at each which of {} it is: {}.", steps, names.length, some)];
    }
    if (once) {
      return [layers, say("It reads {} [step|steps] and gives {} [number|numbers] at the end.", steps, once)];
    }
    return [layers, outputs
      ? say("It reads {} [step|steps] and gives {} [number|numbers] at each.", steps, outputs)
      : say("It reads {} [step|steps].", steps)];
  }
}

// The layers with a memory, both directions as one; their units as the boxes of `net` tell them.
export function cellsOf(layers, net) {
  const found = new Map();
  const stages = new Map(net.flatMap(({ tracks }) => tracks).map((track) => [track.layer, track.stages]));
  for (const { name, cell, values } of layers) {
    const state = values.find(({ kind }) => kind === "state");
    if (!cell || !state) continue;
    const place = name.replace(/(^|\.)(forward|backward)$/, "");
    const both = place !== name && found.has(place);
    const told = stages.get(name)?.length === 1 ? stages.get(name)[0].size : null;
    found.set(place, { place, cell, units: told ?? state.size, both });
  }
  return Array.from(found.values());
}
