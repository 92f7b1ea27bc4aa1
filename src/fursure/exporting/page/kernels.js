// A step of a network and where its numbers lie → a WebAssembly function for it alone: every size and
// address is written into it. Pixels lie one after the other, the channels of each together.
//
// Sums stay in registers, of which processors have 16: four pixels by eight channels, or seven pixels by four
// channels in depthwise layers. One more, and engines keep them in memory, at twice the time.
import * as wasm from "./wasm.js";

const { get, set, load, spread, store, put, grow, copied, repeat, whole } = wasm;
const [FLOAT, VECTOR, PANEL] = [4, 16, 32]; // bytes: of a number, of four, of eight channels
const CACHED = 24_000; // bytes of weights that stay near while pixels pass
const ROWS = 4; // pixels at once
const ACROSS = 7; // the same in a depthwise layer

export function kernelOf(step, places, fused) {
  if (step.kind === "depth") return depthwise(step, places, fused);
  const [channels, height, width] = step.to;
  if (step.kind === "point")
    return products(step, { ...places, lines: 1, count: height * width, pixel: step.from[0], parts: 1, part: step.from[0], depth: step.from[0] }, fused);
  const [top, left, bottom, right] = step.pads;
  const row = (step.from[2] + left + right) * 3;
  const part = 3 * step.kernel;
  const lines = { lines: height, line: row * step.stride, count: width, pixel: 3 * step.stride, parts: step.kernel, part, jump: row - part };
  return products(step, { ...places, ...lines, depth: part * step.kernel }, fused);
}

const eachOf = (some, at) => [...Array(some).keys()].flatMap(at);
const bounded = ({ low, high }) => [
  ...(low > -Infinity ? [...wasm.splat(low), ...wasm.larger] : []),
  ...(high < Infinity ? [...wasm.splat(high), ...wasm.smaller] : []),
];

// sum += one * other
const gather = (sum, one, other, fused) =>
  fused ? [...get(one), ...get(other), ...get(sum), ...wasm.timesPlus, ...set(sum)] : [...get(sum), ...get(one), ...get(other), ...wasm.times, ...wasm.plus, ...set(sum)];

// Rows of pixels times a matrix whose columns are packed by eight. What is multiplied lies in `parts` for each pixel.
function products(step, places, fused) {
  const { source, target, weights, bias, added, lines, line = 1, count, pixel, parts, part, jump = 0, depth } = places;
  const [channels] = step.to;
  const [pixels, panel, weight, biases, goal, extra, from, to, end, base] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
  const wholes = 10;
  const vectors = 3 * ROWS + 3;
  const sum = (row, half) => wholes + 2 * row + half;
  const [first, second, one] = [wholes + 2 * ROWS, wholes + 2 * ROWS + 1, wholes + 2 * ROWS + 2];
  const four = (row) => one + 1 + row;

  const pair = (row) => [...gather(sum(row, 0), one, first, fused), ...gather(sum(row, 1), one, second, fused)];
  const pairOf = (n) => [...get(weight), ...load(PANEL * n), ...set(first), ...get(weight), ...load(PANEL * n + VECTOR), ...set(second)];
  const inner = (some) => {
    const quick = fused && part % 4 === 0; // four numbers of a pixel are read at once, and kept
    const unroll = quick ? 4 : 1;
    const steps = eachOf(unroll, (n) => [
      ...pairOf(n),
      ...eachOf(some, (row) => [
        ...(quick ? [...get(four(row)), ...get(four(row)), ...wasm.lane(n)] : [...get(from), ...spread(FLOAT * (pixel * row + n))]),
        ...set(one),
        ...pair(row),
      ]),
    ]);
    const begun = quick ? eachOf(some, (row) => [...get(from), ...load(FLOAT * pixel * row), ...set(four(row))]) : [];
    return [
      ...copied(end, from, FLOAT * part),
      ...repeat(from, FLOAT * unroll, get(end), [...begun, ...steps, ...grow(weight, PANEL * unroll)]),
    ];
  };
  const tile = (some) => [
    ...eachOf(2, (half) => [...get(biases), ...load(VECTOR * half), ...set(sum(0, half)), ...eachOf(some - 1, (row) => [...get(sum(0, half)), ...set(sum(row + 1, half))])]),
    ...copied(from, pixels),
    ...copied(weight, panel),
    ...eachOf(parts, (n) => [...(n ? grow(from, FLOAT * jump) : []), ...inner(some)]),
    ...eachOf(some, (row) => eachOf(2, (half) => {
      const offset = FLOAT * channels * row + VECTOR * half;
      return [...get(goal), ...get(sum(row, half)), ...(added ? [...get(extra), ...load(offset), ...wasm.plus] : []), ...bounded(step), ...store(offset)];
    })),
  ];
  const onward = (bytes) => [...grow(goal, bytes), ...(added ? grow(extra, bytes) : [])];
  const [full, rest] = [Math.floor(count / ROWS), count % ROWS];
  const size = FLOAT * channels;
  const columns = PANEL * depth;

  // Many weights: all pixels for eight channels, then the next eight. Few: all channels for some pixels.
  if (lines === 1 && columns * (channels / 8) > CACHED) {
    const sweep = [
      ...put(pixels, source),
      ...copied(goal, to, target),
      ...(added ? copied(extra, to, added) : []),
      ...(full ? repeat(pixels, FLOAT * pixel * ROWS, whole(source + FLOAT * pixel * ROWS * full), [...tile(ROWS), ...onward(size * ROWS)]) : []),
      ...(rest ? tile(rest) : []),
    ];
    const code = [...put(panel, weights), ...put(biases, bias), ...put(to, 0), ...repeat(to, PANEL, whole(size), [...sweep, ...grow(panel, columns), ...grow(biases, PANEL)])];
    return { wholes, vectors, code };
  }
  const channelsOf = (some) => [
    ...put(biases, bias),
    ...put(panel, weights),
    ...repeat(panel, columns, whole(weights + columns * (channels / 8)), [...tile(some), ...onward(PANEL), ...grow(biases, PANEL)]),
    ...onward(size * (some - 1)),
  ];
  const strip = [
    ...copied(pixels, base),
    ...(full ? [...copied(to, pixels, FLOAT * pixel * ROWS * full), ...repeat(pixels, FLOAT * pixel * ROWS, get(to), channelsOf(ROWS))] : []),
    ...(rest ? channelsOf(rest) : []),
  ];
  const begun = [...put(goal, target), ...(added ? put(extra, added) : []), ...put(base, source)];
  return { wholes, vectors, code: [...begun, ...repeat(base, FLOAT * line, whole(source + FLOAT * line * lines), strip)] };
}

