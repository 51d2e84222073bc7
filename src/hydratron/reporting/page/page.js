const ready = page.panels.length ? loadPlotly() : Promise.resolve();

// What follows the colours of the scheme.
function redraw() {
  draw();
  if (layersShown) drawLayers();
}

recall();
keepGroups();

for (const name of choices) {
  document.getElementById(name)?.addEventListener("change", (event) => {
    state[name] = event.target.value;
    keepGroups();
    remember();
    drawLegend();
    draw();
  });
}
for (const button of document.querySelectorAll(".export button")) {
  button.addEventListener("click", () => {
    const chart = page.panels.find((panel) => panel.id === button.dataset.chart);
    ready.then(() => save(chart, button.dataset.format));
  });
}
document.getElementById("theme").addEventListener("click", () => {
  root.style.colorScheme = isDark() ? "light" : "dark";
  remember();
  redraw();
});
systemDark.addEventListener("change", redraw);

let before = "";
addEventListener("beforeprint", () => {
  before = root.style.colorScheme;
  root.style.colorScheme = "light";
  root.classList.add("print");
  for (const box of document.querySelectorAll(".scroll")) {
    box.firstChild.style.zoom = Math.min(1, box.clientWidth / box.scrollWidth);
  }
  // A page that is printed the moment it opens has nothing yet to draw with.
  if (!window.Plotly) return;
  drawAll();
  if (layerRun) drawLayers();
});
addEventListener("afterprint", () => {
  root.style.colorScheme = before;
  root.classList.remove("print");
  for (const table of document.querySelectorAll(".scroll table")) table.style.zoom = "";
  redraw();
});

// Not under the reader's finger, and not for nobody.
if (page.reload) {
  let pressed = false;
  addEventListener("pointerdown", () => { pressed = true; });
  addEventListener("pointerup", () => { pressed = false; });
  setInterval(() => { if (!pressed && !document.hidden) location.reload(); }, 1000 * page.reload);
}

watchTables();
drawLegend();
draw();
ready.then(() => {
  for (const { id } of page.panels) watcher.observe(document.getElementById(id));
  watchLayers();
});
