"""A recipe's run killed with -9 while a judge grades and while a stage is evaluated: the table is the undisturbed one.

The command line, a real server as judge, real models; the process kills itself at a point that each test chooses.
"""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from chat_server import Server, asked, completion
from trainer_runs import die, killed, recipe

from harness.api import Model
from harness.cli import main
from harness.store import Store
from trainers import groups
from trainers.models import LiveModel

pytest.importorskip("openai")


@pytest.fixture(scope="module")
def server():
    """Says 1 to a response with an even number of letters, as a judge that answers alike each time."""
    with_judge = Server()
    with_judge.answer = lambda body, _: (200, completion(body, message=_said(str(int(len(asked(body)) % 2 == 0)))), {})
    yield with_judge
    with_judge.http.shutdown()


def _said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


@pytest.fixture(scope="module")
def written(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    judge = {"name": f"openai:tiny?base_url={server.url}&concurrency=2", "grade": "judge"}
    small = recipe(folder, "masters", **{
        "reward.judge": judge, "evaluation.limit": 6, "evaluation.stage_limit": 4, "evaluation.suite": "chartqa",
    })  # fmt: skip
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(small.model_dump(mode="json")))
    return path


def command(written: Path, out: Path) -> Callable[[], None]:
    return lambda: main(["run", "--recipe", str(written), "--out", str(out)], standalone_mode=False)


def table(out: Path):
    """All that a run says: cells, scores, items, and every response with its verdict."""
    with Store(out, write=False) as store:
        results = store.results()
        rows = [(r.cell.model, r.cell.task, r.metrics.score, r.items, r.stage) for r in results]
    board = (out / "leaderboard.csv").read_bytes()
    log = (out / "masters" / "seed0" / "train.jsonl").read_text().splitlines()
    of_machine = {"seconds", "tokens_per_second", "memory"}
    losses = [{k: v for k, v in json.loads(line).items() if k not in of_machine} for line in log]
    return json.loads(json.dumps(rows).replace(str(out), "OUT")), board, losses


@pytest.fixture(scope="module")
def undisturbed(written: Path, server: Server, tmp_path_factory: pytest.TempPathFactory):
    out = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MASTERS_HARNESS_CACHE", str(out.parent / "cache"))  # where a judge's answers are kept
        command(written, out)()
    asked_once = Counter(json.dumps(body) for body in server.bodies)
    assert set(asked_once.values()) == {1}
    server.bodies.clear()
    return table(out), asked_once


@pytest.mark.parametrize("after", [3, 17])
def test_killed_while_the_judge_grades(written, undisturbed, server: Server, tmp_path: Path, monkeypatch, after: int):
    expected, every = undisturbed
    monkeypatch.setenv("MASTERS_HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(groups, "_CHUNK", 4)
    real, graded = groups.grade, []

    def dies(items, judge, settings):
        verdicts = real(items, judge, settings)
        graded.extend(verdicts)
        return die() if len(graded) > after else verdicts

    server.bodies.clear()
    with monkeypatch.context() as patch:
        patch.setattr(groups, "grade", dies)
        killed(command(written, tmp_path / "run"))
    before = len(server.bodies)
    assert 0 < before < len(every)
    command(written, tmp_path / "run")()
    assert table(tmp_path / "run") == expected
    assert Counter(json.dumps(body) for body in server.bodies) == every  # nothing is asked twice


@pytest.mark.parametrize(("label", "answers"), [("masters/s0/1-", 2), ("masters/s0/2-", 0), ("masters/s0/2-", 5)])
def test_killed_while_a_stage_is_evaluated(written, undisturbed, tmp_path: Path, monkeypatch, label: str, answers: int):
    expected, _ = undisturbed
    real = LiveModel.generate

    def dies(self: Model, requests):
        for place, answer in enumerate(real(self, requests)):
            if self.name.startswith(label) and place == answers:
                die()
            yield answer

    with monkeypatch.context() as patch:
        patch.setattr(LiveModel, "generate", dies)
        killed(command(written, tmp_path / "run"))
    command(written, tmp_path / "run")()
    assert table(tmp_path / "run") == expected
