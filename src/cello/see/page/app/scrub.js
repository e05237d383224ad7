// A number that one types, steps through with arrow keys, or drags sideways.
import { make } from "./dom.js";

const STILL = 3; // pixels, up to which a press is no drag
const PIXELS = 8; // a step

// While it is dragged it has the class `dragged`; `done` is called when it is let go.
export function scrubbed(value, label, change, done, step = 0.1) {
  const input = make("input", { type: "number", step: "any", value: String(value), className: "scrub",
    onchange: () => { if (Number.isFinite(input.valueAsNumber)) change(input.valueAsNumber); } });
  input.setAttribute("aria-label", label);
  let from = null;
  input.addEventListener("keydown", (event) => {
    const by = { ArrowUp: step, ArrowDown: -step }[event.key];
    if (!by) return;
    event.preventDefault();
    set(input.valueAsNumber + by);
  });
  input.addEventListener("pointerdown", (event) => {
    from = { x: event.clientX, value: input.valueAsNumber || 0, dragged: false };
    input.setPointerCapture(event.pointerId);
  });
  input.addEventListener("pointermove", (event) => {
    if (!from || !(event.buttons & 1)) return;
    const far = event.clientX - from.x;
    if (Math.abs(far) <= STILL && !from.dragged) return;
    from.dragged = true;
    input.classList.add("dragged");
    set(from.value + step * Math.round(far / PIXELS));
  });
  input.addEventListener("lostpointercapture", () => {
    from = null;
    if (!input.classList.contains("dragged")) return;
    input.classList.remove("dragged");
    done();
  });

  function set(number) {
    const rounded = Number(number.toPrecision(6));
    if (rounded === input.valueAsNumber) return;
    input.value = String(rounded);
    change(rounded);
  }
  return input;
}
