// Colours of numbers: those of `cello.see.colours`, which come before all modules as NUMBER_COLOURS;
// or greys alone, for total colour-blindness and for print.

const GREYS = {
  light: [[242, 242, 242], [136, 136, 136], [20, 20, 20]],
  dark: [[30, 30, 33], [128, 128, 132], [250, 250, 250]],
};
const STEPS = 256;
const FLAT = 1e-3; // of its size; what varies less is no curve but rounding

function mixed(from, to, share) {
  return from.map((part, i) => Math.round(part + (to[i] - part) * share));
}

// As the eye sees it, from 0 to 1 (the relative luminance of WCAG 2).
function lightness(rgb) {
  const [r, g, b] = rgb.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

// `pixels`: a colour for each of 256 steps, and one for NaN, as ImageData holds them; `css` the
// same, and `ink` what can be read on it.
export class Palette {
  constructor(theme, grey) {
    const [low, middle, high] = (grey ? GREYS : NUMBER_COLOURS.ends)[theme];
    const rgb = Array.from({ length: STEPS }, (_, step) => {
      const share = (2 * step) / (STEPS - 1) - 1;
      return share < 0 ? mixed(middle, low, -share) : mixed(middle, high, share);
    });
    rgb.push(NUMBER_COLOURS.missing[theme]);
    this.pixels = Uint32Array.from(
      rgb, ([r, g, b]) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0);
    this.css = rgb.map(([r, g, b]) => `rgb(${r},${g},${b})`);
    this.ink = rgb.map((colour) => (lightness(colour) > 0.179 ? "#000" : "#fff"));
  }
}

// The scale of one unit, the same for all sequences in sight: a unit that stays small is seen too.
export function scaleOfUnit(all, unit) {
  let [low, high] = [Infinity, -Infinity];
  for (const { data, size, length } of all) {
    for (let at = Math.min(unit, size - 1); at < length * size; at += size) {
      const number = data[at];
      if (number < low && number > -Infinity) low = number;
      if (number > high && number < Infinity) high = number;
    }
  }
  if (low > high) low = high = 0; // there is no number at all
  return new Scale({ kind: all[0].kind, low, high });
}

// Which step a number is: gates from 0 to 1; anything else as far below zero as above it, unless all
// numbers are far from zero. A curve goes from `bottom` to `top`, and to zero if that is not far.
export class Scale {
  constructor({ kind, low, high }) {
    const size = Math.max(Math.abs(low), Math.abs(high)) || 1;
    const even = kind === "gate" ? [0, 1] : [-size, size];
    const own = high - low < FLAT * size ? even : [low, high];
    const near = (own[1] - own[0]) / 2;
    const [bottom, top] = kind === "gate" ? even : own;
    [this.low, this.high] = bottom > near || top < -near ? own : even;
    this.bottom = bottom > 0 && bottom < near ? 0 : bottom;
    this.top = top < 0 && top > -near ? 0 : top;
    this.slope = (STEPS - 1) / (this.high - this.low);
  }

  step(value) {
    if (value !== value) return STEPS;
    const step = (value - this.low) * this.slope + 0.5;
    return step <= 0 ? 0 : step >= STEPS - 1 ? STEPS - 1 : step | 0;
  }
}
