// A number that one types, steps through with arrow keys, or drags sideways.
import { make } from "./dom.js";
import { fromText, typeset } from "./numbers.js";

const STILL = 3; // pixels, up to which a press is no drag
const PIXELS = 8; // a step
const PLAIN = { useGrouping: false, maximumFractionDigits: 20 };

// While it is dragged it has the class `dragged`; `done` is called when it is let go.
export function scrubbed(value, label, change, done, step = 0.1) {
  let number = value;
  const input = make("input", { type: "text", inputMode: "decimal", autocomplete: "off", className: "scrub",
    onchange: () => {
      const typed = fromText(input.value);
      show(Number.isFinite(typed) ? typed : number); // what is no number is taken back
      if (Number.isFinite(typed)) change(typed);
    } });
  input.setAttribute("role", "spinbutton");
  input.setAttribute("aria-label", label);
  show(value);
  let from = null;
  input.addEventListener("keydown", (event) => {
    const by = { ArrowUp: step, ArrowDown: -step }[event.key];
    if (!by) return;
    event.preventDefault();
    const typed = fromText(input.value);
    set((Number.isFinite(typed) ? typed : number || 0) + by);
  });
  input.addEventListener("pointerdown", (event) => {
    from = { x: event.clientX, value: number || 0 };
    input.setPointerCapture(event.pointerId);
  });
  input.addEventListener("pointermove", (event) => {
    if (!from || !(event.buttons & 1)) return;
    const far = event.clientX - from.x;
    if (Math.abs(far) <= STILL && !input.classList.contains("dragged")) return;
    input.classList.add("dragged");
    set(from.value + step * Math.round(far / PIXELS));
  });
  input.addEventListener("lostpointercapture", () => {
    from = null;
    if (!input.classList.contains("dragged")) return;
    input.classList.remove("dragged");
    done();
  });

  function show(now) {
    number = now;
    input.value = Number.isNaN(now) ? "" : typeset(String(now));
    input.setAttribute("aria-valuenow", (now || 0).toLocaleString("en", PLAIN)); // no 1e-7
    input.setAttribute("aria-valuetext", input.value || "–");
  }

  function set(wanted) {
    const rounded = Number(wanted.toPrecision(6));
    if (rounded === number) return;
    show(rounded);
    change(rounded);
  }
  return input;
}
