// A file's bytes → an upright RGB photo, as fursure decodes it: {width, height, pixels: RGB}. JPEGs are
// decoded here, bit for bit; what is left to the browser is stripped of colour profile and
// orientation first, so that all browsers give the same, and both are applied here.
import { jpegHeader, jpegPixels } from "./jpeg.js";
import { browserPixels, onWhite, reduceInto } from "./browser.js";
import { clearPixels } from "./png.js";
import { toSrgb } from "./profile.js";
import { pngFacts, webpFacts } from "./wrappers.js";
import { Refused } from "./refused.js";

const LIMITS = { bytes: 128 * 2 ** 20, pixels: 64_000_000, side: 65_535 };
const text = (data, from, to) => String.fromCharCode(...data.subarray(from, to));
const KINDS = [
  ["JPEG", (data) => data[0] === 0xff && data[1] === 0xd8],
  ["PNG", (data) => text(data, 0, 8) === "\x89PNG\r\n\x1a\n"],
  ["WebP", (data) => text(data, 0, 4) === "RIFF" && text(data, 8, 12) === "WEBP"],
  ["AVIF", (data) => text(data, 4, 8) === "ftyp" && /avif|avis/.test(text(data, 8, 64))],
  ["HEIC", (data) => text(data, 4, 8) === "ftyp" && /heic|heix|heim|heis|hevc|hevx|mif1|msf1/.test(text(data, 8, 64))],
  ["GIF", (data) => /^GIF8[79]a/.test(text(data, 0, 6))],
  ["BMP", (data) => text(data, 0, 2) === "BM"],
  ["TIFF", (data) => /^(II[*+]\0|MM\0[*+])/.test(text(data, 0, 4))],
];
const OTHERS = [
  [/^$/, "an empty file"],
  [/^%PDF/, "a PDF document, not a photo"],
  [/^PK\x03\x04/, "a ZIP archive, not a photo"],
  [/^(\x1a\x45\xdf\xa3|[^]{4}ftyp)/, "a video, not a photo"],
  [/^\s*(<\?xml[^]*|<!--[^]*)?<svg\s/i, "an SVG drawing; save it as PNG"],
  [/^\s*<(!doctype html|html|head|body|!--)/i, "a web page: failed download?"],
  [/^[^\x00-\x08\x0e-\x1f]{8,}$/, "a text file, not a photo"],
];

export function kindOf(data) {
  const kind = KINDS.find(([, fits]) => fits(data));
  if (kind) return kind[0];
  const start = text(data, 0, 1024);
  const other = OTHERS.find(([pattern]) => pattern.test(start));
  throw new Refused(other ? other[1] : `no image of a known format (${KINDS.map(([name]) => name).join(", ")})`);
}

// The largest reduction, 8, 4, 2 or 1, that leaves the shorter side `minSide` pixels.
export function reduction(width, height, minSide) {
  const side = Math.min(width, height);
  return [8, 4, 2].find((scale) => Math.ceil(side / scale) >= Math.max(minSide, 8)) ?? 1;
}

export async function photoOf(data, minSide) {
  if (data.length > LIMITS.bytes) throw new Refused(`a file of ${(data.length / 2 ** 20).toFixed(1)} MB; the limit is 128 MB`);
  const kind = kindOf(data);
  const photo = kind === "JPEG" ? await ofJpeg(data, minSide) : await ofOther(data, kind, minSide);
  return { ...photo, kind };
}

async function ofJpeg(data, minSide) {
  const header = jpegHeader(data);
  const scale = reduction(header.width, header.height, minSide);
  checkSize(header.width, header.height, header.whole ? 1 : scale);
  const pixels = await jpegPixels(data, header, scale);
  const photo = await toSrgb(pixels, header.profile, header.components.length === 1);
  return turned(photo, orientationOf(header.exif, header.xmp));
}

