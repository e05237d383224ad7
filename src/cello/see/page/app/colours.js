// Colours of numbers: from blue (low) over grey to orange (high), which differ for every kind of
// colour-blindness, and in lightness from the middle.

const ENDS = {
  light: [[38, 88, 160], [225, 225, 225], [200, 92, 10]],
  dark: [[92, 156, 255], [44, 44, 48], [255, 150, 56]],
};
const STEPS = 256;
const MISSING = { light: [120, 40, 120], dark: [230, 130, 230] }; // no number: purple

function mixed(from, to, share) {
  return from.map((part, i) => Math.round(part + (to[i] - part) * share));
}

// `pixels`: a colour for each of 256 steps, and one for NaN, as ImageData holds them.
export class Palette {
  constructor(theme) {
    const [low, middle, high] = ENDS[theme];
    this.rgb = Array.from({ length: STEPS }, (_, step) => {
      const share = (2 * step) / (STEPS - 1) - 1;
      return share < 0 ? mixed(middle, low, -share) : mixed(middle, high, share);
    });
    this.rgb.push(MISSING[theme]);
    this.pixels = Uint32Array.from(
      this.rgb, ([r, g, b]) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0);
    this.css = this.rgb.map(([r, g, b]) => `rgb(${r},${g},${b})`);
    this.ink = this.rgb.map(([r, g, b]) =>
      0.299 * r + 0.587 * g + 0.114 * b > 125 ? "#000" : "#fff");
  }
}

// The scale of one unit, the same for all sequences in sight: a unit that stays small is seen too.
export function scaleOfUnit(all, unit) {
  let size = 0;
  for (const { data, size: units, length } of all) {
    for (let at = Math.min(unit, units - 1); at < length * units; at += units) {
      const number = Math.abs(data[at]);
      if (number > size && number < Infinity) size = number;
    }
  }
  return new Scale({ kind: all[0].kind, low: -size, high: size });
}

// Which step a number is: gates from 0 to 1, anything else as far below zero as above it.
export class Scale {
  constructor({ kind, low, high }) {
    const size = Math.max(Math.abs(low), Math.abs(high)) || 1;
    [this.low, this.high] = kind === "gate" ? [0, 1] : [-size, size];
    this.slope = (STEPS - 1) / (this.high - this.low);
  }

  step(value) {
    if (value !== value) return STEPS;
    const step = (value - this.low) * this.slope + 0.5;
    return step <= 0 ? 0 : step >= STEPS - 1 ? STEPS - 1 : step | 0;
  }
}
