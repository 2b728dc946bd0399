"""Bridges without the frameworks: files, metrics, errors, and the engine that answers a framework."""

import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow

from harness import registry
from harness.api import (
    HarnessError,
    Image,
    Judge,
    Metrics,
    Request,
    Response,
    Rules,
    Sample,
    State,
    Task,
    Unit,
    Verdict,
)
from harness.bridges import answer, environments, tasks
from harness.bridges.foreign.files import DATA, METRICS, VERDICTS, item, read_lines, save_image, write_lines
from harness.bridges.foreign.metrics import item_score, pseudo_values, summary
from harness.data import open_dataset
from harness.evaluation import evaluate
from harness.rescore import rescore
from harness.store import Store, load_run

_drawn = io.BytesIO()
Pillow.new("RGB", (8, 8), "red").save(_drawn, "PNG")
PNG = _drawn.getvalue()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder: no framework is installed."""
    monkeypatch.setenv("MASTERS_HARNESS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


# ---------------------------------------------------------------- what the user is told


def test_a_missing_environment_names_the_command_that_installs_it(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(HarnessError) as told:
        open_dataset(registry.task("lmms-eval:mme"), tmp_path)
    assert "lmms-eval is not installed" in told.value.message
    assert told.value.remedy == "harness bridge install lmms-eval"


def test_an_environment_of_another_version_is_not_used(cache: Path) -> None:
    folder = environments.folder_of(environments.FRAMEWORKS["vlmeval"])
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").touch()
    (folder / "installed.txt").write_text("ms-vlmeval==0.0.1\n")
    with pytest.raises(HarnessError, match=r"another version, ms-vlmeval==0\.0\.20 is wanted"):
        environments.python_of(environments.FRAMEWORKS["vlmeval"])


def test_a_foreign_task_has_no_mini_edition(cache: Path) -> None:
    with pytest.raises(HarnessError, match="vlmeval:POPE has no mini edition") as told:
        open_dataset(registry.task("vlmeval:POPE"))
    assert "--data hub" in told.value.remedy


@pytest.mark.parametrize("name", ["lmms-eval:", "lmms-eval:a b", "vlmeval:../x", "lmms-eval:mme/"])
def test_a_malformed_name_is_told(name: str) -> None:
    with pytest.raises(HarnessError, match="names no task"):
        registry.task(name)


def test_a_metric_stands_behind_a_slash() -> None:
    assert registry.task("lmms-eval:mme/mme_cognition_score").name == "lmms-eval:mme/mme_cognition_score"
    assert registry.task("vlmeval:HallusionBench/Overall fAcc").rules["official"].source.startswith("ms-vlmeval==")


def test_an_unknown_bridge_is_an_unknown_task() -> None:
    with pytest.raises(HarnessError, match="no task is called 'lm-eval:mmlu'"):
        registry.task("lm-eval:mmlu")


# ---------------------------------------------------------------- metrics


def test_a_share_of_items_is_shown_in_percent_and_its_units_are_the_items() -> None:
    items: dict[str, float | None] = {"a": 1.0, "b": 0.0, "c": 1.0, "d": 1.0}
    clusters = dict.fromkeys(items, "one")
    for stated, percent in ((0.75, False), (75.0, True), (0.75, True)):
        made = summary(stated, items, clusters, lambda gone: 0.0, percent=percent)
        assert made["score"] == 75.0
        assert made["kind"] == "mean of items"
        assert [unit[2] for unit in made["units"]] == [1, 0, 1, 1]


def test_a_mean_of_ratings_keeps_its_scale() -> None:
    made = summary(3.5, {"a": 3.0, "b": 4.0}, {"a": "a", "b": "b"}, lambda gone: 0.0, percent=False)
    assert made["score"] == 3.5
    assert sum(unit[2] for unit in made["units"]) * 100 / 2 == pytest.approx(3.5)


def mme_sum(pairs: dict[str, list[float]]) -> float:
    """What MME counts in one category: accuracy plus accuracy of whole pictures, in percent."""
    return sum(50 * sum(scores) + 100 * (sum(scores) == 2) for scores in pairs.values()) / len(pairs)


def test_pseudo_values_have_the_metric_as_their_mean_and_its_error() -> None:
    pairs = {"p": [1.0, 1.0], "q": [1.0, 0.0], "r": [0.0, 0.0], "s": [1.0, 1.0]}
    items = [f"{name}{i}" for name in pairs for i in (0, 1)]
    clusters = {name: name[0] for name in items}

    def without(gone: set[str]) -> float:
        return mme_sum({name: scores for name, scores in pairs.items() if f"{name}0" not in gone})

    units = pseudo_values(mme_sum(pairs), items, clusters, without)
    # The metric is a mean over pictures: then a pseudo-value is what the picture scores.
    assert [value for _, _, value in units] == pytest.approx([200, 50, 0, 200])


def test_f1_is_shown_in_percent_where_the_framework_states_a_share() -> None:
    made = summary(0.8, {"a": 1.0, "b": 0.0, "c": 1.0}, {"a": "a", "b": "b", "c": "c"}, lambda gone: 0.7, percent=False)
    assert made["score"] == 80.0
    assert made["kind"] == "jackknife"
    assert sum(unit[2] for unit in made["units"]) / 3 == pytest.approx(0.8)


def test_an_aggregate_that_wants_all_items_leaves_no_units() -> None:
    def refuse(gone: set[str]) -> float:
        raise AssertionError("wants pairs")

    assert summary(120.0, {"a": 1.0, "b": 0.0}, {"a": "a", "b": "b"}, refuse, percent=False)["units"] == []


@pytest.mark.parametrize(
    ("value", "score"),
    [
        (True, 1.0),
        (0.25, 0.25),
        ({"score": 0.5, "id": 3}, 0.5),
        ({"is_correct": False}, 0.0),
        (["yes"], 2.0),
        ({}, 2.0),
    ],
)
def test_an_item_score_is_read_from_what_the_framework_keeps(value: object, score: float) -> None:
    assert item_score(value, lambda values: 2 * len(values)) == score


# ---------------------------------------------------------------- a framework in four lines


class Yes:
    """A model that says yes."""

    name = "yes"

    def fingerprint(self) -> str:
        return "yes"

    def generate(self, requests: Iterable[Request]) -> Iterator[tuple[int, Response]]:
        for index, request in enumerate(requests):
            assert request.generation.max_new_tokens == 16
            assert request.parts[1] == "really?"
            yield index, Response("yes")


@pytest.fixture
def framework(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stands for the framework's process: three items, of which `yes` answers two; the metric is their sum."""
    jobs: list[str] = []

    def worker(framework: Any, folder: Path, job: dict[str, str], data: str = "hub") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        jobs.append(job["action"])
        out = Path(job["out"])
        if job["action"] == "prepare":
            image = {"image": save_image(out, PNG)}
            settings = {"max_new_tokens": 16, "stop": ["\n"]}
            requests = [
                {"index": str(i), "parts": [image, "really?"], "system": "", "generation": settings} for i in range(3)
            ]
            write_lines(out / DATA, (item(r, "yes" if i else "no", job["made_by"]) for i, r in enumerate(requests)))
            return
        said = list(read_lines(Path(job["answers"])))
        assert {line["text"] for line in said} == {"yes"}
        scores = {line["index"]: float(line["index"] != "0") for line in said}
        write_lines(
            out / VERDICTS, ({"index": i, "metric": "sum", "score": s, "extracted": "yes"} for i, s in scores.items())
        )
        made = summary(sum(scores.values()), dict(scores), {i: i for i in scores}, lambda gone: 2.0, percent=False)
        stated = {"headline": "sum", "metrics": {"other": 7, "sum": sum(scores.values())}, **made}
        (out / METRICS).write_text(json.dumps(stated))

    monkeypatch.setattr(tasks, "run_worker", worker)
    (tmp_path / "data").mkdir()
    return jobs


