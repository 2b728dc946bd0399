// Training curves of one method (loss parts, rewards and divergence by source), and one curve of all trainings.

const PARTS = [
  ["loss", "Loss parts", (name) => name === "loss" || name.startsWith("loss/")],
  ["rewards", "Rewards by source", (name) => /^by_source\/[^/]+\/(reward|accuracy|distillation)$/.test(name)],
  ["divergence", "Divergence by source", (name) => /^by_source\/[^/]+\/(divergence|kl)$/.test(name)],
];
const DASHES = ["solid", "dash", "dot", "dashdot"];

// The methods with a log, in the order in which they ran.
const trainings = (run) => {
  const order = run.rows.map((row) => row.method).filter(Boolean);
  return [...new Set(run.training.map((log) => log.method))].sort((a, b) => order.indexOf(a) - order.indexOf(b));
};

function training(run) {
  if (!run.training.length) return;
  show("training");
  const methods = trainings(run);
  const first = methods.includes(run.main) ? run.main : methods.at(-1);
  const draw = (method) => PARTS.forEach(([name, title, belongs]) => partsOf(run, method, name, title, belongs));
  byId("training-controls").replaceChildren(choice("training", methods, first, draw));
  draw(first);
  const names = [...new Set(run.training.flatMap((log) => Object.keys(log.series)))];
  const curve = names.includes("loss") ? "loss" : names[0];
  byId("curve-controls").replaceChildren(choice("one curve of all trainings", names, curve, (name) => oneCurve(run, name)));
  oneCurve(run, curve);
}

// The series of a method whose names belong together, each the mean over the method's seeds.
function partsOf(run, method, name, title, belongs) {
  const logs = run.training.filter((log) => log.method === method);
  const names = [...new Set(logs.flatMap((log) => Object.keys(log.series)))].filter(belongs);
  const place = byId(`figure-training-${name}`);
  place.hidden = !names.length;
  if (!names.length) return place.replaceChildren();
  const kinds = [...new Set(names.map((one) => one.split("/").at(-1)))];
  const sources = [...new Set(names.map((one) => one.split("/").at(-2)))];
  const shown = (one) => one.replace(/^by_source\//, "").replace(/^loss\//, "").replace("/", ": ");
  figure(`training-${name}`, () => ({
    traces: names.map((one) => {
      const [source, kind] = one.split("/").slice(-2).length > 1 ? one.split("/").slice(-2) : ["", one];
      return { type: "scatter", mode: "lines", name: label(shown(one)), x: logs[0].steps, y: meanSeries(logs, one), connectgaps: true,
               line: { color: one === "loss" ? faint(colour(8), 0.5) : colour(kinds.indexOf(kind)), width: one === "loss" ? 5 : 1.8,
                       dash: name === "loss" ? "solid" : DASHES[sources.indexOf(source) % DASHES.length] },
               hovertemplate: "step %{x}: %{y:.4g}<extra>%{fullData.name}</extra>" };
    }),
    layout: { height: 300, xaxis: { title: { text: "step" } }, yaxis: { title: { text: title.toLowerCase() } } },
    says: `${title} of ${method} over the steps, mean of ${logs.length} seeds`,
    head: ["curve", "first", "last"],
    rows: names.map((one) => [shown(one), number(meanSeries(logs, one)[0], 4), number(meanSeries(logs, one).at(-1), 4)]),
  }));
  place.prepend(make("h3", {}, `${title} of ${method}` + (logs.length > 1 ? `, mean of ${logs.length} seeds` : "")));
}

function meanSeries(logs, name) {
  return logs[0].steps.map((_, step) => {
    const values = logs.map((log) => log.series[name]?.[step]).filter((value) => value !== null && value !== undefined);
    return values.length ? mean(values) : null;
  });
}

function oneCurve(run, name) {
  const methods = trainings(run);
  const logs = methods.flatMap((method) => run.training.filter((log) => log.method === method && log.series[name]));
  figure("training", () => ({
    traces: logs.map((log) => ({
      type: "scatter", mode: "lines", name: label(log.method), legendgroup: log.method, x: log.steps, y: log.series[name], connectgaps: true,
      showlegend: logs.find((one) => one.method === log.method) === log, line: { color: shadeOf(run, log.method, methods.indexOf(log.method)), width: 1.4 },
      hovertemplate: `step %{x}: %{y:.4g}<extra>${label(log.name)}</extra>`,
    })),
    layout: { height: 380, xaxis: { title: { text: "step" } }, yaxis: { title: { text: label(name) } } },
    says: `${name} over the steps of ${logs.length} trainings`,
    head: ["training", "steps", "first", "last"],
    rows: logs.map((log) => [log.name, whole(log.steps.at(-1) + 1), number(log.series[name][0], 4), number(log.series[name].at(-1), 4)]),
  }));
}
