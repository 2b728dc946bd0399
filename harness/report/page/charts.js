// The charts of a run. Each function shows its section if the run has something for it.

const half = (numbers) => 1.96 * (numbers[1] ?? 0);
const rowName = (run, row) => {
  const several = new Set(run.columns.map((column) => column.protocol + column.judge)).size > 1;
  const name = row.shown ?? row.model;
  return several ? `${name} · ${row.protocol} · ${row.judge}` : name;
};
// Models that were not trained here, and each method once.
const mainRows = (run) => {
  const found = run.rows.filter((row) => row.kind === "model" || row.kind === "method");
  const order = run.rows.map((row) => row.method).filter(Boolean);
  found.sort((a, b) => (a.kind === b.kind ? order.indexOf(a.method) - order.indexOf(b.method) : a.kind === "model" ? -1 : 1));
  return found.length ? found : run.rows;
};
// The method that the others are compared with has the first colour everywhere, models that were not trained here grey ones.
const shadeOf = (run, method, place) => colour(run.main && method === run.main ? 0 : 1 + (place % (COLOURS.length - 2)));
// Error bars of percents, cut where no score can be.
const within = (numbers, extra) => ({
  type: "data", symmetric: false, array: numbers.map((one) => (one ? Math.min(half(one), 100 - one[0]) : 0)),
  arrayminus: numbers.map((one) => (one ? Math.min(half(one), one[0]) : 0)), ...extra,
});
const show = (id) => { byId(id).hidden = false; };

function averages(run) {
  const rows = mainRows(run).filter((row) => row.average).slice(0, 40).toReversed();
  if (rows.length < 2) return;
  figure("average", () => ({
    traces: [{
      type: "scatter", mode: "markers", x: rows.map((row) => row.average[0]),
      y: rows.map((row) => label(rowName(run, row))),
      error_x: within(rows.map((row) => row.average), { color: css("--soft") }),
      marker: { size: 10, color: rows.map((row) => colour(row.kind === "model" ? 8 : row.method === run.main ? 0 : 2)) },
      hovertemplate: "%{y}: %{x:.2f}<extra></extra>",
    }],
    layout: { height: 60 + 26 * rows.length, xaxis: { title: { text: "average score, %" } }, yaxis: { type: "category" } },
    says: `Average scores with intervals of ${rows.length} models`,
    head: ["model", "average", "± 95 %"],
    rows: rows.toReversed().map((row) => [rowName(run, row), number(row.average[0]), number(half(row.average))]),
  }));
}

// ---------------------------------------------------------------- differences

function differences(run) {
  const known = new Map(run.comparisons.map((one) => [JSON.stringify([one.a, one.b]), one]));
  if (!known.size && !(SERVED && run.sides.length > 1)) return;
  show("difference");
  const chosen = run.comparisons.length ? [run.comparisons[0].a, run.comparisons[0].b] : run.sides.slice(0, 2);
  const controls = byId("difference-controls");
  const draw = async () => {
    const key = JSON.stringify(chosen);
    byId("difference-notes").replaceChildren(make("p", { class: "note" }, "comparing …"));
    if (!known.has(key)) known.set(key, await compare(...chosen));
    if (key === JSON.stringify(chosen)) forest(known.get(key));
  };
  const menus = () => {
    const pairs = run.comparisons.map((one, place) => [place, `${one.a} against ${one.b}`]);
    const either = (place) => choice(place ? "against" : "model or method", run.sides, chosen[place], (name) => {
      chosen[place] = name;
      draw();
    });
    const pair = choice("compared", pairs, 0, (place) => {
      const one = run.comparisons[place];
      [chosen[0], chosen[1]] = [one.a, one.b];
      draw();
    });
    controls.replaceChildren(...(SERVED ? [either(0), either(1)] : [pair]));
  };
  menus();
  draw();
}

