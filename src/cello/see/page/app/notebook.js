// What a notebook around the explorer needs: its keys are left to it, and its colours are followed.

// Keys that are pressed here are for the explorer: elsewhere in JupyterLab, x cuts the cell. Those
// with Ctrl, Alt or Cmd, Shift+Enter, and Escape if it leaves nothing here, are the notebook's.
export function keepKeys(root) {
  root.addEventListener("keydown", (event) => {
    const leaves = event.key === "Escape" && !event.target.closest("input, select, dialog");
    const runs = event.key === "Enter" && event.shiftKey;
    if (!leaves && !runs && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.stopPropagation();
    }
  });
}

const LIGHT = 128; // of 255; what is lighter is a light notebook
const LATER = 600; // milliseconds, for a notebook that fetches its other colours first

// Light or dark as the notebook is, until one chooses; gives what stops it.
export function followTheme(explorer, element) {
  const { state } = explorer;
  let given = state.theme;
  let timer = null;
  const look = () => {
    if (!element.isConnected || state.theme !== given) return;
    given = lightnessBehind(element) < LIGHT ? "dark" : "light";
    state.set({ theme: given });
  };
  const change = () => {
    look();
    clearTimeout(timer);
    timer = setTimeout(look, LATER);
  };
  const watch = new MutationObserver(change);
  for (const page of [document.documentElement, document.body]) {
    watch.observe(page, { attributes: true });
  }
  const seen = new ResizeObserver(look); // for a notebook may show later what it renders now
  seen.observe(element);
  return () => {
    clearTimeout(timer);
    watch.disconnect();
    seen.disconnect();
  };
}

// How light the first background is that can be seen behind an element, from 0 to 255.
function lightnessBehind(element) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  for (let at = element; at; at = at.parentElement ?? at.getRootNode().host) {
    context.fillStyle = getComputedStyle(at).backgroundColor;
    context.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = context.getImageData(0, 0, 1, 1).data;
    if (alpha > LIGHT) return 0.299 * red + 0.587 * green + 0.114 * blue;
  }
  return 255;
}
