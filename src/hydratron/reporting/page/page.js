"use strict";
(() => {
  const page = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const systemDark = matchMedia("(prefers-color-scheme: dark)");
  const state = { axis: "tokens", scale: "linear", smoothing: "smooth", hidden: new Set() };
  const axisTitles = { tokens: "tokens", step: "optimizer steps", seconds: "seconds" };

  // Plotly reads a few tags in names; none of ours are meant.
  const plain = (text) =>
    text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

  const probe = document.body.appendChild(document.createElement("i"));
  probe.hidden = true;
  const colour = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };

  const isDark = () =>
    root.style.colorScheme ? root.style.colorScheme === "dark" : systemDark.matches;

  // One range for all panels, so that a run that ended early ends at the same place in each.
  function extent() {
    const ends = page.curves.flatMap((curve) => curve[state.axis].filter((x) => x !== null));
    const last = ends.reduce((a, b) => Math.max(a, b), 0) || 1;
    return [-0.012 * last, 1.012 * last];
  }

  function trace(curve, panel) {
    const run = page.runs[curve.run];
    // Where degrees agree their curves coincide: the first is a wide pale band below the others.
    const band = page.degrees > 1 && run.first_degree;
    const main = panel.main ? 1 : 0.8;
    const y = state.smoothing === "smooth" && curve.smooth ? curve.smooth : curve.y;
    const marked = y.map((_, i) => (run.broken && i === y.length - 1 ? 9 * main : 0));
    if (y.length === 1) marked[0] = 7;
    return {
      type: "scatter",
      mode: marked.some(Boolean) ? "lines+markers" : "lines",
      name: plain(run.name),
      x: curve[state.axis],
      y,
      visible: !state.hidden.has(`c:${run.variant}`) && !state.hidden.has(`d:${run.degree}`),
      opacity: band ? 0.42 : 1,
      line: {
        color: colour(`c${run.colour}`),
        width: band ? (panel.main ? 6 : 3.6) : 2 * main,
        dash: run.dash,
      },
      marker: { symbol: run.broken ? "x" : "circle", size: marked, line: { width: 0 }, opacity: 1 },
      hovertemplate: `%{y:${panel.hover}}`,
    };
  }

  // On one to three decades Plotly labels every digit; 1, 2 and 5 are enough.
  function logTicks(traces) {
    const values = traces.flatMap((t) => t.y).filter((y) => y > 0);
    const top = values.reduce((a, b) => Math.max(a, b), -Infinity);
    const decades = Math.log10(top / values.reduce((a, b) => Math.min(a, b), Infinity));
    return decades > 0.8 && decades < 3 ? { dtick: "D2" } : {};
  }

  function layout(panel, chart, traces) {
    const scale = panel.log ? state.scale : "linear";
    const soft = colour("soft");
    const axis = {
      zeroline: false, automargin: true, tickfont: { color: soft, size: panel.main ? 13 : 11 },
      gridcolor: colour("grid"), linecolor: colour("rule"),
    };
    return {
      // Plotly follows the window late; paper has to fit at once.
      ...(root.classList.contains("print")
        ? { autosize: false, width: chart.clientWidth, height: chart.clientHeight }
        : { autosize: true }),
      margin: { l: 44, r: 14, t: 10, b: 36 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: soft },
      showlegend: false,
      hovermode: panel.main ? "x unified" : "closest",
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
        ...(scale === "log" ? logTicks(traces) : {}),
      },
    };
  }

  const config = {
    responsive: true, displaylogo: false, displayModeBar: "hover",
    modeBarButtons: [["toImage", "resetScale2d"]],
    toImageButtonOptions: { format: "svg", filename: "curves" },
  };

  function draw() {
    for (const panel of page.panels) {
      const chart = document.getElementById(panel.id);
      const traces = page.curves
        .filter((curve) => curve.metric === panel.metric)
        .map((curve) => trace(curve, panel));
      Plotly.react(chart, traces, layout(panel, chart, traces), config);
      const note = chart.parentElement.querySelector(".smoothed");
      if (note) note.hidden = state.smoothing !== "smooth";
    }
    document.getElementById("theme").textContent = isDark() ? "Light" : "Dark";
  }

  for (const key of ["axis", "scale", "smoothing"]) {
    document.getElementById(key).addEventListener("change", (event) => {
      state[key] = event.target.value;
      draw();
    });
  }
  for (const button of document.querySelectorAll(".keys button")) {
    button.addEventListener("click", () => {
      const shown = button.getAttribute("aria-pressed") === "true";
      button.setAttribute("aria-pressed", String(!shown));
      state.hidden[shown ? "add" : "delete"](button.dataset.key);
      draw();
    });
  }
  document.getElementById("theme").addEventListener("click", () => {
    root.style.colorScheme = isDark() ? "light" : "dark";
    draw();
  });
  systemDark.addEventListener("change", draw);

  let before = "";
  addEventListener("beforeprint", () => {
    before = root.style.colorScheme;
    root.style.colorScheme = "light";
    root.classList.add("print");
    draw();
  });
  addEventListener("afterprint", () => {
    root.style.colorScheme = before;
    root.classList.remove("print");
    draw();
  });

  draw();
  root.dataset.drawn = "true";
})();
