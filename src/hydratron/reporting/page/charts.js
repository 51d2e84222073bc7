const axisTitles = { tokens: "tokens", step: "optimizer steps", seconds: "seconds" };

// Plotly reads a few tags in names; none of ours are meant.
const plain = (text) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

// A mean stands for its runs unless too few of them are left to draw one.
const averaged = new Set(page.curves.filter((c) => "group" in c).map((c) => c.group));
const inMean = new Set([...averaged].flatMap((index) => page.groups[index].runs));

// The curves of one panel, as single runs or, where there are several seeds, as their mean.
function chosen(panel) {
  const mean = state.seeds === "mean";
  return page.curves.filter((curve) => curve.metric === panel.metric
    && ("group" in curve ? mean : !(mean && inMean.has(curve.run))));
}

const runOf = (curve) => ("group" in curve ? page.groups[curve.group].runs[0] : curve.run);
const labelOf = (curve) => colouring().of[runOf(curve)];

const isShown = (curve) => !state.hidden.has(colourKey(labelOf(curve)))
  && !(dashing() && state.hidden.has(dashKey(dashing().of[runOf(curve)])));

function nameOf(curve) {
  if (!("group" in curve)) return page.runs[curve.run].name;
  const group = page.groups[curve.group];
  return `${group.name} (mean of ${group.runs.length} seeds)`;
}

const valuesOf = (curve) =>
  (state.smoothing === "smooth" && curve.smooth ? curve.smooth : curve.y);

function least(values) { return values.reduce((a, b) => Math.min(a, b), Infinity); }
function largest(values) { return values.reduce((a, b) => Math.max(a, b), -Infinity); }

// One range for all panels, so that a run that ended early ends at the same place in each.
function extent() {
  const last = largest(page.curves.flatMap((c) => c[state.axis].filter((x) => x !== null)));
  return last > 0 ? [-0.012 * last, 1.012 * last] : [-0.012, 1.012];
}

const BAND_ROOM = 0.25;

// Where a diverged run leaves the others far behind, the chart keeps the range of the others.
function heights(curves, scale) {
  const seen = (y) => scale !== "log" || y > 0, place = (y) => (scale === "log" ? Math.log10(y) : y);
  const of = (broken) => curves.filter((c) => isShown(c) && page.runs[runOf(c)].broken === broken)
    .flatMap(valuesOf).filter(seen);
  const healthy = of(false), broken = of(true);
  let from = place(least(healthy)), to = place(largest(healthy));
  // The interval of two seeds is wide: a band does not take the chart from the lines.
  const bands = curves.filter((c) => isShown(c) && c.low);
  const most = BAND_ROOM * (to - from || 1);
  from = Math.max(from - most, place(least([...healthy, ...bands.flatMap((c) => c.low)].filter(seen))));
  to = Math.min(to + most, place(largest([...healthy, ...bands.flatMap((c) => c.high)])));
  const room = 0.06 * (to - from) || 0.06;
  const limits = scale === "log" ? [10 ** (from - room), 10 ** (to + room)]
    : [from - room, to + room];
  const leaves = broken.some((y) => y < limits[0] || y > limits[1]);
  if (!healthy.length || !(leaves || bands.length)) return null;
  return { axis: [from - room, to + room], limits };
}

// The end of a line, or where it last leaves the limits.
function visibleEnd(x, y, limits) {
  let at = y.length - 1;
  const edge = limits && (y[at] > limits[1] ? limits[1] : y[at] < limits[0] ? limits[0] : null);
  if (typeof edge !== "number") return [x[at], y[at]];
  const inside = (value) => value >= limits[0] && value <= limits[1];
  while (at > 0 && !inside(y[at - 1])) at--;
  if (at === 0) return [x[0], edge];
  const share = (edge - y[at - 1]) / (y[at] - y[at - 1]);
  return [x[at - 1] + share * (x[at] - x[at - 1]), edge];
}

function traces(panel, curves, colours, limits) {
  const main = panel.main ? 1 : 0.8;
  const found = [], crosses = [];
  for (const curve of curves) {
    const run = page.runs[runOf(curve)], isMean = "group" in curve;
    const line = colours[labelOf(curve)], visible = isShown(curve), y = valuesOf(curve);
    const x = curve[state.axis];
    const band = isBand(runOf(curve)) && !isMean;
    const common = { type: "scatter", name: plain(nameOf(curve)), visible, meta: labelOf(curve) };
    if (curve.low) {
      found.push({
        ...common, mode: "lines", x: [...x, ...x.toReversed()],
        y: [...curve.high, ...curve.low.toReversed()], fill: "toself", hoverinfo: "skip",
        fillcolor: line.replace("rgb(", "rgba(").replace(")", ", 0.15)"),
        line: { width: 0, color: line },
      });
    }
    found.push({
      ...common, mode: y.length === 1 ? "markers" : "lines", x, y,
      opacity: band ? 0.42 : 1,
      line: {
        color: line, dash: patternOf(runOf(curve)), width: band ? (panel.main ? 6 : 3.6) : 2 * main,
      },
      marker: { color: line, size: 7 },
      hovertemplate: `%{y:${panel.hover}}`,
    });
    if (run.broken) {
      const [endX, endY] = visibleEnd(x, y, limits);
      crosses.push({
        ...common, mode: "markers", x: [endX], y: [endY], cliponaxis: false,
        marker: { symbol: "x", size: 9 * main, color: line, line: { width: 0 } },
        hoverinfo: "skip",
      });
    }
  }
  return [...(found.length > MERGED_FROM ? merged(found) : found), ...crosses];
}

