// Work in a thread of its own, so that the page stays alive meanwhile.

const SCRIPTS = new Map(); // addresses, by what is worked

// A worker that answers what it is posted, [...given], by {made}: what `work(...given)` gives, an
// array of numbers, or nothing if it fails. `code` is the text of `work`, which needs nothing else.
export function workerFor(code) {
  const text = `const work = ${code};
    onmessage = async ({ data }) => {
      const made = await Promise.resolve(data).then((given) => work(...given)).catch(() => null);
      postMessage({ made }, made ? [made.buffer] : []);
    };`;
  if (!SCRIPTS.has(text)) {
    SCRIPTS.set(text, URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
  }
  return new Worker(SCRIPTS.get(text));
}
