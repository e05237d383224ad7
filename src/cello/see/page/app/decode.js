// Numbers out of text: the other half of `cello.see.page.encode`.
import { workerFor } from "./worker.js";

const BESIDE = 2 ** 20; // bytes of a block, from which on a worker reads it

export const ARRAYS = { float32: Float32Array, float64: Float64Array };

// Gives what reads a block; it needs nothing from outside, for workers run it too.
function reader() {
  // What each sign stands for.
  const digits = Uint8Array.from({ length: 128 }, (_, code) => (code === 125 ? 60 : code) - 40);

  // Five signs from "(" on, "}" in place of "<", are four bytes, the first the least.
  function bytesOf(text, length) {
    const signs = new Uint8Array(text.length);
    new TextEncoder().encodeInto(text, signs); // looking at bytes is quicker than at a text
    const words = new Uint32Array(Math.floor(text.length / 5));
    for (let word = 0, at = 0; word < words.length; word++, at += 5) {
      const most = digits[signs[at]] * 85 + digits[signs[at + 1]];
      const middle = digits[signs[at + 2]] * 85 + digits[signs[at + 3]];
      words[word] = Math.imul(most, 614125) + middle * 85 + digits[signs[at + 4]];
    }
    return new Uint8Array(words.buffer, 0, length);
  }

  async function inflated(text, packed) {
    const stream = new Blob([bytesOf(text, packed)]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  // Every number in half precision.
  const halves = Float32Array.from({ length: 65536 }, (_, bits) => {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction);
  });

  function fromHalves(planes, factor) {
    const count = planes.length / 2;
    const numbers = new Float32Array(count);
    for (let i = 0; i < count; i++) numbers[i] = halves[planes[i] | (planes[count + i] << 8)] * factor;
    return numbers;
  }

  return async (text, about) => {
    if (!about.bytes) return new Float32Array(0);
    const planes = await inflated(text, about.packed).catch(() => []);
    if (planes.length !== about.bytes) throw new Error("The numbers of this page are damaged.");
    if (about.dtype === "float16") return fromHalves(planes, about.factor);
    const Numbers = about.dtype === "float32" ? Float32Array : Float64Array;
    const width = Numbers.BYTES_PER_ELEMENT;
    const count = planes.length / width;
    const bytes = new Uint8Array(planes.length);
    for (let plane = 0; plane < width; plane++) {
      for (let i = 0; i < count; i++) bytes[i * width + plane] = planes[plane * count + i];
    }
    return new Numbers(bytes.buffer);
  };
}

const readHere = reader();
let turn = Promise.resolve(); // one large block is read at a time

// The numbers of a block: `about` says how they were written.
export function decoded(text, about) {
  if (!(about.bytes >= BESIDE)) return readHere(text, about);
  const read = turn.then(() => readBeside(text, about)).then((made) => made ?? readHere(text, about));
  turn = read.catch(() => null);
  return read;
}

// In a worker; nothing if it cannot, or if there can be none here.
function readBeside(text, about) {
  return new Promise((done) => {
    const worker = workerFor(`(${reader})()`);
    const end = (made) => { worker.terminate(); done(made); };
    worker.onmessage = ({ data }) => end(data.made);
    worker.onerror = () => end(null);
    worker.postMessage([text, about]);
  }).catch(() => null);
}
