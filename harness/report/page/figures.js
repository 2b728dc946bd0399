// Figures: Plotly from inside this file, in the page's colours, each with its numbers as a table for who cannot see it.

const COLOURS = ["#0b62c4", "#d95f02", "#0a8f6a", "#b0308f", "#8a6d00", "#5b5bd6", "#c0392b", "#4b8b3b", "#7f7f7f"];
const DARK_COLOURS = ["#6db3ff", "#ffa75e", "#4fd1a5", "#f08bd8", "#e5c55a", "#a9a9ff", "#ff8a80", "#9bd67f", "#b5b5b5"];
const DARK = matchMedia("(prefers-color-scheme: dark)");
const BUILT = new Map();  // how each figure is drawn, by its name
let library;

const colour = (place) => (DARK.matches ? DARK_COLOURS : COLOURS)[place % COLOURS.length];
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Plotly reads labels as a kind of HTML; a name must stay a name.
const label = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

const faint = (hex, share) => hex + Math.round(share * 255).toString(16).padStart(2, "0");

async function plotly() {
  library ??= unpack("plotly").then((code) => {
    document.head.append(make("script", {}, code));
    return window.Plotly;
  });
  return library;
}

function layoutOf(extra) {
  const axis = { gridcolor: css("--line"), zerolinecolor: css("--soft"), linecolor: css("--line"), automargin: true };
  const { xaxis, yaxis, ...rest } = extra;
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: css("--ink"), size: 12 },
    margin: { l: 10, r: 14, t: 10, b: 30 }, legend: { orientation: "h", yanchor: "bottom", y: 1.02, x: 0 },
    hoverlabel: { bgcolor: css("--card"), font: { color: css("--ink") } },
    xaxis: { ...axis, ...xaxis }, yaxis: { ...axis, ...yaxis }, ...rest,
  };
}

// Show `figure-NAME`: its table at once, its drawing when it comes near the window. `build` gives { traces, layout,
// says, head, rows } and is asked again when colours change.
function figure(name, build) {
  const { says, head, rows } = build();
  const canvas = make("div", { role: "img", "aria-label": says, class: "canvas" });
  canvas.dataset.figure = name;
  BUILT.set(name, build);
  byId(`figure-${name}`).replaceChildren(
    canvas, make("details", {}, make("summary", {}, "These numbers as a table"), table(head, rows)));
  NEAR.observe(canvas);
}

async function drawn(canvas) {
  const { traces, layout } = BUILT.get(canvas.dataset.figure)();
  const library = await plotly();
  if (!canvas.isConnected) return;
  canvas.style.height = `${layout.height}px`;  // else a window that changes its size makes the drawing as low as it can
  await library.react(canvas, traces, layoutOf(layout), { responsive: true, displaylogo: false, displayModeBar: false });
  canvas.dataset.drawn = "yes";
}

const NEAR = new IntersectionObserver((entries) => {
  for (const entry of entries.filter((one) => one.isIntersecting)) {
    NEAR.unobserve(entry.target);
    drawn(entry.target);
  }
}, { rootMargin: "600px" });

DARK.addEventListener("change", () => document.querySelectorAll("[data-drawn]").forEach(drawn));

// A table of texts and nodes; the first column names the row.
function table(head, rows) {
  const cell = (value, place) => make(place ? "td" : "th", place ? {} : { scope: "row" }, value ?? "–");
  return make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": head.join(", ") },
    make("table", {},
      make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)))),
      make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map(cell))))));
}
