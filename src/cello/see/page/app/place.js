// What is looked at, kept in the address of the page: a link or a reload leads back. `before` is
// what stands there before it.

const COUNTS = ["sequence", "other", "unit", "t"];
const KEPT = ["sequence", "other", "layer", "value", "unit", "t"];
const REST = 300; // milliseconds; browsers slow down who writes too often

export function keepPlace(explorer, before = "") {
  const { state } = explorer;
  const restore = async () => {
    const hash = location.hash.slice(1);
    if (!hash.startsWith(before)) return;
    await explorer.look(placeIn(state.book, hash.slice(before.length)));
    explorer.go(state.t);
  };
  let timer = null;
  state.on([...KEPT, "shown"], () => {
    clearTimeout(timer);
    if (state.shown) timer = setTimeout(() => writePlace(state, before), REST);
  });
  addEventListener("hashchange", restore);
  if (location.hash.length > before.length) restore();
}

function writePlace(state, before) {
  const kept = KEPT.filter((name) => name !== "other" || state.other >= 0);
  const text = new URLSearchParams(kept.map((name) => [name, state[name]]));
  try {
    history.replaceState(null, "", `#${before}${text}`);
  } catch { /* a page within another has no address of its own */ }
}

// The place that the address names, as far as there is such a one.
function placeIn(book, text) {
  const given = Object.fromEntries(new URLSearchParams(text));
  for (const name of COUNTS) {
    given[name] = /^\d+$/.test(given[name]) ? Number(given[name]) : undefined;
  }
  const { sequence = 0, other = -1, layer, value, unit, t } = given;
  const about = book.about(sequence, layer, value);
  if (!about) return {};
  const known = { sequence, other: other < book.sequences.length ? other : -1, layer, value };
  return { ...known, ...(unit < about.size && { unit }), ...(t !== undefined && { t }) };
}
