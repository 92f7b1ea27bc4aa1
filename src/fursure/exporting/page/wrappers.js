// A PNG or WebP → the same picture without colour profile, orientation and animation, and what
// those say: {plain, width, height, profile, exif, xmp, grey}.
import { Refused } from "./refused.js";

const text = (data, from, to) => String.fromCharCode(...data.subarray(from, to));
const PIXELS = ["IHDR", "PLTE", "tRNS", "IDAT", "IEND"]; // the chunks of a PNG that make them

export async function pngFacts(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const facts = { width: view.getUint32(16), height: view.getUint32(20), grey: data[25] === 0 || data[25] === 4 };
  if (text(data, 12, 16) === "CgBI") throw new Refused("a PNG rewritten by Xcode for iPhones; save it as JPEG or PNG");
  if (data[24] === 16) throw new Refused("a PNG of 16 bits a channel; save it with 8");
  Object.assign(facts, { depth: data[24], colour: data[25], laced: data[28] === 1, packed: [] });
  const kept = [data.subarray(0, 8)];
  for (const [kind, body, whole] of chunks(data, view)) {
    if (kind === "IDAT") facts.packed.push(body);
    else if (kind === "PLTE") facts.palette = body;
    else if (kind === "tRNS") facts.opacities = body;
    if (PIXELS.includes(kind)) kept.push(whole);
    else if (kind === "eXIf") facts.exif = body;
    else if (kind === "iCCP") facts.profile = await unpacked(body.subarray(body.indexOf(0) + 2));
    else if (kind === "iTXt" && text(body, 0, 18) === "XML:com.adobe.xmp\0") facts.xmp = body.subarray(18);
  }
  const clear = facts.colour === 4 || facts.colour === 6 || (facts.colour === 3 && facts.opacities && facts.palette);
  return { ...facts, clear: Boolean(clear), plain: joined(kept) };
}

function* chunks(data, view) {
  for (let at = 8; at + 12 <= data.length; ) {
    const end = at + 12 + view.getUint32(at);
    if (end > data.length) break;
    const kind = text(data, at + 4, at + 8);
    yield [kind, data.subarray(at + 8, end - 4), data.subarray(at, end)];
    if (kind === "IEND") return;
    at = end;
  }
  throw new Refused("damaged or truncated PNG");
}

async function unpacked(packed) {
  try {
    return await passed(packed, new DecompressionStream("deflate"));
  } catch {
    return null; // a broken profile is passed over
  }
}

export async function passed(data, stream) {
  return new Uint8Array(await new Response(new Blob([data]).stream().pipeThrough(stream)).arrayBuffer());
}

export function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export function webpFacts(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (view.getUint32(4, true) + 8 > data.length) throw new Refused("damaged or truncated WebP");
  if (text(data, 12, 16) !== "VP8X") return { plain: data };
  const facts = {};
  const kept = [];
  for (let at = 12; at + 8 <= data.length; ) {
    const kind = text(data, at, at + 4);
    const size = view.getUint32(at + 4, true);
    const end = Math.min(data.length, at + 8 + size + (size & 1));
    const body = data.subarray(at + 8, Math.min(data.length, at + 8 + size));
    if (kind === "EXIF") facts.exif = body;
    else if (kind === "XMP ") facts.xmp = body;
    else if (kind === "ICCP") facts.profile = body;
    else kept.push(data.slice(at, end));
    at = end;
  }
  kept[0][8] &= ~0x2c; // it has no profile, EXIF or XMP any more
  const start = data.slice(0, 12);
  new DataView(start.buffer).setUint32(4, 4 + kept.reduce((sum, part) => sum + part.length, 0), true);
  return { ...facts, plain: joined([start, ...kept]) };
}
