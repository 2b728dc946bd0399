"""MathVista: the official verdict of five models' stored answers, the official queries, rows and hostile answers."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.api import Image, Response, Sample, Scored, State
from harness.judge.recorded import RecordedJudge
from harness.judge.rule import open_judge
from harness.scoring.mathvista_normalise import normalise, read_literally
from harness.scoring.mathvista_prompts import extraction_prompt
from harness.scoring.score import score, score_all
from tasks import mathvista

Shared = Callable[[str], Path]
PICTURE = (Image.from_bytes(b"picture"),)
RULES = mathvista.TASK.rules["official"]
MODELS = {
    "bard": ("bard", 34.8),
    "gpt4": ("gpt4", 26.1),
    "gpt4_2shot_code": ("gpt4", None),  # the stored verdicts are of an older version of the official code
    "llava_llama_2_13b": ("llava", 26.1),
    "frequent_guess": ("random", 26.3),
}


@pytest.mark.parametrize("model", MODELS)
def test_official_verdict_on_every_item(shared: Shared, model: str) -> None:
    folder, published = MODELS[model]
    output = json.loads(shared(f"conformance/mathvista/results/{folder}/output_{model}.json").read_text())
    with gzip.open(shared(f"conformance/derived/mathvista_output_{model}.jsonl.gz"), "rt") as lines:
        expected = {entry["pid"]: entry for entry in map(json.loads, lines)}
    items = [
        (mathvista.from_hub({**problem, "decoded_image": PICTURE}), Response(problem["response"]))
        for problem in output.values()
    ]
    judge = RecordedJudge({(pid, "extract"): problem["extraction"] for pid, problem in output.items()})
    found = sorted(score_all(RULES, items, judge), key=lambda pair: pair[0])
    assert len(found) == 1000
    for index, verdict in found:
        sample = items[index][0]
        upstream = expected[sample.id]
        assert bool(verdict.score) == upstream["recomputed_true_false"], sample.id
        assert verdict.extracted == (upstream["recomputed_prediction"] or ""), sample.id
    metrics = RULES.aggregate([Scored(items[index][0], verdict) for index, verdict in found])
    if published is not None:
        assert round(metrics.score, 2) == published
        tables = json.loads(shared(f"conformance/mathvista/results/{folder}/scores_{model}.json").read_text())
        for facet in mathvista.FACETS:
            assert set(metrics.groups[facet]) == set(tables[facet])
            for name, cell in metrics.groups[facet].items():
                assert cell.n == tables[facet][name]["total"]
                assert round(cell.score * cell.n / 100) == tables[facet][name]["correct"]


def test_queries_are_the_official_ones(shared: Shared) -> None:
    problems = json.loads(shared("conformance/mathvista/data/testmini.json").read_text())
    queries = json.loads(shared("conformance/mathvista/data/query.json").read_text())
    for pid, problem in problems.items():
        sample = mathvista.from_hub({**problem, "decoded_image": PICTURE})
        assert RULES.request(sample).parts == (*PICTURE, queries[pid])
        metadata = problem["metadata"]
        row = {
            "index": pid,
            "question": queries[pid],
            "image": PICTURE,
            "choices": str(problem["choices"] or ""),
            "skills": str(metadata["skills"]),
            **{name: problem[name] for name in ("answer", "question_type", "answer_type")},
            **{name: metadata[name] for name in ("task", "category", "context", "grade", "language", "source")},
        }
        same = mathvista.from_tsv(row)
        assert RULES.request(same).parts == (*PICTURE, queries[pid])
        assert same.meta["precision"] == problem["precision"]
        assert {facet: same.meta[facet] for facet in mathvista.FACETS} == {
            facet: sample.meta[facet] for facet in mathvista.FACETS
        }


# ---------------------------------------------------------------- rows

METADATA = {
    "split": "testmini", "language": "english", "source": "CLEVR-Math", "category": "math-targeted-vqa",
    "task": "math word problem", "context": "synthetic scene", "grade": "elementary school",
    "skills": ["arithmetic reasoning"],
}  # fmt: skip
ROW = {
    "pid": "7", "question": "How many?", "image": "images/7.jpg", "decoded_image": PICTURE, "choices": ["red", "blue"],
    "unit": None, "precision": None, "answer": "blue", "question_type": "multi_choice", "answer_type": "text",
    "metadata": METADATA, "query": "?",
}  # fmt: skip
NUMBER = {"question_type": "free_form", "answer_type": "integer", "choices": None, "answer": "3", "unit": "cm"}


def sample(**change: Any) -> Sample:
    return mathvista.from_hub({**ROW, **change})


def test_unit_and_hint_stand_in_the_query() -> None:
    assert RULES.request(sample(**NUMBER)).text == (
        "<image>Hint: Please answer the question requiring an integer answer and provide the final value, "
        "e.g., 1, 2, 3, at the end.\nQuestion: How many? (Unit: cm)"
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"answer": "green"}, "not one of the options"),
        ({"choices": "red, blue"}, "not a list"),
        ({"metadata": None}, "'metadata' is not a mapping"),
        ({**NUMBER, "answer_type": "complex"}, "has no hint"),
        ({**NUMBER, "answer_type": "float", "precision": 4.0}, "has no hint"),
        ({"decoded_image": None}, "no image"),
        ({"pid": None}, "'pid' is empty"),
    ],
)
def test_bad_rows_say_what_is_wrong(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        sample(**change)


# ---------------------------------------------------------------- reading


def test_the_rule_judge_reads_plain_answers_and_declines_the_rest() -> None:
    right = score(mathvista.TASK, sample(), "It is (B).")
    assert (right.state, right.score, right.extracted) == (State.SCORED, 1.0, "blue")
    assert right.rule == "mathvista:extract judge:rule"
    assert score(mathvista.TASK, sample(), "blue").rule == "mathvista:literal"
    assert score(mathvista.TASK, sample(**NUMBER), "There are 3 cubes.").score == 1
    assert score(mathvista.TASK, sample(**NUMBER), "nothing").state is State.UNPARSED
    assert score(mathvista.TASK, sample(**NUMBER), "1e999").state is State.UNPARSED
    assert score(mathvista.TASK, sample(**NUMBER), "nan").state is State.UNPARSED


def test_a_recorded_extraction_is_taken_as_it_is() -> None:
    """Some of the official result files hold extractions that do not follow from the response beside them."""
    stated = RecordedJudge({("7", "extract"): "(B)"})
    assert score(mathvista.TASK, sample(), "red", judge=stated).extracted == "blue"
    assert score(mathvista.TASK, sample(), "red", judge=RecordedJudge({})).extracted == "red"
    assert score(mathvista.TASK, sample(), "It is red", judge=RecordedJudge({})).state is State.JUDGE_FAILED


def test_nearest_option_reads_what_is_no_letter() -> None:
    """The official rule: even an empty response is compared with the options, the first of the nearest is taken."""
    assert score(mathvista.TASK, sample(), "").extracted == "red"
    assert normalise("blu", "multi_choice", "text", ["red", "blue"], None) == "blue"
    assert normalise("(b) red", "multi_choice", "text", ["red", "blue"], None) == "blue"
    assert normalise("b", "multi_choice", "text", ["aaaa", "b c"], None) == "b c"


def test_extraction_prompt_shows_query_and_response() -> None:
    prompt = extraction_prompt("QUERY", "RESPONSE")
    assert prompt.startswith("Please read the following example. Then extract the answer from the model response")
    assert prompt.endswith("Extracted answer: B\n\nQUERY\n\nRESPONSE\n\nExtracted answer: ")


TYPES = [("multi_choice", "text"), ("free_form", "integer"), ("free_form", "float"), ("free_form", "list")]
HOSTILE = ["1" * 1_000_000, "(" * 1_000_000, "a" * 1_000_000, "(a " * 300_000, "1e999", "-inf", "nan", "\u202e\x00"]


@pytest.mark.parametrize("response", HOSTILE, ids=lambda text: text[:5])
def test_hostile_answers_are_read(response: str) -> None:
    for kind in TYPES:
        read_literally(response, *kind, ["red", "blue"])
        normalise(response, *kind, ["red", "b" * 200], 2.0)


@given(st.text(max_size=60), st.sampled_from(TYPES))
def test_any_response_ends_in_a_state(response: str, kind: tuple[str, str]) -> None:
    if kind[0] == "multi_choice":
        item = sample()
    else:
        item = sample(**{**NUMBER, "answer_type": kind[1], "precision": 1 if kind[1] == "float" else None})
    verdict = score(mathvista.TASK, item, response, judge=open_judge())
    assert verdict.state in (State.SCORED, State.UNPARSED, State.REFUSED)
    assert verdict.score in (0, 1)
