"""Scoring stored responses by the whole command: python benchmarks/scoring_commands.py [OUT.md]

What a user runs: `harness score` on a run, and `lmms_eval --model from_log` in the environment of `make
upstream-check`, on the same 20,000 (and 100) MMStar responses; CPU and wall seconds of the process from start to end,
medians of paired rounds. Their task reads its items from a local file, without images, which scoring does not need.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from conditions import BESIDE
from scoring_speed import answered

from harness import registry
from harness.data.imports.samples import Imported
from harness.folders import cache_folder
from harness.importing import import_responses
from harness.store import Store

ROUNDS, SIZES = 3, (100, 20_000)
PROTOCOL = "lmms-eval@post-1471"
THEIRS = cache_folder() / "upstream" / "lmms-eval" / "bin" / "python"
TASK = "mmstar_stored"


def prepare(folder: Path, size: int) -> tuple[list[str], list[str]]:
    """Our command and theirs, on the same responses."""
    pairs = [(replace(s, id=str(number), images=()), said) for number, (s, said) in enumerate(answered(size))]
    run = folder / "run"
    with Store(run) as store:
        samples, responses = zip(*pairs, strict=True)
        import_responses(store, registry.task("mmstar"), "stored", Imported(samples, responses, {}, "", 0, 0, False))
    ours = [sys.executable, "-m", "harness", "score", str(run), "--protocol", PROTOCOL]

    (folder / "logs").mkdir()
    (folder / "tasks").mkdir()
    fields = ("category", "l2_category")
    docs = (
        {"index": s.id, "question": s.meta["stated"], "answer": s.answer, **{name: s.meta[name] for name in fields}}
        for s, _ in pairs
    )
    (folder / "items.jsonl").write_text("".join(json.dumps(doc) + "\n" for doc in docs))
    found = subprocess.run(
        [THEIRS, "-c", "import lmms_eval; print(lmms_eval.__path__[0])"], check=True, capture_output=True, text=True
    )
    (folder / "tasks" / f"{TASK}.yaml").write_text(
        f"include: {found.stdout.split()[-1]}/tasks/mmstar/mmstar.yaml\ndataset_path: json\n"
        f"dataset_kwargs:\n  data_files:\n    val: {folder}/items.jsonl\ntask: {TASK}\n"
    )
    log = {
        "args": {"model": "stored", "model_args": "", "limit": None}, "model_configs": {"task": TASK},
        "logs": [{"doc_id": number, "resps": [[said.text]]} for number, (_, said) in enumerate(pairs)],
    }  # fmt: skip
    (folder / "logs" / "stored.json").write_text(json.dumps(log))
    theirs = [
        str(THEIRS), "-m", "lmms_eval", "--model", "from_log", "--model_args", f"logs={folder}/logs,model_name=stored",
        "--tasks", TASK, "--include_path", f"{folder}/tasks", "--batch_size", "1", "--log_samples",
        "--output_path", f"{folder}/out",
    ]  # fmt: skip
    return ours, theirs


def timed(command: list[str], shown: str) -> tuple[float, float]:
    """CPU and wall seconds of a process, which must print `shown`."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    before, start = os.times(), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    wall, after = time.perf_counter() - start, os.times()
    if done.returncode or shown not in done.stdout:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    spent = after.children_user - before.children_user + after.children_system - before.children_system
    return spent, wall


HEAD = f"""# Scoring stored responses by the whole command

The same stored MMStar responses (ten usual forms) scored by `harness score RUN --protocol lmms-eval@post-1471` and by
`python -m lmms_eval --model from_log ...` of the installed lmms-eval 0.7.3, from the start of the process to its end:
imports, reading, scoring, aggregation, and every item written (SQLite and parquet; JSON lines). Medians of paired
rounds, {BESIDE}; ratio of CPU seconds.
`python benchmarks/scoring_commands.py` makes this table;
`scoring_speed_peers.md` has the scoring functions alone, without process, files and store.

| responses | rounds | lmms-eval CPU s | wall s | harness CPU s | wall s | lmms-eval / harness |
| --: | --: | --: | --: | --: | --: | --: |"""


def main() -> None:
    """Print the table, and write it where a file is named."""
    if not THEIRS.exists():
        raise SystemExit("the environment of lmms-eval is absent; `make upstream-check` makes it")
    lines, middle = [HEAD], {}
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            ours, theirs = prepare(Path(folder), size)
            rounds = [(timed(ours, "mmstar"), timed(theirs, TASK)) for _ in range(ROUNDS)]
        here, there = ([median(r[side][k] for r in rounds) for k in (0, 1)] for side in (0, 1))
        middle[size] = here[0], there[0]
        ratio = median(other[0] / own[0] for own, other in rounds)
        cells = f"{size:,}", ROUNDS, *(f"{v:.2f}" for v in (*there, *here)), f"{ratio:.1f}"
        lines.append(f"| {' | '.join(map(str, cells))} |")
        print(lines[-1], flush=True)
    (small, large) = SIZES
    own, other = ((middle[large][side] - middle[small][side]) / (large - small) * 1e6 for side in (0, 1))
    lines += ["", f"One response more costs lmms-eval {other:.0f} µs and the harness {own:.0f} µs ({other / own:.1f})."]
    print(lines[-1])
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
