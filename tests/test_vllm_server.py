"""Backend openai against a real vLLM server: the same table as hf, a kill in the middle, the key nowhere.

Set MASTERS_VLLM_PYTHON to the Python that has vllm (docs/scale.md); without it these tests are skipped.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from vllm_server import PYTHON, VLLMServer, vllm_python

from harness import registry
from harness.api import Generation, Request
from harness.cli import main
from harness.evaluation import evaluate
from harness.models.openai_server import OpenAIModel, open_model
from harness.progress import Silent
from harness.store import Store, load_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not vllm_python(), reason=f"needs a vLLM server: set {PYTHON} to the Python that has vllm"),
]
pytest.importorskip("openai")
KEY = "sk-secret-of-the-test"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VLLMServer]:
    folder = Path(registry.load("checkpoints", "large")())
    started = VLLMServer(folder, "large", tmp_path_factory.mktemp("server") / "log", "--api-key", KEY)
    started.start()
    yield started
    started.kill()


@pytest.fixture(autouse=True)
def _environment(server: VLLMServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def test_the_same_table_as_hf(tmp_path: Path) -> None:
    words = ["parity", "embedded/large", "openai:large", "--tasks", "ai2d,mmstar", "--limit", "6"]
    done = CliRunner().invoke(main, [*words, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    [certificate] = manifest["parity"]
    assert certificate["outcome"] == "PARITY"
    assert manifest["usage"]["openai:large"]["requests"] == 12
    assert manifest["usage"]["openai:large"]["prompt_tokens"] > 0
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(KEY.encode() in data for data in [*files, done.output.encode()])


def test_what_the_server_refuses_is_an_error_of_its_item() -> None:
    model = open_model("large")
    assert model.is_vllm
    requests = [Request(("word " * 5000,)), Request(("Hello",), Generation(max_new_tokens=4, logprobs=True))]
    found = dict(model.generate(requests))
    assert found[0].finish == "error"
    assert "400" in found[0].error
    assert 0 < len(found[1].token_ids) == len(found[1].logprobs) <= 4


def test_a_time_out_is_asked_again_and_then_an_error() -> None:
    slow = Request(("Hello",), Generation(max_new_tokens=900, temperature=1.0))
    model = OpenAIModel("large", timeout=0.01, attempts=2, pause=0.01)
    [(_, response)] = model.generate([slow])
    assert "after 2 attempts" in response.error
    assert model.usage.retries == 1


class Killing(Silent):
    """Kills the server when `after` answers are in."""

    def __init__(self, server: VLLMServer, after: int) -> None:
        self._server, self._left = server, after

    def advanced(self, model: str, task: str, count: int) -> None:
        self._left -= count
        if self._left == 0:
            self._server.kill()


def test_a_server_killed_in_the_middle(server: VLLMServer, tmp_path: Path) -> None:
    def run(name: str, progress: Silent | None = None) -> dict[str, int]:
        model = OpenAIModel("large", attempts=1, concurrency=2)
        done = evaluate(model, ["ai2d", "mmstar"], out=tmp_path / name, limit=20, progress=progress)
        return {"asked": model.usage.requests, "errors": sum(r.errors for r in done.results)}

    whole = run("whole")
    assert whole == {"asked": 40, "errors": 0}
    killed = run("killed", Killing(server, 10))
    server.start()
    again = run("killed")
    assert killed["errors"] > 20
    assert again == {"asked": killed["errors"], "errors": 0}
    rows = []
    for name in ("whole", "killed"):
        with Store(tmp_path / name, write=False) as store:
            rows.append(sorted(store.frame("SELECT sample_index, text, finish FROM responses").itertuples(index=False)))
    assert rows[0] == rows[1]
    tables = [[(r.cell, r.metrics.score) for r in load_run(tmp_path / name).results] for name in ("whole", "killed")]
    assert tables[0] == tables[1]
