"""The leaderboard and the table of a run: columns, averages, appending, what stands below the table."""

import csv
import io
import itertools
import math
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from harness.api import HarnessError, Metrics, Unit
from harness.cli import main
from harness.report import leaderboard
from harness.report.csv_file import merge
from harness.report.table import print_results
from harness.scoring.aggregate import standard_error
from harness.store import Cell, Result, Store

Make = Callable[..., Result]


COUNT = itertools.count()


def metrics(scores: list[float], clusters: list[str] | None = None) -> Metrics:
    names = clusters or [f"cluster {next(COUNT)}" for _ in scores]
    units = tuple(
        Unit(str(i), name, score, 1 / len(scores)) for i, (name, score) in enumerate(zip(names, scores, strict=True))
    )
    mean = sum(scores) / len(scores)
    return Metrics(100 * mean, 100 * standard_error(units, mean), len(scores), {}, units)


def result(
    model: str = "student", task: str = "chartqa", scores: tuple[float, ...] = (1, 0, 1, 1), **more: Any
) -> Result:
    made = metrics(list(scores), more.pop("clusters", None))
    cell = Cell(model, task, more.pop("protocol", "official"), more.pop("judge", "rule"))
    fields = {
        "score_without_random": made.score, "states": {"scored": len(scores)}, "items": len(scores), "random": 0,
        "fingerprint": "f" * 64, "edition": "mini", "data_sha256": "", "code": "",
    }  # fmt: skip
    return Result(cell=cell, metrics=made, **{**fields, **more})


def save(folder: Path, *results: Result) -> Path:
    with Store(folder) as store:
        for one in results:
            store.put_result(one, [], one.metrics.units)
    return folder


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


# ---------------------------------------------------------------- columns and averages


def test_columns_are_those_of_the_documentation(tmp_path: Path) -> None:
    stage = {"method": "masters", "name": "r=0.2", "index": 3}
    run = save(
        tmp_path / "first", result(), result(task="mmstar", scores=(0, 1)), result("masters/3", stage=stage, judge="x")
    )
    done = CliRunner().invoke(main, ["leaderboard", str(run)])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[0] == (
        "run,model,method,stage,protocol,judge,data,fingerprint,average,average_se,average_n,"
        "chartqa,chartqa_se,chartqa_n,mmstar,mmstar_se,mmstar_n"
    )
    first, second = rows(done.stdout)
    assert (first["run"], first["model"], first["average"], first["average_n"]) == ("first", "student", "62.5000", "2")
    assert (first["chartqa"], first["chartqa_se"], first["chartqa_n"]) == ("75.0000", "25.0000", "4")
    assert (second["method"], second["stage"], second["judge"], second["mmstar"]) == ("masters", "r=0.2", "x", "")
    documented = (Path(__file__).parents[1] / "docs" / "leaderboard.md").read_text()
    for name in (*leaderboard.COLUMNS, *leaderboard.AVERAGE):
        assert f"`{name}`" in documented, name


def test_a_composite_is_a_column_and_counts_once(tmp_path: Path) -> None:
    both = [result(task="mmmu_pro_standard", scores=(1, 1)), result(task="mmmu_pro_vision", scores=(0, 0, 1, 0))]
    (row,) = rows(leaderboard_csv(save(tmp_path / "a", *both, result(scores=(1, 0)))))
    assert (row["mmmu_pro"], row["mmmu_pro_n"]) == ("62.5000", "6")
    assert (row["average"], row["average_n"]) == ("56.2500", "2")
    (row,) = rows(leaderboard_csv(save(tmp_path / "b", both[1])))
    assert "mmmu_pro" not in row
    assert (row["average"], row["average_n"]) == ("25.0000", "1")


def leaderboard_csv(*folders: Path, suite: str = "full") -> str:
    from harness.report.csv_file import as_csv

    return as_csv(*leaderboard.records(leaderboard.read(folders, suite)))


def test_the_average_is_over_the_suite(tmp_path: Path) -> None:
    run = save(tmp_path / "a", result(scores=(1, 1)), result(task="ccbench", scores=(0, 0)))
    assert rows(leaderboard_csv(run))[0]["average"] == "50.0000"
    (row,) = rows(leaderboard_csv(run, suite="paper"))
    assert (row["average"], row["average_n"], row["ccbench"]) == ("100.0000", "1", "0.0000")


def test_the_error_of_an_average() -> None:
    one, two = metrics([0.0, 1.0] * 200), metrics([1.0, 1.0, 1.0, 0.0] * 100)
    mean = leaderboard.average({"a": one, "b": two}, ["a", "b"])
    assert mean is not None
    independent = math.hypot(one.stderr, two.stderr) / 2
    assert mean.stderr == pytest.approx(independent, rel=0.01)
    # Two benchmarks that ask about the same pictures with the same outcome are worth one.
    same = metrics([0.0, 1.0] * 200, [str(i) for i in range(400)])
    twice = leaderboard.average({"a": same, "b": same}, ["a", "b"])
    assert twice is not None
    assert twice.stderr == pytest.approx(same.stderr)


def test_markdown(tmp_path: Path) -> None:
    run = save(tmp_path / "first", result("a|b"), result("alone", scores=(1,)))
    text = leaderboard.markdown(leaderboard.read([run]))
    assert "| a\\|b | first | mini | official | rule | 75.00 ± 25.00 (1) | 75.00 ± 25.00 |" in text
    assert "| alone | first | mini | official | rule | 100.00 (1) | 100.00 |" in text


# ---------------------------------------------------------------- appending


