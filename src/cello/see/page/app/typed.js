// What a text that one types is to the net: the tokens that the page knows, and their rows.
import { plain } from "./numbers.js";

export class Typed {
  // `rows` of each sequence, `size` numbers a step, as they stand in the recording.
  constructor(book, sequences) {
    this.known = new Map();
    this.clear = true; // whether a token is always the same row
    this.letters = true; // whether every token is one character
    this.numeric = true; // whether tokens are the numbers themselves
    sequences.forEach(({ numbers, size }, sequence) => {
      const tokens = book.tokens(sequence);
      if (!tokens) this.clear = this.numeric = false;
      tokens?.forEach((token, t) => {
        const row = Array.from(numbers.subarray(t * size, (t + 1) * size));
        if ((this.known.get(token) ?? row).some((number, i) => number !== row[i])) this.clear = false;
        this.known.set(token, row);
        if (Array.from(token).length !== 1) this.letters = false;
        if (token !== asToken(row)) this.numeric = false;
      });
    });
  }

  // Whether one can type.
  get possible() {
    return this.clear && !this.numeric && this.known.size > 1;
  }

  text(tokens) {
    return Array.from(tokens).join(this.letters ? "" : " ");
  }

  // The tokens of a text that are known, their rows, and the first that is not known.
  read(text) {
    const all = this.letters ? Array.from(text) : text.split(/\s+/).filter(Boolean);
    const tokens = all.filter((token) => this.known.has(token));
    return { tokens, rows: Float64Array.from(tokens.flatMap((token) => this.known.get(token))),
      unknown: all.find((token) => !this.known.has(token)) };
  }
}

// The numbers of a step as a token: the same as `cello.see.page.data`.
export const asToken = (row) => row.map((number) => plain(number, 4)).join(", ");
