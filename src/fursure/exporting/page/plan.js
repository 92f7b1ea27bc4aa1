// The graph of a network → the steps of its encoder, or null where it has layers we have no code for:
// onnxruntime-web then runs it. Ours are those of MobileNet and EfficientNet-Lite: a first layer on
// three colours, layers of 1 × 1, depthwise ones, sums, each with its scale, bias and bounds folded in.
const LANES = 8; // channels come in groups of so many

export function planOf({ nodes, tensors }, size) {
  const plan = { size, steps: [] };
  const used = uses(nodes);
  const shapes = new Map();
  const made = new Map(); // tensor → the step that makes it
  const constant = (name) => tensors.get(name)?.values;
  const settled = (name) => used.get(name) !== 1 || !made.get(name) || made.get(name).low !== undefined || made.get(name).added;
  const renamed = (step, name) => {
    made.set(name, step);
    shapes.set(name, shapes.get(step.output));
    step.output = name;
  };
  for (const { kind, inputs, outputs: [output], facts } of nodes) {
    const [first, second, third] = inputs;
    const step = made.get(first);
    if (kind === "Cast" && tensors.has(first)) tensors.set(output, tensors.get(first));
    else if (kind === "Cast" && first === "pixels") plan.begun = output;
    else if (kind === "Sub" && first === plan.begun) [plan.mean, plan.begun] = [constant(second), output];
    else if (kind === "Mul" && first === plan.begun) [plan.scale, plan.begun] = [constant(second), output];
    else if (kind === "Transpose" && first === plan.begun && plan.mean?.length === 3 && plan.scale?.length === 3) {
      if (`${facts.perm}` !== "0,3,1,2") return null;
      shapes.set(output, [3, size, size]);
    } else if (kind === "Conv") {
      const layer = layerOf(inputs, output, facts, shapes.get(first), tensors);
      if (!layer) return null;
      plan.steps.push(layer);
      made.set(output, layer);
      shapes.set(output, layer.to);
    } else if (kind === "BatchNormalization" && !settled(first)) {
      const [weight, bias, mean, variance] = inputs.slice(1).map(constant);
      for (let c = 0; c < step.scale.length; c++) {
        const share = weight[c] / Math.sqrt(variance[c] + (facts.epsilon ?? 1e-5));
        step.scale[c] *= share;
        step.bias[c] = (step.bias[c] - mean[c]) * share + bias[c];
      }
      renamed(step, output);
    } else if ((kind === "Clip" || kind === "Relu") && !settled(first)) {
      step.low = kind === "Relu" ? 0 : (constant(second)?.[0] ?? -Infinity);
      step.high = kind === "Relu" ? Infinity : (constant(third)?.[0] ?? Infinity);
      renamed(step, output);
    } else if (kind === "Add" && shapes.has(first) && `${shapes.get(first)}` === `${shapes.get(second)}`) {
      const sum = [[first, second], [second, first]].find(([own]) => !settled(own) && made.get(own) === plan.steps.at(-1) && made.get(own).kind === "point");
      if (!sum) return null;
      const layer = made.get(sum[0]);
      layer.added = sum[1];
      renamed(layer, output);
    } else if (output === "features") {
      const flat = kind === "GlobalAveragePool" || (kind === "ReduceMean" && `${constant(second) ?? facts.axes}` === "2,3" && facts.keepdims === 0);
      if (!flat || plan.steps.at(-1)?.output !== first) return null;
      plan.head = headOf(tensors);
      return plan.head && plan;
    } else return null;
  }
  return null;
}

function uses(nodes) {
  const counts = new Map();
  for (const { inputs } of nodes) for (const name of inputs) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

function layerOf([input, weightName, biasName], output, facts, from, tensors) {
  const weight = tensors.get(weightName);
  if (!from || weight?.shape.length !== 4 || weight.shape[2] !== weight.shape[3]) return null;
  const [channels, depth, kernel] = weight.shape;
  const group = facts.group ?? 1;
  const [stride, other] = facts.strides ?? [1, 1];
  const pads = padsOf(facts, from, kernel, stride);
  const kind = kindOf(from[0], channels, depth, kernel, group, stride);
  if (!kind || !pads || stride !== other || (facts.dilations ?? []).some((step) => step !== 1) || channels % LANES) return null;
  const [top, left, bottom, right] = pads;
  const to = [channels, Math.floor((from[1] + top + bottom - kernel) / stride) + 1, Math.floor((from[2] + left + right - kernel) / stride) + 1];
  if (kind === "point" && pads.some((pad) => pad)) return null;
  const bias = biasName ? Float64Array.from(tensors.get(biasName).values) : new Float64Array(channels);
  return { kind, input, output, from, to, kernel, stride, pads, weight: weight.values, scale: new Float64Array(channels).fill(1), bias };
}

function kindOf(before, channels, depth, kernel, group, stride) {
  if (group === before && depth === 1 && channels === before) return "depth";
  if (group !== 1) return null;
  if (before === 3) return "stem";
  return kernel === 1 && stride === 1 && before % LANES === 0 ? "point" : null;
}

function padsOf({ auto_pad: auto = "NOTSET", pads = [0, 0, 0, 0] }, [, height, width], kernel, stride) {
  if (auto === "NOTSET") return pads;
  if (auto === "VALID") return [0, 0, 0, 0];
  if (auto !== "SAME_UPPER") return null;
  const [down, across] = [height, width].map((side) => Math.max(0, (Math.ceil(side / stride) - 1) * stride + kernel - side));
  return [down >> 1, across >> 1, down - (down >> 1), across - (across >> 1)];
}

// What `fursure train` puts on an encoder: dense layers, a temperature, what a heat map needs.
function headOf(tensors) {
  const layers = [];
  for (let n = 0; tensors.has(`head.weight${n}`); n++)
    layers.push({ weight: tensors.get(`head.weight${n}`), bias: tensors.get(`head.bias${n}`)?.values });
  const inverse = tensors.get("head.inverse_temperature")?.values[0];
  if (!layers.length || inverse === undefined || layers.some(({ bias }) => !bias)) return null;
  return { layers, inverse, heat: tensors.get("heat.weight")?.values };
}
