// The page that is one file: numbers stand in it as text.
import { decoded } from "./decode.js";
import { Exercises } from "./exercises.js";
import { Explorer } from "./explorer.js";
import { keepPlace } from "./place.js";
import { offerWhatIf } from "./whatif.js";

const found = JSON.parse(document.getElementById("head").textContent);
const inPage = {
  async numbers(block) {
    const element = await present(`block-${block}`);
    const text = element?.value ?? ""; // none if the file was cut off
    element?.remove(); // it is asked for once
    return decoded(text, found.blocks[block]);
  },
};

// An element, once it has been read: this script runs while the page still comes in.
async function present(id) {
  for (;;) {
    const element = document.getElementById(id);
    if (element || document.readyState !== "loading") return element;
    await new Promise((next) => setTimeout(next, 10));
  }
}

window.explorer = new Explorer(document.getElementById("cello"), found, inPage);
keepPlace(window.explorer);
window.whatif = offerWhatIf(window.explorer, found.running, NET_STEPS);
if (window.whatif && found.exercises) window.exercises = new Exercises(window.whatif, found.exercises);
