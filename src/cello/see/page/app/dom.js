// Elements. Text goes in as text: nothing here or elsewhere writes HTML.
import { typeset } from "./numbers.js";

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// Other children; the focus stays where it was, on what is there again or has the same `data-control`.
export function refill(element, ...children) {
  const focused = element.getRootNode().activeElement;
  const before = focused !== element && element.contains(focused) ? focused : null;
  element.replaceChildren(...children);
  if (!before) return;
  const same = element.contains(before) ? before
    : element.querySelector(`[data-control="${before.dataset.control}"]`);
  const next = same?.checkVisibility() ? same : element.closest(".cello");
  next?.focus({ preventScroll: true });
}

// A canvas as sharp as the screen, cleared: its context, in CSS pixels.
export function cleared(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

// What turns the direction of writing, so that a text looks like another.
const TURNS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

// What stands for a step whose input is a few numbers.
const NUMBERS = /^-?([\d.]+(e-?\d+)?|nan|inf)(, -?([\d.]+(e-?\d+)?|nan|inf))*$/;

// Letters that cannot be seen by themselves get a sign that can; numbers have the page's minus.
export function visible(token) {
  if (NUMBERS.test(token)) return typeset(token);
  const shown = token.replace(/[\u0000-\u001f]/g, (c) =>
    c === "\n" ? "↵" : c === "\t" ? "⇥" : String.fromCharCode(0x2400 + c.charCodeAt(0)))
    .replace(TURNS, (c) => `‹${c.charCodeAt(0).toString(16)}›`);
  return /^\p{M}/u.test(shown) ? `◌${shown}` : shown;
}

// A token within a sentence: its direction of writing is its own.
export const quoted = (token) => `“\u2068${visible(token)}\u2069”`;

const FROM_RIGHT = /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u;
const ENOUGH = 2000; // tokens that tell how a text is written

// Whether most letters of a text are written from right to left.
export function fromRight(tokens) {
  const letters = tokens.slice(0, ENOUGH).filter((token) => /\p{L}/u.test(token));
  return 2 * letters.filter((token) => FROM_RIGHT.test(token)).length > letters.length;
}

const WIDE = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60]|\p{Extended_Pictographic}/u;

// How many columns of a fixed-width font a token takes, about.
export function columns(token) {
  let count = 0;
  for (const letter of token) count += WIDE.test(letter) ? 2 : 1;
  return count;
}
