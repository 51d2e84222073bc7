const svg = (name, attributes) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
};

function swatch(classes, pattern, line) {
  const picture = svg("svg", {
    class: `swatch ${classes}`, viewBox: "0 0 30 10", "aria-hidden": "true",
  });
  if (line) picture.style.setProperty("--line", line);
  const stroke = { x1: 0, y1: 5, x2: 30, y2: 5 };
  picture.append(
    svg("line", pattern === "solid" ? stroke : { ...stroke, "stroke-dasharray": pattern }));
  return picture;
}

// The values of all that differs need no word before them.
const titleOf = (key) => (key === "variant" ? "" : key);
const colourKey = (index) => `c:${state.colour}:${colouring().labels[index]}`;
const dashKey = (index) => `d:${state.dash}:${dashing().labels[index]}`;

function key(name, label, picture) {
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.key = name;
  button.setAttribute("aria-pressed", String(!state.hidden.has(name)));
  button.append(picture, label);
  button.addEventListener("click", () => {
    const shown = !state.hidden.has(name);
    state.hidden[shown ? "add" : "delete"](name);
    button.setAttribute("aria-pressed", String(!shown));
    remember();
    draw();
  });
  return button;
}

function keys(title, children) {
  const box = document.createElement("div");
  box.className = "keys";
  const head = document.createElement("span");
  head.className = "title";
  head.textContent = title;
  box.append(head, ...children);
  return box;
}

// The colours, the dashes where there are several, and what a cross at the end of a line says.
function drawLegend() {
  const { key: told, labels, colours, of } = colouring();
  const groups = [keys(titleOf(told), labels.map((label, index) =>
    key(colourKey(index), label, swatch("key", "solid", colours[index]))))];
  if (dashing()) {
    groups.push(keys(state.dash, dashing().labels.map((label, index) =>
      key(dashKey(index), label, swatch(
        state.dash === "parallel" && index === 0 && state.seeds !== "mean" ? "band" : "",
        page.dashes[index])))));
  }
  const broken = [...new Set(page.runs.filter((run) => run.broken).map((run) => run.status))];
  if (broken.length) {
    const note = document.createElement("span");
    note.className = "cross";
    note.textContent = `✕ ${broken.sort().join(", ")}`;
    groups.push(note);
  }
  document.querySelector(".legend").replaceChildren(...groups);
  for (const picture of document.querySelectorAll("svg[data-run]")) {
    const run = picture.dataset.run, pattern = patternOf(run);
    picture.style.setProperty("--line", colours[of[run]]);
    picture.classList.toggle("band", isBand(run));
    picture.firstChild.setAttribute("stroke-dasharray", pattern === "solid" ? "none" : pattern);
  }
  for (const name of ["colour", "dash"]) {
    for (const option of document.querySelectorAll(`#${name} option`)) {
      option.disabled = state.seeds === "mean" && !keepsGroups(legendOf(option.value));
      option.selected = option.value === state[name];
    }
  }
  const note = document.getElementById("mean-note");
  if (note) note.hidden = state.seeds !== "mean";
}
