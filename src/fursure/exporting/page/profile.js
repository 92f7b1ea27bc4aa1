// RGB pixels and an ICC profile → sRGB, for profiles of curves and a matrix (cameras, screens), in the
// 14-bit fixed point that LittleCMS has for pixels of 8 bits. Profiles that change nearly nothing are
// another spelling of sRGB and are passed over, as fursure does.
import { Refused } from "./refused.js";

const ALIKE = 3; // levels that spellings of sRGB may differ by
const KINDS = ["scnr", "mntr", "prtr", "spac"]; // of a camera, screen, press or colour space
const MOST = 4 * 2 ** 20; // bytes of a profile
const ONE = 1 << 14;
const FROM_XYZ = [ // of the profiles' white, D50, to linear sRGB
  [3.1341863642, -1.6172089590, -0.4906940640],
  [-0.9787485042, 1.9161300968, 0.0334333992],
  [0.0719639278, -0.2289938735, 1.4057537329],
];
const SHOWN = Uint8Array.from({ length: ONE + 1 }, (_, n) => {
  const light = n / ONE;
  const level = light <= 0.0031308 ? 12.92 * light : 1.055 * light ** (1 / 2.4) - 0.055;
  return Math.round(255 * Math.min(1, Math.max(0, level)));
});
const text = (data, from, to) => String.fromCharCode(...data.subarray(from, to));

export function toSrgb(photo, profile, grey = false) {
  if (!profile || profile.length > MOST || !KINDS.includes(text(profile, 12, 16))) return photo;
  const space = text(profile, 16, 20);
  if (space !== "RGB " && !(space === "GRAY" && grey)) return photo;
  const convert = conversion(profile, space === "GRAY");
  if (!convert) return photo;
  const before = chart(space === "GRAY");
  if (convert(before).every((level, at) => Math.abs(level - before[at]) <= ALIKE)) return photo;
  return { ...photo, pixels: convert(photo.pixels) };
}

function chart(grey) {
  if (grey) return Uint8Array.from({ length: 3 * 256 }, (_, n) => Math.floor(n / 3));
  const levels = Array.from({ length: 18 }, (_, n) => 15 * n);
  return new Uint8Array(levels.flatMap((red) => levels.flatMap((green) => levels.flatMap((blue) => [red, green, blue]))));
}

// What converts pixels; null where the profile is broken, and is passed over.
function conversion(profile, grey) {
  const view = new DataView(profile.buffer, profile.byteOffset, profile.byteLength);
  let curves, matrix;
  try {
    const tags = tagsOf(profile, view);
    if (tags.A2B0 && !(tags.rXYZ && tags.rTRC) && !grey) throw new Refused("a photo whose colours are described by a table (an ICC profile of a printer or scanner); save it as sRGB");
    curves = (grey ? ["kTRC", "kTRC", "kTRC"] : ["rTRC", "gTRC", "bTRC"]).map((name) => curve(view, tags[name]));
    matrix = grey ? [[1, 0, 0], [0, 1, 0], [0, 0, 1]] : product(["rXYZ", "gXYZ", "bXYZ"].map((name) => colour(view, tags[name])));
  } catch (error) {
    if (error instanceof Refused) throw error;
    return null;
  }
  return (pixels) => applied(pixels, curves, matrix.map((row) => row.map((value) => Math.floor(value * ONE + 0.5))));
}

function tagsOf(profile, view) {
  const tags = {};
  for (let n = 0; n < view.getUint32(128); n++) {
    const at = 132 + 12 * n;
    tags[text(profile, at, at + 4)] = view.getUint32(at + 4);
  }
  return tags;
}

const fixed = (view, at) => view.getInt32(at) / 65536;

function colour(view, at) {
  return [8, 12, 16].map((place) => fixed(view, at + place));
}

function product(colours) {
  return FROM_XYZ.map((row) => colours.map((column) => row.reduce((sum, value, n) => sum + value * column[n], 0)));
}

// The light of each of 256 levels, in 14 bits.
function curve(view, at) {
  const rule = view.getUint32(at) === 0x70617261 ? formula(view, at) : points(view, at);
  return Int32Array.from({ length: 256 }, (_, level) => Math.floor(rule(level / 255) * ONE + 0.5));
}

function formula(view, at) {
  const kind = view.getUint16(at + 8);
  const count = [1, 3, 4, 5, 7][kind];
  const [g, a, b, c, d, e, f] = Array.from({ length: count }, (_, n) => fixed(view, at + 12 + 4 * n));
  const power = (x) => Math.max(0, a * x + b) ** g;
  return [
    (x) => x ** g,
    (x) => (x >= -b / a ? power(x) : 0),
    (x) => (x >= -b / a ? power(x) + c : c),
    (x) => (x >= d ? power(x) : c * x),
    (x) => (x >= d ? power(x) + e : c * x + f),
  ][kind];
}

function points(view, at) {
  const count = view.getUint32(at + 8);
  if (count === 0) return (x) => x;
  if (count === 1) return (x) => x ** (view.getUint16(at + 12) / 256);
  const value = (n) => view.getUint16(at + 12 + 2 * Math.min(n, count - 1)) / 65535;
  return (x) => {
    const place = x * (count - 1);
    const below = Math.floor(place);
    return value(below) + (place - below) * (value(below + 1) - value(below));
  };
}

function applied(pixels, [reds, greens, blues], [toRed, toGreen, toBlue]) {
  const made = new Uint8Array(pixels.length);
  const level = ([r, g, b], red, green, blue) => SHOWN[Math.min(ONE, Math.max(0, (r * red + g * green + b * blue + ONE / 2) >> 14))];
  for (let at = 0; at < pixels.length; at += 3) {
    const [red, green, blue] = [reds[pixels[at]], greens[pixels[at + 1]], blues[pixels[at + 2]]];
    made[at] = level(toRed, red, green, blue);
    made[at + 1] = level(toGreen, red, green, blue);
    made[at + 2] = level(toBlue, red, green, blue);
  }
  return made;
}
