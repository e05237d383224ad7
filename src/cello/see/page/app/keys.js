// Everything by keyboard.

export const KEYS = [
  ["← →", "one step back or on"], ["Shift+← Shift+→", "ten steps back or on"],
  ["Home End", "first or last step"], ["↑ ↓", "another unit"], ["[ ]", "another value"],
  ["Space", "play or pause"],
  ["< >", "play slower or faster"], ["+ −", "zoom"], ["0", "fit"],
  ["Ctrl + ⇕", "zoom around the pointer; two fingers do so too"],
  ["c", "to the largest change, again for the next"], ["/", "find a unit"],
  ["t", "be shown around, or end that"],
  ["m", "mark this step, or unmark it"],
  ["Shift+m", "mark all from the last marked step to this one"],
  ["d", "light or dark"], ["g", "colours or greys"], ["?", "these keys"],
];

export function listen(element, actions) {
  element.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input:not([type=checkbox]), select, textarea, dialog");
    const pressing = event.key === " " && event.target.closest("button, [type=checkbox], summary");
    if (typing || pressing || event.ctrlKey || event.metaKey || event.altKey) {
      if (event.key === "Escape") element.focus({ preventScroll: true });
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
      "<": () => actions.pace(2),
      ">": () => actions.pace(1 / 2),
      "+": () => actions.zoom(1.5),
      "=": () => actions.zoom(1.5),
      "-": () => actions.zoom(1 / 1.5),
      0: actions.fit,
      c: actions.jump,
      "/": actions.search,
      t: actions.tour,
      Escape: actions.guide.stops && (() => actions.guide.end()),
      m: actions.mark,
      M: actions.markTo,
      d: actions.theme,
      g: actions.greys,
      "?": actions.help,
    }[event.key];
    if (act) {
      event.preventDefault();
      event.stopPropagation(); // a notebook has keys of its own
      act();
    }
  });
}
