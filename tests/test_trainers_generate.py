"""Gen-Data: stored before it is used, never generated twice, shared, resumed after kill -9."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from trainer_runs import die, killed

from harness.api import HarnessError, Request, Response
from trainers.generate import Asked, GenData, sampling
from trainers.questions import open_training_data
from trainers.recipe import Data, Sampling


class Echo:
    """A model that answers with its name and how often it was asked."""

    def __init__(self, name: str = "echo", die_after: int | None = None, fail: str = "") -> None:
        self.name, self.asked, self._die_after, self._fail = name, 0, die_after, fail

    def fingerprint(self) -> str:
        return self.name

    def generate(self, requests: Iterable[Request]) -> Iterator[tuple[int, Response]]:
        for index, request in enumerate(requests):
            if self.asked == self._die_after:
                die()
            self.asked += 1
            for sample in range(request.generation.n):
                if self._fail and self._fail in request.text:
                    yield index, Response("", finish="error", error="no room", sample_index=sample)
                else:
                    yield index, Response(f"{request.text[-9:]} {sample}", "stop", (1, 2), (-0.5, -1.0), 7, "", sample)


@pytest.fixture
def questions():
    return open_training_data(Data(sources=["mini:chartqa"], questions=10)).train


def asked(name: str = "echo", n: int = 3, seed: int = 0) -> Asked:
    return Asked(name, "teacher", 0.1, sampling(Sampling(), n, seed))


def test_responses_come_back_with_everything_that_was_noted(tmp_path: Path, questions):
    data = GenData(tmp_path)
    assert data.generate(Echo(), asked(), questions, batch=4) == []
    again = GenData(tmp_path).responses(asked(), questions)
    assert list(again) == [question.key for question in questions]
    third = again[questions[2].key]
    assert [r.index for r in third] == [0, 1, 2]
    assert third[1].text == f"{questions[2].request.text[-9:]} 1"
    assert (third[1].source, third[1].ratio, third[1].token_ids) == ("teacher", 0.1, (1, 2))
    assert third[1].logprobs == pytest.approx((-0.5, -1.0))


def test_killed_generation_goes_on_and_nothing_is_generated_twice(tmp_path: Path, questions):
    killed(lambda: GenData(tmp_path).generate(Echo(die_after=7), asked(), questions, batch=2))
    data, model = GenData(tmp_path), Echo()
    assert data.generate(model, asked(), questions, batch=2) == []
    assert model.asked == 4  # of the 7 that were answered, 6 were on disk
    undisturbed = GenData(tmp_path / "other")
    undisturbed.generate(Echo(), asked(), questions, batch=2)
    assert GenData(tmp_path).responses(asked(), questions) == undisturbed.responses(asked(), questions)
    model = Echo()
    GenData(tmp_path).generate(model, asked(), questions, batch=2)
    assert model.asked == 0


def test_identity_is_content(tmp_path: Path, questions):
    data = GenData(tmp_path)
    data.generate(Echo(), asked(), questions, batch=4)
    assert not data.missing(replace(asked(), source="student", ratio=0.0), questions)  # the same model asks again
    assert len(data.missing(asked(n=4), questions)) == 10  # the fourth sample is new
    assert len(data.missing(asked("masked otherwise"), questions)) == 10
    assert len(data.missing(asked(seed=1), questions)) == 10


def test_a_question_that_fails_is_told_and_asked_again(tmp_path: Path, questions):
    data = GenData(tmp_path)
    bad = questions[3].request.text
    (error,) = data.generate(Echo(fail=bad), asked(), questions, batch=4)
    assert error == f"question {questions[3].sample.id}: no room"
    assert questions[3].key not in data.responses(asked(), questions)
    assert data.missing(asked(), questions) == [3]
    with pytest.raises(HarnessError, match="none of 1 questions could be answered by the teacher"):
        data.generate(Echo(fail=bad), asked(), questions, batch=4)


def test_a_damaged_file_is_named(tmp_path: Path, questions):
    GenData(tmp_path).generate(Echo(), asked(), questions, batch=4)
    file = sorted((tmp_path / asked().key).glob("*.parquet"))[0]
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(HarnessError, match=r"part-000-000000\.parquet cannot be read"):
        GenData(tmp_path).responses(asked(), questions)
