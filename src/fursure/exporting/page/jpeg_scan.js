// A JPEG's bytes → its coefficients, row by row of blocks: baseline and progressive, by Huffman codes
// (ITU-T T.81). Browsers decode JPEGs each in its own way and never at 1/2, 1/4 or 1/8; the model
// was measured on what libjpeg gives.
import { Refused } from "./refused.js";

const ZIGZAG = new Uint8Array([
  0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14,
  21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60,
  61, 54, 47, 55, 62, 63,
]);
const LOOK = 9; // bits whose codes are looked up at once
const BREATH = 40; // milliseconds after which the page gets its turn
const DAMAGED = "damaged or truncated JPEG";

class Bits {
  constructor(data, at) {
    this.data = data;
    this.at = at;
    this.forget();
  }

  forget() {
    this.held = 0; // the last `count` bits of it are still to come
    this.count = 0;
    this.invented = 0; // bits beyond a marker or the end
  }

  fill() {
    while (this.count <= 24) {
      let byte = this.data[this.at];
      if (byte === undefined || (byte === 0xff && this.data[this.at + 1] !== 0)) {
        byte = 0;
        this.invented += 8;
      } else this.at += byte === 0xff ? 2 : 1;
      this.held = (this.held << 8) | byte;
      this.count += 8;
    }
  }

  take(n) {
    if (this.count < n) this.fill();
    this.count -= n;
    return (this.held >>> this.count) & ((1 << n) - 1);
  }

  signed(n) {
    if (n === 0) return 0;
    const value = this.take(n);
    return value < 1 << (n - 1) ? value - (1 << n) + 1 : value;
  }

  symbol(codes) {
    if (this.count < 16) this.fill();
    const found = codes.look[(this.held >>> (this.count - LOOK)) & ((1 << LOOK) - 1)];
    if (found) {
      this.count -= found >> 8;
      return found & 255;
    }
    for (let length = LOOK + 1; length <= 16; length++) {
      const code = (this.held >>> (this.count - length)) & ((1 << length) - 1);
      if (code <= codes.last[length]) {
        this.count -= length;
        return codes.symbols[codes.first[length] + code];
      }
    }
    throw new Refused(DAMAGED);
  }

  // Nothing that was invented may have been used.
  check() {
    if (this.count < this.invented) throw new Refused(DAMAGED);
  }

  restart() {
    this.check();
    this.forget();
    while (this.at < this.data.length && !(this.data[this.at] === 0xff && (this.data[this.at + 1] & 0xf8) === 0xd0)) this.at++;
    this.at += 2;
  }
}

function codesOf(counts, symbols) {
  const codes = { look: new Uint16Array(1 << LOOK), last: new Int32Array(17).fill(-1), first: new Int32Array(17), symbols };
  let code = 0;
  let at = 0;
  for (let length = 1; length <= 16; length++) {
    codes.first[length] = at - code;
    for (let n = 0; n < counts[length - 1]; n++, code++, at++) {
      if (length > LOOK) continue;
      const start = code << (LOOK - length);
      codes.look.fill((length << 8) | symbols[at], start, start + (1 << (LOOK - length)));
    }
    if (counts[length - 1]) codes.last[length] = code - 1;
    code <<= 1;
  }
  return codes;
}

// Each way to code a block: (bits, part of the scan, coefficients, where the block begins).
const WAYS = {
  baseline(bits, part, coefs, at) {
    coefs[at] = part.before += bits.signed(bits.symbol(part.dc));
    for (let k = 1; k < 64; k++) {
      const symbol = bits.symbol(part.ac);
      const length = symbol & 15;
      if (length === 0 && symbol < 0xf0) return;
      k += symbol >> 4;
      if (length) coefs[at + ZIGZAG[k & 63]] = bits.signed(length);
    }
  },
  dcFirst(bits, part, coefs, at) {
    part.before += bits.signed(bits.symbol(part.dc));
    coefs[at] = part.before << part.low;
  },
  dcAgain(bits, part, coefs, at) {
    if (bits.take(1)) coefs[at] |= 1 << part.low;
  },
  acFirst(bits, part, coefs, at) {
    if (part.empty > 0) return void part.empty--;
    for (let k = part.from; k <= part.to; k++) {
      const symbol = bits.symbol(part.ac);
      const length = symbol & 15;
      if (length === 0 && symbol < 0xf0) return void (part.empty = emptyBlocks(bits, symbol >> 4) - 1);
      k += symbol >> 4;
      if (length) coefs[at + ZIGZAG[k & 63]] = bits.signed(length) << part.low;
    }
  },
  acAgain(bits, part, coefs, at) {
    const one = 1 << part.low;
    let k = part.from;
    while (part.empty === 0 && k <= part.to) {
      const symbol = bits.symbol(part.ac);
      let zeros = symbol >> 4;
      let value = 0;
      if (symbol & 15) value = bits.take(1) ? one : -one;
      else if (zeros < 15) {
        part.empty = emptyBlocks(bits, zeros);
        break;
      }
      for (; k <= part.to; k++) {
        const place = at + ZIGZAG[k];
        if (coefs[place]) refined(bits, coefs, place, one);
        else if (zeros-- === 0) break;
      }
      if (value && k <= part.to) coefs[at + ZIGZAG[k]] = value;
      k++;
    }
    if (part.empty === 0) return;
    for (; k <= part.to; k++) if (coefs[at + ZIGZAG[k]]) refined(bits, coefs, at + ZIGZAG[k], one);
    part.empty--;
  },
};

function emptyBlocks(bits, length) {
  return (1 << length) + (length ? bits.take(length) : 0);
}

