"""Backend ray on a real cluster of two workers on this machine; without ray installed it is skipped."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from test_hf_model import make_requests

from harness.api import HarnessError, Image, Request
from harness.evaluation import evaluate
from harness.models.hf import open_model as open_hf
from harness.progress import Silent
from harness.store import LoadedRun

ray = pytest.importorskip("ray", reason="needs the package ray (pip install 'masters-harness[ray]')")

from harness.models.ray import RayModel, open_model  # noqa: E402

MODEL = "embedded/student"


@pytest.fixture(scope="module")
def model() -> Iterator[RayModel]:
    opened = open_model(MODEL, workers=2, window=8, batch_tokens=2048)
    try:
        opened.wait()
    except HarnessError as error:
        if "Ray did not start" not in error.message:
            raise
        pytest.skip(f"this machine is too busy for Ray, which gives its processes 30 s: {error.message}")
    yield opened
    opened.close()
    ray.shutdown()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> LoadedRun:
    return evaluate(open_hf(MODEL), ["mmstar", "chartqa"], limit=60, out=tmp_path_factory.mktemp("hf"))


def workers() -> list[psutil.Process]:
    """The processes of the workers: descendants of this one, since the cluster is."""
    found = psutil.Process().children(recursive=True)
    return [process for process in found if process.is_running() and process.name().startswith("ray::Worker")]


class Killer(Silent):
    """Kills a worker with SIGKILL when so many responses have come."""

    def __init__(self, after: int) -> None:
        self.after, self.count, self.killed = after, 0, 0

    def advanced(self, model: str, task: str, count: int) -> None:
        self.count += count
        if not self.killed and self.count >= self.after:
            victim = workers()[0]
            self.killed = victim.pid
            os.kill(victim.pid, signal.SIGKILL)


def table(run: LoadedRun) -> list[tuple[object, ...]]:
    return [(r.cell.task, r.metrics.score, r.metrics.stderr, r.items, r.states) for r in run.results]


def test_the_fingerprint_is_the_engines_own(model: RayModel) -> None:
    assert model.fingerprint() == open_hf(MODEL).fingerprint()


def test_a_killed_worker_changes_nothing(model: RayModel, undisturbed: LoadedRun, tmp_path: Path) -> None:
    killer = Killer(40)
    run = evaluate(model, ["mmstar", "chartqa"], limit=60, out=tmp_path, progress=killer)
    assert killer.killed
    assert killer.killed not in psutil.pids()
    assert table(run) == table(undisturbed)
    said = ["task", "id", "response"]
    assert run.items[said].equals(undisturbed.items[said])
    assert sum(result.inferred for result in run.results) == 120


def test_samples_and_errors_are_those_of_one_process(model: RayModel) -> None:

    def broken() -> bytes:
        raise OSError("the disk is gone")

    wanted = [*make_requests(5, n=2, temperature=1.0), Request((Image("0" * 64, broken), "?"))]
    found = {(i, r.sample_index): r for i, r in model.generate(wanted)}
    alone = {(i, r.sample_index): r for i, r in open_hf(MODEL).generate(wanted)}
    assert found == alone
    assert "the disk is gone" in found[5, 0].error


def test_a_caller_that_stops_early_leaves_nothing_busy(model: RayModel) -> None:
    answers = model.generate(make_requests(40))
    next(answers)
    answers.close()
    assert len(list(model.generate(make_requests(3)))) == 3


def test_workers_that_die_again_and_again_end_the_run(model: RayModel) -> None:
    doomed = open_model(MODEL, workers=1, max_deaths=2)
    stop = threading.Event()

    def hunt() -> None:
        while not stop.is_set():
            for process in workers():
                process.kill()
            time.sleep(0.05)

    model.close()
    hunter = threading.Thread(target=hunt)
    hunter.start()
    try:
        with pytest.raises(HarnessError, match="2 ray workers died in a row") as error:
            list(doomed.generate(make_requests(3)))
    finally:
        stop.set()
        hunter.join()
        doomed.close()
    assert "kept" in error.value.remedy


def test_a_checkpoint_that_cannot_be_loaded_is_its_own_error(model: RayModel, tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="has no config"):
        open_model(str(tmp_path), workers=1).fingerprint()


def test_a_cluster_without_room_is_told(model: RayModel) -> None:
    greedy = open_model(MODEL, workers=1, num_cpus=4096, start_timeout=1)
    with pytest.raises(HarnessError, match="no ray worker started within 1 s: one needs 4096 CPU"):
        greedy.fingerprint()
    greedy.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "ray"}, "cannot be ray"),
        ({"engine": "hv"}, "no model is called 'hv'"),
        ({"workers": 0}, "out of range"),
        ({"workers": "two"}, "option workers cannot be 'two'"),
    ],
)
def test_wrong_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        open_model(MODEL, **options)


@pytest.fixture
def alone(model: RayModel) -> Callable[[str], RayModel]:
    """Opens a model at an address as a process would that is in no cluster yet."""
    ray.shutdown()
    return lambda address: open_model(MODEL, address=address)


def test_an_address_where_nothing_answers(alone: Callable[[str], RayModel]) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, not listening: refused at once
        with pytest.raises(HarnessError, match="no Ray cluster answers at 127") as error:
            alone(f"127.0.0.1:{held.getsockname()[1]}").fingerprint()
    assert "ray start --head" in error.value.remedy
    for wrong in ("somewhere", "ray://127.0.0.1:10001"):
        with pytest.raises(HarnessError, match="is not HOST:PORT"):
            alone(wrong).fingerprint()
