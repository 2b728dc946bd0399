"""Tiny data sets in the real schemas of lmms-eval's MME and ScienceQA and of VLMEvalKit's HallusionBench.

The pictures and questions are drawn by code (mini editions), so that the embedded models can answer some of them.
"""

import base64
import re
import sys
from pathlib import Path
from typing import Any

import pandas

from harness import registry
from harness.api import Sample
from harness.data import open_dataset

_ORDER = re.compile(r"Is the (\w+) bar higher than the (\w+) bar\?")
_SWAPPED = {"Yes": "No", "No": "Yes"}
_CATEGORIES = ("existence", "count", "position", "color", "commonsense_reasoning", "numerical_calculation")


def asked(count: int) -> list[tuple[Sample, str, str]]:
    """(sample, question, answer): two questions about each of `count` bar charts, one Yes and one No."""
    charts = [s for s in open_dataset(registry.task("chartqa"), "mini", size=800) if _ORDER.fullmatch(s.question)]
    return [
        (sample, question, answer)
        for sample in charts[:count]
        for question, answer in (
            (sample.question, sample.answer),
            (_ORDER.sub(r"Is the \2 bar higher than the \1 bar?", sample.question), _SWAPPED[sample.answer]),
        )
    ]


def mme(folder: Path, charts: int = 24) -> None:
    """lmms-lab-encoder/MME: question_id, image, question, answer, category; two questions an image."""
    rows = [
        {"question_id": f"{_CATEGORIES[i // 2 % 6]}/{i // 2:04d}.png", "category": _CATEGORIES[i // 2 % 6],
         "question": f"{question} Please answer yes or no.", "answer": answer,
         "image": {"bytes": sample.images[0].read(), "path": None}}
        for i, (sample, question, answer) in enumerate(asked(charts))
    ]  # fmt: skip
    _parquet(folder / "lmms-lab-encoder" / "MME", rows)


def scienceqa(folder: Path, items: int = 40) -> None:
    """lmms-lab-encoder/ScienceQA, ScienceQA-IMG: question, choices, answer (a number), hint, image or none."""
    rows = [
        {"question": sample.question, "choices": list(sample.choices.values()), "hint": "",
         "answer": list(sample.choices).index(sample.answer),
         "image": None if i % 8 == 7 else {"bytes": sample.images[0].read(), "path": None}}
        for i, sample in enumerate(open_dataset(registry.task("mmstar"), "mini", limit=items))
    ]  # fmt: skip
    _parquet(folder / "lmms-lab-encoder" / "ScienceQA" / "ScienceQA-IMG", rows)


def hallusion(folder: Path, charts: int = 20) -> None:
    """HallusionBench.tsv: index (VD or VS, kind, _, set, figure, question), category, l2-category, question, answer."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"index": f"{'VD' if i // 2 % 2 else 'VS'}_chart_0_{i // 8}_{i // 2 % 4}_{i % 2}",
         "category": "VD" if i // 2 % 2 else "VS", "l2-category": "chart",
         "question": f"{question}\nAnswer the question using a single word or phrase.", "answer": answer,
         "image": base64.b64encode(sample.images[0].read()).decode()}
        for i, (sample, question, answer) in enumerate(asked(charts))
    ]  # fmt: skip
    pandas.DataFrame(rows).to_csv(folder / "HallusionBench.tsv", sep="\t", index=False)


def _parquet(folder: Path, rows: list[dict[str, Any]]) -> None:
    import datasets

    folder.mkdir(parents=True, exist_ok=True)
    kinds = {name: datasets.Value("string") for name in rows[0]}
    kinds |= {"image": datasets.Image()}
    if "choices" in kinds:
        kinds |= {"choices": datasets.List(datasets.Value("string")), "answer": datasets.Value("int64")}
    table = datasets.Dataset.from_list(rows, features=datasets.Features(kinds))
    table.to_parquet(str(folder / "test-00000-of-00001.parquet"))


def task_file(folder: Path, name: str, task: str, repository: str, config: str = "") -> None:
    """A task file of lmms-eval that is `task` in all but the place of its data, for lmms-eval by itself."""
    lines = [f"include: {task}", f"task: {name}", f"dataset_path: {(folder / repository / config).resolve()}"]
    (folder / f"{name}.yaml").write_text("\n".join([*lines, "dataset_name: null", "dataset_kwargs: {}", ""]))


if __name__ == "__main__":
    root = Path(sys.argv[1])
    for draw in (mme, scienceqa, hallusion):
        draw(root)
