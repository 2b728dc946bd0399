"""The loop: nothing inferred twice, a killed run ends like a run that was never killed, errors are counted.

The model here answers at once by a hash of the prompt, so that the loop itself is what is tested; the same loop with
real checkpoints is tested in test_run.py.
"""

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from harness import registry
from harness.api import Response
from harness.evaluation import Evaluator, evaluate
from harness.rescore import flips, rescore
from harness.store import Store, load_run

TASKS = ["chartqa", "mmbench_en", "mmbench_en_v11", "mmmu"]


class HashModel:
    """Answers with a letter or a number by a hash of the prompt; counts what it was asked."""

    def __init__(self, name="hash", fingerprint="1", fail=()):
        self.name, self._fingerprint, self.fail, self.asked = name, fingerprint, set(fail), 0

    def fingerprint(self):
        return self._fingerprint

    def generate(self, requests):
        for index, request in enumerate(requests):
            self.asked += 1
            if index in self.fail:
                yield index, Response("", "error", error="CUDA error")
                continue
            digest = hashlib.sha256((request.text + request.images[0].sha256).encode()).digest()
            yield index, Response("ABCD4"[digest[0] % 5], token_ids=(1,))


def table(folder):
    run = load_run(folder)
    columns = ["model", "task", "id", "state", "score", "response"]
    return run.items[columns].to_csv() + run.units.to_csv()


def test_a_second_run_infers_nothing_and_ends_alike(tmp_path):
    first, second = HashModel(), HashModel()
    evaluate(first, TASKS, out=tmp_path, limit=30)
    before = table(tmp_path)
    evaluate(second, TASKS, out=tmp_path, limit=30)
    assert first.asked > 0
    assert second.asked == 0
    assert table(tmp_path) == before


def test_the_public_name_is_the_function_whatever_was_imported():
    import harness

    assert harness.evaluate is evaluate


def test_tasks_that_share_items_share_their_responses(tmp_path):
    model = HashModel()
    run = evaluate(model, ["mmbench_en", "mmbench_en"], out=tmp_path, limit=30)
    assert model.asked == run.results[-1].items


def test_a_larger_limit_asks_only_for_what_is_new(tmp_path):
    model = HashModel()
    small = evaluate(model, ["chartqa"], out=tmp_path, limit=20).results[0].items
    large = evaluate(model, ["chartqa"], out=tmp_path).results[0].items
    assert small < large == model.asked


def test_another_model_is_another_cell_and_never_a_hit(tmp_path):
    evaluate(HashModel(), ["chartqa"], out=tmp_path, limit=20)
    other = HashModel("other", "2")
    run = evaluate(other, ["chartqa"], out=tmp_path, limit=20)
    assert other.asked == 20
    assert [r.cell.model for r in run.results] == ["hash", "other"]


def test_errors_are_counted_and_asked_again(tmp_path):
    broken = evaluate(HashModel(fail={0, 3}), ["chartqa"], out=tmp_path, limit=20).results[0]
    assert broken.errors == 2
    again = HashModel()
    healed = evaluate(again, ["chartqa"], out=tmp_path, limit=20).results[0]
    assert again.asked == 2
    assert healed.errors == 0


def test_rescoring_asks_no_model_and_finds_flips(tmp_path):
    evaluate(HashModel(), ["chartqa", "mmmu"], out=tmp_path, limit=40)
    with Store(tmp_path) as store:
        again = rescore(store, ["official"])
        assert [r.metrics.score for r in again] == [r.metrics.score for r in store.results()]
        assert flips(store, again) == []


def test_limit_takes_whole_circular_groups_over_all_categories(tmp_path):
    with Store(tmp_path) as store:
        task = registry.task("mmbench_en")
        dataset, samples = Evaluator(store, limit=60).open(task)
        assert 60 <= len(samples) < len(dataset)
        whole = {s.cluster for s in samples}
        assert [s.id for s in dataset if s.cluster in whole] == [s.id for s in samples]
        assert len({s.meta["l2-category"] for s in samples}) == len({s.meta["l2-category"] for s in dataset})


_KILLED = """
import sys, time
sys.path.insert(0, {tests!r})
from harness.evaluation import evaluate
from test_evaluate import HashModel, TASKS
class Slow(HashModel):
    def generate(self, requests):
        for answer in super().generate(requests):
            time.sleep(0.0005)
            yield answer
model = Slow()
evaluate(model, TASKS, out={out!r}, limit=150)
print("asked", model.asked)
"""


@pytest.mark.slow
def test_killed_at_any_moment_a_rerun_ends_with_the_same_table(tmp_path):
    evaluate(HashModel(), TASKS, out=tmp_path / "whole", limit=150)
    code = textwrap.dedent(_KILLED).format(tests=os.path.dirname(__file__), out=str(tmp_path / "killed"))
    kills = 0
    for delay in (0.4, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        time.sleep(delay)
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    last = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "asked" in last.stdout
    assert kills > 0
    assert table(tmp_path / "killed") == table(tmp_path / "whole")
    assert (tmp_path / "killed" / "manifest.json").exists()
