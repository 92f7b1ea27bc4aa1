// The bytes of an ONNX model → its nodes and constants, read by protobuf's tags. Of types of numbers
// those are read that networks of ours hold.
const FLOAT = 1;
const INT64 = 7;
const HALF = 10;

export function graphOf(bytes) {
  const [graph] = fields(bytes).filter(([number]) => number === 7).map(([, value]) => fields(value));
  const nodes = [];
  const tensors = new Map();
  for (const [number, value] of graph ?? []) {
    if (number === 1) nodes.push(nodeOf(value));
    else if (number === 5) keep(tensors, value);
  }
  return { nodes, tensors };
}

function nodeOf(message) {
  const node = { kind: "", inputs: [], outputs: [], facts: {} };
  for (const [number, value] of fields(message)) {
    if (number === 1) node.inputs.push(text(value));
    else if (number === 2) node.outputs.push(text(value));
    else if (number === 4) node.kind = text(value);
    else if (number === 5) Object.assign(node.facts, attribute(value));
  }
  return node;
}

function attribute(message) {
  let name = "";
  let made = null;
  const whole = [];
  for (const [number, value] of fields(message)) {
    if (number === 1) name = text(value);
    else if (number === 2) made = new DataView(value.buffer, value.byteOffset).getFloat32(0, true);
    else if (number === 3) made = value;
    else if (number === 4) made = text(value);
    else if (number === 8) whole.push(...(typeof value === "number" ? [value] : packed(value)));
  }
  return { [name]: made ?? whole };
}

function keep(tensors, message) {
  const tensor = { shape: [], values: [] };
  let [name, type, raw] = ["", 0, null];
  for (const [number, value] of fields(message)) {
    if (number === 1) tensor.shape.push(...(typeof value === "number" ? [value] : packed(value)));
    else if (number === 2) type = value;
    else if (number === 7) tensor.values.push(...(typeof value === "number" ? [value] : packed(value)));
    else if (number === 8) name = text(value);
    else if (number === 4 || number === 9) raw = value;
  }
  if (raw && [FLOAT, HALF, INT64].includes(type)) tensor.values = numbers(raw.slice().buffer, type);
  tensors.set(name, tensor);
}

function numbers(buffer, type) {
  if (type === FLOAT) return new Float32Array(buffer);
  if (type === HALF) return Float32Array.from(new Uint16Array(buffer), halved);
  return Array.from(new BigInt64Array(buffer), Number);
}

function halved(bits) {
  const [sign, power, rest] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (power === 0) return sign * rest * 2 ** -24;
  return power === 31 ? NaN : sign * (1 + rest / 1024) * 2 ** (power - 15); // no weight is infinite
}

// The number and the value of each field: whole numbers, or the bytes of anything else.
function fields(message) {
  const found = [];
  for (let at = 0; at < message.length; ) {
    let tag, value;
    [tag, at] = varint(message, at);
    const wire = tag % 8;
    if (wire === 0) [value, at] = varint(message, at);
    else {
      let size = { 1: 8, 5: 4 }[wire];
      if (wire === 2) [size, at] = varint(message, at);
      if (!(at + size <= message.length)) throw new RangeError("a damaged network");
      value = message.subarray(at, at + size);
      at += size;
    }
    found.push([Math.floor(tag / 8), value]);
  }
  return found;
}

function varint(message, at) {
  for (let value = 0, share = 1; at < message.length; share *= 128) {
    const byte = message[at++];
    value += (byte & 127) * share;
    if (byte < 128) return [value, at];
  }
  throw new RangeError("a damaged network");
}

function packed(message) {
  const values = [];
  for (let at = 0, value; at < message.length; values.push(value)) [value, at] = varint(message, at);
  return values;
}

const text = (bytes) => new TextDecoder().decode(bytes);
