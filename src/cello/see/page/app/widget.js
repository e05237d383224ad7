// The explorer in a notebook: the kernel answers by messages.
import { ARRAYS } from "./decode.js";
import { Explorer } from "./explorer.js";

function asking(model) {
  const waiting = new Map();
  let last = 0;
  model.on("msg:custom", (message, buffers) => {
    const [done, failed] = waiting.get(message.id) ?? [];
    waiting.delete(message.id);
    if (message.error !== undefined) failed?.(new Error(message.error));
    else done?.(buffers?.length ? buffers[0] : message.answer);
  });
  return (question, about) => new Promise((done, failed) => {
    waiting.set(++last, [done, failed]);
    model.send({ id: last, question, about });
  });
}

function render({ model, el }) {
  const head = model.get("head");
  const ask = asking(model);
  const about = { run: head.run };
  const source = {
    async numbers(block) {
      const view = await ask("numbers", { ...about, block });
      const bytes = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
      return new ARRAYS[head.blocks[block].dtype](bytes);
    },
  };
  const root = document.createElement("div");
  root.classList.add("within");
  el.append(root);
  const explorer = new Explorer(root, head, source, (question, more) =>
    ask(question, { ...about, ...more }));
  return () => explorer.close();
}
