// An upright RGB photo → the network's pixels, bit for bit as Pillow resizes it: weights in 22-bit
// fixed point, across and down one after the other, rounded to 8 bits in between. A canvas resizes otherwise,
// and moves probabilities by up to 0.16.
const PRECISION = 22; // bits
const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
const FILTERS = {
  bilinear: { reach: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: {
    reach: 2,
    weight(x) {
      const [a, d] = [-0.5, Math.abs(x)];
      if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
      return d < 2 ? (((d - 5) * d + 8) * d - 4) * a : 0;
    },
  },
  lanczos: { reach: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

export function preprocessed(photo, how) {
  const { size } = how;
  if (how.mode === "pad") return padded(photo, how);
  const box = how.mode === "squash" ? [0, 0, photo.width, photo.height] : centre(photo, how.crop);
  return resized(photo, size, size, box, how.interpolation).pixels;
}

export function centre({ width, height }, crop) {
  const side = crop * Math.min(width, height);
  const [left, top] = [(width - side) / 2, (height - side) / 2];
  return [left, top, left + side, top + side];
}

function padded(photo, how) {
  const { size } = how;
  const share = size / Math.max(photo.width, photo.height);
  const [width, height] = [photo.width, photo.height].map((side) => Math.max(1, rounded(side * share)));
  const whole = resized(photo, width, height, [0, 0, photo.width, photo.height], how.interpolation);
  const colour = how.mean.map((value) => rounded(255 * value)); // 0 once normalised
  const pixels = new Uint8Array(3 * size * size);
  for (let at = 0; at < pixels.length; at++) pixels[at] = colour[at % 3];
  const [left, top] = [(size - width) >> 1, (size - height) >> 1];
  for (let y = 0; y < height; y++)
    pixels.set(whole.pixels.subarray(3 * y * width, 3 * (y + 1) * width), 3 * ((top + y) * size + left));
  return pixels;
}

// As Python rounds: halves to the even number.
function rounded(value) {
  const down = Math.floor(value);
  const rest = value - down;
  return rest > 0.5 || (rest === 0.5 && down % 2 === 1) ? down + 1 : down;
}

export function resized(photo, width, height, box, interpolation) {
  const filter = FILTERS[interpolation];
  const [left, top, right, bottom] = box.map(Math.fround); // Pillow keeps a box in single precision
  const across = width !== photo.width || left !== 0 || right !== width;
  const down = height !== photo.height || top !== 0 || bottom !== height;
  const columns = weights(photo.width, left, right, width, filter);
  const rows = weights(photo.height, top, bottom, height, filter);
  // Pillow 13 begins with what takes most away; each order rounds in another place.
  if (across && down && photo.height > height && photo.height - height > 2 * (photo.width - width))
    return acrossed(downed(photo, rows), columns, 0, height);
  const [first, last] = down ? [rows.starts[0], rows.starts[height - 1] + rows.counts[height - 1]] : [0, photo.height];
  const made = across ? acrossed(photo, columns, first, last) : photo;
  return down ? downed(made, rows) : made;
}

function weights(size, from, to, wanted, filter) {
  const scale = Math.fround(to - from) / wanted;
  const stretch = Math.max(scale, 1);
  const reach = filter.reach * stretch;
  const most = Math.ceil(reach) * 2 + 1;
  const made = { most, starts: new Int32Array(wanted), counts: new Int32Array(wanted), values: new Int32Array(wanted * most) };
  const row = new Float64Array(most);
  for (let at = 0; at < wanted; at++) {
    const middle = from + (at + 0.5) * scale;
    const start = Math.max(0, Math.trunc(middle - reach + 0.5));
    const count = Math.min(size, Math.trunc(middle + reach + 0.5)) - start;
    let sum = 0;
    for (let n = 0; n < count; n++) sum += row[n] = filter.weight((n + start - middle + 0.5) * (1 / stretch));
    for (let n = 0; n < count; n++) {
      const share = sum === 0 ? row[n] : row[n] / sum;
      made.values[at * most + n] = Math.trunc((share < 0 ? -0.5 : 0.5) + share * 2 ** PRECISION);
    }
    made.starts[at] = start;
    made.counts[at] = count;
  }
  return made;
}

const clipped = (sum) => Math.min(255, Math.max(0, sum >> PRECISION));

// Resize across; of the rows only those from `first` to `last` are made, the others stay black.
function acrossed(photo, how, first, last) {
  const width = how.starts.length;
  const pixels = new Uint8Array(3 * width * photo.height);
  for (let y = first; y < last; y++)
    for (let x = 0, to = 3 * y * width; x < width; x++, to += 3) {
      let red = 1 << (PRECISION - 1);
      let green = red;
      let blue = red;
      let at = 3 * (y * photo.width + how.starts[x]);
      for (let n = x * how.most, end = n + how.counts[x]; n < end; n++, at += 3) {
        const weight = how.values[n];
        red += photo.pixels[at] * weight;
        green += photo.pixels[at + 1] * weight;
        blue += photo.pixels[at + 2] * weight;
      }
      pixels[to] = clipped(red);
      pixels[to + 1] = clipped(green);
      pixels[to + 2] = clipped(blue);
    }
  return { width, height: photo.height, pixels };
}

function downed(photo, how) {
  const height = how.starts.length;
  const line = 3 * photo.width;
  const pixels = new Uint8Array(line * height);
  const sums = new Int32Array(line);
  for (let y = 0; y < height; y++) {
    sums.fill(1 << (PRECISION - 1));
    for (let n = 0; n < how.counts[y]; n++) {
      const weight = how.values[y * how.most + n];
      const from = (how.starts[y] + n) * line;
      for (let x = 0; x < line; x++) sums[x] += photo.pixels[from + x] * weight;
    }
    for (let x = 0; x < line; x++) pixels[y * line + x] = clipped(sums[x]);
  }
  return { width: photo.width, height, pixels };
}
