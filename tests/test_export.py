"""Runs in other frameworks' formats: what is written, and that it can be read again."""

import base64
import csv
import json
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from harness import registry
from harness.api import HarnessError, Request, Response
from harness.cli import main
from harness.data import open_dataset
from harness.data.imports.vlmevalkit import rows
from harness.evaluation import evaluate
from harness.export import export_run
from harness.store import load_run

ITEMS = 12
HOSTILE = 'B\n\t"quoted" \u202e=1+1'


class Scripted:
    """A model that says the same few sentences in turn; every fifth item fails."""

    name = "folder/model"

    def fingerprint(self) -> str:
        return "scripted"

    def generate(self, requests: Iterable[Request]) -> Iterator[tuple[int, Response]]:
        says = ("A", HOSTILE, "The answer is (C)", "")
        for index, _ in enumerate(requests):
            failed = index % 5 == 4
            yield (
                index,
                Response("", "error", error="no luck") if failed else Response(says[index % 4], token_ids=(1, 2)),
            )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "run"
    evaluate(Scripted(), ["mmstar"], out=folder, limit=ITEMS)
    return folder


def test_lmms_eval_samples_come_back_by_import_with_the_same_scores(run: Path, tmp_path: Path) -> None:
    samples, results = export_run(run, "lmms-eval", tmp_path)
    assert samples.parent.name == "folder__model"
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    before = load_run(run)
    assert [line["filtered_resps"] for line in lines] == list(before.items.response)
    stated = json.loads(results.read_text())["results"]["mmstar"]["score,none"]
    assert stated == pytest.approx(before.results[0].metrics.score / 100)
    words = [
        "import",
        "lmms-eval",
        str(samples),
        "--task",
        "mmstar",
        "--data",
        "mini",
        "--out",
        str(tmp_path / "again"),
    ]
    assert CliRunner().invoke(main, words).exit_code == 0
    again = load_run(tmp_path / "again").items.set_index("id").score
    assert dict(again) == dict(before.items.set_index("id").score)


@pytest.mark.parametrize("xlsx", [False, True])
def test_vlmevalkit_tables_hold_the_rows_of_the_data_set_and_the_predictions(
    run: Path, tmp_path: Path, xlsx: bool
) -> None:
    predictions, items = export_run(run, "vlmeval", tmp_path, **({"xlsx": True} if xlsx else {}))
    assert predictions.name == f"folder__model_MMStar.{'xlsx' if xlsx else 'tsv'}"
    found = {row["index"]: row for _, row in rows(predictions)}
    expected = load_run(run).items.set_index("id")
    assert len(found) == len(expected)
    for index, row in found.items():
        assert row["answer"] == expected.answer[index]
        assert row["A"]
        assert (row["prediction"] or "") == expected.response[index]
        assert "image" not in row
    samples = {sample.id: sample for sample in open_dataset(registry.task("mmstar"), items)}
    original = {sample.id: sample for sample in open_dataset(registry.task("mmstar"), "mini")}
    for index, sample in samples.items():
        assert [image.sha256 for image in sample.images] == [image.sha256 for image in original[index].images]
        assert (sample.question, dict(sample.choices)) == (original[index].question, dict(original[index].choices))


def inspect_parts(run: Path, out: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The header of a log and its samples."""
    (path,) = export_run(run, "inspect", out)
    assert path.suffix == ".eval"
    with zipfile.ZipFile(path) as log:
        names = [name for name in log.namelist() if name.startswith("samples/")]
        return json.loads(log.read("header.json")), [json.loads(log.read(name)) for name in names]


def test_an_inspect_log_holds_prompt_image_response_and_verdict(run: Path, tmp_path: Path) -> None:
    header, samples = inspect_parts(run, tmp_path)
    loaded = load_run(run)
    assert header["eval"]["model"] == "folder/model"
    assert header["eval"]["metadata"]["data_sha256"] == loaded.results[0].data_sha256
    assert header["results"]["scores"][0]["metrics"]["score"]["value"] == loaded.results[0].metrics.score
    original = {sample.id: sample for sample in open_dataset(registry.task("mmstar"), "mini")}
    for sample, (_, item) in zip(samples, loaded.items.iterrows(), strict=True):
        assert sample["id"] == item.id
        assert sample["output"]["choices"][0]["message"]["content"] == item.response
        assert sample["scores"]["harness"]["value"] == item.score
        assert (sample["error"] is not None) == (item.state == "error")
        shown = [part["image"] for part in sample["input"][-1]["content"] if part["type"] == "image"]
        assert base64.b64decode(shown[0].partition(",")[2]) == original[item.id].images[0].read()


def test_an_export_names_what_the_run_has(run: Path, tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="it has folder/model mmstar official"):
        export_run(run, "inspect", tmp_path, task="chartqa")


def test_the_tsv_survives_tabs_quotes_and_line_breaks(run: Path, tmp_path: Path) -> None:
    predictions, _ = export_run(run, "vlmeval", tmp_path)
    with predictions.open(newline="", encoding="utf-8") as file:
        said = [row["prediction"] for row in csv.DictReader(file, delimiter="\t")]
    assert HOSTILE in said
