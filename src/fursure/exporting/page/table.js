// Answers → the same table that `fursure predict --csv` writes.

export function csv(rows, labels) {
  const head = ["path", "answer", "label", "confidence", "familiarity", ...labels.map((label) => `p_${label}`), "engine", "error"];
  const lines = rows.map((row) => {
    if (row.error) return [safe(row.path), "", "", "", "", ...labels.map(() => ""), "", safe(row.error)];
    const shares = labels.map((label) => row.probabilities[label].toFixed(6));
    return [safe(row.path), safe(row.answer), safe(row.label), row.confidence.toFixed(6), row.familiarity.toFixed(4), ...shares, "browser", ""];
  });
  return [head, ...lines].map((cells) => cells.map(quoted).join(",")).join("\n") + "\n";
}

// No spreadsheet takes it for a formula.
function safe(cell) {
  return /^[=+\-@\t\r]/.test(cell) ? `./${cell}` : cell;
}

function quoted(cell) {
  return /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}
