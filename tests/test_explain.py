"""`harness explain`, `harness show --audit` and `harness score --protocol all`, as a user sees them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.api import Sample
from harness.cli import main
from harness.evaluation import evaluate
from harness.scoring.extractor_audit import gold_named
from harness.store import Store


class Says:
    """A model that says one sentence."""

    def __init__(self, text: str) -> None:
        self.name, self._text = "m", text

    def fingerprint(self) -> str:
        return self._text

    def generate(self, requests):
        from harness.api import Response

        for index, _ in enumerate(requests):
            yield index, Response(self._text)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "one"
    text = "<think>A or C?</think>I would say that B is best here, all in all."
    evaluate(Says(text), ["mmstar", "mmbench_en_v11"], out=folder, limit=6)
    return folder


def harness(*words: object) -> str:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.output


def first(run: Path, task: str) -> str:
    with Store(run, write=False) as store:
        return next(iter(store.samples(task)))


def test_one_item_under_every_protocol(run: Path) -> None:
    shown = harness("explain", run, first(run, "mmstar"), "--task", "mmstar", "--data", "mini")
    for part in ("prompt", "Answer the question directly.", " x ", "<think>A or C?</think>", "read      I would say"):
        assert part in shown
    shown, _, tried = shown.partition("readings tried")
    assert "can_infer_2026" in tried
    rows = {line.split()[0]: line for line in shown.splitlines() if "@" in line or line.startswith("official")}
    assert list(rows) == [
        "official", "lmms-eval@0.7.2", "lmms-eval@post-1471", "vlmevalkit@2024-07", "vlmevalkit@2026-08"
    ]  # fmt: skip
    assert "unparsed" in rows["official"]
    assert "'B'" in rows["lmms-eval@0.7.2"]
    assert "'B'" in rows["vlmevalkit@2024-07"]
    assert "unparsed" in rows["vlmevalkit@2026-08"]  # the letter is not among the last four words


@pytest.mark.parametrize(
    ("task", "protocol", "rule"),
    [
        ("realworldqa", "official", "score gave scored"),  # a rule written in the task's file
        ("mmmu_pro_vision", "lmms-eval@0.7.2", "score_vision gave"),  # one in a protocol's
        ("mmbench_en", "vlmevalkit@2026-08", "judge rule, asked to match, gave no rule of its own decides"),
        ("mmmu", "official", "random pick gave one of A, B"),
    ],
)
def test_every_step_is_listed(task: str, protocol: str, rule: str, tmp_path: Path) -> None:
    evaluate(Says("It is hard to tell, all in all."), [task], out=tmp_path)
    with Store(tmp_path, write=False) as store:
        found = [id for id, s in store.samples(task).items() if bool(s.choices) is (task != "realworldqa")]
    shown = harness("explain", tmp_path, found[0]).partition("readings tried")[2]
    (steps,) = [line for line in shown.splitlines() if line.strip().startswith(f"{protocol}:")]
    assert rule in steps


def test_some_reading_is_listed_for_every_task_and_protocol(tmp_path: Path) -> None:
    from harness import registry

    evaluate(Says("It is hard to tell, all in all."), list(registry.tasks()), out=tmp_path, limit=1)
    with Store(tmp_path, write=False) as store:
        firsts = [(task.name, next(iter(store.samples(task.name)))) for task in registry.tasks()]
    for task, item in firsts:
        shown = harness("explain", tmp_path, item, "--task", task).partition("readings tried")[2]
        assert len(shown.strip().splitlines()) > 2
        for line in shown.splitlines():
            assert ": none" not in line or task == "realworldqa", (task, line)


def test_an_unknown_item_is_an_error(run: Path) -> None:
    result = CliRunner().invoke(main, ["explain", str(run), "nope"])
    assert result.exit_code == 1
    assert "has no item 'nope'" in result.output


def test_all_protocols_leave_out_what_they_do_not_have(run: Path) -> None:
    harness("score", run, "--protocol", "all", "--flips")
    with Store(run, write=False) as store:
        scored = {(r.cell.task, r.cell.protocol) for r in store.results()}
    assert ("mmbench_en_v11", "vlmevalkit@2024-07") in scored
    assert ("mmbench_en_v11", "lmms-eval@0.7.2") not in scored
    assert ("mmstar", "lmms-eval@0.7.2") in scored
    result = CliRunner().invoke(main, ["score", str(run), "--protocol", "lmms-eval@0.7.2"])
    assert result.exit_code == 1
    assert "has no rules for task 'mmbench_en_v11'" in result.output


def test_audit_counts_golds_that_no_rule_read(run: Path) -> None:
    shown = harness("show", run, "--task", "mmstar", "--protocol", "official", "--audit")
    with Store(run, write=False) as store:
        (result,) = [r for r in store.results() if r.cell.task == "mmstar" and r.cell.protocol == "official"]
        golds = [sample.answer for sample in store.samples("mmstar").values()]
    assert result.gold_missed == golds.count("B")
    assert sum(result.rules.values()) == result.items
    assert f"missed  {result.gold_missed:7}" in shown


@pytest.mark.parametrize(
    ("answer", "choices", "text", "named"),
    [
        ("B", {"A": "red", "B": "blue"}, "It is **B**!", True),
        ("B", {"A": "red", "B": "blue"}, "not A but B", False),
        ("B", {"A": "red", "B": "blue"}, "a blue one", True),
        ("14", {}, "There are 14 of them.", True),
        ("14", {}, "There are 140 of them.", False),
        ("Uphill", {}, "we go uphill", True),
    ],
)
def test_gold_named(answer: str, choices: dict[str, str], text: str, named: bool) -> None:
    assert gold_named(Sample("1", "?", answer, choices=choices), text) is named


def test_a_run_of_an_older_version_has_no_rule_counts() -> None:
    from harness.store import Cell, Result

    body = {"score_without_random": 1.0, "states": {}, "items": 1, "random": 0, "fingerprint": "", "edition": "",
            "data_sha256": "", "code": "", "metrics": [1.0, 0.0, 1, {}]}  # fmt: skip
    assert Result.from_json(Cell("m", "t", "p", "j"), json.dumps(body)).rules == {}
