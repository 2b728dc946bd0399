"""Language models as judges, behind a real HTTP server that misbehaves: nothing is lost, nothing is asked twice."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import Server, asked, completion
from rich.console import Console

from harness.api import Ask, HarnessError, Response, Sample, State
from harness.evaluation import evaluate
from harness.judge.cache import AnswerCache
from harness.judge.model_judge import JudgeFailed, ModelJudge
from harness.report.table import print_results
from harness.rescore import rescore
from harness.scoring.score import open_judge
from harness.store import Store

pytest.importorskip("openai")

SECRET = "sk-secret-of-the-test"
FAST = "pause=0.01&attempts=2&timeout=2"
Reply = tuple[int, dict[str, Any] | str, dict[str, str]]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    monkeypatch.setenv("MASTERS_HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    started = Server()
    started.answer = lambda body, _: (200, said(body, "0.5"), {})
    yield started
    started.close()


def said(body: dict[str, Any], text: str) -> dict[str, Any]:
    return completion(body, message={"role": "assistant", "content": text})


def judge(server: Server, options: str = FAST, model: str = "tiny") -> ModelJudge:
    opened = open_judge(f"openai:{model}?base_url={server.url}&{options}")
    assert isinstance(opened, ModelJudge)
    return opened


def asks(count: int) -> list[Ask]:
    return [Ask("grade", f"item {i}") for i in range(count)]


class Talker:
    """Answers every request at once, each with a text of its own."""

    name = "talker"

    def fingerprint(self) -> str:
        return "talker"

    def generate(self, requests: Any) -> Iterator[tuple[int, Response]]:
        for index, _ in enumerate(requests):
            yield index, Response(f"response number {index}")


# ---------------------------------------------------------------- a server that misbehaves


def test_a_misbehaving_server_costs_only_the_items_it_failed_on(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """429 and 500 once are asked again; what keeps failing is judge_failed; a rerun asks only for that."""
    hang = threading.Event()
    broken = True

    def answer(body: dict[str, Any], seen: int) -> Reply:
        if not broken:
            return 200, said(body, "0.5"), {}
        kind = int(asked(body).rpartition("response number ")[2].split(" ")[0]) % 10
        if kind == 1 and seen == 1:
            return 429, {"error": {"message": f"slow down, {SECRET}"}}, {"Retry-After": "0.01"}
        if kind == 2 and seen == 1:
            return 500, "<html>oops</html>", {"Content-Type": "text/html"}
        if kind == 3:
            return 200, '{"choices": [{"mess', {}
        if kind == 4:
            return 200, "<html>a proxy says hello</html>", {"Content-Type": "text/html"}
        if kind == 5:
            return 400, {"error": {"message": f"key {SECRET} may not ask this"}}, {}
        if kind == 6:
            hang.wait(20)
        return 200, said(body, "0.5"), {}

    server.answer = answer
    run = evaluate(
        Talker(),
        ["mmvet"],
        out=tmp_path / "run",
        limit=40,
        judge=judge(server, FAST.replace("timeout=2", "timeout=0.5")),
    )
    hang.set()
    [result] = run.results
    failed = run.items[run.items.state == State.JUDGE_FAILED]
    kinds = Counter(int(text.rpartition(" ")[2]) % 10 for text in failed.response)
    assert set(kinds) == {3, 4, 5, 6}
    assert result.states == {"scored": result.items - len(failed), "judge_failed": len(failed)}
    assert (run.items[run.items.state == "scored"].score == 0.5).all()
    assert failed.note.str.contains("JudgeFailed").all()

    def written() -> bytes:
        return b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())

    first = written()
    assert b"may not ask this" in first
    before, broken = len(server.bodies), False
    again = evaluate(Talker(), ["mmvet"], out=tmp_path / "run", limit=40, judge=judge(server))
    assert len(server.bodies) - before == len(failed)
    assert again.results[0].states == {"scored": result.items}
    assert again.results[0].metrics.score == 50

    print_results(run.results, Console(width=100))
    shown = capsys.readouterr()
    assert f"judge_failed ({len(failed)} of {result.items}" in shown.out
    for text in ((first + written()).decode(errors="replace"), shown.out + shown.err, caplog.text):
        assert SECRET not in text
    assert server.headers[0]["authorization"] == f"Bearer {SECRET}"


def test_a_server_that_dies_half_way_is_given_up_and_continued_elsewhere(server: Server) -> None:
    server.dies_after = 25
    answers = judge(server).answer(asks(200))
    kept = [answer for answer in answers if isinstance(answer, str)]
    assert kept == ["0.5"] * 25
    assert all(isinstance(answer, JudgeFailed) for answer in answers if not isinstance(answer, str))
    assert "in a row" in str(answers[-1])
    assert len(server.bodies) < 100

    other = Server()  # the same model, started again at another address
    other.answer = server.answer
    assert judge(other).answer(asks(200)) == ["0.5"] * 200
    other.close()
    assert len(other.bodies) == 175
    assert {asked(body) for body in other.bodies}.isdisjoint(
        f"item {i}" for i, answer in enumerate(answers) if answer == "0.5"
    )


def test_a_refused_key_is_said_once_and_never_shown(server: Server) -> None:
    server.answer = lambda body, _: (401, {"error": {"message": f"Incorrect API key: {SECRET}"}}, {})
    answers = judge(server).answer(asks(50))
    assert all(isinstance(answer, JudgeFailed) for answer in answers)
    assert "status 401" in str(answers[0])
    assert SECRET not in "".join(map(str, answers))
    assert len(server.bodies) <= 8


def test_budgets(server: Server) -> None:
    first = judge(server, "max_calls=10").answer(asks(30))
    assert [isinstance(answer, str) for answer in first].count(True) == 10 == len(server.bodies)
    assert "budget of 10 calls is spent" in str(first[-1])
    second = judge(server, "max_tokens=35&concurrency=1").answer(asks(30))  # 7 tokens an answer
    assert [isinstance(answer, str) for answer in second].count(True) == 15
    assert "budget of 35 tokens is spent" in str(second[-1])
    assert judge(server, "max_calls=15").answer(asks(30)) == ["0.5"] * 30


# ---------------------------------------------------------------- the cache


def test_a_second_scoring_makes_no_call_even_without_a_server(server: Server, tmp_path: Path) -> None:
    opened = judge(server)
    evaluate(Talker(), ["mmvet"], out=tmp_path / "run", limit=20, judge=opened)
    assert len(server.bodies) == 20
    server.close()
    with Store(tmp_path / "run") as store:
        [result] = rescore(store, ["official"], judge=judge(server))
    assert result.states == {"scored": 20}
    assert len(server.bodies) == 20


def test_equal_questions_are_asked_once_and_other_settings_are_other_questions(server: Server) -> None:
    ask = Ask("grade", "a")
    others = [
        Ask("grade", "b"), Ask("grade", "a", system="s"), Ask("grade", "a", temperature=0.5),
        Ask("grade", "a", max_tokens=3),
    ]  # fmt: skip
    opened = judge(server)
    opened.answer([ask, ask, Ask("match", "a", data={"id": "7"})])
    assert len(server.bodies) == 1
    opened.answer([ask, *others])
    assert len(server.bodies) == 5
    judge(server, model="other").answer([ask])
    assert len(server.bodies) == 6


def test_rising_temperatures_are_drawn_anew(server: Server, tmp_path: Path) -> None:
    """MM-Vet asks up to five times; unreadable replies are judge_failed, never 0."""
    server.answer = lambda body, _: (200, said(body, "I would say half"), {})
    run = evaluate(Talker(), ["mmvet"], out=tmp_path / "run", limit=2, judge=judge(server))
    assert run.results[0].states == {"judge_failed": 2}
    assert Counter(body["temperature"] for body in server.bodies) == {0: 4, 0.5: 2, 1: 2, 1.5: 2}


def test_an_empty_cut_answer_is_a_failure(server: Server) -> None:
    server.answer = lambda body, _: (
        200, completion(body, message={"role": "assistant", "content": ""}, finish_reason="length"), {},
    )  # fmt: skip
    [answer] = judge(server).answer(asks(1))
    assert "cut at its token limit" in str(answer)


def test_a_damaged_cache_is_named(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "cache" / "judges" / "answers.sqlite"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"no database" * 100)
    with pytest.raises(HarnessError, match=r"(?s)answers\.sqlite.*can be deleted"):
        judge(server).answer(asks(1))


def test_several_processes_share_a_cache(tmp_path: Path) -> None:
    one, other = AnswerCache(tmp_path / "a"), AnswerCache(tmp_path / "a")
    with one.open() as left, other.open() as right:
        left.put(b"1", "j", "x")
        right.put(b"2", "j", "y")
        right.put(b"1", "j", "z")
        assert left.get([b"1", b"2", b"3"]) == right.get([b"1", b"2"]) == {b"1": "x", b"2": "y"}


_KILLED = """
import sys
from harness.api import Ask
from harness.scoring.score import open_judge
open_judge(sys.argv[1]).answer([Ask("grade", f"item {i}") for i in range(60)])
"""


def test_a_killed_judging_keeps_what_was_answered(server: Server) -> None:
    def slow(body: dict[str, Any], _: int) -> Reply:
        time.sleep(0.05)
        return 200, said(body, "0.5"), {}

    server.answer = slow
    spec = f"openai:tiny?base_url={server.url}&concurrency=2"
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(_KILLED), spec]) as process:
        while len(server.bodies) < 20:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    before = len(server.bodies)
    assert judge(server).answer(asks(60)) == ["0.5"] * 60
    assert len(server.bodies) - before <= 60 - (before - 4)  # two were under way, two were not yet written


# ---------------------------------------------------------------- what can be asked for


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("openai:", "needs a model"),
        ("openai:m?speed=9", "no option 'speed'"),
        ("openai:m?api_key=sk-1", "no option 'api_key'"),
        ("openai:m?max_calls=many", "max_calls"),
        ("openai:m?timeout=-1", "at least"),
        ("openai:m?base_url", "cannot be read"),
        ("openai:m?base_url=ftp://x", "no http"),
        ("openai:m?base_url=http://me:sk-1@x/v1", "password"),
        ("openai:m", "OPENAI_API_KEY is not set"),
        ("hf:/no/such/folder", "no such folder"),
        ("hf:/no/such/folder?speed=9", "no option 'speed'"),
        ("nobody:m", "no judge is called"),
    ],
)
def test_bad_specs(spec: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(HarnessError, match=message) as error:
        open_judge(spec)
    assert "sk-1" not in str(error.value)


def test_the_papers_two_calls(server: Server) -> None:
    from trainers.recipe import RewardJudge
    from trainers.rewards import Graded, grade

    def answer(body: dict[str, Any], _: int) -> Reply:
        second = "<overall_summary>" in asked(body)
        return 200, said(body, "1" if second else "It is right. <answer>1</answer>"), {}

    server.answer = answer
    sample = Sample("q1", "What colour?", "red")
    verdicts = grade([Graded(sample, Response("it is red"))], judge(server), RewardJudge(grade="paper"))
    assert [(v.state, v.score) for v in verdicts] == [(State.SCORED, 1.0)]
    assert [body["messages"][0]["role"] for body in server.bodies] == ["system", "system"]
    assert "It is right." in asked(server.bodies[1])


@pytest.mark.parametrize("family", ["internvl", "language"])
def test_a_local_checkpoint_as_judge(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tiny_models import checkpoint, language_model

    from harness.models.hf import HFModel

    monkeypatch.setenv("MASTERS_HARNESS_CACHE", str(tmp_path / "cache"))
    folder = language_model(tmp_path / "model") if family == "language" else checkpoint(family, tmp_path / "model")
    opened = open_judge(f"hf:{folder}?device=cpu&dtype=float32")
    questions = [Ask("grade", f"item {i}", system="Be brief.", max_tokens=4) for i in range(3)]
    answers = opened.answer(questions)
    assert all(isinstance(answer, str) for answer in answers)
    monkeypatch.setattr(HFModel, "generate", lambda self, requests: iter(()))
    assert opened.answer(questions) == answers
    assert isinstance(opened.answer([Ask("grade", "new")])[0], JudgeFailed)


def test_a_language_model_judges_as_transformers_generates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers
    from tiny_models import language_model

    monkeypatch.setenv("MASTERS_HARNESS_CACHE", str(tmp_path / "cache"))
    folder = language_model(tmp_path / "model")
    asked = [Ask("match", f"Is {i} the same as {i * i}?", system="Be brief.", max_tokens=6) for i in range(5)]
    said = open_judge(f"hf:{folder}?device=cpu&dtype=float32").answer(asked)
    words = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
    for ask, answer in zip(asked, said, strict=True):
        chat = [{"role": "system", "content": ask.system}, {"role": "user", "content": ask.prompt}]
        inputs = words.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        tokens = model.generate(**inputs, max_new_tokens=6, do_sample=False)[0, inputs["input_ids"].shape[1] :]
        assert answer == words.decode(tokens, skip_special_tokens=True)
    assert len(set(said)) > 1


def test_a_language_model_is_no_model_to_evaluate(tmp_path: Path) -> None:
    from tiny_models import language_model

    from harness.models.hf import open_model

    with pytest.raises(HarnessError, match="image"):
        _ = open_model(str(language_model(tmp_path / "model"))).preprocessor
