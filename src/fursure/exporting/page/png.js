// A PNG with opacity → RGBA. A canvas mixes opacity into its colours, and each browser rounds them then in its
// own way (Firefox up), which moves answers; all other PNGs are left to the browser.
import { Refused } from "./refused.js";
import { joined, passed } from "./wrappers.js";

const LACED = [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]]; // left, top, across, down
const WHOLE = [[0, 0, 1, 1]];
const CHANNELS = { 3: 1, 4: 2, 6: 4 }; // of palettes, greys and colours with opacity

export async function clearPixels({ width, height, depth, colour, laced, packed, palette, opacities }) {
  const broken = () => {
    throw new Refused("damaged or truncated PNG");
  };
  const data = await passed(joined(packed), new DecompressionStream("deflate")).catch(broken);
  const rgba = new Uint8ClampedArray(4 * width * height);
  const bits = CHANNELS[colour] * depth;
  let at = 0;
  for (const [left, top, across, down] of laced ? LACED : WHOLE) {
    const columns = Math.ceil((width - left) / across);
    const stride = Math.ceil((columns * bits) / 8);
    let above = new Uint8Array(Math.max(0, stride));
    for (let y = top; columns > 0 && y < height; y += down, at += stride + 1) {
      if (at + 1 + stride > data.length) broken();
      const line = data.subarray(at + 1, at + 1 + stride);
      unfiltered(data[at], line, above, Math.max(1, bits >> 3));
      for (let n = 0, to = 4 * (y * width + left); n < columns; n++, to += 4 * across) {
        if (colour === 6) rgba.set(line.subarray(4 * n, 4 * n + 4), to);
        else if (colour === 4) rgba.fill(line[2 * n], to, to + 3), (rgba[to + 3] = line[2 * n + 1]);
        else {
          const first = n * depth;
          const index = (line[first >> 3] >> (8 - depth - (first & 7))) & (2 ** depth - 1);
          rgba.set(palette.subarray(3 * index, 3 * index + 3), to);
          rgba[to + 3] = opacities[index] ?? 255;
        }
      }
      above = line;
    }
  }
  return { width, height, rgba };
}

// A row as it was before its filter, in place: what was taken off is the pixel before, the row above, or both.
function unfiltered(filter, line, above, step) {
  for (let n = 0; n < line.length; n++) {
    const before = n < step ? 0 : line[n - step];
    if (filter === 1) line[n] += before;
    else if (filter === 2) line[n] += above[n];
    else if (filter === 3) line[n] += (before + above[n]) >> 1;
    else if (filter === 4) line[n] += nearest(before, above[n], n < step ? 0 : above[n - step]);
  }
}

// Paeth's: of the three, the one nearest to the first and second less the third.
function nearest(before, above, both) {
  const [one, two, three] = [Math.abs(above - both), Math.abs(before - both), Math.abs(before + above - 2 * both)];
  if (one <= two && one <= three) return before;
  return two <= three ? above : both;
}
