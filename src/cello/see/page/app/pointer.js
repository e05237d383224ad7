// What the pointer does on the curve and the maps: look, choose, paint, zoom.

const STEP = 20; // of a wheel, at most; what a finger on a pad sends is finer

export function followPointer(scene) {
  const { scroller, stacks, curve } = scene;
  scroller.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return; // as which a browser also sends a pinch on a pad
    event.preventDefault();
    const by = 1.01 ** -Math.max(-STEP, Math.min(STEP, event.deltaY));
    scene.zoom(by, scene.stepAt(event.clientX));
  }, { passive: false });
  follow(scene, curve, 0, true);
  stacks.forEach((map, number) => follow(scene, map, number, false));
  pinch(scene);
}

// On the curve, or on the map of a sequence.
function follow(scene, element, map, onCurve) {
  const { state } = scene;
  let from = null; // where painting began
  let drawn = null; // where the curve was drawn last, and which number a height is
  element.addEventListener("pointermove", (event) => {
    const { t, unit } = scene.at(event, map, onCurve);
    state.set({ hover: unit === undefined ? null : { t, unit, map, event } });
    if (!(event.buttons & 1) || event.pointerType === "touch") return; // a finger scrolls
    if (drawn) {
      scene.on.draw(Math.min(t, drawn.t), Math.max(t, drawn.t), drawn.number(event.clientY));
      drawn.t = t;
    } else if (state.painting) scene.on.brush(from ?? t, t);
    else scene.on.go(t);
  });
  element.addEventListener("pointerleave", () => state.set({ hover: null }));
  element.addEventListener("pointerdown", (event) => {
    const { t, unit } = scene.at(event, map, onCurve);
    from = t;
    scene.choose(t, unit);
    scene.on.brush(t, t);
    if (!state.drawing || !onCurve) return;
    element.setPointerCapture(event.pointerId);
    drawn = { t, number: scene.numbersOfCurve() };
    scene.on.draw(t, t, drawn.number(event.clientY));
  });
  element.addEventListener("lostpointercapture", () => {
    drawn = null;
  });
}

// Two fingers zoom.
function pinch(scene) {
  let before = 0;
  const apart = ([one, other]) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
  scene.scroller.addEventListener("touchstart", (event) => {
    if (event.touches.length === 2) before = apart(event.touches);
  }, { passive: true });
  scene.scroller.addEventListener("touchmove", (event) => {
    if (event.touches.length !== 2 || !before) return;
    event.preventDefault();
    const now = apart(event.touches);
    const middle = (event.touches[0].clientX + event.touches[1].clientX) / 2;
    scene.zoom(now / before, scene.stepAt(middle));
    before = now;
  }, { passive: false });
}
