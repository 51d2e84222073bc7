// A saved picture stands alone: title, unit and legend are in it, on the ground of the theme.
function save(panel, format) {
  const { data, layout } = figure(panel);
  const { labels } = colouring();
  const shown = data.filter((trace) => trace.visible && trace.hoverinfo !== "skip");
  const named = new Set();
  for (const trace of data) trace.showlegend = false;
  for (const label of [...labels.keys()]) {
    const first = shown.find((trace) => trace.meta === label && !named.has(label));
    if (!first) continue;
    named.add(label);
    data.push({
      type: "scatter", mode: "lines", x: [null], y: [null], name: plain(labels[label]),
      line: { color: first.line.color, width: 3 }, showlegend: true,
    });
  }
  for (const [index, label] of (dashing()?.labels ?? []).entries()) {
    if (state.hidden.has(dashKey(index))) continue;
    const band = state.dash === "parallel" && index === 0 && state.seeds !== "mean";
    data.push({
      type: "scatter", mode: "lines", x: [null], y: [null], name: plain(`${state.dash} ${label}`),
      opacity: band ? 0.42 : 1, showlegend: true,
      line: { color: colour("soft"), width: band ? 6 : 2, dash: page.dashes[index] },
    });
  }
  const broken = new Set(page.runs.filter((run) => run.broken).map((run) => run.status));
  if (broken.size) {
    data.push({
      type: "scatter", mode: "markers", x: [null], y: [null], name: [...broken].sort().join(", "),
      marker: { symbol: "x", size: 9, color: colour("soft") }, showlegend: true,
    });
  }
  const size = { width: 860, height: 520 };
  const unit = panel.unit ? `, ${panel.unit}` : "";
  const figured = {
    ...layout, ...size, showlegend: true, paper_bgcolor: colour("card"),
    margin: { l: 64, r: 20, t: 24, b: 52 },
    legend: { title: { text: plain(titleOf(state.colour)), font: { size: 12 } }, font: { color: colour("ink"), size: 13 } },
  };
  figured.yaxis.title = { text: `${panel.title}${unit}`, font: { size: 13 } };
  const filename = `${page.title}-${panel.metric}`.replace(/[^A-Za-z0-9_.-]+/g, "-");
  return Plotly.downloadImage({ data, layout: figured }, {
    ...size, format, filename, scale: format === "png" ? 3 : 1,
  });
}
