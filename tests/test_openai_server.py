"""Backend openai: the real client against a local server that misbehaves on purpose."""

import base64
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import Server, completion
from click.testing import CliRunner

from harness.api import Generation, HarnessError, Image, Request
from harness.cli import main
from harness.models.openai_server import OpenAIModel, open_model

pytest.importorskip("openai")

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    started = Server()
    monkeypatch.setenv("OPENAI_BASE_URL", started.url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-test")
    yield started
    started.close()


def ask(model: OpenAIModel, requests: list[Request]) -> dict[tuple[int, int], Any]:
    return {(index, response.sample_index): response for index, response in model.generate(requests)}


def test_requests_arrive_as_they_were_meant(server: Server) -> None:
    settings = Generation(max_new_tokens=7, temperature=0.5, top_p=0.9, top_k=4, stop=("\n",), n=2, seed=3)
    request = Request(("a ", Image.from_bytes(PNG), " b"), settings, system="Be brief.")
    found = ask(open_model("tiny"), [request])
    assert found[0, 0].text == found[0, 1].text == "A <IMAGE> B"
    assert found[0, 0].prompt_tokens == 5
    [body] = server.bodies
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    url = body["messages"][1]["content"][1]["image_url"]["url"]
    assert url.startswith("data:image/png;base64,")
    assert base64.b64decode(url.partition(",")[2]) == PNG
    expected = {
        "max_completion_tokens": 7,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 4,
        "stop": ["\n"],
        "n": 2,
        "seed": 3,
    }
    assert {key: body[key] for key in expected} == expected


def test_a_vllm_server_is_told_every_setting(server: Server) -> None:
    """It would take what is not stated from the checkpoint's generation config, which other backends do not."""
    ask(open_model("tiny"), [Request(("x",))])
    server.owner = "vllm"
    ask(open_model("tiny"), [Request(("x",), Generation(max_new_tokens=4096))])
    plain, stated = server.bodies
    expected = {"top_k": 0, "repetition_penalty": 1.0, "min_p": 0.0, "return_token_ids": True}
    assert stated["max_completion_tokens"] == 512  # its whole context: it refuses to be asked for more
    assert {key: stated[key] for key in expected} == expected
    assert not expected.keys() & plain.keys()


def test_overload_and_failures_are_asked_again(server: Server) -> None:
    def busy(body: dict[str, Any], seen: int) -> tuple[int, dict[str, Any], dict[str, str]]:
        if seen < 3:
            return (429, {"error": {"message": "slow down"}}, {"Retry-After": "0.01"}) if seen == 1 else (500, {}, {})
        return 200, completion(body), {}

    server.answer = busy
    model = OpenAIModel("tiny", pause=0.01, price_prompt=1.0, price_completion=10.0)
    found = ask(model, [Request((f"item {i}",)) for i in range(30)])
    assert [found[i, 0].text for i in range(30)] == [f"ITEM {i}" for i in range(30)]
    assert (model.usage.requests, model.usage.retries, model.usage.prompt_tokens) == (30, 60, 150)
    assert model.usage.counts()["cost"] == pytest.approx((150 * 1 + 60 * 10) / 1e6)


def test_what_keeps_failing_is_an_error_of_its_item(server: Server) -> None:
    def answer(body: dict[str, Any], seen: int) -> tuple[int, dict[str, Any], dict[str, str]]:
        text = body["messages"][0]["content"][0]["text"]
        if text == "down":
            return 503, {"error": {"message": "overloaded"}}, {}
        if text == "bad":
            return 400, {"error": {"message": "too many images"}}, {}
        if text == "filtered":
            return 200, completion(body, finish_reason="content_filter"), {}
        return 200, completion(body), {}

    server.answer = answer
    requests = [Request((text,)) for text in ("good", "down", "bad", "filtered")]
    requests.append(Request((Image.from_bytes(b"no image"),)))
    found = ask(OpenAIModel("tiny", attempts=2, pause=0.01), requests)
    assert [found[i, 0].finish for i in range(5)] == ["stop", "error", "error", "error", "error"]
    assert "after 2 attempts" in found[1, 0].error
    assert "too many images" in found[2, 0].error
    assert "content_filter" in found[3, 0].error
    assert "is no PNG" in found[4, 0].error


def test_a_request_that_hangs_times_out(server: Server) -> None:
    release = threading.Event()

    def hang(body: dict[str, Any], seen: int) -> tuple[int, dict[str, Any], dict[str, str]]:
        if seen == 1:
            release.wait(20)
        return 200, completion(body), {}

    server.answer = hang
    found = ask(OpenAIModel("tiny", timeout=3, pause=0.01), [Request(("x",))])
    release.set()
    assert found[0, 0].text == "X"


def test_a_run_records_tokens_and_cost_over_all_its_calls_and_never_the_key(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["run", "--backend", "openai", "--model", "tiny", "--out", str(tmp_path / "run")]
    prices = ["--backend-option", "price_prompt=1", "--backend-option", "price-completion=10.5"]
    first = CliRunner().invoke(main, [*arguments, *prices, "--tasks", "ai2d", "--limit", "6"])
    assert first.exit_code == 0, first.output
    again = CliRunner().invoke(main, [*arguments, *prices, "--tasks", "ai2d,mmstar", "--limit", "6"])
    asked = len(server.bodies)
    assert f"tiny: {asked} requests" in again.output
    usage = json.loads((tmp_path / "run" / "manifest.json").read_text())["usage"]["tiny"]
    assert usage["prompt_tokens"] == 5 * asked
    assert usage["completion_tokens"] == 2 * asked
    assert usage["cost"] == pytest.approx((5 * asked + 10.5 * 2 * asked) / 1e6)
    given = CliRunner().invoke(
        main, [*arguments, "--tasks", "ai2d", "--backend-option", "api_key=sk-secret-of-the-test"]
    )
    assert given.exit_code == 1
    assert "OPENAI_API_KEY" in given.output
    shown = first.output + again.output + given.output
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 4
    assert not any(b"sk-secret" in data for data in [*files, shown.encode()])


def test_options_that_are_none(server: Server) -> None:
    with pytest.raises(HarnessError, match="no option 'timout'") as error:
        open_model("tiny", timout=3)
    assert "timeout" in error.value.remedy
    with pytest.raises(HarnessError, match="timeout cannot be 'long'"):
        open_model("tiny", timeout="long")


def test_a_refused_key_stops_the_run_and_is_never_shown(server: Server) -> None:
    server.answer = lambda body, seen: (401, {"error": {"message": "Incorrect API key: sk-secret-of-the-test"}}, {})
    with pytest.raises(HarnessError, match="status 401") as error:
        ask(OpenAIModel("tiny"), [Request(("x",))])
    assert "secret" not in str(error.value)
    assert error.value.__cause__ is None
    assert server.headers[0]["authorization"] == "Bearer sk-secret-of-the-test"


def test_unknown_model_and_absent_server(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HarnessError, match="does not serve 'other'") as error:
        open_model("other")
    assert "tiny" in error.value.remedy
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    with pytest.raises(HarnessError, match="does not answer"):
        open_model("tiny")
    monkeypatch.delenv("OPENAI_BASE_URL")
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(HarnessError, match="OPENAI_API_KEY is not set"):
        open_model("tiny")


def test_requests_are_read_only_as_far_as_the_server_bears(server: Server) -> None:
    taken = 0

    def stream() -> Iterator[Request]:
        nonlocal taken
        for i in range(100):
            taken += 1
            yield Request((f"item {i}",))

    done = 0
    for _ in OpenAIModel("tiny", concurrency=12).generate(stream()):
        done += 1
        assert taken - done <= 12
    assert done == 100


def test_a_run_that_is_given_up_leaves_nothing_behind(server: Server) -> None:
    before = threading.active_count()
    answers = OpenAIModel("tiny").generate(Request((f"item {i}",)) for i in range(50))
    next(answers)
    answers.close()
    assert not any(thread.name == "openai" for thread in threading.enumerate())
    assert threading.active_count() <= before + 8  # the server's own connections
