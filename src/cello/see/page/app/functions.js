// What the steps of nets are written with: products, and functions of numbers as PyTorch has them.
// A step, see `cello.see.page.running`, names what it needs.

export const { fround } = Math;
export const truth = (mask) => (mask ? 1 : 0);

// y[i] += sum over k of x[k] w[i][k]: rows of w lie one after the other, `stride` apart.
export function dotRows(x, at, count, w, from, stride, y, length) {
  let i = 0;
  for (; i + 3 < length; i += 4) {
    let a = from + i * stride, b = a + stride, c = b + stride, d = c + stride;
    let s0 = y[i], s1 = y[i + 1], s2 = y[i + 2], s3 = y[i + 3];
    for (let k = at; k < at + count; k++) {
      const by = x[k];
      s0 += by * w[a++];
      s1 += by * w[b++];
      s2 += by * w[c++];
      s3 += by * w[d++];
    }
    y[i] = s0;
    y[i + 1] = s1;
    y[i + 2] = s2;
    y[i + 3] = s3;
  }
  for (; i < length; i++) {
    let sum = y[i];
    for (let k = 0; k < count; k++) sum += x[at + k] * w[from + i * stride + k];
    y[i] = sum;
  }
}

// y[i] += sum over k of x[k] w[k][i].
export function dotColumns(x, at, count, w, from, stride, y, length) {
  for (let k = 0; k < count; k++) {
    const by = x[at + k];
    for (let i = 0; i < length; i++) y[i] += by * w[from + k * stride + i];
  }
}

export const { abs: v_abs, floor: v_floor, max: v_max, min: v_min, exp: v_exp, expm1: v_expm1,
  log: v_log, log1p: v_log1p, sqrt: v_sqrt, sin: v_sin, cos: v_cos, tan: v_tan, sinh: v_sinh,
  cosh: v_cosh, tanh: v_tanh, asin: v_asin, acos: v_acos, atan: v_atan, asinh: v_asinh,
  acosh: v_acosh, atanh: v_atanh, atan2: v_atan2, hypot: v_hypot } = Math;

export const v_recip = (x) => 1 / x;
export const v_sign = (x) => (x > 0 ? 1 : x < 0 ? -1 : 0);
export const v_sigmoid = (x) => 1 / (1 + Math.exp(-x));
export const v_fmod = (a, b) => a % b;
export const v_copysign = (a, b) => (b < 0 || Object.is(b, -0) ? -Math.abs(a) : Math.abs(a));

// To the nearest whole number, halves to the even one.
export function v_rint(x) {
  const down = Math.floor(x), rest = x - down;
  if (rest === 0 || !Number.isFinite(x)) return x;
  const whole = rest < 0.5 || (rest === 0.5 && down % 2 === 0) ? down : down + 1;
  return v_copysign(whole, x);
}

// 1 to any power is 1, and so is -1 to an infinite one.
export const v_pow = (a, b) => (a === 1 || (a === -1 && Math.abs(b) === Infinity) ? 1 : a ** b);

const TERMS = 80, NEAR = 2, PER_ROOT_PI = 1 / Math.sqrt(Math.PI);

// A series of positive terms near 0; beyond, what a continued fraction leaves of 1.
export function v_erf(x) {
  if (Math.abs(x) > NEAR) return x > 0 ? 1 - tail(x) : tail(-x) - 1;
  let term = x, sum = x;
  for (let n = 1; n < TERMS; n++) sum += term *= (2 * x * x) / (2 * n + 1);
  return 2 * PER_ROOT_PI * Math.exp(-x * x) * sum;
}

export const v_erfc = (x) => (x > NEAR ? tail(x) : 1 - v_erf(x));

function tail(x) {
  let below = x;
  for (let n = TERMS; n > 0; n--) below = x + n / 2 / below;
  return x === Infinity ? 0 : (PER_ROOT_PI * Math.exp(-x * x)) / below;
}
