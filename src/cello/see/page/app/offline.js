// The page that is one file: numbers stand in it as text.
import { decoded } from "./decode.js";
import { Explorer } from "./explorer.js";

const found = JSON.parse(document.getElementById("head").textContent);
const inPage = {
  async numbers(block) {
    const element = await whole(`block-${block}`);
    const text = element.textContent;
    element.remove(); // it is asked for once
    return decoded(text, found.blocks[block]);
  },
};

// An element, once all of it has been read: this script runs while the page still comes in.
async function whole(id) {
  for (;;) {
    const element = document.getElementById(id);
    if (element?.nextSibling || document.readyState !== "loading") return element;
    await new Promise((next) => setTimeout(next, 10));
  }
}

window.explorer = new Explorer(document.getElementById("cello"), found, inPage);
