"""Bridges with the real frameworks; skipped where their environments are not installed (`harness bridge install`)."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import bridge_data
import pytest

from harness.api import HarnessError, Request, Response
from harness.bridges.environments import FRAMEWORKS, folder_of
from harness.evaluation import evaluate
from harness.report.leaderboard import read

pytestmark = pytest.mark.slow


class Yes:
    """Says yes, and keeps what it was asked."""

    name = "yes"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def fingerprint(self) -> str:
        return "yes"

    def generate(self, requests: Iterable[Request]) -> Iterator[tuple[int, Response]]:
        for index, request in enumerate(requests):
            assert len(request.images) == 1
            self.asked.append(request.text)
            yield index, Response("Yes")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The framework's name, with an empty cache beside its environment."""
    name: str = request.param
    environment = folder_of(FRAMEWORKS[name])
    if not (environment / "installed.txt").exists():
        pytest.skip(f"needs {name} in an environment of its own: harness bridge install {name}")
    (tmp_path / "cache" / "upstream").mkdir(parents=True)
    (tmp_path / "cache" / "upstream" / name).symlink_to(environment)
    monkeypatch.setenv("MASTERS_HARNESS_CACHE", str(tmp_path / "cache"))
    return name


@pytest.mark.parametrize("installed", ["lmms-eval"], indirect=True)
def test_mme_is_asked_and_counted_by_lmms_eval(installed: str, tmp_path: Path) -> None:
    bridge_data.mme(tmp_path / "data", charts=12)
    model = Yes()
    (result,) = evaluate(model, ["lmms-eval:mme"], out=tmp_path / "run", data=tmp_path / "data").results
    assert model.asked[0].endswith("\nAnswer the question using a single word or phrase.")
    # Always yes: half of the questions of every category, no picture whole; four categories are perception.
    assert result.metrics.score == 200
    stated = result.metrics.groups["lmms-eval metric"]
    assert {name: group.score for name, group in stated.items()} == {
        "mme_perception_score": 200, "mme_cognition_score": 100,
    }  # fmt: skip
    assert result.metrics.n == 8, "a picture is a unit"
    (entry,) = read([tmp_path / "run"]).entries
    assert entry.metrics["lmms-eval:mme"].score == 200


@pytest.mark.parametrize("installed", ["vlmeval"], indirect=True)
def test_hallusionbench_is_asked_and_counted_by_vlmevalkit(installed: str, tmp_path: Path) -> None:
    bridge_data.hallusion(tmp_path / "data", charts=8)
    (result,) = evaluate(Yes(), ["vlmeval:HallusionBench"], out=tmp_path / "run", data=tmp_path / "data").results
    stated = {name: group.score for name, group in result.metrics.groups["vlmeval metric"].items()}
    assert (result.metrics.score, stated["Overall aAcc"], stated["Overall fAcc"]) == (50, 50, 0)
    assert result.items == result.metrics.n == 16


@pytest.mark.parametrize("installed", ["lmms-eval"], indirect=True)
def test_an_unknown_task_is_told_by_name(installed: str, tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="lmms-eval has no task mne"):
        evaluate(Yes(), ["lmms-eval:mne"], out=tmp_path / "run", data=tmp_path)
