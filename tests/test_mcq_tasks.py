"""Multiple-choice tasks: one hand-made row of each official schema, prompts, bad rows, aggregation."""

import pytest

from harness import registry
from harness.api import OFFICIAL, HarnessError, Image, Response, Scored, State, Verdict
from harness.data import open_dataset
from tasks import ai2d, blink, mmbench, mmstar, realworldqa, seedbench, seedbench2_plus

ONE, TWO = Image.from_bytes(b"one"), Image.from_bytes(b"two")
MCQ = {"index": "7", "question": "Which?", "A": "red", "B": "blue", "C": "nan", "answer": "B", "image": (ONE,)}
TWO_OPTIONS = {"A": "red", "B": "blue"}
FACET = {"category": "Some", "l2_category": "Fine", "l2-category": "Coarse", "bench": "AI2D_TEST", "split": "dev"}
TSV_ROW = {**MCQ, **FACET}
NAMES = [
    *("ai2d", "ai2d_no_mask", "mmbench_en", "mmbench_cn", "mmbench_en_v11", "mmbench_cn_v11", "ccbench"),
    *("mmstar", "blink", "seedbench", "seedbench2_plus", "realworldqa"),
]
STANDARD = "Question: Which?\nOptions:\nA. red\nB. blue\nPlease select the correct answer from the options above. \n"
DIRECT = "Which?\nA. red\nB. blue\nAnswer with the option's letter from the given choices directly."
PROMPTS = {
    "ai2d": f"<image>{DIRECT}",
    "ai2d_no_mask": f"<image>{DIRECT}",
    "seedbench": f"<image>{DIRECT}",
    "seedbench2_plus": f"<image>{DIRECT}",
    **dict.fromkeys(("mmbench_en", "mmbench_cn", "mmbench_en_v11", "mmbench_cn_v11", "ccbench"), f"<image>{STANDARD}"),
    "mmstar": "<image>Which?\nOptions: A: red, B: blue, C: nan, D: nan\nAnswer the question directly.",
    "blink": "Which?\nSelect from the following choices.\n(A) red\n(B) blue<image>",
    "realworldqa": "<image>Which?\nA. red\nB. blue\nPlease answer directly with only the letter of the correct option "
    "and nothing else.",
}


@pytest.mark.parametrize("name", NAMES)
def test_tsv_row_and_official_prompt(name):
    task = registry.task(name)
    sample = task.from_tsv(TSV_ROW)
    assert (sample.id, sample.question, sample.answer, sample.images) == ("7", "Which?", "B", (ONE,))
    assert dict(sample.choices) == TWO_OPTIONS
    assert sample.cluster
    assert all(sample.meta[facet] for facet in task.facets)
    rules = task.rules[OFFICIAL]
    request = rules.request(sample)
    assert request.text == PROMPTS[name]
    assert request.generation.temperature == 0
    verdict = rules.score(sample, Response("B"))
    assert isinstance(verdict, Verdict)
    assert (verdict.state, verdict.score, verdict.extracted) == (State.SCORED, 1, "B")
    assert rules.score(sample, Response("A")).score == 0
    metrics = rules.aggregate([Scored(sample, verdict)])
    assert metrics.score == 100
    assert set(metrics.groups) == set(task.facets)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": "E"}, "'E' is not one of the options A, B"),
        ({"answer": ""}, "'answer' is empty"),
        ({"question": None}, "'question' is empty"),
        ({"image": ()}, "no image"),
        ({"A": "", "B": ""}, "option"),
    ],
)
def test_a_bad_tsv_row_is_an_error_with_a_sentence(name, change, message):
    with pytest.raises(ValueError, match=message):
        registry.task(name).from_tsv({**TSV_ROW, **change})


@pytest.mark.parametrize("name", [name for name in NAMES if name != "realworldqa"])
def test_a_missing_column_is_named(name):
    task = registry.task(name)
    column = {"mmstar": "l2_category", "mmbench_en": "l2-category"}.get(name, "category")
    row = {key: value for key, value in TSV_ROW.items() if key != column}
    with pytest.raises(ValueError, match=f"'{column}' is missing"):
        task.from_tsv(row)


def test_every_task_states_its_data():
    for name in NAMES:
        task = registry.task(name)
        assert task.tsv.name
        assert len(task.tsv.md5) == 32
        assert task.mini == f"tasks.mini.{name}:rows"
        assert task.rules[OFFICIAL].source
        assert task.licence
        assert task.hub.repo or name.endswith("v11")


# ---------------------------------------------------------------- hub rows


