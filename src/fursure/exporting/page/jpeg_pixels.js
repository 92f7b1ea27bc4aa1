// Coefficients → pixels at 1, 1/2, 1/4 or 1/8, bit for bit as libjpeg-turbo's accurate integer
// transforms give them: Loeffler, Ligtenberg and Moschytz (ICASSP 1989) in 13-bit fixed point, and
// what is left of it where fewer pixels are wanted; chroma is smoothed by a triangle.
const BITS = 13;
const fix = (value) => Math.round(value * (1 << BITS));
const [A, B, C, D, E, F] = [0.298631336, 0.390180644, 0.541196100, 0.765366865, 0.899976223, 1.175875602].map(fix);
const [G, H, I, J, K, L] = [1.501321110, 1.847759065, 1.961570560, 2.053119869, 2.562915447, 3.072711026].map(fix);
const FOUR = [-0.211164243, 1.451774981, -2.172734803, 1.061594337, -0.509795579, -0.601344887, 0.899976223, 2.562915447].map(fix);
const TWO = [-0.720959822, 0.850430095, -1.272758580, 3.624509785].map(fix);
const work = new Int32Array(64);
const clipped = (value) => (value < 0 ? 0 : value > 255 ? 255 : value);

function eight(coefs, at, quants, plane, to, stride) {
  for (let c = 0; c < 8; c++) {
    const v = (row) => coefs[at + 8 * row + c] * quants[8 * row + c];
    const place = c;
    if (!(coefs[at + 8 + c] | coefs[at + 16 + c] | coefs[at + 24 + c] | coefs[at + 32 + c] | coefs[at + 40 + c] | coefs[at + 48 + c] | coefs[at + 56 + c])) {
      const level = v(0) << 2;
      for (let row = 0; row < 8; row++) work[8 * row + c] = level;
    } else line8(v(0), v(1), v(2), v(3), v(4), v(5), v(6), v(7), work, place, 8, 11);
  }
  for (let r = 0; r < 64; r += 8, to += stride) {
    line8(work[r], work[r + 1], work[r + 2], work[r + 3], work[r + 4], work[r + 5], work[r + 6], work[r + 7], work, r, 1, 18);
    for (let c = 0; c < 8; c++) plane[to + c] = clipped(work[r + c] + 128);
  }
}

function line8(c0, c1, c2, c3, c4, c5, c6, c7, out, at, step, shift) {
  const half = 1 << (shift - 1);
  const turn = (c2 + c6) * C;
  const t2 = turn - c6 * H;
  const t3 = turn + c2 * D;
  const t0 = (c0 + c4) << BITS;
  const t1 = (c0 - c4) << BITS;
  const [e0, e3, e1, e2] = [t0 + t3, t0 - t3, t1 + t2, t1 - t2];
  const z5 = (c7 + c3 + c5 + c1) * F;
  const z1 = -(c7 + c1) * E;
  const z2 = -(c5 + c3) * K;
  const z3 = z5 - (c7 + c3) * I;
  const z4 = z5 - (c5 + c1) * B;
  const o3 = c7 * A + z1 + z3;
  const o2 = c5 * J + z2 + z4;
  const o1 = c3 * L + z2 + z3;
  const o0 = c1 * G + z1 + z4;
  out[at] = (e0 + o0 + half) >> shift;
  out[at + 7 * step] = (e0 - o0 + half) >> shift;
  out[at + step] = (e1 + o1 + half) >> shift;
  out[at + 6 * step] = (e1 - o1 + half) >> shift;
  out[at + 2 * step] = (e2 + o2 + half) >> shift;
  out[at + 5 * step] = (e2 - o2 + half) >> shift;
  out[at + 3 * step] = (e3 + o3 + half) >> shift;
  out[at + 4 * step] = (e3 - o3 + half) >> shift;
}

