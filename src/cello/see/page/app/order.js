// In which order units stand in the heat map.

const COMPARED = 512; // steps that are looked at to compare units

export function ordered(how, shown, scores) {
  const units = Array.from({ length: shown.size }, (_, unit) => unit);
  if (how === "score" && scores) return units.sort((a, b) => scores[b] - scores[a]);
  if (how === "number" || !shown.length) return units;
  const profiles = standardised(shown);
  if (how === "variance") return units.sort((a, b) => profiles[b].spread - profiles[a].spread);
  if (how === "peak") return units.sort((a, b) => profiles[a].peak - profiles[b].peak);
  return clustered(profiles);
}

// Of each unit a sample of its numbers along time, with mean 0 and length 1.
function standardised({ data, size, length }) {
  const count = Math.min(length, COMPARED);
  return Array.from({ length: size }, (_, unit) => {
    const numbers = Float32Array.from({ length: count }, (_, i) => {
      const number = data[Math.floor((i * length) / count) * size + unit];
      return Number.isFinite(number) ? number : 0;
    });
    const mean = numbers.reduce((sum, number) => sum + number, 0) / count;
    let spread = 0, peak = 0;
    numbers.forEach((number, i) => {
      numbers[i] = number - mean;
      spread += numbers[i] ** 2;
      if (Math.abs(numbers[i]) > Math.abs(numbers[peak])) peak = i;
    });
    const scale = spread ? 1 / Math.sqrt(spread) : 0;
    return { numbers: numbers.map((number) => number * scale), spread, peak };
  });
}

// Average linkage on 1 - correlation, by chains of nearest neighbours: the leaves of the tree.
function clustered(profiles) {
  const count = profiles.length;
  const distance = Array.from({ length: count }, () => new Float32Array(count));
  for (let a = 0; a < count; a++) {
    for (let b = 0; b < a; b++) {
      let sum = 0;
      const [one, other] = [profiles[a].numbers, profiles[b].numbers];
      for (let i = 0; i < one.length; i++) sum += one[i] * other[i];
      distance[a][b] = distance[b][a] = 1 - sum;
    }
  }
  const leaves = new Map(profiles.map((_, unit) => [unit, [unit]]));
  const chain = [];
  while (leaves.size > 1) {
    if (!chain.length) chain.push(leaves.keys().next().value);
    const last = chain.at(-1);
    const before = chain.at(-2);
    let nearest = before ?? -1;
    for (const other of leaves.keys()) {
      const closer = nearest < 0 || distance[last][other] < distance[last][nearest];
      if (other !== last && closer) nearest = other;
    }
    if (nearest !== before) {
      chain.push(nearest);
      continue;
    }
    chain.length -= 2;
    const [mine, theirs] = [leaves.get(nearest), leaves.get(last)];
    for (const other of leaves.keys()) {
      const sum = mine.length * distance[nearest][other] + theirs.length * distance[last][other];
      const mean = sum / (mine.length + theirs.length);
      distance[nearest][other] = distance[other][nearest] = mean;
    }
    leaves.delete(last);
    leaves.set(nearest, [...mine, ...theirs]);
  }
  return [...leaves.values()].flat();
}
