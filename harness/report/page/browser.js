// The item browser: filters over the index of the chosen cells, texts loaded a block at a time, one item in full.

const PAGE = 50, BLOCK = 200;
const LETTERS = { s: "scored", u: "unparsed", t: "truncated", r: "refused", j: "judge_failed", e: "error" };
const SHOWS = [["", "all"], ["right", "right"], ["wrong", "wrong"], ["flipped", "flip between the two"],
               ["won", "right only in the first"], ["lost", "right only in the second"]];

function browser(run) {
  const chosen = { task: 0, a: 0, b: "", show: "", state: "", text: "", page: 0 };
  let found = [], current = -1, turn = 0, held;

  const cellOf = (column) => run.cells.findIndex((cell) => cell.task === Number(chosen.task) && cell.column === Number(column));
  const cells = () => [chosen.a, chosen.b].filter((column) => column !== "").map(cellOf).filter((cell) => cell >= 0);
  const itemsHere = () => held?.items[chosen.task] ?? run.tasks[chosen.task].items;

  // ---------------------------------------------------------- filters

  async function refresh() {
    const mine = ++turn;
    byId("samples-count").textContent = "looking …";
    const indexes = await Promise.all(cells().map((cell) => part(`index/${cell}`)));
    const positions = [];
    for (let at = 0; at < itemsHere(); at++) if (passes(indexes, at)) positions.push(at);
    const kept = chosen.text ? await holding(positions, chosen.text.toLowerCase(), () => mine === turn) : positions;
    if (mine !== turn) return;  // a newer filter is on its way
    [found, current, chosen.page] = [kept, -1, 0];
    const said = `${whole(found.length)} of ${whole(itemsHere())} items`;
    byId("samples-count").textContent = chosen.show && indexes.length < 2 && flips() ? `${said}: choose a second model` : said;
    await listed();
    if (found.length) await open(0, false);
    else byId("samples-detail").replaceChildren(make("p", { class: "note" }, "No item matches."));
  }

  const flips = () => ["flipped", "won", "lost"].includes(chosen.show);

  function passes(indexes, at) {
    const [a, b] = indexes;
    if (!a || a.states[at] === "-" || (chosen.state && LETTERS[a.states[at]] !== chosen.state)) return false;
    const right = a.scores[at] >= 1;
    if (chosen.show === "right" || chosen.show === "wrong") return right === (chosen.show === "right");
    if (!flips()) return true;
    if (!b || b.states[at] === "-") return false;
    const other = b.scores[at] >= 1;
    return right !== other && (chosen.show === "flipped" || (chosen.show === "won") === right);
  }

  // The positions whose id, question, choices, gold, responses or notes hold the text.
  async function holding(positions, text, wanted) {
    const ids = await part(`ids/${chosen.task}`);
    const kept = [];
    let block = -1, samples, answers;
    for (const at of positions) {
      if (Math.floor(at / BLOCK) !== block) {
        if (!wanted()) return [];
        block = Math.floor(at / BLOCK);
        [samples, ...answers] = await blockOf(block);
        byId("samples-count").textContent = `looking … ${whole(block * BLOCK)} of ${whole(itemsHere())}`;
      }
      const [question, choices, gold] = samples[at % BLOCK];
      const texts = [ids[at], question, gold, ...choices.map((one) => one[1])];
      for (const answer of answers) if (answer[at % BLOCK]) texts.push(...answer[at % BLOCK].slice(0, 4));
      if (texts.some((one) => one.toLowerCase().includes(text))) kept.push(at);
    }
    return kept;
  }

  const blockOf = (block) => Promise.all(
    [part(`samples/${chosen.task}/${block}`), ...cells().map((cell) => part(`answers/${cell}/${block}`))]);

  // ---------------------------------------------------------- list

  async function listed() {
    const shown = found.slice(chosen.page * PAGE, (chosen.page + 1) * PAGE);
    const ids = await part(`ids/${chosen.task}`);
    const indexes = await Promise.all(cells().map((cell) => part(`index/${cell}`)));
    const blocks = new Map();
    for (const block of new Set(shown.map((at) => Math.floor(at / BLOCK)))) blocks.set(block, (await blockOf(block))[0]);
    byId("samples-list").replaceChildren(...shown.map((at, place) => make("li", {},
      make("button", { type: "button", on: { click: () => open(chosen.page * PAGE + place, false) } },
        make("span", {}, ...indexes.map((index) => mark(index, at))), make("bdi", {}, ids[at]),
        make("span", { class: "line" }, blocks.get(Math.floor(at / BLOCK))[at % BLOCK][0].slice(0, 120))))));
    const pages = Math.ceil(found.length / PAGE);
    const turnTo = (by) => async () => { chosen.page += by; await listed(); await open(chosen.page * PAGE, true); };
    byId("samples-pages").replaceChildren(...(pages < 2 ? [] : [
      make("button", { type: "button", disabled: chosen.page === 0, on: { click: turnTo(-1) } }, "Previous"),
      make("span", {}, `page ${chosen.page + 1} of ${pages}`),
      make("button", { type: "button", disabled: chosen.page + 1 >= pages, on: { click: turnTo(1) } }, "Next"),
    ]));
  }

  function mark(index, at) {
    const state = LETTERS[index.states[at]], right = index.scores[at] >= 1;
    const [sign, kind, says] = state === undefined ? ["·", "odd", "not asked"] : right ? ["✓", "good", "right"]
      : state !== "scored" ? ["!", "odd", state] : index.scores[at] > 0 ? ["◐", "odd", "partly right"] : ["✗", "bad", "wrong"];
    return make("span", { class: kind, role: "img", "aria-label": says, title: says }, `${sign} `);
  }

  // ---------------------------------------------------------- one item

  async function open(place, focus) {
    if (place < 0 || place >= found.length) return;
    const page = Math.floor(place / PAGE);
    if (page !== chosen.page) {
      chosen.page = page;
      await listed();
    }
    current = place;
    const mine = turn, at = found[place], shownCells = cells();
    const buttons = byId("samples-list").querySelectorAll("button");
    buttons.forEach((button, row) => (row === place % PAGE ? button.setAttribute("aria-current", "true") : button.removeAttribute("aria-current")));
    if (focus) buttons[place % PAGE]?.focus();
    const [samples, ...answers] = await blockOf(Math.floor(at / BLOCK));
    const indexes = await Promise.all(shownCells.map((cell) => part(`index/${cell}`)));
    const ids = await part(`ids/${chosen.task}`);
    if (mine !== turn || current !== place) return;
    const [question, choices, gold, images, cluster] = samples[at % BLOCK];
    byId("samples-detail").replaceChildren(
      make("p", { class: "note" }, `${run.tasks[chosen.task].name} · `, make("bdi", {}, ids[at]), cluster ? ` · cluster ${cluster}` : ""),
      make("div", { class: "images" }, ...images.map(picture)),
      make("h3", {}, "Question"), marked("pre", question),
      make("ul", { class: "choices" }, ...choices.map(([letter, text]) =>
        make("li", { class: letter === gold ? "gold" : null }, `${letter}. `, make("bdi", {}, text), letter === gold ? " ✓" : ""))),
      make("h3", {}, "Gold"), marked("pre", gold),
      make("div", { class: "answers" }, ...shownCells.map((cell, side) => answered(cell, indexes[side], answers[side]?.[at % BLOCK], at))));
  }

  function answered(cell, index, answer, at) {
    const title = make("h3", {}, mark(index, at), columnName(run, run.cells[cell].column));
    if (!answer) return make("div", { class: "answer" }, title, make("p", { class: "note" }, "not asked"));
    const [text, extracted, rule, note, finish, random] = answer;
    const facts = { state: LETTERS[index.states[at]], score: String(index.scores[at]), extracted, rule,
                    "drawn at random": random ? "yes, by the protocol" : "", finish: finish === "stop" ? "" : finish, judge: note };
    return make("div", { class: `answer ${index.scores[at] >= 1 ? "right" : "wrong"}` }, title, marked("pre", text || "(empty)"),
      make("dl", {}, ...Object.entries(facts).filter(([, value]) => value).flatMap(([name, value]) => [make("dt", {}, name), marked("dd", value)])));
  }

  function picture(hash, place) {
    const source = imageAddress(chosen.task, hash);
    const missing = () => make("p", { class: "note" }, `Image ${place + 1} (${hash.slice(0, 12)}) is not here` + (SERVED ? "." : "; harness view shows it."));
    if (!source) return missing();
    const image = make("img", { src: source, alt: `Image ${place + 1} of the question`, loading: "lazy" });
    image.addEventListener("error", () => image.replaceWith(missing()));
    return image;
  }

  // An element with the text, the searched words marked.
  function marked(tag, text) {
    const element = make(tag, { class: "text", dir: "auto" });
    const needle = chosen.text.toLowerCase(), lower = text.toLowerCase();
    let from = 0;
    // Lower case may have another length (İ); then marks would be off, so there are none.
    for (let hit; needle && lower.length === text.length && (hit = lower.indexOf(needle, from)) >= 0; from = hit + needle.length) {
      element.append(text.slice(from, hit), make("mark", {}, text.slice(hit, hit + needle.length)));
    }
    element.append(text.slice(from));
    return element;
  }

  // ---------------------------------------------------------- controls

  function controls() {
    const set = (name) => (value) => {
      chosen[name] = value;
      if (name === "task") controls();
      refresh();
    };
    const columns = run.columns.map((_, place) => place).filter((place) => cellOf(place) >= 0);
    if (!columns.includes(Number(chosen.a))) chosen.a = columns[0];
    if (!columns.includes(Number(chosen.b))) chosen.b = "";
    if (chosen.b === "" && columns.length > 1) chosen.b = columns.find((place) => place !== Number(chosen.a));
    const named = columns.map((place) => [place, columnName(run, place)]);
    const search = make("input", { type: "search", id: "samples-search", placeholder: "text in question, gold, responses, notes", value: chosen.text });
    let wait;
    search.addEventListener("input", () => {
      clearTimeout(wait);
      wait = setTimeout(() => set("text")(search.value), 250);
    });
    byId("samples-controls").replaceChildren(
      choice("benchmark", run.tasks.map((task, place) => [place, `${task.name} (${whole(task.items)})`]), chosen.task, set("task")),
      choice("model", named, chosen.a, set("a")), choice("beside", [["", "none"], ...named], chosen.b, set("b")),
      choice("items", SHOWS, chosen.show, set("show")), choice("state", [["", "all"], ...STATE_NAMES], chosen.state, set("state")),
      make("label", {}, "search", search));
  }

  function keys(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    const inList = byId("samples-list").contains(event.target);
    const step = { j: 1, k: -1, ...(inList ? { ArrowDown: 1, ArrowUp: -1 } : {}) }[event.key];
    if (step) open(current + step, true);
    else if (event.key === "/") byId("samples-search").focus();
    else if (event.key === "f") {
      chosen.show = chosen.show === "flipped" ? "" : "flipped";
      controls();
      refresh();
    } else return;
    event.preventDefault();
  }

  return (async () => {
    held = SERVED ? undefined : await part("embedded");
    if (held) byId("samples-held").textContent = heldText(run, held);
    [chosen.a, chosen.b] = sideBySide(run);
    byId("samples-controls").addEventListener("submit", (event) => event.preventDefault());
    document.addEventListener("keydown", keys);
    controls();
    await refresh();
  })();
}

// What is seen first: the main method (or the last model) beside the untrained student (or the first).
function sideBySide(run) {
  const first = mainColumns(run, 100);
  const methodOf = (place) => run.rows.find((row) => row.model === run.columns[place].model)?.method;
  const mine = first.find((place) => run.main && methodOf(place) === run.main) ?? first.at(-1);
  const other = first.find((place) => run.columns[place].model === run.student) ?? first[0];
  return mine === other ? [mine ?? 0, ""] : [mine, other];
}

function heldText(run, held) {
  const all = sum(run.tasks.map((task) => task.items)), here = sum(held.items);
  const parts = [`This file holds ${here === all ? "all" : `${whole(here)} of`} ${whole(all)} items`];
  parts.push(held.left_out ? `${whole(held.images)} of ${whole(held.images + held.left_out)} images` : `${whole(held.images)} images`);
  const rest = here < all || held.left_out ? " harness view RUN shows all." : "";
  return `${parts.join(" and ")}.${rest} ${held.reasons.join(" ")}`;
}