function forest(found) {
  const notes = found.refused ? [found.refused] : found.notes;
  byId("difference-notes").replaceChildren(...notes.map((text) => make("p", { class: "note" }, text)));
  if (found.refused) {
    byId("figure-difference").replaceChildren();
    return;
  }
  const overall = { task: `average of ${found.overall.counted}`, p_holm: found.overall.p, ...found.overall };
  const rows = [overall, ...found.rows.toReversed()];
  const shade = (row) => (row.p_holm > 0.05 ? css("--soft") : row.difference > 0 ? css("--good") : css("--bad"));
  figure("difference", () => ({
    traces: [{
      type: "scatter", mode: "markers", x: rows.map((row) => row.difference), y: rows.map((row) => label(row.task)),
      marker: { size: rows.map((_, place) => (place ? 9 : 13)), symbol: rows.map((_, place) => (place ? "square" : "diamond")),
                color: rows.map(shade) },
      error_x: { type: "data", symmetric: false, color: css("--soft"), array: rows.map((row) => row.high - row.difference),
                 arrayminus: rows.map((row) => row.difference - row.low) },
      customdata: rows.map((row) => `${signed(row.low)} to ${signed(row.high)}, p ${number(row.p_holm, 3)}`),
      hovertemplate: "%{y}: %{x:+.2f} points (%{customdata})<extra></extra>",
    }],
    layout: { height: 96 + 24 * rows.length, yaxis: { type: "category" },
              xaxis: { title: { text: `points, right of 0:<br>${label(found.a)} better` }, zeroline: true } },
    says: `Difference ${found.a} minus ${found.b}: overall ${signed(overall.difference)} points, from ` +
      `${signed(overall.low)} to ${signed(overall.high)}`,
    head: ["benchmark", found.a, found.b, "difference", "95 % interval", "p (Holm)", "won-lost"],
    rows: rows.toReversed().map((row) => [row.task, number(row.score_a), number(row.score_b), signed(row.difference),
      `${signed(row.low)} to ${signed(row.high)}`, number(row.p_holm, 3), row.won === undefined ? "" : `${row.won}-${row.lost}`]),
  }));
}

// ---------------------------------------------------------------- suite

function suite(run) {
  if (run.benchmarks.length < 3) return;
  const all = mainRows(run), isFirst = (row) => row.kind === "model" || row.method === run.main;
  const rows = [...all.filter(isFirst), ...all.filter((row) => !isFirst(row))].slice(0, 20);
  const seen = rows.length <= 5 ? rows.length : rows.filter(isFirst).length || rows.length;  // the others wait in the legend
  show("suite");
  const names = run.benchmarks;
  // Side by side within a benchmark, so that intervals do not hide one another.
  const at = (place) => names.map((_, index) => index + (0.6 * (place - (seen - 1) / 2)) / rows.length);
  figure("suite", () => ({
    traces: rows.map((row, place) => ({
      type: "scatter", mode: "lines+markers", name: label(rowName(run, row)), connectgaps: true, x: at(place),
      visible: place < seen ? true : "legendonly",
      y: names.map((name) => row.scores[name]?.[0] ?? null), line: { color: faint(shadeOf(run, row.method, place), 0.45), width: 1.5 },
      marker: { color: shadeOf(run, row.method, place), size: 7 }, text: names.map(label),
      error_y: within(names.map((name) => row.scores[name]), { width: 0, thickness: 1.2, color: faint(shadeOf(run, row.method, place), 0.5) }),
      hovertemplate: "%{text}: %{y:.1f}<extra>%{fullData.name}</extra>",
    })),
    layout: { height: 460, yaxis: { title: { text: "score, %" } },
              xaxis: { tickvals: names.map((_, index) => index), ticktext: names.map(label), tickangle: -40, zeroline: false } },
    says: `Parallel coordinates: scores of ${rows.length} models on ${names.length} benchmarks`,
    head: ["model", ...names],
    rows: rows.map((row) => [rowName(run, row), ...names.map((name) => number(row.scores[name]?.[0]))]),
  }));
}

// ---------------------------------------------------------------- stages

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

function stages(run) {
  const trained = run.rows.filter((row) => row.at.method !== undefined);
  if (!trained.length) return;
  show("stages");
  const controls = byId("stages-controls");
  const draw = (name) => figure("stages", () => stageCurves(run, trained, name));
  controls.replaceChildren(choice("score", [["", "average"], ...run.benchmarks], "", draw));
  draw("");
}

const FIRST_SHOWN = ["masters", "mask-only", "naive-kd"];  // the other methods wait in the legend

