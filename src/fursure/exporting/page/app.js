// The exported page: photos in, answers on cards, and nothing leaves this device.
import { openedModel } from "./model.js";
import { Refused } from "./refused.js";
import { csv } from "./table.js";

const ready = openedModel((text) => (by("proof").textContent = text));
const rows = [];
let waiting = Promise.resolve(); // photos are answered one after the other

window.fursure = { ready, predict: async (photo) => (await ready).predict(photo) };

function sentence(error) {
  return error instanceof Refused ? error.message : `no answer here (${error.message}); another browser may give one`;
}

async function answered(model, file, item) {
  let row;
  try {
    row = await model.predict(file);
  } catch (error) {
    row = { error: sentence(error) };
  }
  rows.push({ path: file.name || "pasted photo", ...row });
  return shown(item, file, row, model.facts.preprocess);
}

function take(list) {
  const files = [...list].filter((one) => one instanceof File);
  if (!files.length) return said("There was no photo in that.", true);
  const items = files.map(card);
  waiting = waiting.then(async () => {
    const lines = [];
    const model = await ready.catch(() => null);
    if (!model) return items.forEach((item, at) => shown(item, files[at], { error: by("proof").textContent }));
    for (const [at, file] of files.entries()) {
      lines.push(await answered(model, file, items[at]));
      await new Promise((go) => setTimeout(go)); // the page draws it
    }
    said(lines.length > 5 ? `${lines.length} photos answered` : lines.join("; "));
  });
}

function save() {
  const link = made("a");
  link.href = URL.createObjectURL(new Blob([csv(rows, model.facts.labels)], { type: "text/csv" }));
  link.download = "answers.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// The picture of a camera, answered as fast as it goes, until it is stopped.
let stream = null;
async function live() {
  if (stream) return stop();
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    return said(`The camera cannot be used (${error.message}).`, true);
  }
  const video = by("video");
  video.srcObject = stream;
  await video.play();
  by("live").hidden = false;
  by("webcam").textContent = "Stop the camera";
  let before = "";
  while (stream) {
    const row = await frame(video);
    const [kind, answer, text] = row.error ? ["bad", "No answer", row.error] : words(row);
    by("seen").className = `told ${kind}`;
    by("seen").replaceChildren(made("b", "", answer), made("p", "", text));
    if (answer !== before) by("said").textContent = `${answer}, ${text}`;
    before = answer;
    await new Promise((go) => setTimeout(go, 60));
  }
}

async function frame(video) {
  try {
    return await (await ready).predict(video);
  } catch (error) {
    return { error: sentence(error) };
  }
}

function stop() {
  for (const track of stream.getTracks()) track.stop();
  stream = null;
  by("live").hidden = true;
  by("webcam").textContent = "Watch live";
}

let model = null;
wired(take);
by("clear").addEventListener("click", () => (rows.length = 0));
by("save").onclick = save;
by("webcam").onclick = live;
by("webcam").hidden = !navigator.mediaDevices;
ready.then(
  (opened) => {
    model = opened;
    titled(opened.facts);
    by("proof").textContent = `This browser gives the model's answers: largest difference ${opened.gap < 1e-5 ? "below 0.00001" : opened.gap.toFixed(5)}.`;
    by("proof").className = "proven";
    if (!opened.canvas) said("Only JPEGs are answered: this browser changes pictures that a page reads.", true);
  },
  (error) => {
    by("proof").textContent = sentence(error);
    by("proof").className = "refused";
    by("said").textContent = sentence(error);
  },
);
// Once the page stands: it then takes from the browser's cache what was loaded already.
ready.finally(() => navigator.serviceWorker?.register("sw.js")).catch(() => {}); // there is none on http://
