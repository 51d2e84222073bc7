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

const colourKey = (index) => `c:${state.colour}:${colouring().labels[index]}`;
const degreeKey = (degree) => `d:${degree}`;

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

function keys(...children) {
  const box = document.createElement("div");
  box.className = "keys";
  box.append(...children);
  return box;
}

// The colours, the dashes where there are several, and what a cross at the end of a line says.
function drawLegend() {
  const { labels, colours, of } = colouring();
  const groups = [keys(...labels.map((label, index) =>
    key(colourKey(index), label, swatch("key", "solid", colours[index]))))];
  if (page.degrees > 1) {
    const degrees = new Map(page.runs.map((run) => [run.degree, run]));
    const ordered = [...degrees.values()].sort((a, b) => b.first_degree - a.first_degree);
    groups.push(keys(...ordered.map((run) =>
      key(degreeKey(run.degree), run.degree, swatch(run.first_degree ? "band" : "", run.dash)))));
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
    picture.style.setProperty("--line", colours[of[picture.dataset.run]]);
  }
  for (const option of document.querySelectorAll("#colour option")) {
    option.disabled = state.seeds === "mean"
      && !keepsGroups(page.colourings.find((offered) => offered.key === option.value));
    option.selected = option.value === state.colour;
  }
}
