// What the colours mean: from the lowest number to the highest.
import { make } from "./dom.js";
import { short } from "./numbers.js";

const STOPS = [0, 32, 64, 96, 128, 160, 192, 224, 255];

export class Legend {
  constructor() {
    this.bar = make("span", { className: "colours" });
    this.low = make("span");
    this.high = make("span");
    this.name = make("span");
    this.none = make("span", { className: "none" });
    this.element = make("span", { className: "legend" },
      this.name, this.low, this.bar, this.high, this.none);
  }

  // `ends` are texts or numbers; `none` says what the colour of NaN means, if there is one.
  draw(palette, ends, name = "", none = "") {
    this.none.hidden = !none;
    this.none.textContent = none;
    this.none.style.setProperty("--none", palette.css.at(-1));
    this.name.textContent = name;
    const told = ends.map((end) => (typeof end === "number" ? short(end, 3) : end));
    [this.low.textContent, this.high.textContent] = told;
    const stops = STOPS.map((step) => palette.css[step]).join(",");
    this.bar.style.background = `linear-gradient(to right,${stops})`;
  }
}
