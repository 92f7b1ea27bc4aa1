"use strict";
// Photos in, answers on cards: what the page of a service and an exported page share. Names of files
// and classes are only ever set as text, never as markup.
const by = (id) => document.getElementById(id);
const KEPT = 200; // cards of this visit
const SIDE = 460; // pixels of a photo on a card
const idle = by("note").textContent;
let count = 0;

function made(tag, cls, text) {
  const one = document.createElement(tag);
  if (cls) one.className = cls;
  if (text !== undefined) one.textContent = text;
  return one;
}

function percent(share) {
  const shown = (100 * share).toFixed(1); // certainty is said of what is certain only
  if (shown === "0.0" && share > 0) return "< 0.1 %";
  return shown === "100.0" && share < 1 ? "> 99.9 %" : `${shown} %`;
}

function words(row) {
  if (row.answer === "stranger")
    return ["stranger", "Stranger", "I have seen nothing like this.", row.familiarity];
  if (row.answer === "unsure")
    return ["unsure", "Unsure", `Perhaps ${row.label}, ${percent(row.confidence)}.`, row.confidence];
  return ["sure", row.answer, `${percent(row.confidence)} sure`, row.confidence];
}

async function picture(file) {
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  const scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = made("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return canvas;
}

// Where on the photo the network looked: the square it saw, as the model's preprocessing has it.
function seen(how, width, height) {
  if (how.mode === "squash") return [0, 0, width, height];
  const side = how.mode === "pad" ? Math.max(width, height) : how.crop * Math.min(width, height);
  return [(width - side) / 2, (height - side) / 2, side, side];
}

function glow(heat, how, width, height) {
  const rows = heat.length;
  const columns = heat[0].length;
  const most = Math.max(...heat.flat());
  if (!(most > 0)) return null;
  const cells = made("canvas");
  cells.width = columns;
  cells.height = rows;
  const data = new ImageData(columns, rows);
  heat.flat().forEach((value, at) => {
    data.data.set([255, 122, 0, Math.round((190 * Math.max(0, value)) / most)], 4 * at);
  });
  cells.getContext("2d").putImageData(data, 0, 0);
  const layer = made("canvas", "heat");
  layer.width = width;
  layer.height = height;
  const pen = layer.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(cells, ...seen(how, width, height));
  return layer;
}

function card(file) {
  const item = made("li", "wait");
  item.tabIndex = 0;
  const frame = made("div", "frame");
  const told = made("div", "told");
  told.append(made("b", "", "Looking …"), made("p", "name", file.name || "pasted photo"));
  item.append(frame, told);
  by("drop").classList.add("small");
  by("bar").hidden = false;
  by("answers").prepend(item);
  while (by("answers").children.length > KEPT) by("answers").lastChild.remove();
  picture(file).then((canvas) => frame.prepend(canvas)).catch(() => {});
  return item;
}

function shown(item, file, row, how) {
  count += 1;
  by("tally").textContent = count === 1 ? "1 answer" : `${count} answers`;
  const told = item.querySelector(".told");
  item.classList.remove("wait");
  const name = made("p", "name", file.name || "pasted photo");
  name.title = name.textContent;
  if (row.error) {
    told.className = "told bad";
    told.replaceChildren(made("b", "", "No answer"), made("p", "", row.error), name);
    return `${name.textContent}: no answer, ${row.error}`;
  }
  const [kind, answer, text, share] = words(row);
  told.className = `told ${kind}`;
  const meter = made("div", "meter");
  meter.setAttribute("role", "img");
  meter.setAttribute("aria-label", kind === "stranger" ? `familiarity ${percent(share)}` : `confidence ${percent(share)}`);
  const bar = made("i");
  bar.style.width = "0";
  meter.append(bar);
  requestAnimationFrame(() => requestAnimationFrame(() => (bar.style.width = `${100 * share}%`)));
  const others = Object.entries(row.probabilities).sort((a, b) => b[1] - a[1]).slice(0, 3);
  const line = others.map(([label, share]) => `${label} ${percent(share)}`).join(" · ");
  told.replaceChildren(made("b", "", answer), made("p", "", text), meter, made("p", "others", line), name);
  if (row.heat) {
    const frame = item.querySelector(".frame");
    const place = () => {
      const canvas = frame.querySelector("canvas");
      const layer = canvas && glow(row.heat, how, canvas.width, canvas.height);
      if (layer) frame.append(layer);
    };
    if (frame.querySelector("canvas")) place();
    else setTimeout(place, 400);
  }
  return `${name.textContent}: ${answer}, ${text}`;
}

function said(text, bad = false) {
  by("said").textContent = text;
  by("note").textContent = text;
  by("note").classList.toggle("bad", bad);
}

function measured(one) {
  const photos = one.accuracy.n === 1 ? "photo" : "photos";
  const how = { "test photos": `test ${photos}`, "cross-validation": `${photos}, cross-validated` };
  return `${one.accuracy.n} ${how[one.basis] || photos}`;
}

function titled(one) {
  const labels = one.labels.length > 5 ? `${one.labels.slice(0, 4).join(", ")} and ${one.labels.length - 4} more` : one.labels.join(" or ");
  by("model").textContent = `${labels}, or honest about not knowing`;
  document.title = `fursure · ${one.name}`;
  const accuracy = one.accuracy ? `, right ${percent(one.accuracy.value)} of the time on ${measured(one)}` : "";
  by("facts").textContent = `${one.name}${accuracy}`;
}

// How photos come in: dropped, pasted, chosen or taken.
function wired(take) {
  const drop = by("drop");
  for (const name of ["dragenter", "dragover"])
    addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  for (const name of ["dragleave", "drop"]) addEventListener(name, () => drop.classList.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    take(event.dataTransfer.files);
  });
  addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) take(event.clipboardData.files);
  });
  for (const id of ["files", "camera"])
    by(id).addEventListener("change", (event) => {
      take(event.target.files);
      event.target.value = "";
    });
  by("heat").onchange = () => by("answers").classList.toggle("hot", by("heat").checked);
  by("clear").onclick = () => {
    by("answers").replaceChildren();
    by("bar").hidden = true;
    drop.classList.remove("small");
    count = 0;
    said(idle);
  };
  drop.onsubmit = (event) => event.preventDefault();
}
