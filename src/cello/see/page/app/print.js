// On paper: light, in one column, and no wider than a sheet of A4 or Letter.
const SHEET = 690; // pixels

// Before the page is printed, and back afterwards; gives what stops it.
export function followPrinting({ root, state, scene }) {
  let before = null;
  const dress = (changes, width, printed) => {
    root.style.width = width;
    scene.texts.forEach((view) => { view.printed = printed; });
    state.set(changes);
    scene.resize();
    while (state.changed.size) state.tell(); // paper does not wait for the next frame
  };
  const begin = () => {
    before ??= { theme: state.theme };
    dress({ theme: "light" }, `${SHEET}px`, true);
  };
  const end = () => {
    if (before) dress(before, "", false);
    before = null;
  };
  addEventListener("beforeprint", begin);
  addEventListener("afterprint", end);
  return () => {
    removeEventListener("beforeprint", begin);
    removeEventListener("afterprint", end);
  };
}
