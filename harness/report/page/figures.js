// Figures: Plotly from inside this file, in the page's colours, each with its numbers as a table for who cannot see it.

const COLOURS = ["#0b62c4", "#d95f02", "#0a8f6a", "#b0308f", "#8a6d00", "#5b5bd6", "#c0392b", "#4b8b3b", "#7f7f7f"];
const DARK_COLOURS = ["#6db3ff", "#ffa75e", "#4fd1a5", "#f08bd8", "#e5c55a", "#a9a9ff", "#ff8a80", "#9bd67f", "#b5b5b5"];
const DARK = matchMedia("(prefers-color-scheme: dark)");
const DRAWN = new Map();
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

// Draw into `figure-NAME`. `build` gives { traces, layout, says, head, rows } and is asked again when colours change.
async function figure(name, build) {
  DRAWN.set(name, build);
  const place = byId(`figure-${name}`);
  const { traces, layout, says, head, rows } = build();
  const canvas = make("div", { role: "img", "aria-label": says });
  place.replaceChildren(canvas, make("details", {}, make("summary", {}, "These numbers as a table"), table(head, rows)));
  const library = await plotly();
  await library.newPlot(canvas, traces, layoutOf(layout), { responsive: true, displaylogo: false, displayModeBar: false });
}

DARK.addEventListener("change", () => DRAWN.forEach((build, name) => figure(name, build)));

// A table of texts and nodes; the first column names the row.
function table(head, rows) {
  const cell = (value, place) => make(place ? "td" : "th", place ? {} : { scope: "row" }, value ?? "–");
  return make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": head.join(", ") },
    make("table", {},
      make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)))),
      make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map(cell))))));
}
