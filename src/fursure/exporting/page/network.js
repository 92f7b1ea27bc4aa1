// A network → WebAssembly made for it alone, which needs a third of onnxruntime-web's time: that has no kernels
// for depthwise layers, and copies what it multiplies.
import { kernelOf } from "./kernels.js";
import { graphOf } from "./onnx.js";
import { planOf } from "./plan.js";
import { get, moduleOf, set, timesPlus } from "./wasm.js";

const PAGE = 65536; // bytes
const RELAXED = moduleOf([{ wholes: 0, vectors: 1, code: [...get(0), ...get(0), ...get(0), ...timesPlus, ...set(0)] }]);
const rounded = (bytes) => Math.ceil(bytes / 64) * 64;

// What answers by the ONNX model in `bytes`, or null where it has layers we have no code for.
export async function ownNetwork(bytes, size) {
  const plan = planOf(graphOf(bytes), size);
  if (!plan) return null;
  const [places, total] = laidOut(plan);
  const memory = new WebAssembly.Memory({ initial: Math.ceil(total / PAGE) });
  const code = moduleOf(plan.steps.map((step, at) => kernelOf(step, places[at], WebAssembly.validate(RELAXED))));
  const { instance } = await WebAssembly.instantiate(code, { m: { m: memory } });
  return new OwnNetwork(plan, places, memory, Object.values(instance.exports));
}

class OwnNetwork {
  constructor(plan, places, memory, kernels) {
    Object.assign(this, { plan, kernels });
    this.floats = new Float32Array(memory.buffer);
    this.first = places[0].source / 4;
    const [channels, height, width] = plan.steps.at(-1).to;
    this.map = { at: places.at(-1).target / 4, channels, height, width };
    plan.steps.forEach((step, at) => this.pack(step, places[at]));
    for (const step of plan.steps) step.weight = null; // they are packed now
  }

  pack({ kind, to: [channels], kernel, weight, scale, bias }, { weights, bias: biases }) {
    this.floats.set(bias, biases / 4);
    const each = weight.length / channels;
    const taps = kernel ** 2;
    const lanes = kind === "depth" ? 4 : 8;
    for (let c = 0; c < channels; c++)
      for (let n = 0; n < each; n++) {
        // ONNX has the window of each colour; pixels have the colours of each place
        const place = kind === "stem" ? (n % taps) * 3 + Math.floor(n / taps) : n;
        this.floats[weights / 4 + (Math.floor(c / lanes) * each + place) * lanes + (c % lanes)] = weight[c * each + n] * scale[c];
      }
  }

  // `probs`, `features` and, where it has one, `heat`, of size × size × 3 bytes.
  run(pixels) {
    this.begin(pixels);
    for (const kernel of this.kernels) kernel();
    const map = this.floats.subarray(this.map.at, this.map.at + this.map.channels * this.map.height * this.map.width);
    return answered(this.plan.head, map, this.map);
  }

  // Bytes → normalised numbers, with the border of zeros that the first layer wants.
  begin(pixels) {
    const { size, mean, scale, steps: [{ pads: [top, left, , right] }] } = this.plan;
    const wide = size + left + right;
    for (let y = 0, from = 0; y < size; y++)
      for (let x = 0, to = this.first + 3 * ((y + top) * wide + left); x < size; x++, from += 3, to += 3) {
        this.floats[to] = (pixels[from] - mean[0]) * scale[0];
        this.floats[to + 1] = (pixels[from + 1] - mean[1]) * scale[1];
        this.floats[to + 2] = (pixels[from + 2] - mean[2]) * scale[2];
      }
  }
}

// Where the numbers of each step lie, and how many bytes there are: weights, then what passes, whose place
// is given to others once nobody needs it.
function laidOut({ steps, size }) {
  let total = 64;
  const taken = (bytes) => {
    const at = total;
    total += rounded(bytes);
    return at;
  };
  const { pads: [top, left, bottom, right] } = steps[0];
  const places = steps.map(({ weight, bias }) => ({ weights: taken(4 * weight.length), bias: taken(4 * bias.length) }));
  const input = taken(4 * 3 * (size + top + bottom) * (size + left + right));
  const last = new Map();
  steps.forEach(({ input: from, added }, at) => [from, added].forEach((name) => last.set(name, at)));
  const lying = new Map([[steps[0].input, { at: input, bytes: 0, until: 0 }]]);
  const begin = total;
  steps.forEach((step, at) => {
    const place = (bytes, until) => {
      const busy = [...lying.values()].filter((other) => other.until >= at && other.bytes).sort((one, other) => one.at - other.at);
      let free = begin;
      for (const other of busy) if (free + bytes > other.at) free = Math.max(free, other.at + other.bytes);
      total = Math.max(total, free + bytes);
      return { at: free, bytes, until };
    };
    const sizeOf = (channels, height, width) => rounded(4 * channels * height * width);
    lying.set(step.output, place(sizeOf(...step.to), last.get(step.output) ?? Infinity));
    Object.assign(places[at], { source: lying.get(step.input).at, target: lying.get(step.output).at, added: lying.get(step.added)?.at });
    if (step.kind !== "depth") return;
    const [channels, height, width] = step.from;
    const [above, before, below, behind] = step.pads;
    const framed = place(sizeOf(channels, height + above + below + 1, width + before + behind), at);
    lying.set(`${step.output} framed`, framed);
    places[at].border = framed.at;
  });
  return [places, total];
}

function answered(head, map, { channels, height, width }) {
  const cells = height * width;
  const features = new Float32Array(channels);
  for (let c = 0; c < channels; c++) {
    let sum = 0;
    for (let at = c; at < map.length; at += channels) sum += map[at];
    features[c] = sum / cells;
  }
  let row = features;
  head.layers.forEach(({ weight, bias }, n) => {
    const next = Float64Array.from(bias);
    const count = next.length;
    for (let d = 0, at = 0; d < row.length; d++) for (let k = 0; k < count; k++, at++) next[k] += row[d] * weight.values[at];
    row = n < head.layers.length - 1 ? next.map((value) => Math.max(0, value)) : next;
  });
  const top = Math.max(...row);
  const shares = row.map((value) => Math.exp((value - top) * head.inverse));
  const sum = shares.reduce((one, other) => one + other, 0);
  const probs = Float32Array.from(shares, (share) => share / sum);
  if (!head.heat) return { probs, features };
  const weights = head.heat.subarray(row.indexOf(top) * channels, (row.indexOf(top) + 1) * channels);
  const heat = Float32Array.from({ length: cells }, (_, cell) => weights.reduce((mixed, weight, c) => mixed + weight * map[cell * channels + c], 0));
  return { probs, features, heat: { data: heat, dims: [1, height, width] } };
}
