// Everything by keyboard.

export const KEYS = [
  ["← →", "one step back or on"], ["Shift+← Shift+→", "ten steps back or on"],
  ["Home End", "first or last step"], ["↑ ↓", "another unit"], ["[ ]", "another value"],
  ["Space", "play or pause"], ["+ −", "zoom"], ["0", "fit"],
  ["c", "to the largest change, again for the next"], ["/", "search"],
  ["m", "mark this step as to be remembered"], ["d", "light or dark"], ["?", "these keys"],
];

export function listen(element, actions) {
  element.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea, summary");
    const pressing = event.key === " " && event.target.closest("button");
    if (typing || pressing || event.ctrlKey || event.metaKey || event.altKey) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const act = {
      ArrowLeft: () => actions.move(event.shiftKey ? -10 : -1),
      ArrowRight: () => actions.move(event.shiftKey ? 10 : 1),
      Home: () => actions.go(0),
      End: () => actions.go(Infinity),
      ArrowUp: () => actions.nextUnit(-1),
      ArrowDown: () => actions.nextUnit(1),
      "[": () => actions.nextValue(-1),
      "]": () => actions.nextValue(1),
      " ": actions.play,
      "+": () => actions.zoom(1.5),
      "=": () => actions.zoom(1.5),
      "-": () => actions.zoom(1 / 1.5),
      0: actions.fit,
      c: actions.jump,
      "/": actions.search,
      m: actions.mark,
      d: actions.theme,
      "?": actions.help,
    }[event.key];
    if (act) {
      event.preventDefault();
      act();
    }
  });
}