async function ofOther(data, kind, minSide) {
  const read = { PNG: pngFacts, WebP: webpFacts }[kind];
  const facts = read ? await read(data) : { plain: data };
  if (facts.width) checkSize(facts.width, facts.height, 1);
  const scaleFor = (width, height) => {
    checkSize(width, height, 1);
    return reduction(width, height, minSide);
  };
  const reduced = facts.clear ? await ofClear(facts, scaleFor) : await browserPixels(facts.plain, kind, scaleFor);
  return turned(await toSrgb(reduced, facts.profile, facts.grey), orientationOf(facts.exif, facts.xmp));
}

async function ofClear(facts, scaleFor) {
  const scale = scaleFor(facts.width, facts.height);
  const { width, height, rgba } = await clearPixels(facts);
  const [across, down] = [Math.ceil(width / scale), Math.ceil(height / scale)];
  const pixels = new Uint8Array(3 * across * down);
  reduceInto(pixels, 0, onWhite(rgba), width, height, scale);
  return { width: across, height: down, pixels };
}

function checkSize(width, height, scale) {
  const size = `${width.toLocaleString("en")} × ${height.toLocaleString("en")} pixels`;
  if (Math.min(width, height) < 1) throw new Refused(`${size}; nothing to see`);
  if (Math.max(width, height) > LIMITS.side) throw new Refused(`${size}; the limit is 65,535 a side`);
  const most = LIMITS.pixels * scale ** 2;
  if (width * height > most) throw new Refused(`${size}; the limit is ${most / 1e6} megapixels`);
}

// The orientation, 1 to 8, that EXIF asks for, or else XMP.
export function orientationOf(exif, xmp) {
  const fits = (value) => (value >= 2 && value <= 8 ? value : 1);
  const stated = exif ? fromExif(exif) : null;
  if (stated !== null) return fits(stated);
  const found = xmp && /tiff:Orientation(?:="|>)([1-8])/.exec(new TextDecoder("latin1").decode(xmp.subarray(0, 2 ** 20)));
  return found ? fits(Number(found[1])) : 1;
}

function fromExif(block) {
  const exif = text(block, 0, 6) === "Exif\0\0" ? block.subarray(6) : block;
  const little = { II: true, MM: false }[text(exif, 0, 2)];
  if (little === undefined) return null;
  const view = new DataView(exif.buffer, exif.byteOffset, exif.byteLength);
  try {
    const first = view.getUint32(4, little);
    const count = view.getUint16(first, little);
    for (let at = first + 2; at < first + 2 + 12 * count; at += 12) {
      const type = view.getUint16(at + 2, little);
      if (view.getUint16(at, little) !== 0x0112 || (type !== 3 && type !== 4)) continue;
      return type === 3 ? view.getUint16(at + 8, little) : view.getUint32(at + 8, little);
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // the block is damaged
  }
  return null;
}

const TURNS = { // where the pixel of a turned photo comes from
  2: (x, y, right) => [right - x, y],
  3: (x, y, right, bottom) => [right - x, bottom - y],
  4: (x, y, right, bottom) => [x, bottom - y],
  5: (x, y) => [y, x],
  6: (x, y, right, bottom) => [y, bottom - x],
  7: (x, y, right, bottom) => [right - y, bottom - x],
  8: (x, y, right) => [right - y, x],
};

export function turned(photo, orientation) {
  const turn = TURNS[orientation];
  if (!turn) return photo;
  const [width, height] = orientation >= 5 ? [photo.height, photo.width] : [photo.width, photo.height];
  const pixels = new Uint8Array(photo.pixels.length);
  for (let y = 0, to = 0; y < height; y++)
    for (let x = 0; x < width; x++, to += 3) {
      const [column, row] = turn(x, y, photo.width - 1, photo.height - 1);
      const from = 3 * (row * photo.width + column);
      pixels[to] = photo.pixels[from];
      pixels[to + 1] = photo.pixels[from + 1];
      pixels[to + 2] = photo.pixels[from + 2];
    }
  return { ...photo, width, height, pixels };
}
