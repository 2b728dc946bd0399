"""What every side of the comparison reads: tiny random checkpoints and ChartQA-shaped items, in everyone's form."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
SHARED = Path(os.environ.get("MASTERS_SHARED", HERE.parents[3] / "shared"))
WORK = Path(os.environ.get("MASTERS_HARNESS_CACHE") or "~/.cache/masters-harness").expanduser() / "bench"
TOKENS = 16  # new tokens of an answer, as lmms-eval's ChartQA task prescribes; the checkpoint never ends one early
FAMILIES = ("qwen2_5_vl", "internvl")
MIN_PIXELS, MAX_PIXELS = 4 * 28 * 28, 64 * 28 * 28


@dataclass(frozen=True)
class Inputs:
    """The same items for us and VLMEvalKit (a TSV) and for lmms-eval (parquet, a task file), and the checkpoint."""

    size: int
    origin: str
    checkpoint: Path
    folder: Path

    @property
    def tsv(self) -> Path:
        """Read by `harness run --data` and by VLMEvalKit as LMUData."""
        return self.folder / "ChartQA_TEST.tsv"


def inputs(size: int, family: str = FAMILIES[0]) -> Inputs:
    """Make what is missing. Real items where they lie beside the project (MASTERS_SHARED), else mini ones."""
    rows, origin = pool()
    if size > len(rows):
        raise SystemExit(f"only {len(rows)} items are there, {size} were asked for")
    folder = WORK / f"{origin.split()[0]}-{size}"
    made = Inputs(size, origin, checkpoint(family), folder)
    if not (folder / "done").exists():
        (folder / "tasks").mkdir(parents=True, exist_ok=True)
        write_tsv(rows[:size], made.tsv)
        write_parquet(rows[:size], folder)
        (folder / "done").touch()
    return made


@cache
def pool() -> tuple[list[dict[str, Any]], str]:
    """Rows (question, answer, split, PNG or JPEG bytes) in an order that does not depend on their source."""
    import pyarrow.parquet as pq

    if not (SHARED / "real" / "LMUData" / "ChartQA_TEST.tsv").exists():
        return mini_rows(1500), "mini ChartQA items"
    import pandas as pd

    charts = pd.read_csv(SHARED / "real" / "LMUData" / "ChartQA_TEST.tsv", sep="\t")
    rows = [_row(c.question, c.answer, c.split, base64.b64decode(c.image)) for c in charts.itertuples()]
    for name in ("puzzlevqa", "mathv", "easyvqa"):
        found = pq.read_table(SHARED / "real" / "eval" / f"{name}.parquet").to_pylist()
        rows += [_row(r["question"], r["answer"], "test_augmented", _bytes(r["image"])) for r in found]
    rows = rows[:1500]
    rows.sort(key=lambda row: hashlib.sha256(row["question"].encode() + row["image"]).digest())
    return rows, "real items (ChartQA, PuzzleVQA, MATH-V, easy-VQA)"


def mini_rows(size: int) -> list[dict[str, Any]]:
    """Drawn charts."""
    from harness import registry
    from harness.data import open_dataset

    data = open_dataset(registry.task("chartqa"), size=size)
    return [_row(s.question, s.answer, f"test_{s.meta['split']}", s.images[0].read()) for s in data]


def _row(question: Any, answer: Any, split: str, image: bytes) -> dict[str, Any]:
    return {"question": " ".join(str(question).split()), "answer": str(answer), "split": split, "image": image}


def _bytes(image: Any) -> bytes:
    first = image[0] if isinstance(image, list) else image
    return first["bytes"] if isinstance(first, dict) else first


def write_tsv(rows: list[dict[str, Any]], path: Path) -> None:
    """VLMEvalKit's form."""
    import pandas as pd

    encoded = [{"index": i, **r, "image": base64.b64encode(r["image"]).decode()} for i, r in enumerate(rows)]
    pd.DataFrame(encoded).to_csv(path, sep="\t", index=False)


def write_parquet(rows: list[dict[str, Any]], folder: Path) -> None:
    """lmms-eval's form: its ChartQA task over a local file."""
    from datasets import Dataset, Features, Image, Value

    kind = {"test_human": "human_test", "test_augmented": "augmented_test"}
    docs = [{**r, "type": kind[r["split"]], "image": {"bytes": r["image"], "path": None}} for r in rows]
    names = ("type", "question", "answer", "image")
    features = Features({name: Image() if name == "image" else Value("string") for name in names})
    Dataset.from_list([{n: d[n] for n in names} for d in docs], features=features).to_parquet(folder / "items.parquet")


def write_task(folder: Path, lmms_eval: Path) -> str:
    """The task file for lmms-eval; returns the task's name. `lmms_eval` is the folder of the installed package."""
    name = f"chartqa_bench_{folder.name.replace('-', '_')}"
    (folder / "tasks" / f"{name}.yaml").write_text(
        f"include: {lmms_eval}/tasks/chartqa/chartqa.yaml\ntask: {name}\ndataset_path: parquet\n"
        f"dataset_kwargs:\n  data_files:\n    test: {folder}/items.parquet\n"
    )
    return name


def checkpoint(family: str = FAMILIES[0]) -> Path:
    """A random model of two layers, as the tests build it (Qwen2.5-VL with its real patch size), in bfloat16.

    The output row of every special token is zero, so that greedy decoding never ends early: lengths are fixed.
    """
    path = WORK / family
    if (path / "model.safetensors").exists():
        return path
    import torch
    import transformers as hf

    sys.path.insert(0, str(HERE.parents[2] / "tests"))
    import tiny_models

    given, processor = tiny_models.build(family)
    config = copy.deepcopy(given.config)
    config.tie_word_embeddings = config.text_config.tie_word_embeddings = False
    if family == "qwen2_5_vl":
        config.vision_config.patch_size, config.vision_config.window_size = 14, 56
        pixels = {"min_pixels": MIN_PIXELS, "max_pixels": MAX_PIXELS}
        processor.image_processor = hf.Qwen2VLImageProcessor(patch_size=14, **pixels)
    torch.manual_seed(0)
    model = type(given)(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, 0.15)
        model.lm_head.weight[processor.tokenizer.all_special_ids] = 0
    model.generation_config = given.generation_config
    model.to(torch.bfloat16).save_pretrained(path)
    processor.save_pretrained(path)
    return path


def vlmeval_config(made: Inputs, path: Path) -> None:
    """VLMEvalKit's config: greedy decoding of the same length and the same pixels."""
    model = {
        "class": "Qwen2VLChat", "model_path": str(made.checkpoint), "min_pixels": MIN_PIXELS, "max_pixels": MAX_PIXELS,
        "max_new_tokens": TOKENS, "use_custom_prompt": False, "do_sample": False,
    }  # fmt: skip
    data = {"class": "ImageVQADataset", "dataset": "ChartQA_TEST"}
    path.write_text(json.dumps({"model": {"tiny": model}, "data": {"ChartQA_TEST": data}}))
