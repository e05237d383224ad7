// One unit along time, as a line; where several steps share a pixel, from their least to their
// largest number.
import { BANDS, drawBands } from "./bands.js";
import { cleared, columns, visible } from "./dom.js";
import { clamp, short } from "./numbers.js";

const HEIGHT = 120;
const EDGE = 16; // above and below the curve, for the numbers there
export const AXIS = 20; // below, for what was read
const LETTER = 7; // pixels
const APART = 2; // letters between two tokens
const [SHORTEST, LONGEST, USUAL] = [4, 16, 0.8]; // letters of a token; the share of tokens that is not cut

export function drawCurve(canvas, lines, scale, view, look) {
  const bands = look.labels ? BANDS : 0;
  const context = cleared(canvas, view.width, HEIGHT + bands + AXIS);
  const { bottom, top } = scale;
  const y = (number) => EDGE + ((HEIGHT - 2 * EDGE) * (top - number)) / (top - bottom);
  const x = (t) => (t + 0.5 - view.left) * view.zoom;
  context.font = "12px system-ui, sans-serif";
  marks(context, view, look);
  context.strokeStyle = look.grid;
  for (const number of new Set([top, bottom > 0 || top < 0 ? (top + bottom) / 2 : 0, bottom])) {
    line(context, 0, y(number), view.width, y(number));
  }
  context.textBaseline = "middle";
  context.textAlign = "left";
  context.fillStyle = look.ink;
  context.fillText(short(top, 3), 3, EDGE / 2);
  context.fillText(short(bottom, 3), 3, HEIGHT - EDGE / 2);
  lines.forEach((shown, number) => {
    context.strokeStyle = look.lines[number];
    context.fillStyle = look.lines[number];
    context.setLineDash(number ? [5, 4] : []);
    context.lineWidth = 1.6;
    trace(context, shown, x, y, view);
  });
  context.setLineDash([]);
  context.lineWidth = 1;
  if (bands) drawBands(context, HEIGHT, view, look.labels, look);
  axis(context, HEIGHT + bands + AXIS / 2, view, look);
}

// The number at a height, two digits of its scale.
export function numberAt(y, { bottom, top }) {
  const share = clamp((y - 6) / (HEIGHT - 12), 0, 1);
  return Number((top - share * (top - bottom)).toPrecision(3));
}

// The step that is looked at, on a canvas of its own above the curve.
export function drawNow(canvas, t, view, colour) {
  const context = cleared(canvas, view.width, HEIGHT);
  const x = (t + 0.5 - view.left) * view.zoom;
  context.strokeStyle = colour;
  line(context, x, 0, x, HEIGHT);
}

export function line(context, fromX, fromY, toX, toY) {
  context.beginPath();
  context.moveTo(fromX, fromY);
  context.lineTo(toX, toY);
  context.stroke();
}

export function trace(context, shown, x, y, view) {
  const begin = Math.max(0, Math.floor(view.left) - 1);
  const end = Math.min(shown.length, Math.ceil(view.left + view.width / view.zoom) + 1);
  if (view.zoom < 1) {
    columnsOf(context, shown, x, y, begin, end);
    return;
  }
  const height = (t) => y(shown.data[t * shown.size + shown.unit]);
  context.beginPath();
  for (let t = begin; t < end; t++) {
    if (!Number.isNaN(height(t))) context.lineTo(x(t), height(t));
  }
  context.stroke();
  for (let t = begin; t < end && view.zoom >= 14; t++) {
    context.beginPath();
    context.arc(x(t), height(t), 2.6, 0, 7);
    context.fill();
  }
}

// Where several steps share a pixel: from the least to the largest of them and the one before.
function columnsOf(context, { data, size, unit }, x, y, begin, end) {
  let pixel = null, low = 0, high = 0, last = null;
  const column = () => context.fillRect(pixel, y(high) - 0.6, 1, y(low) - y(high) + 1.2);
  for (let t = begin; t < end; t++) {
    const number = data[t * size + unit];
    if (number !== number) continue;
    const here = Math.floor(x(t));
    if (here !== pixel) {
      if (pixel !== null) column();
      pixel = here;
      low = high = last ?? number;
    }
    if (number < low) low = number;
    if (number > high) high = number;
    last = number;
  }
  if (pixel !== null) column();
}

// What is to be remembered, as bands.
function marks(context, view, look) {
  if (!look.marks) return;
  context.fillStyle = look.band;
  const end = Math.min(look.marks.length, Math.ceil(view.left + view.width / view.zoom));
  for (let t = Math.max(0, Math.floor(view.left)); t < end; t++) {
    const from = t;
    while (t < end && look.marks[t]) t++;
    const width = (t - from) * view.zoom;
    if (width) context.fillRect((from - view.left) * view.zoom, 0, Math.max(1, width), HEIGHT);
  }
}

// Tokens, or as many as there is room for, at steps equally far apart, where they begin; numbers of
// steps where tokens are letters that have no room, or are not known.
export function axis(context, y, view, { tokens, length, ink }) {
  context.fillStyle = ink;
  context.textAlign = "left";
  context.textBaseline = "middle";
  const every = labelEvery(tokens, view.zoom) || roundStep(60 / view.zoom);
  const named = labelEvery(tokens, view.zoom) > 0;
  const room = Math.floor((every * view.zoom) / LETTER); // letters
  const end = Math.min(length, Math.ceil(view.left + view.width / view.zoom));
  let free = -Infinity; // from which place on there is room
  for (let t = Math.ceil(Math.floor(view.left) / every) * every; t < end; t += every) {
    const text = named ? cutToken(visible(tokens[t] ?? ""), room) : String(t);
    const middle = (t + 0.5 - view.left) * view.zoom;
    const { width } = context.measureText(text);
    const x = every === 1 ? middle - width / 2
      : named ? Math.max(0, middle) : clamp(middle - width / 2, 0, view.width - width);
    if (every > 1 && (x < free || x + width > view.width)) continue;
    context.fillText(text, x, y);
    free = x + width + LETTER;
  }
}

// Of how many tokens one is named below a curve; 0 if none is.
export function labelEvery(tokens, zoom) {
  const usual = tokens ? usualWidth(tokens) : 0;
  if (!usual) return 0;
  if (usual === 1) return zoom >= LETTER ? 1 : 0; // of letters, one in some would tell nothing
  return Math.max(1, Math.ceil(((usual + APART) * LETTER) / zoom));
}

const WIDTHS = new WeakMap(); // by the tokens

// The letters that most tokens do not exceed; longer ones are cut.
function usualWidth(tokens) {
  if (!WIDTHS.has(tokens)) {
    const widths = tokens.map((token) => columns(visible(token))).sort((a, b) => a - b);
    const most = widths.at(-1) > 2 ? Math.max(SHORTEST, widths[Math.floor(USUAL * (widths.length - 1))]) : 1;
    WIDTHS.set(tokens, widths.length ? Math.min(LONGEST, most) : 0);
  }
  return WIDTHS.get(tokens);
}

function cutToken(text, room) {
  return columns(text) > room ? `${Array.from(text).slice(0, room - 1).join("")}…` : text;
}

// The next larger of 1, 2, 5, 10, 20, …
function roundStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return Math.max(1, [1, 2, 5, 10].map((part) => part * power).find((every) => every >= least));
}