function stageCurves(run, trained, benchmark) {
  // over the items that all rows share: stages between are often evaluated on fewer
  const numbers = (row) => (benchmark ? row.curve.scores[benchmark] : row.curve.average);
  const traces = [], rows = [];
  const last = Math.max(...trained.map((row) => row.at.index));
  const methods = [...new Set(trained.map((row) => row.at.method))];
  const few = methods.length <= 3 || !methods.some((method) => FIRST_SHOWN.includes(method));
  methods.forEach((method, place) => {
    const points = stagePoints(trained.filter((row) => row.at.method === method), last, numbers);
    rows.push(...points.map((point) => [method, point.stage, number(point.score), point.band === null ? "–" : number(point.band), point.seeds]));
    const visible = few || FIRST_SHOWN.includes(method) ? true : "legendonly";
    const banded = points.filter((point) => point.band !== null);
    const x = banded.map((point) => point.stage), shade = shadeOf(run, method, place);
    const edges = [...banded.map((p) => p.score + p.band), ...banded.toReversed().map((p) => p.score - p.band)];
    traces.push({ type: "scatter", mode: "lines", x: [...x, ...x.toReversed()], y: edges, fill: "toself", hoverinfo: "skip", visible,
                  fillcolor: faint(shade, 0.12), line: { width: 0 }, showlegend: false, legendgroup: method });
    traces.push({ type: "scatter", mode: "lines+markers", name: label(method), legendgroup: method, x: points.map((point) => point.stage),
                  visible, y: points.map((point) => point.score), line: { color: shade, width: 2.5 }, marker: { size: 7 },
                  hovertemplate: "stage %{x}: %{y:.2f}<extra>%{fullData.name}</extra>" });
  });
  run.rows.filter((row) => row.kind === "model" && numbers(row)).forEach((row, place) => {
    const score = numbers(row)[0];
    traces.push({ type: "scatter", mode: "lines", name: label(rowName(run, row)), x: [0.8, last + 1.2], y: [score, score],
                  line: { dash: "dash", width: 1.5, color: colour(8 - place) }, hovertemplate: "%{y:.2f}<extra>%{fullData.name}</extra>" });
    rows.push([rowName(run, row), "", number(score), "", ""]);
  });
  const masked = maskedTeachers(run, trained, numbers);
  if (masked.length) {
    traces.push({ type: "scatter", mode: "lines+markers", name: "masked teacher", x: masked.map((m) => m[0]),
                  y: masked.map((m) => m[1]), text: masked.map((m) => label(m[2])), marker: { symbol: "x" },
                  line: { dash: "dot", color: css("--soft") }, hovertemplate: "%{text}: %{y:.2f}<extra></extra>" });
  }
  return {
    traces, rows, head: ["method or model", "stage", "score", "±", "seeds"],
    layout: { height: 450, yaxis: { title: { text: `${benchmark || "average"}, %` } }, xaxis: stageAxis(trained, last) },
    says: `Score by stage on ${benchmark || "average"}`,
  };
}

// Mean over the seeds of a method after each stage, and half a band around it: two standard errors over the seeds, or for
// one seed the 95 % interval of its gain over the untrained student on the same items.
function stagePoints(rows, last, numbers) {
  const points = [];
  for (let index = 0; index <= last; index++) {
    const here = rows.filter((row) => row.at.index === index).map(numbers).filter(Boolean);
    if (!here.length) continue;
    const scores = here.map((one) => one[0]), score = mean(scores);
    const gain = here[0][3] === null ? null : 1.96 * here[0][3];
    const band = scores.length > 1 ? 2 * Math.sqrt(mean(scores.map((one) => (one - score) ** 2)) / (scores.length - 1)) : gain;
    points.push({ stage: index + 1, score, band, seeds: scores.length });
  }
  return points;
}

// What the student of each stage learned from, where that was evaluated: [stage, score, name].
function maskedTeachers(run, trained, numbers) {
  const named = (row) => run.rows.find((one) => one.kind === "teacher" && one.at.teacher === row.at.teacher && one.at.r === row.at.r)
    ?? (row.at.r === 0 ? run.rows.find((one) => one.kind === "model" && one.model === row.at.teacher) : undefined);
  const method = trained.find((row) => row.at.r > 0)?.at.method;
  const seen = new Map();
  for (const row of trained.filter((one) => one.at.method === method)) {
    const teacher = named(row);
    if (teacher && numbers(teacher)) seen.set(row.at.index + 1, [row.at.index + 1, numbers(teacher)[0], teacher.model]);
  }
  const any = run.rows.some((row) => row.kind === "teacher");  // else only the whole teachers are known, which are lines
  return any ? [...seen.values()].sort((a, b) => a[0] - b[0]) : [];
}

// Stage numbers, with teacher and mask ratio where the stages say them.
function stageAxis(trained, last) {
  const places = Array.from({ length: last + 1 }, (_, index) => index);
  const text = places.map((index) => {
    const row = trained.find((one) => one.at.index === index && one.at.r > 0) ?? trained.find((one) => one.at.index === index);
    const teacher = row?.at.teacher ? String(row.at.teacher).split("/").at(-1) : "";
    return `${index + 1}` + (teacher ? `<br>${label(teacher)}<br>r = ${row.at.r}` : "");
  });
  return { title: { text: "stage, its teacher and mask ratio", standoff: 14 }, tickvals: places.map((index) => index + 1), ticktext: text };
}

