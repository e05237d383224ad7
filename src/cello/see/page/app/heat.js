// All units of a value along time: time goes right, units go down.
import { cleared } from "./dom.js";
import { short } from "./numbers.js";

const SAMPLES = 500_000; // numbers that are looked at where several steps share a pixel

// The height of a unit's row in pixels.
export function rowHeight(units) {
  return units <= 12 ? 26 : units <= 40 ? 11 : units <= 128 ? 4 : units <= 320 ? 2 : 1;
}

export class HeatMap {
  constructor(canvas) {
    this.canvas = canvas;
    this.small = document.createElement("canvas"); // a pixel for each unit and step
  }

  // `view` has width, left (the first step that can be seen), zoom (pixels a step).
  // `scales` has one for each unit.
  draw(shown, order, scales, palette, view) {
    const row = rowHeight(shown.size);
    const height = shown.size * row;
    const context = cleared(this.canvas, view.width, height);
    if (!shown.length) return;
    const step = Math.max(1, 1 / view.zoom); // steps a column
    const first = Math.floor(view.left / step) * step;
    const room = Math.ceil((view.width / view.zoom + view.left - first) / step) + 1;
    const count = Math.min(room, Math.ceil((shown.length - first) / step));
    if (count <= 0) return;
    this.fill(shown, order, scales, palette, first, step, count);
    context.imageSmoothingEnabled = false;
    context.drawImage(
      this.small, 0, 0, count, shown.size,
      (first - view.left) * view.zoom, 0, count * step * view.zoom, height);
    if (view.zoom >= 48 && row >= 14) this.write(context, shown, order, scales, palette, view, row);
  }

  fill({ data, size, length }, order, scales, palette, first, step, count) {
    if (this.small.width < count || this.small.height !== size) {
      this.small.width = count;
      this.small.height = size;
    }
    const context = this.small.getContext("2d");
    const image = context.createImageData(count, size);
    const pixels = new Uint32Array(image.data.buffer);
    const taken = Math.min(Math.ceil(step), Math.max(1, Math.floor(SAMPLES / (count * size))));
    const own = order.map((unit) => scales[unit]); // of each row
    for (let column = 0; column < count; column++) {
      const begin = first + column * step;
      const places = Array.from({ length: taken }, (_, sample) =>
        Math.min(length - 1, Math.floor(begin + (sample * step) / taken)) * size);
      for (let row = 0; row < size; row++) {
        const unit = order[row];
        let sum = data[places[0] + unit];
        for (let sample = 1; sample < taken; sample++) sum += data[places[sample] + unit];
        pixels[row * count + column] = palette.pixels[own[row].step(sum / taken)];
      }
    }
    context.putImageData(image, 0, 0);
  }

  // The numbers themselves, where there is room.
  write(context, { data, size, length }, order, scales, palette, view, row) {
    context.font = "12px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    const last = Math.min(length, Math.ceil(view.left + view.width / view.zoom));
    for (let t = Math.floor(view.left); t < last; t++) {
      for (let place = 0; place < size; place++) {
        const number = data[t * size + order[place]];
        context.fillStyle = palette.ink[scales[order[place]].step(number)];
        const x = (t + 0.5 - view.left) * view.zoom;
        context.fillText(short(number, 3), x, (place + 0.5) * row, view.zoom - 4);
      }
    }
  }
}

// A frame around one step and one unit, on a canvas of its own above the map.
export function drawCursor(canvas, shown, order, view, cursors) {
  const row = rowHeight(shown.size);
  const context = cleared(canvas, view.width, shown.size * row);
  for (const { t, unit, colour } of cursors) {
    if (t >= shown.length) continue; // the other sequence is longer
    const [x, width] = [(t - view.left) * view.zoom, Math.max(1, view.zoom)];
    const y = order.indexOf(unit) * row;
    context.strokeStyle = colour;
    context.globalAlpha = 0.5;
    context.strokeRect(x + 0.5, 0.5, Math.max(width - 1, 1), shown.size * row - 1);
    context.globalAlpha = 1;
    context.lineWidth = 2;
    if (y >= 0) context.strokeRect(x, Math.max(1, y), Math.max(width, 3), Math.max(row, 4));
    context.lineWidth = 1;
  }
}
