"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const cards = [...document.querySelectorAll(".card")];
  const cellOf = new Map(data.labels);
  const place = "fursure review " + data.key;
  const verdicts = new Map(); // the first cells of a photo's line -> [verdict, label cell]
  const before = new Map();
  let current = -1;

  for (const [cells, verdict, label] of data.carried) before.set(cells, [verdict, label]);
  for (const one of data.cards) {
    if (one.verdict) before.set(one.cells, [one.verdict, cellOf.get(one.label) || ""]);
  }
  before.forEach((value, cells) => verdicts.set(cells, value));
  try {
    const kept = JSON.parse(localStorage.getItem(place) || "[]");
    for (const [cells, value] of kept) {
      if (value) verdicts.set(cells, value);
      else verdicts.delete(cells);
    }
  } catch (error) {
    document.getElementById("trouble").hidden = false;
  }

  const chooser = document.createElement("select"); // one for all cards: there may be many labels
  chooser.setAttribute("aria-label", "The right label");
  data.labels.forEach(([label], number) => chooser.add(new Option(label, String(number))));

  function remember() {
    const kept = [...verdicts];
    before.forEach((_, cells) => {
      if (!verdicts.has(cells)) kept.push([cells, null]);
    });
    try {
      localStorage.setItem(place, JSON.stringify(kept));
    } catch (error) {
      document.getElementById("trouble").hidden = false;
    }
  }

  function labelOf(cell) {
    const found = data.labels.find((one) => one[1] === cell);
    return found ? found[0] : "";
  }

  function show(number) {
    const [verdict, cell] = verdicts.get(data.cards[number].cells) || ["", ""];
    const card = cards[number];
    if (verdict) card.dataset.verdict = verdict;
    else delete card.dataset.verdict;
    for (const button of card.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.verdict === verdict));
    }
    const words = { keep: "kept", relabel: "is " + labelOf(cell), drop: "dropped" };
    card.querySelector(".decided").textContent = words[verdict] || "";
  }

  function count() {
    const decided = data.cards.filter((one) => verdicts.has(one.cells)).length;
    document.getElementById("progress").textContent =
      decided + " of " + cards.length + (cards.length === 1 ? " photo decided" : " photos decided");
  }

  function decide(number, verdict) {
    const cells = data.cards[number].cells;
    if (!verdict) verdicts.delete(cells);
    else verdicts.set(cells, [verdict, verdict === "relabel" ? data.labels[chooser.value][1] : ""]);
    remember();
    show(number);
    count();
  }

  function go(number) {
    if (number < 0 || number >= cards.length) return;
    current = number;
    const one = data.cards[number];
    const given = labelOf((verdicts.get(one.cells) || ["", ""])[1]);
    const other = data.labels.find(([label]) => label !== one.given) || data.labels[0];
    const wanted = given || one.suggestion || other[0];
    chooser.value = String(data.labels.findIndex(([label]) => label === wanted));
    if (data.labels.length > 1) cards[number].querySelector(".verdicts").append(chooser);
    cards[number].focus();
    cards[number].scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target === chooser) return;
    const keys = { y: "keep", r: "relabel", d: "drop", u: "" };
    if (event.key === "j" || event.key === "ArrowDown") go(current + 1);
    else if (event.key === "k" || event.key === "ArrowUp") go(current - 1);
    else if (event.key in keys && current >= 0) {
      if (keys[event.key] === "relabel" && data.labels.length < 2) return;
      decide(current, keys[event.key]);
      if (event.key !== "u") go(current + 1);
    } else return;
    event.preventDefault();
  });
  cards.forEach((card, number) => {
    card.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (event.target === chooser) return;
      if (current !== number) go(number);
      if (button) {
        decide(number, button.getAttribute("aria-pressed") === "true" ? "" : button.dataset.verdict);
      }
    });
    show(number);
  });
  chooser.addEventListener("change", () => {
    decide(current, "relabel");
    cards[current].focus();
  });
  document.getElementById("save").addEventListener("click", () => {
    const lines = ["path,sha256,verdict,label"];
    verdicts.forEach(([verdict, cell], cells) => lines.push(cells + "," + verdict + "," + cell));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([lines.join("\r\n") + "\r\n"], { type: "text/csv" }));
    link.download = "corrections.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
  count();
})();
