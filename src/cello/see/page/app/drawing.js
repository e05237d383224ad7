// A drawing as it comes from Python, with places for numbers; it lives in a shadow root, for its
// style is its own. Where there is little room it shrinks before it is cut.
import { make } from "./dom.js";

const [THIN, THICK] = [0.6, 5]; // pixels, of the wire of a gate that is shut, and open
const LIT = "var(--wrong)"; // of the page around it
const NEARLY = 0.9; // of its size, from which on it need not be larger
const SMALLEST = 0.6; // of its size, unless the page is so narrow that it is shown whole

export class Drawing {
  // `say(text)` translates; `point(value, event)` tells which value the pointer is on, or none, and
  // `press(value)` which one is pressed.
  constructor(say, point, press, className = "diagram") {
    Object.assign(this, { say, point, press, legend: [] });
    this.host = make("div", { className, tabIndex: 0, role: "group" });
    this.caption = make("p", { className: "caption" });
    this.shadow = this.host.attachShadow({ mode: "open" });
    this.size = make("button", { type: "button", textContent: say("larger"),
      onclick: () => this.resize(!this.large) });
    this.element = make("section", { className: "drawing", hidden: true }, this.caption, this.host,
      this.size);
    new ResizeObserver(() => this.offer()).observe(this.host);
  }

  // The drawing, with what `numbers` (a Map) says in the places of values; the wire of a gate is as
  // thick as `open` (another) says that it is open. A `caption` tells it from another beside it.
  show(text, title, numbers, open, caption = "") {
    this.element.hidden = !text;
    if (!text) return;
    this.caption.textContent = caption;
    this.caption.hidden = !caption;
    if (text !== this.text) this.read(text);
    for (const named of [this.element, this.host]) {
      named.setAttribute("aria-label", caption ? `${title}: ${caption}` : title);
    }
    for (const [line, names = "", meaning] of this.legend) {
      line.textContent = names + this.say(meaning); // such as "f: 1 remembers, 0 forgets"
    }
    for (const place of this.shadow.querySelectorAll(".number[data-value]")) {
      place.textContent = numbers.get(place.dataset.value) ?? "";
    }
    for (const wire of this.shadow.querySelectorAll(".wire[data-value]")) {
      const width = open.get(wire.dataset.value);
      wire.style.strokeWidth = width >= 0 ? `${THIN + (THICK - THIN) * Math.min(width, 1)}px` : "";
    }
    this.resize(Boolean(this.large));
  }

  // Point out the wires and numbers of some values.
  light(names) {
    for (const place of this.shadow.querySelectorAll("[data-value]")) {
      place.style.stroke = names.includes(place.dataset.value) && place.tagName === "path" ? LIT : "";
      place.style.fill = names.includes(place.dataset.value) && place.tagName === "text" ? LIT : "";
    }
  }

  read(text) {
    this.text = text;
    const parsed = new DOMParser().parseFromString(text, "image/svg+xml");
    const drawing = document.importNode(parsed.documentElement, true);
    Object.assign(drawing.style, { maxWidth: "100%", height: "auto" });
    this.shadow.replaceChildren(drawing);
    this.legend = Array.from(this.shadow.querySelectorAll("text.small"), (line) =>
      [line, ...line.textContent.match(/^(.*?: )?(.*)$/).slice(1)])
      .filter(([line]) => !line.children.length);
    for (const place of this.shadow.querySelectorAll("[data-value]")) {
      place.addEventListener("pointerenter", (event) => this.point(place.dataset.value, event));
      place.addEventListener("pointerleave", (event) => this.point(null, event));
      place.addEventListener("click", () => this.press(place.dataset.value));
    }
  }

  // As large as it is drawn, or as there is room.
  resize(large) {
    this.large = large;
    const width = `${this.width}px`;
    this.element.style.setProperty("--width", width);
    this.shadow.firstChild.style.minWidth = large ? width : `calc(var(--smallest, ${SMALLEST}) * ${width})`;
    this.size.textContent = this.say(large ? "smaller" : "larger");
    this.offer();
  }

  // To see it larger, where it has been made smaller.
  offer() {
    this.size.hidden = this.host.clientWidth >= NEARLY * this.width;
  }

  // As it is drawn, in pixels.
  get width() {
    return Number(this.shadow.firstChild?.getAttribute("width") ?? 0);
  }
}