def test_ai2d_hub():
    row = {"index": "3", "question": "Which?", "options": ["red", "blue"], "answer": "1", "image": (ONE,)}
    sample = ai2d.from_hub(row)
    assert (sample.id, sample.answer, dict(sample.choices), sample.images) == ("3", "B", TWO_OPTIONS, (ONE,))
    assert ai2d.from_hub({**row, "options": "['red', 'blue']"}) == sample
    for answer in ("2", "-1", "B", "²"):
        with pytest.raises(ValueError, match="not a position"):
            ai2d.from_hub({**row, "answer": answer})
    with pytest.raises(ValueError, match="not a list"):
        ai2d.from_hub({**row, "options": "red, blue"})
    with pytest.raises(ValueError, match="0 options"):
        ai2d.from_hub({**row, "options": []})


def test_seedbench_hub_keeps_only_images():
    choices = {"choice_a": "red", "choice_b": "blue", "choice_c": "green", "choice_d": "1.5"}
    row = {
        **{"question_id": "101669", "question": "Which?", "answer": "D", "data_type": "image", "image": (ONE,)},
        **{"question_type_id": 5, "segment": None},
        **choices,
    }
    sample = seedbench.from_hub(row)
    assert (sample.id, sample.meta["category"], sample.choices["D"]) == ("101669", "Instances Counting", "1.5")
    assert seedbench.from_hub({**row, "data_type": "video", "question_type_id": 11}) is None
    with pytest.raises(ValueError, match="question_type_id 10"):
        seedbench.from_hub({**row, "question_type_id": 10})


def test_seedbench2_plus_hub():
    choices = {"choice_A": "red", "choice_B": "blue", "choice_C": "green", "choice_D": "1"}
    row = {"question_id": "1_2", "question": "Which?", "answer": "A", "question_image_type": "Chart", "image": (ONE,)}
    sample = seedbench2_plus.from_hub({**row, **choices})
    assert (sample.id, sample.answer, sample.meta["category"]) == ("1_2", "A", "chart")


def test_mmbench_hub_and_hint():
    row = {**{key: value for key, value in TSV_ROW.items() if key != "l2-category"}, "L2-category": "Coarse"}
    sample = mmbench.from_hub({**row, "hint": "Look.", "index": 2_000_007})
    assert sample == mmbench.from_tsv({**TSV_ROW, "hint": "Look.", "index": "2000007"})
    assert (sample.id, sample.cluster, sample.meta["l2-category"]) == ("2000007", "7", "Coarse")
    assert mmbench.EN.rules[OFFICIAL].request(sample).text == f"<image>Hint: Look.\n{STANDARD}"
    with pytest.raises(ValueError, match="'L2-category' is missing"):
        mmbench.from_hub(TSV_ROW)
    with pytest.raises(ValueError, match="index 'x7' is not a number"):
        mmbench.from_tsv({**TSV_ROW, "index": "x7"})


def test_mmbench_counts_a_group_once_and_only_if_every_pass_is_right():
    rules = mmbench.EN.rules[OFFICIAL]
    said = {"7": "B", "1000007": "B", "8": "B", "1000008": "A", "9": "B"}
    items = []
    for index, response in said.items():
        sample = mmbench.from_tsv({**TSV_ROW, "index": index, "category": "main" if len(index) == 1 else "shift"})
        items.append(Scored(sample, rules.score(sample, Response(response))))
    metrics = rules.aggregate(list(reversed(items)))
    assert metrics.n == 3
    assert metrics.score == pytest.approx(200 / 3)
    assert {name: group.n for name, group in metrics.groups["category"].items()} == {"main": 3}


def test_blink_hub():
    row = {
        **{"idx": "val_Jigsaw_1", "sub_task": "Jigsaw", "question": "Which?", "choices": ["red", "blue"]},
        **{"answer": "(B)", "prompt": "Stated (A) red (B) blue", "image_1": (ONE,), "image_2": (TWO,), "image_3": ()},
    }
    sample = blink.from_hub(row)
    assert (sample.id, sample.answer, sample.images) == ("val_Jigsaw_1", "B", (ONE, TWO))
    request = blink.TASK.rules[OFFICIAL].request(sample)
    assert request.text == f"{blink.DISCLAIMER}Stated (A) red (B) blue<image><image>"
    assert request.images == (ONE, TWO)
    other = blink.TASK.rules[OFFICIAL].request(blink.from_hub({**row, "sub_task": "Counting"}))
    assert other.text == "Stated (A) red (B) blue<image><image>"
    with pytest.raises(ValueError, match="hides its answers"):
        blink.from_hub({**row, "answer": "hidden"})
    with pytest.raises(ValueError, match="'C' is not one of the options A, B"):
        blink.from_hub({**row, "answer": "(C)"})


def test_blink_overall_is_the_mean_of_its_tasks():
    rules = blink.TASK.rules[OFFICIAL]
    items = []
    for task, responses in {"Jigsaw": "BBBA", "Counting": "A"}.items():
        for number, response in enumerate(responses):
            sample = blink.from_tsv({**TSV_ROW, "index": f"{task}{number}", "category": task})
            items.append(Scored(sample, rules.score(sample, Response(f"({response})"))))
    assert rules.aggregate(items).score == pytest.approx((75 + 0) / 2)


