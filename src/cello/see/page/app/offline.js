// The page that is one file: numbers stand in it as text.
import { decoded } from "./decode.js";
import { Explorer } from "./explorer.js";

const found = JSON.parse(document.getElementById("head").textContent);
const inPage = {
  numbers(block) {
    const element = document.getElementById(`block-${block}`);
    const text = element.textContent;
    element.remove(); // it is asked for once
    return decoded(text, found.blocks[block]);
  },
};
window.explorer = new Explorer(document.getElementById("cello"), found, inPage);
