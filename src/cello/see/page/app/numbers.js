// How a number is shown: as by `cello.see.numbers.short`, with the minus of the arithmetic.
export const short = (value, digits = 5) => typeset(plain(value, digits));

// Text from Python, in which a number after a sign or at the beginning is written so too.
export const typeset = (text) => text.replace(/(^|[=(,] ?)-(?=[\d.i])/g, "$1−");

// The number that one types, with either minus and with a point or a comma; NaN if it is none.
export function fromText(text) {
  const plainText = text.trim().replace("−", "-").replace(",", ".");
  return plainText ? Number(plainText) : NaN;
}

// The same as in Python, to be read as a number again.
export function plain(value, digits) {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 1e-3 || size >= 1e6) {
    const [mantissa, exponent] = value.toExponential(Math.max(digits - 3, 0)).split("e");
    return `${trimmed(mantissa)}e${Number(exponent)}`;
  }
  const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
  return trimmed(value.toFixed(decimals));
}

function trimmed(text) {
  return text.includes(".") ? text.replace(/0+$/, "").replace(/\.$/, "") : text;
}

// The largest size of those that are finite.
export const largestSize = (numbers) => numbers.reduce((most, number) => {
  const size = Math.abs(number);
  return size > most && size < Infinity ? size : most;
}, 0);

export const clamp = (value, low, high) => Math.max(low, Math.min(high, value));
