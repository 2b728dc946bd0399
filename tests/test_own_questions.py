"""Files of questions: as a benchmark, and as what a recipe trains and is evaluated on."""

import json
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from harness import registry
from harness.api import HarnessError, Response
from harness.cli import main
from harness.data import open_dataset
from harness.store import Store

EXAMPLE = Path(__file__).parents[1] / "examples" / "own_data.yaml"


def picture(shade: int) -> dict:
    buffer = BytesIO()
    Image.new("RGB", (32, 32), (shade, 0, 255 - shade)).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def write(folder: Path, name: str, number: int) -> Path:
    rows = [
        {"id": f"{name}/{n}", "question": f"Which shade is number {n}?", "image": picture(n),
         "answer": "red" if n % 2 else "blue", "choices": ["blue", "red"] if n % 3 else None}
        for n in range(number)
    ]  # fmt: skip
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / f"{name}.parquet")
    return folder


def verdict(task, sample, text: str):
    return task.rules["official"].score(sample, Response(text, "stop"))


def test_a_file_of_questions_is_a_benchmark(tmp_path: Path):
    write(tmp_path, "shades", 6)
    task = registry.task("questions:shades")
    items = list(open_dataset(task, tmp_path))
    assert [item.answer for item in items] == ["blue", "B", "A", "red", "A", "B"]
    shown = task.rules["official"].request(items[1])
    assert shown.text.endswith("A. blue\nB. red\nAnswer with the option's letter from the given choices directly.")
    assert [verdict(task, items[1], text).score for text in ("B", "A")] == [1.0, 0.0]
    assert [verdict(task, items[0], text).score for text in ("Blue.", "not blue")] == [1.0, 0.0]
    assert str(verdict(task, items[0], " ").state) != "scored"


def test_what_is_not_there_is_told(tmp_path: Path):
    write(tmp_path, "shades", 3)
    with pytest.raises(HarnessError, match=r"there is no .*other\.parquet"):
        open_dataset(registry.task("questions:other"), tmp_path)
    with pytest.raises(HarnessError, match="names no file"):
        registry.task("questions:../shades")


def run(recipe: dict, folder: Path) -> list:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    main(["run", "--recipe", str(path), "--out", str(folder / "run")], standalone_mode=False)
    with Store(folder / "run", write=False) as store:
        return store.results()


def smaller(recipe: dict, **changes) -> dict:
    recipe["data"] |= changes
    recipe["optimizer"]["questions_per_step"] = 4
    recipe["teachers"] = [{"model": "embedded/mid", "r_max": 0.2, "step": 0.2}]
    recipe["evaluation"] |= {"limit": 4, "teachers": "none"}
    return recipe


def test_the_example_trains_on_one_folder_and_evaluates_on_another(tmp_path: Path):
    write(tmp_path / "train", "shades", 20)
    write(tmp_path / "eval", "easyvqa", 5)
    sources = {"sources": [str(tmp_path / "train")], "questions": 8, "validation": 4}
    recipe = smaller(yaml.safe_load(EXAMPLE.read_text()), **sources)
    recipe["evaluation"] |= {"suite": "questions:easyvqa", "data": str(tmp_path / "eval")}
    recipe["methods"] = ["masters"]
    results = run(recipe, tmp_path)
    assert [(r.cell.task, r.items) for r in results] == [("questions:easyvqa", 4)] * 2
    assert results[1].stage["last"]
    assert 0 <= results[1].stage["validation"] <= 100


@pytest.mark.slow
def test_the_example_on_real_questions(shared, tmp_path: Path):
    real = shared("real")
    recipe = smaller(yaml.safe_load(EXAMPLE.read_text()), sources=[str(real / "train")], questions=16, validation=4)
    recipe["evaluation"]["data"] = str(real / "eval")
    results = run(recipe, tmp_path)
    names = ["questions:easyvqa", "questions:puzzlevqa", "questions:mathv"]
    assert [r.cell.task for r in results] == names * (1 + len(recipe["methods"]))
    last = [r.stage["method"] for r in results if r.stage and r.stage["last"] and r.cell.task == names[0]]
    assert last == recipe["methods"]
    log = (tmp_path / "run" / "masters" / "seed0" / "train.jsonl").read_text().splitlines()
    assert sum(json.loads(line)["responses"] for line in log) == 16 * 8
