// The norms of one run's layers: layers upwards, steps to the right, colour by order of magnitude.
const layerRun = document.getElementById("layer-run");
const layerMetric = document.getElementById("layer-metric");
let layersShown = false;

// 1, 2 and 5 times the powers of ten between two logarithms, or these where they are close.
function magnitudes(low, high) {
  const found = [];
  for (let power = Math.floor(low); power <= high; power++) {
    for (const factor of [1, 2, 5]) {
      const at = power + Math.log10(factor);
      if (at >= low - 1e-9 && at <= high + 1e-9) found.push(at);
    }
  }
  if (found.length < 2) return [low, high];
  return found.length > 9 ? found.filter((at) => Number.isInteger(at)) : found;
}

function drawLayers() {
  layersShown = true;
  const map = page.layers.find((one) =>
    one.run === Number(layerRun.value) && one.metric === layerMetric.value);
  const z = (map?.values ?? []).map((row) => row.map((v) => (v > 0 ? Math.log10(v) : null)));
  const known = z.flat().filter((v) => v !== null);
  const ticks = known.length ? magnitudes(least(known), largest(known)) : [];
  const soft = colour("soft");
  const axis = { zeroline: false, showgrid: false, automargin: true, tickfont: { color: soft } };
  Plotly.react("layer-map", [{
    type: "heatmap", x: map?.step, y: map?.layers, z, customdata: map?.values,
    colorscale: "Viridis", hovertemplate: "layer %{y}, step %{x:,d}: %{customdata:.3~g}<extra></extra>",
    colorbar: {
      tickvals: ticks, ticktext: ticks.map((at) => Number((10 ** at).toPrecision(2)).toString()),
      tickfont: { color: soft }, thickness: 12, outlinewidth: 0,
    },
  }], {
    margin: { l: 44, r: 14, t: 10, b: 36 },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: soft },
    xaxis: { ...axis, tickformat: "~s", title: { text: "optimizer steps", font: { color: soft } } },
    yaxis: { ...axis, dtick: Math.ceil((map?.layers.length ?? 1) / 12),
      title: { text: "layer", font: { color: soft } } },
  }, config);
}

function watchLayers() {
  if (!layerRun) return;
  for (const input of [layerRun, layerMetric]) input.addEventListener("change", drawLayers);
  new IntersectionObserver((entries, watching) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    watching.disconnect();
    drawLayers();
  }, { rootMargin: "200px 0px" }).observe(document.getElementById("layer-map"));
}
