"""Ablations: the model gets other images, its answers are cells of their own, and the gain is a paired difference."""

import io

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image as Pillow
from test_evaluate import HashModel

from harness import registry
from harness.ablate import KINDS, ablated, gains
from harness.api import HarnessError, Response
from harness.cli import main
from harness.evaluation import Evaluator
from harness.store import Store


class Looks(HashModel):
    """Remembers its requests; right where it sees the real image, else A."""

    def __init__(self, gold=None):
        super().__init__("looks")
        self.gold, self.seen = gold or {}, []

    def generate(self, requests):
        for index, request in enumerate(requests):
            self.seen.append(request)
            answer = self.gold.get((request.text, request.images[0].sha256), "A")
            yield index, Response(answer, token_ids=(1,))


@pytest.fixture
def evaluator(tmp_path):
    with Store(tmp_path / "run") as store:
        yield Evaluator(store, limit=24)


def pixels(image):
    with Pillow.open(io.BytesIO(image.read())) as picture:
        return np.asarray(picture.convert("RGB")).astype(float)


@pytest.mark.parametrize("kind", KINDS)
def test_the_text_stays_and_every_image_changes(evaluator, kind):
    real, other = Looks(), Looks()
    evaluator.evaluate(real, ["seedbench"])
    evaluator.evaluate(ablated(other, kind, evaluator, ["seedbench"]), ["seedbench"])
    assert [r.text for r in real.seen] == [r.text for r in other.seen]
    for before, after in zip(real.seen, other.seen, strict=True):
        assert before.images[0].sha256 != after.images[0].sha256
        old, new = pixels(before.images[0]), pixels(after.images[0])
        if kind == "blank":
            assert new.shape == old.shape
            assert np.ptp(new) == 0
        if kind == "blur":
            assert new.shape == old.shape
            edges = [np.abs(np.diff(picture, axis=1)).max() for picture in (new, old)]
            assert edges[0] < edges[1] / 4
    if kind == "shuffle":
        pool = {r.images[0].sha256 for r in real.seen}
        assert {r.images[0].sha256 for r in other.seen} == pool


def test_shuffling_is_the_same_every_time_and_images_shared_by_questions_move_together(evaluator):
    first, second = Looks(), Looks()
    one = ablated(first, "shuffle", evaluator, ["ai2d"])
    assert one.fingerprint() == ablated(second, "shuffle", evaluator, ["ai2d"]).fingerprint()
    evaluator.evaluate(one, ["ai2d"])
    real = Looks()
    evaluator.evaluate(real, ["ai2d"])
    moved = {}
    for before, after in zip(real.seen, first.seen, strict=True):
        assert moved.setdefault(before.images[0].sha256, after.images[0].sha256) == after.images[0].sha256


def test_ablations_are_cells_of_their_own_and_the_gain_is_score_minus_blind(evaluator):
    task = registry.task("seedbench")
    _, samples = evaluator.open(task)
    gold = {}
    for sample in samples:
        request = registry.rules(task, "official").request(sample)
        gold[request.text, request.images[0].sha256] = sample.answer
    model = Looks(gold)
    results = evaluator.evaluate(model, [task])
    for kind in KINDS:
        results += evaluator.evaluate(ablated(model, kind, evaluator, ["seedbench"]), [task])
    assert [r.cell.model for r in results] == ["looks", "looks [blank]", "looks [shuffle]", "looks [blur]"]
    found = gains(evaluator.store, results)
    assert [gain.kind for gain in found] == list(KINDS)
    share = 100 * sum(sample.answer == "A" for sample in samples) / len(samples)
    for gain in found:
        assert gain.score == 100
        assert gain.blind == pytest.approx(share)
        assert gain.difference.points == pytest.approx(100 - share)
        assert gain.difference.low > 0


def test_one_image_cannot_be_shuffled(tmp_path):
    with Store(tmp_path / "run") as store:
        evaluator = Evaluator(store, limit=1)
        _, samples = evaluator.open(registry.task("chartqa"))
        assert len({image.sha256 for sample in samples for image in sample.images}) == 1
        with pytest.raises(HarnessError, match="one image only"):
            ablated(Looks(), "shuffle", evaluator, ["chartqa"])


def test_the_verb_prints_the_gain(tmp_path, monkeypatch):
    load = registry.load
    opened = {"models": lambda spec, **options: Looks()}
    monkeypatch.setattr(registry, "load", lambda kind, name: opened.get(kind) or load(kind, name))
    words = ["run", "--tasks", "seedbench", "--model", "any", "--limit", "8", "--out", str(tmp_path / "run")]
    ended = CliRunner().invoke(main, [*words, "--ablate", "blank"])
    assert ended.exit_code == 0, ended.output
    assert "visual gain of looks" in ended.output
    assert "looks [blank]" in (tmp_path / "run" / "leaderboard.csv").read_text()
