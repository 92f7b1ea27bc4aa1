// A JPEG's bytes → what its header says, and its pixels as fursure decodes them.
import { Refused } from "./refused.js";
import { coloured, planesFor, transformed } from "./jpeg_pixels.js";
import { framed, scanned } from "./jpeg_scan.js";

const CODED = { 0xc0: "baseline", 0xc1: "baseline", 0xc2: "progressive" };
const starts = (body, text) => [...text].every((letter, at) => body[at] === letter.charCodeAt(0));
const EXIF = "Exif\0\0";
const XMP = "http://ns.adobe.com/xap/1.0/\0";
const ICC = "ICC_PROFILE\0";

export function jpegHeader(data) {
  const header = { exif: null, xmp: null, profile: null, jfif: false, adobe: null };
  const pieces = [];
  for (const [marker, body] of segments(data)) {
    if (marker === 0xe0 && starts(body, "JFIF\0")) header.jfif = true;
    else if (marker === 0xee && starts(body, "Adobe")) header.adobe = body[11];
    else if (marker === 0xe1 && starts(body, EXIF)) header.exif ??= body.subarray(EXIF.length);
    else if (marker === 0xe1 && starts(body, XMP)) header.xmp ??= body;
    else if (marker === 0xe2 && starts(body, ICC)) pieces[body[12]] = body.subarray(14);
    else if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker) && !header.components) frameInto(header, marker, body);
    else if (marker === 0xda && header.components) return finished(header, body, pieces);
  }
  throw new Refused("damaged or truncated JPEG");
}

function* segments(data) {
  for (let at = 2; at + 4 <= data.length; ) {
    const marker = data[at + 1];
    if (data[at] !== 0xff || marker === 0xff) at++;
    else if (marker <= 1 || (marker >= 0xd0 && marker <= 0xd8)) at += 2;
    else {
      const end = at + 2 + ((data[at + 2] << 8) | data[at + 3]);
      if (end > data.length) return;
      yield [marker, data.subarray(at + 4, end)];
      at = end;
    }
  }
}

function frameInto(header, marker, body) {
  const [bits, , , , , count] = body;
  if (!CODED[marker]) throw new Refused("a JPEG of a kind that is not decoded here (arithmetic, lossless or hierarchical); save it as baseline JPEG or PNG");
  if (bits !== 8) throw new Refused(`a JPEG of ${bits} bits per channel; needed are 8`);
  if (count === 4) throw new Refused("a CMYK JPEG, made for a printing press; save it as RGB");
  header.progressive = CODED[marker] === "progressive";
  header.height = (body[1] << 8) | body[2];
  header.width = (body[3] << 8) | body[4];
  header.components = Array.from({ length: count }, (_, n) => {
    const [id, sampling, quant] = body.subarray(6 + 3 * n);
    return { id, h: count === 1 ? 1 : sampling >> 4, v: count === 1 ? 1 : sampling & 15, quant };
  });
  const odd = header.components.some(({ h, v }) => ![1, 2, 4].includes(h) || ![1, 2, 4].includes(v));
  if (![1, 3].includes(count) || odd) throw new Refused("a JPEG with rare components; save it anew as JPEG or PNG");
}

function finished(header, scan, pieces) {
  const ids = header.components.map((one) => one.id).join();
  const { jfif, adobe, components } = header;
  const named = ids === "1,2,3" ? true : ids !== "82,71,66";
  header.ycc = components.length === 3 && (jfif || (adobe === null ? named : adobe !== 0));
  header.whole = header.progressive || scan[0] !== components.length;
  const profile = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    if (!piece) continue;
    profile.set(piece, at);
    at += piece.length;
  }
  const stated = profile.length > 4 ? new DataView(profile.buffer).getUint32(0) : Infinity;
  header.profile = profile.length >= stated ? profile : null;
  return header;
}

export async function jpegPixels(data, header, scale) {
  const frame = framed(header, header.whole);
  const planes = planesFor(frame, header, scale);
  await scanned(data, header, frame, (component, first, rows) =>
    transformed(planes[frame.components.indexOf(component)], first, rows, header.whole));
  return coloured(planes, header, scale);
}
