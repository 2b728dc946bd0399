"""Parity of two backends: what is found the same, what is found different and why, what counts as a tie."""

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file, save_file
from test_hf_model import make_requests

from harness import registry
from harness.api import HarnessError, Request, Response
from harness.cli import main
from harness.evaluation import Evaluator
from harness.models.hf import open_model
from harness.models.options import parse_model, parse_options
from harness.models.seen import Pixels, Seen, TokenScores
from harness.parity import Certificate, Outcome, Side, parity
from harness.store import Store, load_run

TASKS = ["ai2d", "chartqa"]


def run(a: str, b: str, out: Path, *more: str) -> tuple[Result, dict[str, Any]]:
    """`harness parity A B` on a few items; what it printed and its certificate."""
    words = ["parity", a, b, "--tasks", ",".join(TASKS), "--limit", "6", "--out", str(out), *more]
    done = CliRunner().invoke(main, words)
    manifest = out / "manifest.json"
    return done, json.loads(manifest.read_text())["parity"][-1] if manifest.exists() else {}


def items(certificate: dict[str, Any]) -> int:
    """How many were compared: about the limit, whole groups."""
    return sum(part["items"] for part in certificate["tasks"])


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the embedded student, to be changed."""
    source = Path(registry.load("checkpoints", "student")())
    return Path(shutil.copytree(source, tmp_path / "copy"))


def test_one_at_a_time_and_batched(tmp_path: Path) -> None:
    done, certificate = run("embedded/student", "embedded/student?batch_tokens=1", tmp_path)
    assert done.exit_code == 0, done.output
    assert "PARITY" in done.output
    assert certificate["outcome"] == "PARITY"
    assert certificate["reasons"] == []
    assert [side["options"] for side in certificate["sides"]] == [{}, {"batch_tokens": 1}]
    for part in certificate["tasks"]:
        assert part["prompts_same"] == part["images_same"] == part["settings_same"] == part["items"]
        assert part["answers_same"] + part["ties"] == part["items"] > 0
        assert part["gap"] < 1e-3
    run_ = load_run(tmp_path)
    assert {r.cell.model for r in run_.results} == {"embedded/student", "embedded/student?batch_tokens=1"}


def test_other_weights(tmp_path: Path, copy: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    draws = torch.Generator().manual_seed(0)
    for tensor in weights.values():
        tensor += 0.5 * tensor.float().std(correction=0) * torch.randn(tensor.shape, generator=draws)
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    done, certificate = run("embedded/student", str(copy), tmp_path / "run")
    assert done.exit_code == 1, done.output
    assert certificate["outcome"] == "DIFFERS"
    assert all(part["prompts_same"] == part["images_same"] == part["items"] for part in certificate["tasks"])
    assert any("log-prob" in reason or "no tie" in reason for reason in certificate["reasons"])


def test_another_template(tmp_path: Path, copy: Path) -> None:
    template = copy / "chat_template.jinja"
    template.write_text("." + template.read_text())
    done, certificate = run("embedded/student", str(copy), tmp_path / "run")
    assert done.exit_code == 1, done.output
    assert any(
        f"{items(certificate)} items have other prompt tokens (ai2d, chartqa)" in reason
        for reason in certificate["reasons"]
    )


def test_another_image_processor(tmp_path: Path, copy: Path) -> None:
    """Means that differ give the same tokens and the same grid, but other pixels."""
    path = copy / "processor_config.json"
    settings = json.loads(path.read_text())
    settings["image_processor"]["image_mean"] = [0.1, 0.1, 0.1]
    path.write_text(json.dumps(settings))
    _, certificate = run("embedded/student", str(copy), tmp_path / "run")
    assert any(
        f"{items(certificate)} items have other image grids or pixels" in reason for reason in certificate["reasons"]
    )
    assert all(part["prompts_same"] == part["items"] for part in certificate["tasks"])


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    done, _ = run("embedded/student", str(tmp_path / "nowhere"), tmp_path / "run")
    assert done.exit_code == 3
    assert "nowhere" in done.output
    done, _ = run("embedded/student?batch=1", "embedded/student", tmp_path / "other")
    assert done.exit_code == 3
    assert "no option 'batch'" in done.output


def test_it_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second call asks nobody, and a line that a kill cut short is asked again with its response."""
    pair = ("embedded/student", "embedded/student?batch_tokens=1")
    _, first = run(*pair, tmp_path)
    files = sorted(tmp_path.glob("seen-*.jsonl"))
    assert len(files) == 2
    lines = [path.read_bytes().splitlines(keepends=True) for path in files]
    files[0].write_bytes(b"".join(lines[0]) + lines[0][0][:40])
    monkeypatch.setattr("harness.models.decode.decode", None)
    monkeypatch.setattr("harness.models.batches.decode", None)
    _, again = run(*pair, tmp_path)
    assert {**first, "made": ""} == {**again, "made": ""}


