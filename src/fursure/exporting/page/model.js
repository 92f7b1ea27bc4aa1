// The model of this folder: opened, proven on golden pictures, and asked.
import { Familiar } from "./familiar.js";
import { averaged } from "./browser.js";
import { ownNetwork } from "./network.js";
import { photoOf } from "./photo.js";
import { preprocessed } from "./resize.js";
import { Refused } from "./refused.js";

// (module (func (result v128) i32.const 0 i8x16.splat))
const SIMD = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 8, 1, 6, 0, 65, 0, 253, 15, 11]);
const MADE_BY = 1; // the format of model.json

export async function openedModel(progress = () => {}) {
  if (typeof WebAssembly !== "object" || !WebAssembly.validate(SIMD))
    throw new Refused("This browser has no WebAssembly SIMD, which the model needs; use one of 2023 or newer.");
  const facts = await (await fetched("model.json")).json();
  if (facts.format !== MADE_BY) throw new Refused("This page and its model are of different versions; reload, or export the model again.");
  progress("Loading the model …");
  const [network, familiar] = await Promise.all([bytes("model.onnx"), bytes("familiar.bin")]);
  const run = await runner(network, facts);
  const model = new Model(facts, run, new Familiar(facts.familiar, familiar.buffer));
  progress("Proving the answers …");
  await model.prove();
  return model;
}

async function fetched(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    throw new Refused(`${path} could not be loaded (${error.message}); is the page served over HTTP, and whole?`);
  }
  if (!answer.ok) throw new Refused(`${path} could not be loaded (${answer.status}); export the model again.`);
  return answer;
}

async function bytes(path, options) {
  return new Uint8Array(await (await fetched(path, options)).arrayBuffer());
}

async function engine({ module, wasm, integrity }) {
  const missing = (error) => {
    throw new Refused(`What runs the model could not be loaded (${error.message}); is there a network?`);
  };
  const [loaded, binary] = await Promise.all([import(module).catch(missing), bytes(wasm, integrity ? { integrity } : {})]);
  Object.assign(loaded.env.wasm, { wasmBinary: binary.buffer, numThreads: 1, proxy: false });
  return loaded;
}

// What turns pixels into outputs: our own WebAssembly, or onnxruntime-web, which comes with networks of other layers.
async function runner(network, facts) {
  const { size } = facts.preprocess;
  let reason = "layers that this page has no code for";
  const own = await ownNetwork(network, size).catch((error) => void (reason = error.message));
  if (own) return (pixels) => own.run(pixels);
  if (!facts.runtime) throw new Refused(`This browser cannot run the model (${reason}); close other pages, or use one of 2023 or newer.`);
  const runtime = await engine(facts.runtime);
  let session;
  try {
    session = await runtime.InferenceSession.create(network, { executionProviders: ["wasm"] });
  } catch (error) {
    throw new Refused(`This browser cannot run the model: ${error.message}.`);
  }
  return async (pixels) => {
    const { probs, features, heat } = await session.run({ pixels: new runtime.Tensor("uint8", pixels, [1, size, size, 3]) });
    return { probs: probs.data, features: features.data, heat };
  };
}

class Model {
  constructor(facts, run, familiar) {
    Object.assign(this, { facts, run, familiar, gap: 0, canvas: true });
  }

  // The answer to a file, a blob, bytes, or what can be drawn: an image, a video, a canvas.
  async predict(source) {
    return this.ask(preprocessed(await this.photo(source), this.facts.preprocess));
  }

  async photo(source) {
    if (source instanceof Blob) return this.decoded(new Uint8Array(await source.arrayBuffer()));
    if (source instanceof ArrayBuffer || source instanceof Uint8Array) return this.decoded(new Uint8Array(source));
    if (!this.canvas) throw new Refused(CHANGED);
    const bitmap = await createImageBitmap(source);
    try {
      return averaged(bitmap, 1);
    } finally {
      bitmap.close();
    }
  }

  async decoded(data) {
    const photo = await photoOf(data, this.facts.min_side);
    if (photo.kind !== "JPEG" && !this.canvas) throw new Refused(CHANGED);
    return photo;
  }

  async ask(pixels) {
    const { probs, features, heat } = await this.run(pixels);
    const { labels } = this.facts;
    const top = probs.indexOf(Math.max(...probs));
    const familiarity = this.familiar.of(features);
    const row = {
      answer: this.answer(labels[top], probs[top], familiarity),
      label: labels[top],
      confidence: probs[top],
      familiarity,
      probabilities: Object.fromEntries(labels.map((label, at) => [label, probs[at]])),
    };
    return heat ? { ...row, heat: rowsOf(heat) } : row;
  }

  answer(label, confidence, familiarity) {
    if (familiarity <= 0 || familiarity < this.familiar.threshold) return "stranger";
    return confidence >= this.facts.threshold ? label : "unsure";
  }

  // The golden pictures, the whole way: the JPEG by our own decoder, the PNG by the browser's.
  async prove() {
    const gaps = {};
    for (const golden of this.facts.golden) {
      const row = await this.predict(await bytes(golden.file));
      const off = golden.probabilities.map((share, at) => Math.abs(share - row.probabilities[this.facts.labels[at]]));
      gaps[golden.file] = Math.max(...off, Math.abs(golden.familiarity - row.familiarity));
      if (row.answer !== golden.answer) gaps[golden.file] = Math.max(gaps[golden.file], 1);
    }
    const { bound } = this.facts;
    const fits = (file) => gaps[file] <= bound;
    if (!fits("golden.jpg"))
      throw new Refused(`This browser gives other answers than the model: a golden one is off by ${gaps["golden.jpg"].toFixed(4)}, more than ${bound}. Try another browser.`);
    this.canvas = fits("golden.png");
    this.gap = Math.max(...Object.values(gaps).filter((gap) => gap <= bound));
  }
}

const CHANGED = "this browser changes pictures that a page reads (a protection of privacy, perhaps): a golden PNG came out wrong, so only JPEGs are answered here";

function rowsOf({ data, dims: [, height, width] }) {
  return Array.from({ length: height }, (_, y) => Array.from(data.subarray(y * width, (y + 1) * width)));
}