function four(coefs, at, quants, plane, to, stride) {
  for (let c = 0; c < 8; c++) {
    if (c === 4) continue; // no row needs it
    const v = (row) => coefs[at + 8 * row + c] * quants[8 * row + c];
    line4(v(0), v(1), v(2), v(3), v(5), v(6), v(7), work, c, 8, 12);
  }
  for (let r = 0; r < 32; r += 8, to += stride) {
    line4(work[r], work[r + 1], work[r + 2], work[r + 3], work[r + 5], work[r + 6], work[r + 7], work, r, 1, 19);
    for (let c = 0; c < 4; c++) plane[to + c] = clipped(work[r + c] + 128);
  }
}

function line4(c0, c1, c2, c3, c5, c6, c7, out, at, step, shift) {
  const half = 1 << (shift - 1);
  const even = c2 * H - c6 * D;
  const [e0, e1] = [(c0 << (BITS + 1)) + even, (c0 << (BITS + 1)) - even];
  const o1 = c7 * FOUR[0] + c5 * FOUR[1] + c3 * FOUR[2] + c1 * FOUR[3];
  const o0 = c7 * FOUR[4] + c5 * FOUR[5] + c3 * FOUR[6] + c1 * FOUR[7];
  out[at] = (e0 + o0 + half) >> shift;
  out[at + 3 * step] = (e0 - o0 + half) >> shift;
  out[at + step] = (e1 + o1 + half) >> shift;
  out[at + 2 * step] = (e1 - o1 + half) >> shift;
}

function two(coefs, at, quants, plane, to, stride) {
  for (const c of [0, 1, 3, 5, 7]) {
    const v = (row) => coefs[at + 8 * row + c] * quants[8 * row + c];
    line2(v(0), v(1), v(3), v(5), v(7), work, c, 8, 13);
  }
  for (let r = 0; r < 16; r += 8, to += stride) {
    line2(work[r], work[r + 1], work[r + 3], work[r + 5], work[r + 7], work, r, 1, 20);
    for (let c = 0; c < 2; c++) plane[to + c] = clipped(work[r + c] + 128);
  }
}

function line2(c0, c1, c3, c5, c7, out, at, step, shift) {
  const half = 1 << (shift - 1);
  const odd = c7 * TWO[0] + c5 * TWO[1] + c3 * TWO[2] + c1 * TWO[3];
  out[at] = ((c0 << (BITS + 2)) + odd + half) >> shift;
  out[at + step] = ((c0 << (BITS + 2)) - odd + half) >> shift;
}

function one(coefs, at, quants, plane, to) {
  plane[to] = clipped(((coefs[at] * quants[0] + 4) >> 3) + 128);
}

const TRANSFORMS = { 8: eight, 4: four, 2: two, 1: one };

// Room for the pixels of each component; chroma is reduced less where it is coarser already.
export function planesFor(frame, header, scale) {
  const side = 8 / scale; // pixels of a block of the finest component
  return frame.components.map((component) => {
    const fits = (size) => (frame.most.h * side) % (component.h * size * 2) === 0 && (frame.most.v * side) % (component.v * size * 2) === 0;
    let size = side;
    while (size < 8 && fits(size)) size *= 2;
    const stride = component.stride * size;
    return {
      component,
      size,
      stride,
      width: Math.ceil((header.width * component.h * size) / (frame.most.h * 8)),
      height: Math.ceil((header.height * component.v * size) / (frame.most.v * 8)),
      across: (frame.most.h * side) / (component.h * size), // pixels of the photo for one of it
      down: (frame.most.v * side) / (component.v * size),
      levels: new Uint8Array(stride * component.rows * size),
    };
  });
}

export function transformed(plane, first, rows, whole) {
  const { component, size, stride, levels } = plane;
  const transform = TRANSFORMS[size];
  for (let row = first; row < first + rows; row++)
    for (let column = 0; column < component.stride; column++)
      transform(component.coefs, 64 * ((whole ? row : row - first) * component.stride + column), component.quants, levels, row * size * stride + column * size, stride);
}

