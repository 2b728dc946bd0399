// Categories, audit, cost and training: tables, and two charts.

const STATE_NAMES = ["scored", "unparsed", "truncated", "refused", "judge_failed", "error"];
const SHADES = { scored: 2, unparsed: 1, truncated: 4, refused: 5, judge_failed: 3, error: 6 };  // places in COLOURS
// A column is called as its row is: by its method where that has one seed.
const columnName = (run, place) => {
  const column = run.columns[place];
  const row = run.rows.find((one) => one.kind === "method" && one.model === column.model);
  return rowName(run, { ...column, shown: row?.shown });
};
const sum = (values) => values.reduce((total, value) => total + value, 0);
const whole = (value) => Math.round(value).toLocaleString("en");

// Columns of the models that a reader looks at first, at most `most`: of a method the last stage of its first seed.
function mainColumns(run, most) {
  const first = run.rows.filter((row) => row.kind === "model" || row.kind === "method" || row.kind === "final")
    .filter((row, _, rows) => row.kind !== "final" || rows.find((one) => one.kind === "final" && one.method === row.method
      && one.protocol === row.protocol && one.judge === row.judge) === row);
  const key = (row) => JSON.stringify([row.model, row.protocol, row.judge]);
  const wanted = new Set(first.map(key));
  const found = run.columns.map((_, place) => place).filter((place) => wanted.has(key(run.columns[place])));
  return (found.length ? found : run.columns.map((_, place) => place)).slice(0, most);
}

function categories(run) {
  const having = run.tasks.map((_, place) => place)
    .filter((task) => run.cells.some((cell) => cell.task === task && Object.keys(cell.groups).length));
  if (!having.length) return;
  show("categories");
  const columns = mainColumns(run, 20);
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
  const shown = mainColumns(run, 40).toReversed();
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

// ---------------------------------------------------------------- cost

const memory = (bytes) => (bytes ? `${number(bytes / 2 ** 20, 0)} MiB` : "–");
const highest = (values) => Math.max(0, ...values);

function cost(run) {
  const row = (column) => {
    const cells = run.cells.filter((cell) => cell.column === column && cell.inferred);
    const [items, tokens, seconds] = ["inferred", "tokens", "seconds"].map((name) => sum(cells.map((cell) => cell[name])));
    const rate = (value) => (seconds > 0 ? number(value / seconds) : "–");
    const peak = (name) => memory(highest(cells.map((cell) => cell.memory[name] ?? 0)));
    return [columnName(run, column), whole(items), whole(tokens), items ? number(tokens / items) : "–", number(seconds), rate(items),
            rate(tokens), peak("process"), peak("gpu")];
  };
  const head = ["model", "items answered", "tokens", "tokens an item", "seconds", "items/s", "tokens/s", "peak memory", "peak of GPUs"];
  const main = mainColumns(run, 40);
  const rest = run.columns.map((_, place) => place).filter((place) => !main.includes(place));
  byId("cost-table").replaceChildren(make("h3", {}, "Answering"), table(head, main.map(row)),
    ...(rest.length ? [make("details", {}, make("summary", {}, `${rest.length} more: earlier stages, other seeds, masked teachers`),
                            table(head, rest.map(row)))] : []));
  if (run.training.length) byId("cost-table").append(make("h3", {}, "Training"), trainingCost(run));
}

function trainingCost(run) {
  const head = ["method", "seeds", "steps", "questions", "responses", "tokens", "seconds", "responses/s", "tokens/s", "peak memory", "peak of GPUs"];
  return table(head, trainings(run).map((method) => {
    const logs = run.training.filter((log) => log.method === method);
    const total = (name) => sum(logs.map((log) => log.totals[name] ?? 0));
    const peak = (name) => memory(highest(logs.map((log) => log.totals[`memory/${name}`] ?? 0)));
    const rate = (name) => (total("seconds") > 0 ? number(total(name) / total("seconds")) : "–");
    return [method, String(logs.length), ...["steps", "questions", "responses", "tokens"].map((name) => whole(total(name))),
            number(total("seconds")), rate("responses"), rate("tokens"), peak("process"), peak("gpu")];
  }));
}
