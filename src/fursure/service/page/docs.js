"use strict";
// openapi.json as a page: nothing is loaded from anywhere else.
const made = (tag, text) => Object.assign(document.createElement(tag), { textContent: text ?? "" });
const here = new URL(".", location.href).href.slice(0, -1); // behind a proxy, with its prefix
for (const id of ["here", "there"]) document.getElementById(id).textContent = here;

function table(rows) {
  const body = made("tbody");
  for (const cells of rows) {
    const row = made("tr");
    row.append(...cells.map((cell, at) => made(at ? "td" : "th", cell)));
    body.append(row);
  }
  const found = made("table");
  found.append(body);
  return found;
}

fetch("openapi.json").then((answer) => answer.json()).then((schema) => {
  const order = (path) => (path.startsWith("/v1/predict") ? 0 : path.startsWith("/v1") ? 1 : 2);
  const paths = Object.entries(schema.paths).sort((a, b) => order(a[0]) - order(b[0]));
  for (const [path, methods] of paths)
    for (const [method, one] of Object.entries(methods)) {
      const section = made("section");
      const title = made("h2");
      title.append(made("em", method.toUpperCase()), path);
      section.append(title, made("p", one.description || one.summary));
      const takes = Object.keys(one.requestBody?.content ?? {});
      const rows = (one.parameters ?? []).map((p) => [p.name, p.in, p.description ?? ""]);
      if (takes.length) rows.push(["body", takes.join(", "), ""]);
      if (rows.length) section.append(table(rows));
      document.getElementById("paths").append(section);
    }
});
