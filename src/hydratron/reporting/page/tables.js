// Tables that can be sorted by a column and filtered by words, and the tokens to a loss of choice.
const units = [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]];
const three = (value) =>
  value.toFixed(Math.max(0, 3 - String(Math.trunc(Math.abs(value))).length));
function short(value) {
  const unit = units.find(([size]) => Math.abs(value) >= size * 0.9995);
  return unit ? three(value / unit[0]) + unit[1] : three(value);
}

// Numbers by their value, which the cell has with all digits; what has none comes last either way.
function sortBy(table, column, up) {
  const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
  const isNumber = table.tHead.rows[0].cells[column].classList.contains("number");
  const missing = (text) => isNumber && !Number.isFinite(parseFloat(text));
  const body = table.tBodies[0];
  const ordered = [...body.rows].sort((a, b) => {
    const x = value(a), y = value(b);
    if (missing(x) || missing(y)) return missing(x) - missing(y);
    const order = isNumber ? parseFloat(x) - parseFloat(y)
      : x.localeCompare(y, "en", { numeric: true });
    return up ? order : -order;
  });
  body.append(...ordered);
  for (const [index, cell] of [...table.tHead.rows[0].cells].entries()) {
    if (index === column) cell.setAttribute("aria-sort", up ? "ascending" : "descending");
    else cell.removeAttribute("aria-sort");
  }
}

function filterRows(table, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of table.tBodies[0].rows) {
    const content = [...row.cells].map((cell) => cell.textContent.toLowerCase()).join(" ");
    row.hidden = !words.every((word) => content.includes(word));
  }
}

// Where a curve first is at or below the target; straight between its rows.
function crossing(curve, target) {
  const { tokens: x, y } = curve;
  const at = y.findIndex((loss) => loss !== null && loss <= target);
  if (at < 0) return null;
  if (at === 0) return x[0];
  return x[at - 1] + ((y[at - 1] - target) / (y[at - 1] - y[at])) * (x[at] - x[at - 1]);
}

// Mean and half of the 95 % interval over seeds; `page.student` has t by the number of seeds.
function meanOf(values) {
  const n = values.length, mean = values.reduce((a, b) => a + b, 0) / n;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return [mean, n > 1 ? page.student[n] * Math.sqrt(squares / (n - 1) / n) : null];
}

function tellTokens(cell, target) {
  const runs = cell.dataset.runs.split(" ").filter(Boolean);
  const lines = runs.map((run) => page.curves.find((curve) =>
    curve.run === Number(run) && curve.metric === page.ranked)).filter(Boolean);
  const reached = lines.map((line) => crossing(line, target)).filter((x) => x !== null);
  delete cell.dataset.value;
  if (!lines.length || !reached.length) {
    cell.textContent = lines.length ? "not reached" : "–";
    return;
  }
  const [mean, half] = meanOf(reached);
  cell.dataset.value = mean;
  cell.textContent = short(mean) + (half === null ? "" : ` ± ${short(half)}`);
  if (reached.length < lines.length) cell.textContent += ` (${reached.length} of ${lines.length})`;
}

function watchTables() {
  for (const button of document.querySelectorAll("th button")) {
    button.addEventListener("click", () => {
      const cell = button.closest("th");
      sortBy(cell.closest("table"), cell.cellIndex, cell.getAttribute("aria-sort") !== "ascending");
    });
  }
  for (const input of document.querySelectorAll("input.filter")) {
    input.addEventListener("input", () =>
      filterRows(input.closest("section").querySelector("table"), input.value));
  }
  const target = document.getElementById("target");
  target?.addEventListener("input", () => {
    const value = target.valueAsNumber;
    if (!Number.isFinite(value)) return;
    for (const cell of document.querySelectorAll("td[data-runs]")) tellTokens(cell, value);
    for (const text of document.querySelectorAll(".target")) text.textContent = target.value;
  });
}
