// Features → how familiar a photo is: the cosine to the k-th nearest reference, joined with what the
// classifier itself has against it, as a rank among known photos. As fursure/sureness does it, in
// double precision.

const TYPES = { float64: Float64Array, float32: Float32Array, int8: Int8Array };

export class Familiar {
  // `facts` say where each array lies in `buffer`.
  constructor(facts, buffer) {
    const arrays = Object.entries(facts.arrays).map(([name, { type, shape, offset }]) => {
      const count = shape.reduce((product, side) => product * side, 1);
      return [name, new TYPES[type](buffer, offset, count)];
    });
    Object.assign(this, facts, Object.fromEntries(arrays));
    const rank = this.scale.length;
    this.expanded = Float64Array.from(this.basis, (value, at) => value * this.scale[at % rank]);
  }

  // The share of held-out known photos that are at most as familiar, 0 to 1.
  of(features) {
    const counted = Float64Array.from(features.subarray(this.first));
    if (!counted.every(Number.isFinite)) return 0;
    const similarity = this.cosine(counted);
    return Math.fround(this.ranked(this.weights ? this.joined(similarity, counted) : similarity));
  }

  cosine(features) {
    const rank = this.scale.length;
    const way = unit(unit(features).map((value, at) => value - this.centre[at]));
    const place = new Float64Array(rank);
    for (let d = 0, at = 0; d < way.length; d++) for (let r = 0; r < rank; r++, at++) place[r] += way[d] * this.expanded[at];
    const cosines = new Float64Array(this.references.length / rank);
    for (let m = 0, at = 0; m < cosines.length; m++) {
      let sum = 0;
      for (let r = 0; r < rank; r++, at++) sum += place[r] * this.references[at];
      cosines[m] = sum;
    }
    return cosines.sort()[cosines.length - this.k];
  }

  joined(similarity, features) {
    const outputs = Float64Array.from(this.bias);
    const count = outputs.length;
    for (let d = 0, at = 0; d < features.length; d++) for (let j = 0; j < count; j++, at++) outputs[j] += features[d] * this.weights[at];
    const top = Math.max(...outputs);
    const evidence = Math.log(outputs.reduce((sum, value) => sum + Math.exp(value - top), 0)) + top;
    return -[similarity, evidence].reduce((sum, value, n) => {
      const depth = (this.tails[2 * n] - value) / this.tails[2 * n + 1];
      return sum + (depth + Math.hypot(depth, 2)) / 2;
    }, 0);
  }

  // Between the knots of the curve along a straight line; below the first, 0.
  ranked(score) {
    const { similarity: x, share: y } = this;
    if (score < x[0]) return 0;
    const at = x.findIndex((knot) => knot > score) - 1;
    if (at < 0) return y[y.length - 1];
    return y[at] + ((y[at + 1] - y[at]) / (x[at + 1] - x[at])) * (score - x[at]);
  }
}

function unit(vector) {
  const norm = Math.max(Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0)), 1e-30);
  return vector.map((value) => value / norm);
}
