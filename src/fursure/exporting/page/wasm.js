// Instructions → a WebAssembly module: as much of its binary format as kernels.js writes.
export function unsigned(value) {
  const made = [];
  for (; value > 127; value = Math.floor(value / 128)) made.push((value % 128) | 128);
  return [...made, value];
}

function signed(value) {
  const made = [];
  for (;;) {
    const byte = value & 127;
    value >>= 7;
    if ((value === 0 && byte < 64) || (value === -1 && byte >= 64)) return [...made, byte];
    made.push(byte | 128);
  }
}

const vector = (number) => [0xfd, ...unsigned(number)];
export const add = [0x6a];
export const get = (local) => [0x20, ...unsigned(local)];
export const set = (local) => [0x21, ...unsigned(local)];
export const whole = (value) => [0x41, ...signed(value)];
export const load = (offset) => [...vector(0), 4, ...unsigned(offset)]; // four floats
export const spread = (offset) => [...vector(9), 2, ...unsigned(offset)]; // one float, four times
export const store = (offset) => [...vector(11), 4, ...unsigned(offset)];
export const plus = vector(228);
export const times = vector(230);
export const timesPlus = vector(0x105); // of relaxed SIMD: rounded once, or twice
export const smaller = vector(234); // as machines have it: NaN is nobody's case here
export const larger = vector(235);
export const move = [0xfc, 10, 0, 0];
export const fill = [0xfc, 11, 0];
export const splat = (value) => [...vector(12), ...new Uint8Array(new Float32Array(4).fill(value).buffer)];
export const lane = (number) => [...vector(13), ...[0, 1, 2, 3].flatMap(() => [0, 1, 2, 3].map((byte) => 4 * number + byte))]; // one of four, four times
export const put = (local, value) => [...whole(value), ...set(local)];
export const grow = (local, by) => [...get(local), ...whole(by), ...add, ...set(local)];
export const copied = (local, from, by = 0) => [...get(from), ...(by ? [...whole(by), ...add] : []), ...set(local)];

// Run `body`, add `by` to `local`, and again while that is below `end`: at least once.
export const repeat = (local, by, end, body) => [0x03, 0x40, ...body, ...grow(local, by), ...get(local), ...end, 0x49, 0x0d, 0, 0x0b];

const list = (items) => [...unsigned(items.length), ...items.flat()];
function section(number, items) {
  const body = list(items);
  return [number, ...unsigned(body.length), ...body];
}

// Functions without arguments, exported as "0", "1", …, on a memory that is given to them as "m" of "m".
export function moduleOf(functions) {
  const bodies = functions.map(({ wholes, vectors, code }) => {
    const body = [2, ...unsigned(wholes), 0x7f, ...unsigned(vectors), 0x7b, ...code, 0x0b];
    return [...unsigned(body.length), ...body];
  });
  const named = (name) => list([...new TextEncoder().encode(name)].map((byte) => [byte]));
  return new Uint8Array([
    ...[0, 97, 115, 109, 1, 0, 0, 0],
    ...section(1, [[0x60, 0, 0]]),
    ...section(2, [[...named("m"), ...named("m"), 2, 0, 1]]),
    ...section(3, functions.map(() => [0])),
    ...section(7, functions.map((_, at) => [...named(`${at}`), 0, ...unsigned(at)])),
    ...section(10, bodies),
  ]);
}