// Plotly's time goes by the number of traces: of very many, those that look the same become one.
const MERGED_FROM = 60;
function merged(found) {
  const alike = new Map();
  for (const trace of found) {
    const { visible, meta, mode, opacity, line, hoverinfo } = trace;
    const look = JSON.stringify([visible, meta, mode, opacity, line, hoverinfo]);
    if (!alike.has(look)) alike.set(look, { ...trace, x: [], y: [], text: [] });
    const one = alike.get(look);
    one.x.push(...trace.x, null);
    one.y.push(...trace.y, null);
    for (let i = 0; i <= trace.x.length; i++) one.text.push(trace.name);
    if (trace.hovertemplate) one.hovertemplate = `${trace.hovertemplate}<extra>%{text}</extra>`;
  }
  return [...alike.values()];
}

// On one to three decades Plotly labels every digit; 1, 2 and 5 are enough.
function logTicks(drawn) {
  const values = drawn.flatMap((t) => t.y).filter((y) => y > 0);
  const decades = Math.log10(largest(values) / least(values));
  return decades > 0.8 && decades < 3 ? { dtick: "D2" } : {};
}

function layout(panel, drawn, range, scale) {
  const soft = colour("soft");
  const axis = {
    zeroline: false, automargin: true, tickfont: { color: soft, size: panel.main ? 13 : 11 },
    gridcolor: colour("grid"), linecolor: colour("rule"),
  };
  return {
    margin: { l: 44, r: 14, t: 10, b: 36 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: soft },
    showlegend: false,
    // Names of dozens of runs in one box would cover the chart.
    hovermode: panel.main && drawn.length <= 24 ? "x unified" : "closest",
    hoverlabel: {
      bgcolor: colour("card"), bordercolor: colour("rule"), namelength: -1,
      font: { color: colour("ink"), size: 12 },
    },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: soft, activecolor: colour("ink") },
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    uirevision: state.axis + state.scale,
    xaxis: {
      ...axis, range: extent(), showgrid: false, showline: true,
      tickformat: "~s", nticks: panel.main ? 10 : 5,
      hoverformat: state.axis === "seconds" ? ".1f" : ",d",
      title: {
        text: axisTitles[state.axis], standoff: 6, font: { size: panel.main ? 13 : 11 },
      },
    },
    yaxis: {
      ...axis, type: scale, tickformat: panel.ticks, nticks: panel.main ? 8 : 5,
      ...(scale === "log" ? logTicks(drawn) : {}),
      ...(range ? { range: range.axis } : {}),
    },
  };
}

// What Plotly is given for one panel, on the page and in a saved picture.
function figure(panel) {
  const scale = panel.log ? state.scale : "linear";
  const curves = chosen(panel), range = heights(curves, scale);
  const drawn = traces(panel, curves, colouring().colours.map(resolved), range?.limits);
  return { data: drawn, layout: layout(panel, drawn, range, scale) };
}

const config = {
  responsive: true, displaylogo: false, displayModeBar: "hover",
  modeBarButtons: [["resetScale2d"]],
};

function drawChart(panel) {
  const chart = document.getElementById(panel.id);
  const { data, layout } = figure(panel);
  // Plotly follows the window late; paper has to fit at once.
  const size = root.classList.contains("print")
    ? { autosize: false, width: chart.clientWidth, height: chart.clientHeight }
    : { autosize: true };
  Plotly.react(chart, data, { ...layout, ...size }, config);
  const note = chart.parentElement.querySelector(".smoothed");
  if (note) note.hidden = state.smoothing !== "smooth";
}

// Only the charts near the window are drawn, one per turn, so that the page answers meanwhile;
// the others are stale until the reader comes to them.
const inView = new Set(), stale = new Set();
let turn, looked = page.panels.length === 0;

function drawNext() {
  const panel = page.panels.find((one) => stale.has(one) && inView.has(one.id));
  if (panel) {
    stale.delete(panel);
    drawChart(panel);
  }
  const more = page.panels.some((one) => stale.has(one) && inView.has(one.id));
  clearTimeout(turn);
  if (more) turn = setTimeout(drawNext);
  root.toggleAttribute("data-drawn", looked && !more);
}

const watcher = new IntersectionObserver((entries) => {
  looked = true;
  for (const { target, isIntersecting } of entries) {
    inView[isIntersecting ? "add" : "delete"](target.id);
  }
  drawNext();
}, { rootMargin: "200px 0px" });

function draw() {
  document.getElementById("theme").textContent = isDark() ? "Light" : "Dark";
  for (const panel of page.panels) stale.add(panel);
  drawNext();
}

// Every chart now, seen or not: paper shows all of them.
function drawAll() {
  clearTimeout(turn);
  stale.clear();
  page.panels.forEach(drawChart);
}
