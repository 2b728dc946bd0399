"""`harness import`: what other frameworks stored, scored as upstream scored it, item by item."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import harness
from harness import registry
from harness.api import HarnessError, Image
from harness.cli import main
from harness.data.imports import FORMATS, read
from harness.data.imports.samples import assemble

Shared = Callable[[str], Path]


def imported(*words: object) -> Any:
    """The items of the run that `harness import WORDS...` makes, by id."""
    done = run(*words)
    assert done.exit_code == 0, done.output
    return harness.load_run(words[words.index("--out") + 1]).items.set_index("id")  # type: ignore[arg-type]


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["import", *map(str, words)])


def derived(path: Path, key: str) -> dict[str, Any]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return {str(entry[key]): entry for entry in map(json.loads, lines)}


# ---------------------------------------------------------------- conformance


def test_mmmu_example_outputs(shared: Shared, tmp_path: Path) -> None:
    items = imported("mmmu", shared("conformance/mmmu/example_outputs/qwen_vl"), "--out", tmp_path)
    upstream = derived(shared("conformance/derived/mmmu_qwen_vl.jsonl.gz"), "id")
    assert {id: bool(score) for id, score in items.score.items()} == {
        id: entry["official_correct"] for id, entry in upstream.items()
    }
    assert items.random.sum() == 48


@pytest.mark.parametrize(
    ("task", "name", "verdicts"),
    [
        ("mmmu_pro_standard", "gpt-4o_standard(10 options)_cot", "mmmu_pro_gpt-4o_standard10_options_cot"),
        ("mmmu_pro_vision", "gpt-4o_vision_direct", "mmmu_pro_gpt-4o_vision_direct"),
    ],
)
def test_mmmu_pro(shared: Shared, tmp_path: Path, task: str, name: str, verdicts: str) -> None:
    path = shared(f"conformance/mmmu_pro/output/{name}.jsonl")
    items = imported("mmmu-pro", path, "--task", task, "--out", tmp_path)
    stored = {line["id"]: line for line in map(json.loads, path.read_text().splitlines())}
    assert len(items) == len(stored) == 1730
    for id, item in items[items.random == 0].iterrows():  # upstream does not seed its random picks
        assert bool(item.score) == stored[id]["if_right"], id


@pytest.mark.parametrize(("model", "total"), [("bard", 34.8), ("gpt4", 26.1)])
def test_mathvista_with_the_recorded_extractions(shared: Shared, tmp_path: Path, model: str, total: float) -> None:
    path = shared(f"conformance/mathvista/results/{model}/output_{model}.json")
    items = imported("mathvista", path, "--out", tmp_path, "--model", model)
    stored = json.loads(path.read_text())
    assert {id: bool(score) for id, score in items.score.items()} == {
        pid: problem["true_false"] for pid, problem in stored.items()
    }
    (result,) = harness.load_run(tmp_path).results
    assert (result.cell.judge, round(result.metrics.score, 2)) == ("recorded", total)
    # The same answers serve a later scoring; without them the rule judge reads what it can.
    for judge in ("recorded", "rule"):
        again = CliRunner().invoke(main, ["score", str(tmp_path), "--judge", judge])
        assert again.exit_code == 0, again.output
    scores = {r.cell.judge: r.metrics.score for r in harness.load_run(tmp_path).results}
    assert round(scores["recorded"], 2) == total
    assert set(scores) == {"recorded", "rule"}


def test_blink_saved_outputs(shared: Shared, tmp_path: Path) -> None:
    items = imported("blink", shared("conformance/blink/saved_outputs/GPT4o"), "--out", tmp_path)
    upstream = derived(shared("conformance/derived/blink_GPT4o.jsonl.gz"), "idx")
    assert {id: bool(score) for id, score in items.score.items()} == {
        id: entry["official_correct"] for id, entry in upstream.items()
    }
    (result,) = harness.load_run(tmp_path).results
    assert round(result.metrics.score, 2) == 60.04


@pytest.mark.slow
def test_seedbench_answers_with_the_items_of_a_table(shared: Shared, tmp_path: Path) -> None:
    path = shared("conformance/seedbench/SEED-Bench-1/GPT-4V.json")
    lines = [json.loads(line.rstrip(",")) for line in path.read_text().splitlines() if line.strip()]
    expected: dict[str, bool] = {}
    for line in lines:
        if not line["question_id"].startswith("v"):
            expected.setdefault(line["question_id"], line["prediction"] == line["gt_answer"])
    alone = assemble(registry.task("seedbench"), read("seedbench", path))
    right = {s.id: r.text == s.answer for s, r in zip(alone.samples, alone.responses, strict=True)}
    assert (right, alone.left_out, alone.repeated, alone.stand_in) == (expected, 3757, 8, True)
    table = shared("conformance/vlmevalkit_vila/vila_8b_SEEDBench_IMG.xlsx")
    joined = imported("seedbench", path, "--items", table, "--out", tmp_path / "joined")
    differing = [id for id, score in joined.score.items() if bool(score) != expected[id]]
    assert len(differing) <= 1  # the gold of one item is another in VLMEvalKit's table
    (result,) = harness.load_run(tmp_path / "joined").results
    assert result.metrics.groups["category"]["Instance Attributes"].n == 4649


@pytest.mark.parametrize(("runs", "total"), [(1, 31.2), (3, 31.1)])
def test_mmvet_results_with_grades(shared: Shared, tmp_path: Path, runs: int, total: float) -> None:
    folder = shared("conformance/mmvet/llava/results")
    table = shared("conformance/vlmevalkit_misc/instructblip_7b_MMVet.xlsx")
    grades = folder / f"llava-v1.5-7b_gpt-4-grade-{runs}runs.json"
    answers = folder / "llava-v1.5-7b.json"
    items = imported("mmvet", answers, "--grades", grades, "--items", table, "--out", tmp_path)
    stored = json.loads(grades.read_text())
    for id, score in items.score.items():
        assert score == pytest.approx(sum(stored[f"v1_{int(id) - 1}"]["score"]) / runs)
    (result,) = harness.load_run(tmp_path).results
    assert round(result.metrics.score, 1) == total


def test_vlmevalkit_tables(shared: Shared, tmp_path: Path) -> None:
    graded = shared("conformance/vlmevalkit_misc/instructblip_7b_MMVet_gpt4.xlsx")
    imported("vlmevalkit", graded, "--task", "mmvet", "--out", tmp_path / "mmvet")
    (result,) = harness.load_run(tmp_path / "mmvet").results
    assert round(result.metrics.score, 2) == 30.50
    star = shared("conformance/mmstar/llava_next_yi_34b_MMStar.xlsx")
    items = imported("vlmevalkit", star, "--task", "mmstar", "--out", tmp_path / "mmstar")
    upstream = derived(shared("conformance/derived/mmstar_llava_next_yi_34b.jsonl.gz"), "index")
    assert {id: bool(score) for id, score in items.score.items()} == {
        id: entry["official_correct"] for id, entry in upstream.items()
    }


@pytest.mark.parametrize(
    ("dataset", "task", "rows"),
    [("ChartQA_TEST", "chartqa", 2500), ("MMStar", "mmstar", 1500), ("RealWorldQA", "realworldqa", 765),
     ("SEEDBench_IMG", "seedbench", 14232), ("CCBench", "ccbench", 2040)],
)  # fmt: skip
def test_every_row_of_a_vlmevalkit_run_is_an_item(shared: Shared, dataset: str, task: str, rows: int) -> None:
    path = shared(f"conformance/vlmevalkit_vila/vila_8b_{dataset}.xlsx")
    found = assemble(registry.task(task), read("vlmevalkit", path))
    assert (len(found.samples), found.left_out, found.repeated) == (rows, 0, 0)
    assert found.edition == "imported"


def test_a_scored_circular_table_is_refused(shared: Shared, tmp_path: Path) -> None:
    path = shared("conformance/vlmevalkit_vila/vila_8b_CCBench_openai_result.xlsx")
    refused = run("vlmevalkit", path, "--task", "ccbench", "--out", tmp_path / "run")
    assert refused.exit_code == 1
    assert "import the table of predictions, vila_8b_CCBench.xlsx" in refused.stderr
    assert not (tmp_path / "run").exists()


# ---------------------------------------------------------------- the other formats


TABLE = "index\tquestion\tA\tB\tanswer\tcategory\tprediction\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "small_AI2D_TEST.tsv"
    path.write_text(
        TABLE + "1\tWhich?\tsun\tmoon\tA\tx\tA. sun\n"
        "2\tWhich?\tsun\tmoon\tB\tx\tFailed to obtain answer via API.\n"
        "3\tWhich?\tsun\t\tB\tx\t\n"
    )
    return path


def test_a_tsv_of_predictions(table: Path, tmp_path: Path) -> None:
    items = imported("vlmevalkit", table, "--task", "ai2d", "--out", tmp_path / "run")
    assert list(items.state) == ["scored", "error", "unparsed"]
    assert items.loc["2", "error"] == "Failed to obtain answer via API"
    assert json.loads(items.loc["3", "choices"]) == {"A": "sun", "B": "(lost)"}
    (result,) = harness.load_run(tmp_path / "run").results
    assert result.edition == "imported 3/3088"


LMMS = {"doc_id": 0, "target": "A", "filtered_resps": "A", "resps": [["<think>B</think>A. sun"]], "doc_hash": "x"}
DOC = {"question": "Which?", "options": ["sun", "moon"], "answer": "0"}


def test_lmms_eval_samples(tmp_path: Path) -> None:
    """Before 0.7 a line holds the item; since then the item comes from the data set, by its id or place there."""
    old = tmp_path / "20250101_samples_ai2d.jsonl"
    old.write_text("".join(json.dumps(LMMS | {"doc_id": i, "doc": DOC | {"index": str(i)}}) + "\n" for i in (0, 1)))
    items = imported("lmms-eval", old, "--task", "ai2d", "--out", tmp_path / "old")
    assert list(items.response) == ["<think>B</think>A. sun"] * 2
    assert list(items.score) == [1, 1]

    from harness.data import open_dataset

    dataset = open_dataset(registry.task("ai2d"), "mini")
    new = tmp_path / "20260801_samples_ai2d.jsonl"
    lines = [
        LMMS | {"doc_id": i, "target": dataset[i].answer, "resps": dataset[i].answer, "m": {"id": dataset[j].id}}
        for i, j in ((3, 3), (5, 5))
    ]
    lines.append({"doc_id": 7, "target": dataset[7].answer, "filtered_resps": [dataset[7].answer]})
    new.write_text("".join(json.dumps(line) + "\n" for line in lines))
    items = imported("lmms-eval", new, "--task", "ai2d", "--data", "mini", "--out", tmp_path / "new")
    assert list(items.index) == [dataset[i].id for i in (3, 5, 7)]
    assert items.score.sum() == 3
    alone = run("lmms-eval", new, "--task", "ai2d", "--out", tmp_path / "alone")
    assert alone.exit_code == 1
    assert "give them with --items TABLE or --data FOLDER" in alone.stderr


def test_golds_of_another_data_set_are_noticed(tmp_path: Path) -> None:
    from harness.data import open_dataset

    dataset = open_dataset(registry.task("ai2d"), "mini")
    path = tmp_path / "x_samples_ai2d.jsonl"
    other = {"A": "B", "B": "C", "C": "D", "D": "A"}
    lines = [LMMS | {"doc_id": i, "target": other[dataset[i].answer]} for i in range(8)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(HarnessError, match="8 of 8 items"):
        assemble(registry.task("ai2d"), read("lmms-eval", path), data="mini")


def test_pictures_that_one_name_states_are_one_cluster() -> None:
    task = registry.task("ai2d")
    row = {"index": "1", "question": "?", "A": "x", "B": "y", "answer": "A", "category": "c"}
    from harness.data.imports.record import Record, said

    records = [
        Record("r", (str(i),), said("A"), {**row, "index": str(i), "image_path": name})
        for i, name in enumerate(["one.png", "one.png", "two.png"])
    ]
    first, second, third = assemble(task, records).samples
    assert first.cluster == second.cluster != third.cluster
    assert first.images == ()
    assert isinstance(Image.from_bytes(b""), Image)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("form", "text", "reason"),
    [
        ("mmmu", "[{]", "is not JSON"),
        ("mmmu", '{"id": 1}', "not a JSON list"),
        ("mmmu", '[{"id": "validation_Art_1"}]', "entry 1: the field 'question_type' is missing"),
        ("mmmu-pro", '{"id": 1, "response": "A"}\n', "line 1: the field 'answer' is missing"),
        ("mmmu-pro", '{"id": 1}\n[1]\n', "line 1: the field 'response' is missing"),
        ("mathvista", '{"1": {"answer": "2"}}', "problem 1: the field 'response' is missing"),
        ("blink", '{"test": []}', "the field 'val' is missing"),
        ("seedbench", "nothing", "line 1 is not JSON"),
        ("mmvet", '{"q1": "x"}', "q1: the name is not of the form v1_N"),
        ("mmvet", '{"v1_0": "x"}', "does not state the items"),
        ("vlmevalkit", "index\tquestion\n1\tx\n", "no column 'prediction'"),
        ("vlmevalkit", TABLE + "1\tx\n", "row 2: not as many cells"),
        ("vlmevalkit", TABLE + "1\t?\tx\ty\tC\tc\tA\n1\t?\tx\ty\tC\tc\tB\n", "already has another response"),
        ("vlmevalkit", TABLE + "1\t?\tx\ty\tQQ\tc\tA\n", "row 2: the answer 'QQ' is not one of the options"),
        ("vlmevalkit", TABLE, "no record is an item"),
        ("lmms-eval", '{"doc_id": 0, "target": "A", "filtered_resps": [[-1.5, true]]}', "the response is no text"),
    ],
)
def test_bad_files_are_named_with_their_place(tmp_path: Path, form: str, text: str, reason: str) -> None:
    path = tmp_path / {"vlmevalkit": "x.tsv", "lmms-eval": "x_samples_y.jsonl"}.get(form, "x.json")
    path.write_text(text)
    task = (FORMATS[form].tasks or ("ai2d",))[0]
    failed = run(form, path, "--task", task, "--out", tmp_path / "run")
    assert failed.exit_code == 1, failed.output
    assert reason in failed.stderr
    assert failed.exception is None or isinstance(failed.exception, SystemExit)


def test_formats_and_tasks_that_do_not_fit(table: Path, tmp_path: Path) -> None:
    assert "--task is needed" in run("vlmevalkit", table, "--out", tmp_path / "r").stderr
    assert "not chartqa" in run("mmmu", table, "--task", "chartqa", "--out", tmp_path / "r").stderr
    assert "there is nothing at" in run("mmmu", tmp_path / "no", "--out", tmp_path / "r").stderr
    pickle = table.rename(table.with_suffix(".pkl"))
    assert "neither .xlsx nor .tsv" in run("vlmevalkit", pickle, "--task", "ai2d", "--out", tmp_path / "r").stderr


def test_a_run_keeps_one_item_of_a_name(table: Path, tmp_path: Path) -> None:
    imported("vlmevalkit", table, "--task", "ai2d", "--out", tmp_path / "run")
    table.write_text(table.read_text().replace("moon", "comet"))
    failed = run("vlmevalkit", table, "--task", "ai2d", "--model", "other", "--out", tmp_path / "run")
    assert "has another item 1 of ai2d" in failed.stderr


def test_recorded_answers_are_those_of_a_run(table: Path, tmp_path: Path) -> None:
    imported("vlmevalkit", table, "--task", "ai2d", "--out", tmp_path / "run")
    failed = CliRunner().invoke(main, ["score", str(tmp_path / "run"), "--judge", "recorded"])
    assert failed.exit_code == 1
    assert "keeps no judge's answers for ai2d" in failed.stderr
