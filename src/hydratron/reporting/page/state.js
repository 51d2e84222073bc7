const page = JSON.parse(document.getElementById("data").textContent);
const root = document.documentElement;
const systemDark = matchMedia("(prefers-color-scheme: dark)");
const choices = ["axis", "scale", "smoothing", "seeds", "colour", "dash"];
const state = {
  axis: "tokens", scale: "linear", smoothing: "smooth", seeds: page.groups.length ? "mean" : "runs",
  colour: page.colour, dash: page.dash, hidden: new Set(),
};
for (const curve of page.curves) {
  if (typeof curve.tokens === "number") {
    const perStep = curve.tokens;
    curve.tokens = curve.step.map((step) => step * perStep);
  }
}

const isDark = () =>
  root.style.colorScheme ? root.style.colorScheme === "dark" : systemDark.matches;

const probe = document.body.appendChild(document.createElement("i"));
probe.hidden = true;
// Any CSS colour as rgb(), in the scheme that is shown.
function resolved(css) {
  probe.style.color = css;
  return getComputedStyle(probe).color;
}
const colour = (name) => resolved(`var(--${name})`);

const legendOf = (key) => page.legends.find((offered) => offered.key === key);
const colouring = () => legendOf(state.colour);
// Without one every line is solid.
const dashing = () => legendOf(state.dash);
const patternOf = (run) => page.dashes[dashing()?.of[run] ?? 0];
// Where degrees agree their curves coincide: the first is a wide pale band below the others.
const isBand = (run) => state.dash === "parallel" && dashing().of[run] === 0;

// A mean has one look where all its seeds have the same one; else the legend would split it.
const keepsGroups = (offered) => !offered
  || page.groups.every((group) => new Set(group.runs.map((run) => offered.of[run])).size < 2);

function keepGroups() {
  if (state.seeds !== "mean") return;
  for (const name of ["colour", "dash"]) {
    if (!keepsGroups(legendOf(state[name]))) state[name] = page[name];
  }
}

// The choices live in the address: they outlast a reload and can be sent as a link.
function remember() {
  const kept = new URLSearchParams();
  for (const key of choices) kept.set(key, state[key]);
  for (const key of state.hidden) kept.append("hide", key);
  if (root.style.colorScheme) kept.set("theme", root.style.colorScheme);
  history.replaceState(null, "", `#${kept}`);
}

function recall() {
  const kept = new URLSearchParams(location.hash.slice(1));
  for (const key of choices) {
    const value = kept.get(key);
    const input = document.querySelector(`#${key} input[value="${CSS.escape(value ?? "")}"]`);
    if (input) input.checked = true;
    const option = document.querySelector(`#${key} option[value="${CSS.escape(value ?? "")}"]`);
    if (input || option) state[key] = value;
  }
  for (const key of kept.getAll("hide")) state.hidden.add(key);
  if (["light", "dark"].includes(kept.get("theme"))) root.style.colorScheme = kept.get("theme");
}