// Each channel by itself: a window of its own weights, on a copy of the picture with a border of zeros.
function depthwise(step, { source, target, weights, bias, border }, fused) {
  const [channels, height, width] = step.to;
  const [, before, wide] = step.from;
  const { kernel, stride, pads: [top, left, bottom, right] } = step;
  const size = FLOAT * channels;
  const row = (wide + left + right) * size;
  const [from, to, block, goal, weight, line, begin, count] = [0, 1, 2, 3, 4, 5, 6, 7];
  const wholes = 8;
  const sum = (n) => wholes + n;
  const value = wholes + ACROSS;
  const near = (x) => value + 1 + x;

  const wiped = (local, by, bytes) => (bytes ? [...get(local), ...whole(by), ...wasm.add, ...whole(0), ...whole(bytes), ...wasm.fill] : []);
  const framed = [
    ...put(to, border),
    ...wiped(to, 0, top * row + left * size),
    ...grow(to, top * row + left * size),
    ...put(from, source),
    ...repeat(from, wide * size, whole(source + before * wide * size), [
      ...[...get(to), ...get(from), ...whole(wide * size), ...wasm.move],
      ...wiped(to, wide * size, (left + right) * size),
      ...grow(to, row),
    ]),
    ...wiped(to, -left * size, bottom * row),
  ];
  const tile = (some) => [
    ...eachOf(some, (n) => [...get(block), ...load(bias), ...set(sum(n))]),
    ...eachOf(kernel, (y) => [
      ...eachOf(kernel, (x) => [...get(weight), ...load(VECTOR * (y * kernel + x)), ...set(near(x))]),
      ...eachOf((some - 1) * stride + kernel, (x) => {
        const meets = [...Array(some).keys()].filter((n) => x >= n * stride && x < n * stride + kernel);
        if (!meets.length) return [];
        return [...get(from), ...load(y * row + x * size), ...set(value), ...meets.flatMap((n) => gather(sum(n), value, near(x - n * stride), fused))];
      }),
    ]),
    ...eachOf(some, (n) => [...get(goal), ...get(sum(n)), ...bounded(step), ...store(n * size)]),
    ...grow(from, some * stride * size),
    ...grow(goal, some * size),
  ];
  const [full, rest] = [Math.floor(width / ACROSS), width % ACROSS];
  // For each row of the result and each four channels: along the row.
  const along = [
    ...[...get(line), ...get(block), ...wasm.add, ...set(from)],
    ...[...get(begin), ...get(block), ...wasm.add, ...set(goal)],
    ...(full ? [...put(count, 0), ...repeat(count, 1, whole(full), tile(ACROSS))] : []),
    ...(rest ? tile(rest) : []),
    ...grow(weight, VECTOR * kernel ** 2),
  ];
  const rows = repeat(line, stride * row, whole(border + height * stride * row), [
    ...[...put(block, 0), ...put(weight, weights)],
    ...repeat(block, VECTOR, whole(size), along),
    ...grow(begin, width * size),
  ]);
  return { wholes, vectors: ACROSS + 1 + kernel, code: [...framed, ...put(line, border), ...put(begin, target), ...rows] };
}
