// Categories, audit, cost and training: tables, and two charts.

const STATE_NAMES = ["scored", "unparsed", "truncated", "refused", "judge_failed", "error"];
const SHADES = { scored: 2, unparsed: 1, truncated: 4, refused: 5, judge_failed: 3, error: 6 };  // places in COLOURS
const columnName = (run, place) => rowName(run, run.columns[place]);
const sum = (values) => values.reduce((total, value) => total + value, 0);
const whole = (value) => Math.round(value).toLocaleString("en");

// Columns of the rows that a reader looks at first, at most `most`.
function mainColumns(run, most) {
  const wanted = new Set(mainRows(run).map((row) => JSON.stringify([row.model, row.protocol, row.judge])));
  return run.columns.map((_, place) => place)
    .filter((place) => wanted.has(JSON.stringify(Object.values(run.columns[place])))).slice(0, most);
}

function categories(run) {
  const having = run.tasks.map((_, place) => place)
    .filter((task) => run.cells.some((cell) => cell.task === task && Object.keys(cell.groups).length));
  if (!having.length) return;
  show("categories");
  const columns = mainColumns(run, 12);
  const draw = (task) => {
    const cells = columns.map((column) => run.cells.find((cell) => cell.column === column && cell.task === Number(task))).filter(Boolean);
    const facets = [...new Set(cells.flatMap((cell) => Object.keys(cell.groups)))];
    byId("categories-table").replaceChildren(...facets.flatMap((facet) => {
      const names = [...new Set(cells.flatMap((cell) => Object.keys(cell.groups[facet] ?? {})))];
      return [make("h3", {}, facet), table([facet, "n", ...cells.map((cell) => columnName(run, cell.column))], names.map((name) => [
        name, String(cells[0].groups[facet]?.[name]?.[1] ?? "–"), ...cells.map((cell) => number(cell.groups[facet]?.[name]?.[0])),
      ]))];
    }));
  };
  byId("categories-controls").replaceChildren(choice("benchmark", having.map((task) => [task, run.tasks[task].name]), having[0], draw));
  draw(having[0]);
}

// ---------------------------------------------------------------- audit

function audit(run) {
  const columns = run.columns.map((_, place) => place);
  const count = (column, state) => sum(run.cells.filter((cell) => cell.column === column).map((cell) => cell.states[state] ?? 0));
  const items = (column) => sum(run.cells.filter((cell) => cell.column === column).map((cell) => cell.items));
  const shown = (mainColumns(run, 40).length ? mainColumns(run, 40) : columns).toReversed();
  const used = STATE_NAMES.filter((state) => columns.some((column) => count(column, state)));
  figure("states", () => ({
    traces: used.map((state) => ({
      type: "bar", orientation: "h", name: state, y: shown.map((column) => label(columnName(run, column))),
      x: shown.map((column) => (100 * count(column, state)) / items(column)),
      marker: { color: colour(SHADES[state]) },
      hovertemplate: "%{y}: %{x:.2f} %<extra>%{fullData.name}</extra>",
    })),
    layout: { barmode: "stack", height: 100 + 24 * shown.length, xaxis: { range: [0, 100], title: { text: "% of items" } },
              yaxis: { type: "category" } },
    says: `States of the items of ${shown.length} models`,
    head: ["model", "items", ...used, "drawn at random", "bad rows skipped"],
    rows: columns.map((column) => [columnName(run, column), whole(items(column)), ...used.map((state) => whole(count(column, state))),
      ...["random", "skipped"].map((name) => whole(sum(run.cells.filter((cell) => cell.column === column).map((cell) => cell[name]))))]),
  }));
  const draw = (place) => {
    const column = Object.values(run.columns[place]);
    const rules = run.rules.filter((row) => column.every((value, at) => row[at] === value));
    byId("audit-table").replaceChildren(table(["rule", "state", "items", "%"], rules.slice(0, 60).map((row) => [
      row[4] || "(none)", row[3], whole(row[5]), number((100 * row[5]) / items(Number(place)), 2),
    ])));
  };
  const first = columns[0];
  byId("audit-controls").replaceChildren(choice("rules that read the responses of", columns.map((c) => [c, columnName(run, c)]), first, draw));
  draw(first);
}

function cost(run) {
  const rows = run.columns.map((_, column) => {
    const cells = run.cells.filter((cell) => cell.column === column && cell.inferred);
    const [items, tokens, seconds] = ["inferred", "tokens", "seconds"].map((name) => sum(cells.map((cell) => cell[name])));
    const rate = (value) => (seconds > 0 ? number(value / seconds) : "–");
    return [columnName(run, column), whole(items), whole(tokens), items ? number(tokens / items) : "–", number(seconds), rate(items), rate(tokens)];
  });
  byId("cost-table").replaceChildren(
    table(["model", "items answered", "tokens", "tokens an item", "seconds", "items/s", "tokens/s"], rows));
}

// ---------------------------------------------------------------- training

function training(run) {
  if (!run.training.length) return;
  show("training");
  const names = [...new Set(run.training.flatMap((log) => Object.keys(log.series)))];
  const draw = (name) => figure("training", () => {
    const logs = run.training.filter((log) => log.series[name]);
    return {
      traces: logs.map((log, place) => ({
        type: "scatter", mode: "lines", name: label(log.name), x: log.steps, y: log.series[name], connectgaps: true,
        line: { color: colour(place), width: 1.6 }, hovertemplate: "step %{x}: %{y:.4g}<extra>%{fullData.name}</extra>",
      })),
      layout: { height: 380, xaxis: { title: { text: "step" } }, yaxis: { title: { text: label(name) } } },
      says: `${name} over the steps of ${logs.length} trainings`,
      head: ["training", "steps", "first", "last"],
      rows: logs.map((log) => [log.name, whole(log.steps.at(-1) + 1), number(log.series[name][0], 4), number(log.series[name].at(-1), 4)]),
    };
  });
  const first = names.includes("loss") ? "loss" : names[0];
  byId("training-controls").replaceChildren(choice("curve", names, first, draw));
  draw(first);
}