// One row of the photo from a plane: as it is, smoothed by a triangle, or repeated.
function stretched(plane, y, smooth, out) {
  const { levels, stride, width, height, across, down } = plane;
  const row = Math.floor(y / down);
  const start = row * stride;
  if (across === 1 && down === 1) return levels.subarray(start, start + width);
  const beyond = Math.min(height - 1, Math.max(0, y & 1 ? row + 1 : row - 1)) * stride;
  if (smooth && across === 2 && down === 1 && width > 2) {
    out[0] = levels[start];
    out[1] = (3 * levels[start] + levels[start + 1] + 2) >> 2;
    for (let x = 1; x < width - 1; x++) {
      const level = 3 * levels[start + x];
      out[2 * x] = (level + levels[start + x - 1] + 1) >> 2;
      out[2 * x + 1] = (level + levels[start + x + 1] + 2) >> 2;
    }
    out[2 * width - 2] = (3 * levels[start + width - 1] + levels[start + width - 2] + 1) >> 2;
    out[2 * width - 1] = levels[start + width - 1];
  } else if (smooth && across === 2 && down === 2 && width > 2) {
    const sum = (x) => 3 * levels[start + x] + levels[beyond + x];
    let [before, here, after] = [sum(0), sum(0), sum(1)];
    out[0] = (4 * here + 8) >> 4;
    out[1] = (3 * here + after + 7) >> 4;
    for (let x = 1; x < width - 1; x++) {
      [before, here, after] = [here, after, sum(x + 1)];
      out[2 * x] = (3 * here + before + 8) >> 4;
      out[2 * x + 1] = (3 * here + after + 7) >> 4;
    }
    out[2 * width - 2] = (3 * after + here + 8) >> 4;
    out[2 * width - 1] = (4 * after + 7) >> 4;
  } else if (smooth && across === 1 && down === 2) {
    for (let x = 0; x < width; x++) out[x] = (3 * levels[start + x] + levels[beyond + x] + (y & 1 ? 2 : 1)) >> 2;
  } else for (let x = 0; x < out.length; x++) out[x] = levels[start + Math.floor(x / across)];
  return out;
}

const red = new Int32Array(256);
const blue = new Int32Array(256);
const greenOfRed = new Int32Array(256);
const greenOfBlue = new Int32Array(256);
const sixteen = (value) => Math.floor(value * 65536 + 0.5);
for (let level = 0; level < 256; level++) {
  const x = level - 128;
  red[level] = (sixteen(1.402) * x + 32768) >> 16;
  blue[level] = (sixteen(1.772) * x + 32768) >> 16;
  greenOfRed[level] = -sixteen(0.71414) * x;
  greenOfBlue[level] = -sixteen(0.34414) * x + 32768;
}

// Planes → {width, height, pixels: RGB}.
export function coloured(planes, header, scale) {
  const width = Math.ceil(header.width / scale);
  const height = Math.ceil(header.height / scale);
  const pixels = new Uint8Array(3 * width * height);
  const smooth = scale < 8;
  const rows = planes.map(() => new Uint8Array(planes[0].stride * planes[0].across + 16));
  for (let y = 0, at = 0; y < height; y++) {
    const lines = planes.map((plane, n) => stretched(plane, y, smooth, rows[n]));
    const [first, second, third] = lines.length === 3 ? lines : [lines[0], lines[0], lines[0]];
    for (let x = 0; x < width; x++, at += 3) {
      if (header.ycc) {
        const luma = first[x];
        pixels[at] = clipped(luma + red[third[x]]);
        pixels[at + 1] = clipped(luma + ((greenOfBlue[second[x]] + greenOfRed[third[x]]) >> 16));
        pixels[at + 2] = clipped(luma + blue[second[x]]);
      } else {
        pixels[at] = first[x];
        pixels[at + 1] = second[x];
        pixels[at + 2] = third[x];
      }
    }
  }
  return { width, height, pixels };
}