class Told:
    """A model that answers what it was told to; `seen` is what it says it saw."""

    def __init__(self, tokens: Sequence[int], logprobs: Sequence[float], seen: Seen | None = None) -> None:
        self.name, self.watch = "told", None
        self._tokens, self._logprobs, self._seen = tuple(tokens), tuple(logprobs), seen

    def fingerprint(self) -> str:
        return f"{self._tokens}{self._logprobs}"

    def generate(self, requests: Iterable[Request]) -> Iterator[tuple[int, Response]]:
        for index, _ in enumerate(requests):
            if self._seen is not None and self.watch is not None:
                self.watch(index, self._seen)
            yield index, Response("A", token_ids=self._tokens, logprobs=self._logprobs, prompt_tokens=3)


class Scoring(Told):
    """Also says by how much it prefers one token to another."""

    def __init__(self, *args: Any, best: dict[int, float]) -> None:
        super().__init__(*args)
        self._best = best

    def score(self, pairs: Iterable[tuple[Request, Sequence[int]]]) -> Iterator[tuple[int, TokenScores]]:
        for index, (_, tokens) in enumerate(pairs):
            yield index, TokenScores(tuple(self._best.get(token, -9.0) for token in tokens))


def certify(folder: Path, a: Told, b: Told, **options: Any) -> Certificate:
    with Store(folder) as store:
        sides = Side("a", lambda: a), Side("b", lambda: b)
        return parity(Evaluator(store, limit=4), *sides, ["ai2d"], **options)


SEEN = Seen((1, 2, 3), None, Pixels(12, 0.5, 0.1), {"temperature": 0.0, "eos": [2]})


def test_a_tie_is_shown_but_no_difference(tmp_path: Path) -> None:
    a = Told((5, 6), (-0.5, -0.700), SEEN)
    b = Scoring((5, 7), (-0.501, -0.701), SEEN, best={5: -0.501, 6: -0.712, 7: -0.701})
    found = certify(tmp_path / "tie", a, b)
    assert found.outcome == Outcome.PARITY
    assert [(d.place, d.token_a, d.token_b, d.tie) for d in found.divergences] == [(1, 6, 7, True)] * found.tasks[
        0
    ].items
    assert found.divergences[0].margin == pytest.approx(0.011)
    assert found.tasks[0].ties == found.tasks[0].items > 0
    assert found.tasks[0].gap == pytest.approx(0.001, abs=1e-6)
    strict = certify(tmp_path / "strict", a, b, tolerance=0.005)
    assert strict.outcome == Outcome.DIFFERS
    assert f"{found.tasks[0].items} answers part where it is no tie (first: ai2d" in strict.reasons[0]


def test_a_divergence_that_nobody_can_score_is_a_difference(tmp_path: Path) -> None:
    found = certify(tmp_path, Told((5, 6), (-0.5, -0.7), SEEN), Told((5, 7), (-0.5, -0.7), SEEN))
    assert found.outcome == Outcome.DIFFERS