// ---------------------------------------------------------------- protocols

function protocols(run) {
  const names = [...new Set(run.columns.map((column) => column.protocol))];
  if (names.length < 2) return;
  show("protocols");
  const models = [...new Set(run.columns.map((column) => column.model))];
  const draw = (model) => figure("protocols", () => {
    const of = (task, protocol) => run.cells.find((cell) => cell.task === task && run.columns[cell.column].model === model
      && run.columns[cell.column].protocol === protocol);
    const tasks = run.tasks.map((_, place) => place).filter((task) => names.some((name) => of(task, name))).toReversed();
    const spread = (task) => {
      const scores = names.map((name) => of(task, name)?.score).filter((score) => score !== undefined);
      return Math.max(...scores) - Math.min(...scores);
    };
    return {
      traces: names.map((name, place) => {
        const cells = tasks.map((task) => of(task, name)).filter(Boolean);
        return { type: "scatter", mode: "markers", name: label(name), x: cells.map((cell) => cell.score),
                 y: cells.map((cell) => label(run.tasks[cell.task].name)), hovertemplate: "%{y}: %{x:.2f}<extra>%{fullData.name}</extra>",
                 marker: { size: 17 - 2 * (place % 6), color: colour(place), line: { width: 2 },
                           symbol: ["circle-open", "square-open", "diamond-open", "x", "cross"][place % 5] } };
      }),
      layout: { height: 110 + 24 * tasks.length, xaxis: { title: { text: "score, %" } }, yaxis: { type: "category" } },
      says: `Scores of ${model} under ${names.length} protocols`,
      head: ["benchmark", ...names, "spread"],
      rows: tasks.toReversed().map((task) => [run.tasks[task].name, ...names.map((name) => number(of(task, name)?.score)), number(spread(task))]),
    };
  });
  byId("protocols-controls").replaceChildren(choice("model", models, models[0], draw));
  draw(models[0]);
}

// ---------------------------------------------------------------- ablation

const KIND_NAMES = { blank: "grey images", shuffle: "swapped images", blur: "blurred images" };

function ablation(run) {
  const pairs = [...new Set(run.gains.map((gain) => JSON.stringify([gain.model, gain.kind, gain.protocol])))].map((one) => JSON.parse(one));
  if (!pairs.length) return;
  show("ablation");
  const draw = (place) => {
    const [model, kind, protocol] = pairs[place];
    const gains = run.gains.filter((gain) => gain.model === model && gain.kind === kind && gain.protocol === protocol);
    const middle = (name) => mean(gains.map((gain) => gain[name]));
    const rows = gains.toReversed();
    const dots = (name, title, shade, symbol) => ({
      type: "scatter", mode: "markers", name: title, x: rows.map((gain) => gain[name]), y: rows.map((gain) => label(gain.task)),
      marker: { size: 10, color: shade, symbol }, hovertemplate: "%{y}: %{x:.1f}<extra>%{fullData.name}</extra>",
    });
    figure("ablation", () => ({
      traces: [
        ...rows.map((gain) => ({ type: "scatter", mode: "lines", x: [gain.blind, gain.score], y: [label(gain.task), label(gain.task)],
                                 line: { width: 3, color: gain.low > 0 ? css("--good") : gain.high < 0 ? css("--bad") : css("--line") },
                                 hoverinfo: "skip", showlegend: false })),
        dots("blind", `blind (${KIND_NAMES[kind]})`, colour(8), "circle-open"), dots("score", "with its images", colour(0), "circle"),
      ],
      layout: { height: 110 + 24 * rows.length, xaxis: { title: { text: "score, %" } }, yaxis: { type: "category" } },
      says: `Scores of ${model} with its images and with ${KIND_NAMES[kind]}`,
      head: ["benchmark", "score", "blind", "visual gain", "95 % interval"],
      rows: [...gains.map((gain) => [gain.task, number(gain.score), number(gain.blind), signed(gain.gain), `${signed(gain.low)} to ${signed(gain.high)}`]),
             [`average of ${gains.length}`, number(middle("score")), number(middle("blind")), signed(middle("gain")), ""]],
    }));
  };
  byId("ablation-controls").replaceChildren(choice("model", pairs.map(([model, kind, protocol], place) => [place, `${model}, ${KIND_NAMES[kind]}, ${protocol}`]), 0, draw));
  draw(0);
}
