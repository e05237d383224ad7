// The live page: Python is behind it and answers.
import { ARRAYS } from "./decode.js";
import { Explorer } from "./explorer.js";
import { LivePanel } from "./livepanel.js";
import { keepPlace } from "./place.js";
import { make } from "./dom.js";

// Never sent as part of an address; what is looked at stands behind it.
const [token] = location.hash.slice(1).split("&");

const FORGOTTEN = 410; // what was shown is not kept any more: another window has read other texts

async function fetched(path, options = {}) {
  const headers = { "X-Cello-Token": token, "Content-Type": "application/json" };
  const response = await fetch(path, { headers, ...options }).catch(() => {
    throw new Error("cello explore has been stopped.");
  });
  if (response.status === FORGOTTEN) window.explorer?.forgotten?.();
  if (!response.ok) throw new Error((await response.json()).error);
  return response;
}

async function ask(question, about) {
  const body = JSON.stringify({ question, about });
  return (await fetched("/ask", { method: "POST", body })).json();
}

// The numbers of one run.
function sourceOf(head) {
  return {
    async numbers(block) {
      const response = await fetched(`/numbers?run=${head.run}&block=${block}`);
      return new ARRAYS[head.blocks[block].dtype](await response.arrayBuffer());
    },
  };
}

async function begin() {
  const root = document.getElementById("cello");
  try {
    const head = await ask("begin", {});
    const explain = (question, about) =>
      ask(question, { run: window.explorer.state.book.head.run, ...about });
    window.explorer = new Explorer(root, head, sourceOf(head), explain);
    const panel = new LivePanel(window.explorer, head.text, async (question, about) => {
      const answer = await ask(question, about);
      return [answer, sourceOf(answer)];
    });
    window.explorer.forgotten = () => panel.read();
    keepPlace(window.explorer, `${token}&`);
  } catch (error) {
    root.classList.add("cello");
    root.replaceChildren(make("main", {}, make("h1", {}, error.message)));
  }
}

begin();