def test_append_replaces_the_same_row_in_its_place_and_keeps_others(tmp_path: Path) -> None:
    board = tmp_path / "results" / "leaderboard.csv"
    first = save(tmp_path / "first", result("a"), result("b"))
    for words in ([first], [first], [save(tmp_path / "second", result(task="mmstar"))]):
        leaderboard.write_csv(board, words, append=True)
    assert [(row["run"], row["model"]) for row in rows(board.read_text())] == [
        ("first", "a"), ("first", "b"), ("second", "student"),
    ]  # fmt: skip
    board.write_text(board.read_text().replace("run,model", "note,run,model").replace("\nfirst", "\nmine,first")
                     .replace("\nsecond", "\n,second"))  # fmt: skip
    save(first, result("a", scores=(0, 0)), result("a", task="ai2d"))
    leaderboard.write_csv(board, [first], append=True)
    a, b, other = rows(board.read_text())
    assert (a["model"], a["chartqa"], a["ai2d"]) == ("a", "0.0000", "75.0000")
    assert (b["model"], b["note"], b["ai2d"], other["run"]) == ("b", "mine", "", "second")
    assert board.read_text().splitlines()[0].endswith(",ai2d,ai2d_se,ai2d_n")
    assert [path.name for path in board.parent.iterdir()] == ["leaderboard.csv"]


def _append(path: Path, name: str) -> None:
    for i in range(20):
        merge(path, ("run",), ["run", name], [{"run": f"{name}{i}", name: str(i)}], set)


def test_two_processes_append_to_one_file(tmp_path: Path) -> None:
    board = tmp_path / "leaderboard.csv"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_append, args=(board, name)) for name in ("x", "y")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(rows(board.read_text())) == 40


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a,b\n1,2\n", "no column 'run'"),
        ("run,model,protocol,judge\nx,y\n", "row 2: not as many cells"),
        ("run,model,protocol,judge,judge\n", "stands twice"),
        ('run,model,protocol,judge\n"x,y\n', "is not a CSV file"),
        ("run,model\0", "leaderboard|CSV"),
    ],
)
def test_a_file_that_is_no_leaderboard_is_left_alone(tmp_path: Path, text: str, reason: str) -> None:
    board = tmp_path / "other.csv"
    board.write_text(text)
    with pytest.raises(HarnessError, match=reason):
        leaderboard.write_csv(board, [save(tmp_path / "first", result())], append=True)
    assert board.read_text() == text


def test_two_runs_of_one_name_are_refused(tmp_path: Path) -> None:
    folders = [save(tmp_path / part / "run", result()) for part in "ab"]
    with pytest.raises(HarnessError, match="two runs are called 'run'"):
        leaderboard.read(folders)


# ---------------------------------------------------------------- the table


def printed(*results: Result, width: int = 100) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    print_results(results, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_table_has_a_column_for_each_model() -> None:
    shown = printed(result("small"), result("large[b]", scores=(1, 1, 1, 1)), result("small", "mmstar"))
    lines = shown.splitlines()
    assert lines[0].split() == ["task", "n", "small", "large[b]"]
    assert lines[1].split() == ["chartqa", "4", "75.00", "±", "25.00", "100.00", "±", "0.00"]
    assert lines[2].split() == ["mmstar", "4", "75.00", "±", "25.00", "-"]
    assert "75.00 (of 2)" in lines[3]
    assert "100.00 (of 1)" in lines[3]
    assert "data mini · protocol official · judge rule" in shown
    assert "mini: items drawn by code" in shown
    assert "[/" not in shown


def test_many_models_and_protocols_still_fit() -> None:
    shown = printed(*(result(f"model-{i}", protocol=p) for i in range(4) for p in ("official", "other")), width=80)
    assert all(f"model-{i}" in shown for i in range(4))
    assert max(map(len, shown.splitlines()[:6])) <= 80
    assert printed() == "no results yet\n"
    assert "evil\\x1b[2J" in printed(result("evil\x1b[2J", skipped_rows=1))


def test_trained_models_are_named_by_method_and_remarks_of_many_models_share_a_line() -> None:
    def trained(method: str, seed: int = 0) -> Result:
        stage = {"method": method, "seed": seed, "index": 3, "last": True}
        return result(f"{method}/s{seed}/3-large-r0.00", scores=(1,) * 100, stage=stage, random=1)

    methods = ["sft", "naive-kd", "mask-only", "masters"]
    lines = printed(*(trained(m) for m in methods), width=80).splitlines()
    assert lines[0].split() == ["task", "n", *methods]
    assert lines[1].split() == ["chartqa", "100", *["100.00"] * 4]  # standard errors do not fit
    assert "standard errors" in lines[2] + lines[3]
    (line,) = [line for line in lines if "at random" in line]
    assert line == f"chartqa · 4 models: the protocol answered 1 of 100 items at random ({', '.join(methods)})"
    assert printed(trained("sft"), trained("sft", 1)).splitlines()[0].split() == ["task", "n", "sft", "s0", "sft", "s1"]


def test_what_a_reader_must_know_stands_below() -> None:
    shown = printed(
        result(scores=(1,) * 100, states={"scored": 96, "unparsed": 3, "truncated": 1}, skipped_rows=2, edition="hub"),
        result(task="mmmu", scores=(1,) * 100, states={"scored": 100}, random=5, score_without_random=97.0),
        result(task="ai2d", scores=(0,) * 1000, states={"scored": 999, "error": 1}),
    )
    assert "chartqa · student: 3.0 % unparsed (3 of 100: no rule could read the response)" in shown
    assert "truncated" not in shown
    assert "chartqa · student: 2 bad rows of the data were skipped" in shown
    assert "answered 5 of 100 items at random; 100.00 with them, 97.00 counting them wrong" in shown
    assert "ai2d · student: 0.1 % error (1 of 1000: the model gave no answer)" in shown
    assert "data hub, mini" in shown