def test_mmstar_hub_states_its_options_in_the_question():
    stated = "How many?\nOptions: A: one, two, B: B: x, C: nan, D: 4"
    row = {"index": 5, "question": stated, "answer": "D", "image": (ONE,), **FACET}
    sample = mmstar.from_hub(row)
    assert (sample.question, dict(sample.choices)) == ("How many?", {"A": "one, two", "B": "B: x", "D": "4"})
    assert mmstar.prompt(sample) == f"{stated}\nAnswer the question directly."
    with pytest.raises(ValueError, match="states no options"):
        mmstar.from_hub({**row, "question": "How many?"})
    assert mmstar.from_hub({**row, "answer": "C"}).choices["C"] == "nan"
    with pytest.raises(ValueError, match="'E' is not one of the options A, B, D"):
        mmstar.from_hub({**row, "answer": "E"})


def test_mmstar_items_are_the_same_from_hub_and_tsv(shared):
    pandas = pytest.importorskip("pandas")
    columns = dict.fromkeys("ABCD", str) | {"question": str}
    read = {"dtype": columns, "keep_default_na": False}
    hub = pandas.read_excel(shared("conformance/mmstar/llava_next_yi_34b_MMStar.xlsx"), **read).to_dict("records")
    tsv = pandas.read_excel(shared("conformance/vlmevalkit_vila/vila_8b_MMStar.xlsx"), **read).to_dict("records")
    stated = []
    otherwise = {}
    for left, right in zip(hub, sorted(tsv, key=lambda row: row["index"]), strict=True):
        one = mmstar.from_hub({**left, "image": (ONE,)})
        other = mmstar.from_tsv({**right, "image": (ONE,)})
        assert (one.id, one.answer, one.question.strip()) == (other.id, other.answer, other.question.strip())
        if {k: v.strip() for k, v in one.choices.items()} != {k: v.strip() for k, v in other.choices.items()}:
            otherwise[one.id] = dict(one.choices), dict(other.choices)
        if one.meta["stated"].split() != other.meta["stated"].split():
            stated.append(one.id)
    assert set(otherwise) == {"1199"}  # the TSV lost its option D
    assert len(stated) == 11  # of MathVista and MMMU, which the authors state in more than one form


@pytest.mark.parametrize(
    ("question", "answer", "responses"),
    [
        (
            "Where?\nA. left\nB. right\nPlease answer directly with only the letter of the correct option.",
            "B",
            {"B": 1, "B. right": 1, "right": 1, "A": 0, "left": 0, "maybe": 0},
        ),
        ("How many?\nPlease answer directly with a single word or number.", "3", {"3": 1, " 3.\n": 1, "three": 0}),
        ("Open?\nPlease answer directly with a single word or number.", "Yes", {"yes": 1, "Yes.": 1, "no": 0}),
    ],
)
def test_realworldqa_hub(question, answer, responses):
    sample = realworldqa.from_hub({"index": "0", "question": question, "answer": answer, "image": (ONE,)})
    rules = realworldqa.TASK.rules[OFFICIAL]
    assert rules.request(sample).text == f"<image>{question}"
    assert {text: rules.score(sample, Response(text)).score for text in responses} == responses


def test_realworldqa_gold_that_is_no_letter():
    row = {**TSV_ROW, "A": "Downhill", "B": "Uphill", "answer": "Uphill"}
    rules, sample = realworldqa.TASK.rules[OFFICIAL], realworldqa.from_tsv(row)
    responses = {"B": 1, "uphill.": 1, "B. Uphill": 1, "A": 0, "Downhill": 0, "hm": 0}
    assert {text: rules.score(sample, Response(text)).score for text in responses} == responses
    assert rules.score(sample, Response("hm")).state is State.UNPARSED
    assert rules.score(sample, Response("")).state is State.UNPARSED


def test_realworldqa_keeps_the_published_rows_whose_gold_is_an_empty_option():
    sample = realworldqa.from_tsv({**TSV_ROW, "answer": "C"})
    rules = realworldqa.TASK.rules[OFFICIAL]
    assert {text: rules.score(sample, Response(text)).score for text in "ABC"} == {"A": 0, "B": 0, "C": 1}


def test_mmbench_v11_is_not_on_the_hub():
    with pytest.raises(HarnessError, match="TSV file only"):
        open_dataset(mmbench.EN_V11, "hub")


def test_real_mmbench_and_ccbench_rows(shared):
    folder = shared("real/LMUData")
    for name, items in (("mmbench_en", 20), ("mmbench_cn", 20), ("ccbench", 14)):
        task = registry.task(name)
        samples = list(open_dataset(task, folder))
        assert len(samples) == items
        for sample in samples:
            request = task.rules[OFFICIAL].request(sample)
            assert len(request.images) == 1
            assert request.text.endswith("Please select the correct answer from the options above. \n")
            verdict = task.rules[OFFICIAL].score(sample, Response(sample.answer))
            assert verdict.score == 1
