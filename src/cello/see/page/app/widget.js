// The explorer in a notebook: the kernel answers by messages.
import { ARRAYS } from "./decode.js";
import { Explorer } from "./explorer.js";
import { followTheme, keepKeys } from "./notebook.js";
import { make } from "./dom.js";
import { offerWhatIf } from "./whatif.js";

const GONE = "Python has ended or been restarted: run the cell again.";
const SLOW = "Python has not answered yet. If it has been restarted, run the cell again.";
const PATIENCE = 4000; // milliseconds

// Asks the kernel. `slow(yes)` tells when an answer is long in coming, and when it has come.
class Kernel {
  constructor(model, slow) {
    Object.assign(this, { model, slow, waiting: new Map(), asked: 0 });
    this.view = Math.random().toString(36).slice(2); // for each answer goes to all views of a model
    this.answered = (message, buffers) => this.answer(message, buffers);
    model.on("msg:custom", this.answered);
  }

  ask(question, about) {
    const id = `${this.view}-${++this.asked}`;
    return new Promise((done, failed) => {
      const timer = setTimeout(() => this.slow(true), PATIENCE);
      this.waiting.set(id, { done, failed, timer });
      this.send({ id, question, about }).catch(() => this.answer({ id, error: GONE }));
    });
  }

  async send(message) {
    await this.model.send(message); // not a promise everywhere
  }

  answer({ id, answer, error }, buffers) {
    const { done, failed, timer } = this.waiting.get(id) ?? {};
    if (!done) return;
    this.waiting.delete(id);
    clearTimeout(timer);
    if (!this.waiting.size) this.slow(false);
    if (error !== undefined) failed(new Error(error));
    else done(buffers?.length ? buffers[0] : answer);
  }

  close() {
    this.model.off("msg:custom", this.answered);
    for (const { timer } of this.waiting.values()) clearTimeout(timer);
  }
}

const bytesIn = ({ buffer, byteOffset, byteLength }) =>
  buffer.slice(byteOffset, byteOffset + byteLength);

function render({ model, el }) {
  const head = structuredClone(model.get("head")); // a view may add to it
  const about = { run: head.run };
  const notice = make("p", { className: "failed", role: "status" });
  const tell = (text) => {
    if (text) explorer.extra.append(notice);
    else notice.remove();
    notice.textContent = explorer.say(text);
  };
  const kernel = new Kernel(model, (slow) => tell(slow ? SLOW : ""));
  const source = {
    async numbers(block) {
      const Numbers = ARRAYS[head.blocks[block].dtype];
      return new Numbers(bytesIn(await kernel.ask("numbers", { ...about, block })));
    },
    async step(values, t) {
      const blocks = values.map(({ block }) => block);
      const numbers = new Float64Array(bytesIn(await kernel.ask("step", { ...about, blocks, t })));
      let at = 0;
      return values.map(({ size }) => numbers.subarray(at, at += size));
    },
  };
  const ask = (question, more) => kernel.ask(question, { ...about, ...more }).catch((error) => {
    if (question !== "explain") throw error;
    tell(error.message);
    return { lines: [] };
  });
  const root = make("div", { className: "within" });
  el.append(root);
  const explorer = new Explorer(root, head, source, ask);
  offerWhatIf(explorer, head.running, NET_STEPS);
  keepKeys(root);
  const unfollow = followTheme(explorer, el);
  return () => {
    unfollow();
    kernel.close();
    explorer.close();
  };
}
