// A picture's bytes → RGB pixels on white, decoded by the browser and averaged down as Pillow does it.
import { GLASS, LEAP } from "./probes.js";
import { Refused } from "./refused.js";

const BAND = 2 ** 20; // pixels read at once: a canvas of a phone is small
const BACKED = { HEIC: "HEIC, which this browser cannot read; save it as JPEG", TIFF: "TIFF, which this browser cannot read; save it as JPEG or PNG" };

const UNMIXED = { colorSpaceConversion: "none", premultiplyAlpha: "none" };

export async function browserPixels(data, kind, scaleFor) {
  // Unmixed: a decoder that mixes transparency in itself rounds it otherwise, by more than the bound.
  const raw = kind === "AVIF" || kind === "HEIC" ? { ...UNMIXED, colorSpaceConversion: "default" } : UNMIXED;
  let bitmap;
  try {
    bitmap = await createImageBitmap(new Blob([data]), raw);
  } catch {
    throw new Refused(BACKED[kind] ?? `damaged, truncated or too large for this browser: a ${kind}`);
  }
  try {
    if (kind === "AVIF" && !(await reads(LEAP, raw))) throw new Refused("AVIF, whose colours this browser reads otherwise than the model; save it as JPEG or PNG");
    return averaged(bitmap, scaleFor(bitmap.width, bitmap.height), await reads(GLASS, UNMIXED));
  } finally {
    bitmap.close();
  }
}

// Whether this browser reads a small picture as fursure does; asked once of each.
const seen = new Map();
const reads = (probe, raw) => seen.get(probe) ?? seen.set(probe, read(probe, raw)).get(probe);
async function read({ data, at, level, near }, raw) {
  const bitmap = await createImageBitmap(new Blob([data]), raw);
  return Math.abs(averaged(bitmap, 1).pixels[at] - level) <= near;
}

// Pixels of a bitmap or a video's frame at 1/`scale`, band by band.
export function averaged(source, scale, exact) {
  const { width, height } = source;
  const rows = Math.max(8, Math.floor(BAND / width / 8) * 8);
  const canvas = new OffscreenCanvas(width, Math.min(rows, height));
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const [across, down] = [Math.ceil(width / scale), Math.ceil(height / scale)];
  const pixels = new Uint8Array(3 * across * down);
  for (let top = 0; top < height; top += rows) {
    const count = Math.min(rows, height - top);
    pen.clearRect(0, 0, width, count);
    pen.drawImage(source, 0, top, width, count, 0, 0, width, count);
    const band = onWhite(pen.getImageData(0, 0, width, count).data, exact);
    reduceInto(pixels, Math.floor(top / scale) * across * 3, band, width, count, scale);
  }
  return { width: across, height: down, pixels };
}

export function onWhite(rgba, exact) {
  for (let at = 0; at < rgba.length; at += 4) {
    const opacity = rgba[at + 3];
    if (opacity === 255) continue;
    if (exact === false && opacity) throw new Refused("a picture that shines through in part, which this browser reads otherwise than the model; save it as PNG or JPEG");
    for (let channel = at; channel < at + 3; channel++) {
      const mixed = 255 * (255 - opacity) + rgba[channel] * opacity + 128;
      rgba[channel] = ((mixed >> 8) + mixed) >> 8;
    }
  }
  return rgba;
}

// The mean of each square of `scale` pixels; at the edges, of what there is of it.
export function reduceInto(pixels, to, rgba, width, height, scale) {
  for (let top = 0; top < height; top += scale)
    for (let left = 0; left < width; left += scale, to += 3) {
      const [right, bottom] = [Math.min(width, left + scale), Math.min(height, top + scale)];
      const count = (right - left) * (bottom - top);
      const share = Math.floor(Math.fround(2 ** 32 / (256 * count)));
      for (let channel = 0; channel < 3; channel++) {
        let sum = count >> 1;
        for (let y = top; y < bottom; y++)
          for (let x = left; x < right; x++) sum += rgba[4 * (y * width + x) + channel];
        pixels[to + channel] = Math.floor((sum * share) / 2 ** 24);
      }
    }
}