def test_gaps_before_the_answers_part(tmp_path: Path) -> None:
    found = certify(tmp_path, Told((5, 6), (-0.5, -0.7), SEEN), Told((5, 6), (-0.5, -0.9), SEEN))
    assert found.outcome == Outcome.DIFFERS
    assert "differ by up to 0.2000 (ai2d)" in found.reasons[0]


def test_other_settings(tmp_path: Path) -> None:
    other = Seen((1, 2, 3), None, Pixels(12, 0.5, 0.1), {"temperature": 0.0, "eos": [2, 9]})
    found = certify(tmp_path, Told((5,), (-0.5,), SEEN), Told((5,), (-0.5,), other))
    assert found.reasons == [f"{found.tasks[0].items} items are decoded with other settings (ai2d)"]


def test_pixels() -> None:
    pixels = Pixels(12, 0.5, 0.1)
    assert pixels.near(Pixels(12, 0.50001, 0.1), 1e-3)
    assert pixels.near(Pixels(12, None, None), 1e-3)
    assert not pixels.near(Pixels(12, 0.6, 0.1), 1e-3)
    assert not pixels.near(Pixels(13, None, None), 1e-3)


def test_who_shows_nothing_is_not_certified(tmp_path: Path) -> None:
    found = certify(tmp_path, Told((5,), (-0.5,), SEEN), Told((5,), (-0.5,)))
    assert found.outcome == Outcome.UNDECIDED
    assert f"prompt tokens of {found.tasks[0].items} items are not shown" in found.reasons[0]


def test_the_newest_certificate_of_two_sides_is_kept(tmp_path: Path) -> None:
    for tolerance in (0.01, 0.02):
        certify(tmp_path, Told((5,), (-0.5,), SEEN), Told((5,), (-0.4,), SEEN), tolerance=tolerance)
    with Store(tmp_path, write=False) as store:
        assert [c["tolerance"] for c in store.meta()["parity"]] == [0.02]


@pytest.mark.parametrize("family", ["internvl", "qwen2_5_vl", "smolvlm"])
def test_given_tokens_are_scored_as_a_forward_of_transformers_does(family: str, tmp_path: Path) -> None:
    model = open_model(str(tiny_models.checkpoint(family, tmp_path)))
    requests = make_requests(3)
    given = (40, 300, 77, 120)
    for index, scores in model.score([(request, given) for request in requests], top=4):
        prepared = model.preprocessor.prepare(requests[index])
        ids = torch.cat([prepared.input_ids, torch.tensor(given)])[None]
        types = {name: torch.cat([v, v.new_zeros(4)])[None] for name, v in prepared.per_token.items()}
        with torch.no_grad():
            logits = model.module(input_ids=ids, **types, **prepared.features).logits[0, prepared.length - 1 : -1]
        expected = logits.log_softmax(-1)
        assert scores.logprobs == pytest.approx([float(expected[i, t]) for i, t in enumerate(given)], abs=1e-4)
        assert [[token for token, _ in place] for place in scores.top] == expected.topk(4).indices.tolist()


def test_specs() -> None:
    assert parse_model("./a:b") == ("hf", "./a:b", {})
    assert parse_model("vllm:owner/name@main?max_num_seqs=4&dtype=float32") == (
        "vllm",
        "owner/name@main",
        {"max_num_seqs": 4, "dtype": "float32"},
    )
    assert parse_options(["extra={a: 1}", "price-prompt=0.15", "x="]) == {
        "extra": {"a": 1},
        "price_prompt": 0.15,
        "x": None,
    }
    for bad in ("novalue", "api_key=sk-1", "a b=1", "x={"):
        with pytest.raises(HarnessError) as error:
            parse_options([bad])
        assert "sk-1" not in str(error.value)