function refined(bits, coefs, place, one) {
  if (bits.take(1) && !(coefs[place] & one)) coefs[place] += coefs[place] > 0 ? one : -one;
}

// The components of a frame, with room for their coefficients: of all blocks, or of one row of them.
export function framed(header, whole) {
  const most = { h: Math.max(...header.components.map((c) => c.h)), v: Math.max(...header.components.map((c) => c.v)) };
  const across = Math.ceil(header.width / (8 * most.h));
  const down = Math.ceil(header.height / (8 * most.v));
  const components = header.components.map((component) => ({
    ...component,
    across: Math.ceil(Math.ceil((header.width * component.h) / most.h) / 8),
    down: Math.ceil(Math.ceil((header.height * component.v) / most.v) / 8),
    stride: across * component.h, // blocks
    rows: down * component.v,
    coefs: new Int16Array(across * component.h * (whole ? down : 1) * component.v * 64),
  }));
  return { most, across, down, components, whole };
}

// Walk all scans; `done(component, first row of blocks, coefficients, rows)` gets each row of blocks.
export async function scanned(data, header, frame, done) {
  const state = { quants: [], dc: [], ac: [], restart: 0 };
  let at = 2;
  while (at < data.length) {
    if (data[at] !== 0xff) at++;
    else if (data[at + 1] === 0xff) at++;
    else if (data[at + 1] === 0xd9) return ended(frame, done);
    else if (data[at + 1] <= 1 || (data[at + 1] >= 0xd0 && data[at + 1] <= 0xd8)) at += 2;
    else {
      const marker = data[at + 1];
      const end = at + 2 + ((data[at + 2] << 8) | data[at + 3]);
      if (end > data.length) break;
      const body = data.subarray(at + 4, end);
      at = end;
      if (marker === 0xdb) quantsInto(state.quants, body);
      else if (marker === 0xc4) codesInto(state, body);
      else if (marker === 0xdd) state.restart = (body[0] << 8) | body[1];
      else if (marker === 0xda) at = await scan(data, at, body, header, frame, state, done);
      if (marker === 0xda && !frame.whole) return;
    }
  }
  throw new Refused(DAMAGED); // its last scans are missing
}

function ended(frame, done) {
  if (!frame.components.every((component) => component.quants)) throw new Refused(DAMAGED);
  for (const component of frame.components) done(component, 0, component.rows);
}

function quantsInto(quants, body) {
  for (let at = 0; at < body.length; ) {
    const [wide, name] = [body[at] >> 4, body[at] & 15];
    at++;
    const table = new Int32Array(64);
    for (let k = 0; k < 64; k++, at += wide ? 2 : 1) table[ZIGZAG[k]] = wide ? (body[at] << 8) | body[at + 1] : body[at];
    quants[name] = table;
  }
}

function codesInto(state, body) {
  for (let at = 0; at + 17 <= body.length; ) {
    const counts = body.subarray(at + 1, at + 17);
    const total = counts.reduce((sum, count) => sum + count, 0);
    const table = codesOf(counts, body.slice(at + 17, at + 17 + total));
    state[body[at] >> 4 ? "ac" : "dc"][body[at] & 15] = table;
    at += 17 + total;
  }
}

async function scan(data, at, body, header, frame, state, done) {
  const count = body[0];
  const [from, to, shifts] = body.subarray(1 + 2 * count);
  const parts = Array.from({ length: count }, (_, n) => {
    const component = frame.components.find((one) => one.id === body[1 + 2 * n]);
    const tables = body[2 + 2 * n];
    if (!component) throw new Refused(DAMAGED);
    component.quants ??= state.quants[component.quant];
    return { component, dc: state.dc[tables >> 4], ac: state.ac[tables & 15], from, to: Math.min(to, 63), low: shifts & 15, before: 0, empty: 0 };
  });
  const again = shifts >> 4 ? "Again" : "First";
  const way = header.progressive ? WAYS[`${from === 0 ? "dc" : "ac"}${again}`] : WAYS.baseline;
  const needed = header.progressive ? (from ? ["ac"] : again === "First" ? ["dc"] : []) : ["dc", "ac"];
  if (parts.some((part) => !part.component.quants || needed.some((kind) => !part[kind]))) throw new Refused(DAMAGED);
  const bits = new Bits(data, at);
  await rowsOf(bits, parts, way, frame, state.restart, done);
  bits.check();
  return bits.at;
}

async function rowsOf(bits, parts, way, frame, restart, done) {
  const alone = parts.length === 1 && parts[0].component;
  const [across, down] = alone ? [alone.across, alone.down] : [frame.across, frame.down];
  let left = restart;
  let rested = performance.now();
  for (let row = 0; row < down; row++) {
    if (!frame.whole) for (const { component } of parts) component.coefs.fill(0);
    for (let column = 0; column < across; column++) {
      if (restart && left-- === 0) {
        bits.restart();
        for (const part of parts) part.before = part.empty = 0;
        left = restart - 1;
      }
      if (alone) way(bits, parts[0], alone.coefs, 64 * ((frame.whole ? row * alone.stride : 0) + column));
      else for (const part of parts) unit(bits, part, way, frame.whole ? row : 0, column);
    }
    if (!frame.whole) for (const { component } of parts) done(component, row * component.v, component.v);
    if (performance.now() - rested > BREATH) {
      await new Promise((go) => setTimeout(go));
      rested = performance.now();
    }
  }
}

function unit(bits, part, way, row, column) {
  const { h, v, stride, coefs } = part.component;
  for (let y = 0; y < v; y++)
    for (let x = 0; x < h; x++) way(bits, part, coefs, 64 * ((row * v + y) * stride + column * h + x));
}
