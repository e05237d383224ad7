// What is right at each step, as bands below the curve: one for each stretch of the same label.
import { visible } from "./dom.js";

export const BANDS = 16; // pixels

// As far apart as hues can be that come one after the other.
const hue = (label) => (label * 137.5) % 360;

// `labels`: {names, of}, `of` being the number of the name at each step, or -1 for another one;
// they begin at height `top`.
export function drawBands(context, top, view, { names, of }, { ink, dark }) {
  const end = Math.min(of.length, Math.ceil(view.left + view.width / view.zoom));
  context.textAlign = "left";
  context.textBaseline = "middle";
  for (let t = Math.max(0, Math.floor(view.left)); t < end;) {
    const [from, label] = [t, of[t]];
    while (t < end && of[t] === label) t++;
    const [x, width] = [(from - view.left) * view.zoom, (t - from) * view.zoom];
    if (label < 0) continue;
    context.fillStyle = `hsl(${hue(label)} 60% ${dark ? 30 : 82}%)`;
    context.fillRect(x, top, Math.max(width - (width > 3 ? 1 : 0), 0.5), BANDS - 2);
    const [name, begin] = [visible(names[label]), Math.max(x, 0) + 3];
    if (begin + context.measureText(name).width > x + width) continue;
    context.fillStyle = ink;
    context.fillText(name, begin, top + BANDS / 2 - 1);
  }
}