def test_a_foreign_task_runs_through_the_loop_and_the_store(framework: list[str], tmp_path: Path) -> None:
    run = evaluate(Yes(), ["lmms-eval:sum"], out=tmp_path / "run", data=tmp_path / "data")
    (result,) = run.results
    assert result.metrics.score == 2.0
    assert list(result.metrics.groups["lmms-eval metric"]) == ["sum", "other"]
    assert result.metrics.groups["lmms-eval metric"]["other"].score == 7
    assert list(run.items.score) == [0.0, 1.0, 1.0]
    assert set(run.items.rule) == {"sum"}
    assert 100 * (run.units.score * run.units.weight).sum() == pytest.approx(2.0)
    assert framework == ["prepare", "score"]


def test_a_second_run_asks_neither_the_model_nor_the_framework(framework: list[str], tmp_path: Path) -> None:
    for _ in range(2):
        evaluate(Yes(), ["lmms-eval:sum"], out=tmp_path / "run", data=tmp_path / "data")
    with Store(tmp_path / "run") as store:
        (again,) = rescore(store, ["official"])
    assert again.metrics.score == 2.0
    assert framework == ["prepare", "score"]


def test_a_run_killed_before_scoring_is_scored_without_being_asked_again(
    framework: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(tasks, "_data_of", killed)
        with pytest.raises(KeyboardInterrupt):
            evaluate(Yes(), ["lmms-eval:sum"], out=tmp_path / "run", data=tmp_path / "data")
    monkeypatch.setattr(
        Yes, "generate", lambda self, requests: ((i, pytest.fail("asked")) for i, _ in enumerate(requests))
    )
    assert evaluate(Yes(), ["lmms-eval:sum"], out=tmp_path / "run", data=tmp_path / "data").results[0].inferred == 0


def test_changed_data_are_prepared_again(framework: list[str], tmp_path: Path) -> None:
    data = tmp_path / "data"
    for text in ("one", "and two"):
        (data / "sum.tsv").write_text(text)
        open_dataset(registry.task("vlmeval:sum"), data)
    assert framework == ["prepare", "prepare"]


def test_items_of_unknown_data_are_told(framework: list[str], tmp_path: Path, cache: Path) -> None:
    evaluate(Yes(), ["lmms-eval:sum"], out=tmp_path / "run", data=tmp_path / "data")
    for source in (cache / "bridges" / "lmms-eval" / "sets").iterdir():
        source.unlink()
    with Store(tmp_path / "run") as store, pytest.raises(HarnessError, match="not known on this machine"):
        rescore(store, ["official"])


def test_text_only_items_are_items(tmp_path: Path) -> None:
    """A framework may ask without an image."""
    request = {"index": "7", "parts": ["only text"], "system": "be brief", "generation": {}}
    line = item(request, "yes", "test")
    sample = tasks.from_row({**line, "set": "s", "image": ()})
    assert tasks.request(sample) == Request(("only text",), system="be brief")


# ---------------------------------------------------------------- the engine for a framework


class Echo:
    """Says its prompt; refuses `bad`."""

    name = "echo"

    def __init__(self, *_: object, **options: object) -> None:
        self.options, self.asked = options, 0

    def fingerprint(self) -> str:
        return "echo"

    def generate(self, requests: Iterable[Request]) -> Iterator[tuple[int, Response]]:
        for index, request in enumerate(requests):
            self.asked += 1
            bad = "bad" in request.text
            yield index, Response("", "error", error="no luck") if bad else Response(f"said {request.text}")


def served(monkeypatch: pytest.MonkeyPatch, model: Echo, folder: Path, store: str, *batches: list[str]) -> list[Any]:
    monkeypatch.setattr(registry, "load", lambda kind, name: lambda spec, **options: model)
    shown = {"image": save_image(folder, PNG)}
    lines = ""
    for batch in batches:
        asked = [{"parts": [shown, text], "system": "", "generation": {}} for text in batch]
        lines += "".join(json.dumps({"index": str(i), **one}) + "\n" for i, one in enumerate(asked)) + "\n"
    out = io.StringIO()
    head = {"model": "m", "backend": "hf", "store": store, "folder": str(folder), "options": {"batch_tokens": "64"}}
    answer.serve(head, io.StringIO(lines), out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_the_engine_answers_batches_and_keeps_what_it_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Echo()
    said = served(monkeypatch, first, tmp_path, str(tmp_path / "run"), ["a", "b", "a"], ["bad"])
    assert {(one["index"], one["text"]) for one in said[:3]} == {
        ("0", "said <image>a"), ("1", "said <image>b"), ("2", "said <image>a"),
    }  # fmt: skip
    assert said[3] == {"index": "0", "text": "", "error": "no luck"}
    assert first.asked == 3, "the same content is asked once"
    second = Echo()
    served(monkeypatch, second, tmp_path, str(tmp_path / "run"), ["b", "a"])
    assert second.asked == 0


# ---------------------------------------------------------------- the package in the frameworks' environments


def test_the_bridge_is_a_wheel_with_its_entry_points(tmp_path: Path) -> None:
    environments._write_wheel(tmp_path / "x.whl", '{"python": "here"}')
    with zipfile.ZipFile(tmp_path / "x.whl") as wheel:
        names = wheel.namelist()
        entry = wheel.read(next(name for name in names if name.endswith("entry_points.txt"))).decode()
        record = wheel.read(next(name for name in names if name.endswith("RECORD"))).decode()
    assert "masters_harness_bridge/lmms_eval_model.py" in names
    assert "[lmms_eval.models]\nharness = masters_harness_bridge.lmms_eval_model:MANIFEST" in entry
    assert len(record.splitlines()) == len(names)


def test_a_task_that_code_outside_counts_needs_no_aggregate_of_ours(tmp_path: Path) -> None:
    """Rules.whole: a plug-in may score and count a task at once."""

    def whole(items: Any, judge: Judge) -> tuple[list[Verdict], Metrics]:
        return [Verdict(State.SCORED, 1.0)] * len(items), Metrics(42.0, 1.0, 1, {}, (Unit("u", "u", 0.42, 1.0),))

    def unused(*_: object) -> Any:
        raise AssertionError("not asked")

    like = registry.task("ai2d")
    asks: Callable[[Sample], Request] = like.rules["official"].request
    task = Task(
        name="ai2d", title="t", tsv=like.tsv, hub=like.hub, from_tsv=like.from_tsv, from_hub=like.from_hub,
        rules={"official": Rules(asks, unused, unused, whole=whole)}, mini=like.mini,
    )  # fmt: skip
    run = evaluate(Echo(), [task], out=tmp_path / "run", limit=3)
    assert run.results[0].metrics.score == 42.0
    assert load_run(tmp_path / "run").results[0].metrics.score == 42.0


def test_image_identity_is_the_files_name(tmp_path: Path) -> None:
    assert answer._image(tmp_path / save_image(tmp_path, PNG)).sha256 == Image.from_bytes(PNG).sha256
