"use strict";
// The page of a service: photos go there, answers come back on cards.
const MOST = 48; // photos sent at a time
let model = null;
const door = `token ${location.pathname}`; // another service may lie under another prefix
let token = sessionStorage.getItem(door) || "";

async function asked(path, options = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(path, { ...options, headers });
  if (answer.status === 401) {
    by("door").hidden = false;
    by("token").focus();
    throw new Error("This service asks for a token.");
  }
  const value = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(value.detail || `The service answered ${answer.status}.`);
  return value;
}

async function send(files) {
  const items = files.map(card);
  const form = new FormData();
  for (const file of files) form.append("files", file, file.name || "pasted");
  const where = `v1/predict?heat=1&model=${encodeURIComponent(model.name)}`;
  let rows;
  try {
    rows = (await asked(where, { method: "POST", body: form })).predictions;
  } catch (error) {
    rows = files.map(() => ({ error: error.message }));
  }
  const lines = rows.map((row, at) => shown(items[at], files[at], row, model.preprocess));
  said(lines.length > 5 ? `${lines.length} photos answered` : lines.join("; "));
}

async function take(list) {
  const files = [...list].filter((one) => one instanceof File);
  if (!files.length) return said("There was no photo in that.", true);
  if (!model) return said("The model is not there yet.", true);
  for (let start = 0; start < files.length; start += MOST) await send(files.slice(start, start + MOST));
}

function chosen(one) {
  model = one;
  titled(one);
  by("report").hidden = !one.report || Boolean(token); // a link cannot send the token
  by("report").href = `report/${encodeURIComponent(one.name)}`;
}

async function begin() {
  try {
    const { models } = await asked("v1/models");
    by("door").hidden = true;
    by("choice").hidden = models.length < 2;
    by("models").replaceChildren(...models.map((one) => made("option", "", one.name)));
    by("models").onchange = () => chosen(models[by("models").selectedIndex]);
    chosen(models[0]);
  } catch (error) {
    said(error.message, true);
  }
}

wired(take);
by("door").onsubmit = (event) => {
  event.preventDefault();
  token = by("token").value.trim();
  sessionStorage.setItem(door, token);
  begin();
};
begin();
