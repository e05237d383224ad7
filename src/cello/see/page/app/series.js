// A series and what the net forecasts of it at each step, in its own units: see
// `cello.see.page.series`.

const SAMPLED = 512; // steps whose forecasts say how far the picture reaches

// What the numbers are that a net gives at each step: how many steps ahead of what, which quantile.
export function forecastNames({ targets, levels, ahead }, say) {
  const percent = (level) => (levels.length > 1 ? ` ${Number((100 * level).toPrecision(6))} %` : "");
  const steps = Array.from({ length: ahead }, (_, step) => say("{} [step|steps] ahead", step + 1));
  return steps.flatMap((step) => targets.flatMap((name) => levels.map((level) =>
    `${targets.length > 1 ? `${name} ` : ""}${step}${percent(level)}`)));
}

export class Forecasts {
  // `about` is the `series` of a sequence; `read` holds of each step the targets, and the masks;
  // `said` is what the net gave, step by step.
  constructor(about, read, said, length) {
    Object.assign(this, { ...about, said, length });
    this.count = about.targets.length;
    this.middle = about.levels.indexOf(0.5);
    const masked = about.size > this.count;
    const there = (t, d) => !masked || read[t * about.size + this.count + d] > 0;
    this.data = new Float64Array(length * this.count); // what was measured
    this.base = new Float64Array(length * this.count); // the last that was known, as the net reads it
    for (let t = 0; t < length; t++) {
      for (let d = 0; d < this.count; d++) {
        const [at, scaled] = [t * this.count + d, read[t * about.size + d]];
        const known = there(t, d);
        this.data[at] = known ? this.unscaled(scaled, d) : NaN;
        this.base[at] = known ? scaled : t ? this.base[at - this.count] : 0;
      }
    }
  }

  unscaled(number, d) { return number * this.deviations[d] + this.means[d]; }
  scaled(number, d) { return (number - this.means[d]) / this.deviations[d]; }

  // What was measured of a target, as the curve of a unit.
  measured(d) {
    return { data: this.data, size: this.count, unit: d, length: this.length };
  }

  // The quantiles, ascending, of a target `step` steps after step t, from 1 on.
  at(t, step, d) {
    const { levels, count, ahead, base, relative } = this;
    const from = ((t * ahead + step - 1) * count + d) * levels.length;
    const shift = relative ? base[t * count + d] : 0;
    return Array.from(this.said.subarray(from, from + levels.length),
      (number) => this.unscaled(number + shift, d)).sort((a, b) => a - b);
  }

  // All quantiles of a target from step t on.
  from(t, d) {
    return Array.from({ length: this.ahead }, (_, step) => this.at(t, step + 1, d));
  }

  // What the times of steps are called, those after the last one too.
  get allTimes() {
    this.times_ ??= this.tokens && [...this.tokens, ...this.times];
    return this.times_;
  }

  // The least and the largest number of a target: measured, and of a sample of the forecasts.
  range(d) {
    this.ranges ??= [];
    return (this.ranges[d] ??= this.reaching(d));
  }

  reaching(d) {
    let [low, high] = [Infinity, -Infinity];
    const take = (number) => {
      if (number < low && number > -Infinity) low = number;
      if (number > high && number < Infinity) high = number;
    };
    for (let t = 0; t < this.length; t++) take(this.data[t * this.count + d]);
    const every = Math.max(1, Math.floor(this.length / SAMPLED));
    for (let t = every >> 1; t < this.length; t += every) this.from(t, d).flat().forEach(take);
    return low > high ? [0, 1] : low === high ? [low - 1, high + 1] : [low, high];
  }
}
