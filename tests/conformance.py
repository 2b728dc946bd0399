"""Real model outputs beside the project, as (sample, response, upstream's verdict) of our tasks."""

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from harness import registry
from harness.api import Image, Response, Sample, Verdict
from harness.judge.rule import open_judge
from harness.scoring.score import score_all
from tasks import blink, mathvista, mmmu, mmmu_pro, mmstar, realworldqa, seedbench

Shared = Callable[[str], Path]
PICTURES = tuple(Image.from_bytes(bytes([number])) for number in range(8))


class Item(NamedTuple):
    """A stored response with what upstream's code says about it."""

    sample: Sample
    response: Response
    upstream: dict[str, Any]


def derived(shared: Shared, name: str, key: str) -> dict[str, dict[str, Any]]:
    """derived/NAME.jsonl.gz by the field `key`."""
    with gzip.open(shared(f"conformance/derived/{name}.jsonl.gz"), "rt", encoding="utf-8") as lines:
        return {str(entry[key]): entry for entry in map(json.loads, lines)}


def verdicts(task: str, protocol: str, items: list[Item], judge: Any = None) -> list[Verdict]:
    """The verdicts under a protocol, in the order of the items; without a judge's answers only rules decide."""
    rules = registry.rules(registry.task(task), protocol)
    pairs = [(item.sample, item.response) for item in items]
    return [verdict for _, verdict in sorted(score_all(rules, pairs, judge or open_judge()), key=lambda pair: pair[0])]


# ---------------------------------------------------------------- MMMU, MMMU-Pro


def mmmu_items(shared: Shared) -> list[Item]:
    """The 900 validation items of qwen_vl, in the authors' order of subjects."""
    upstream = derived(shared, "mmmu_qwen_vl", "id")
    folder = shared("conformance/mmmu/example_outputs/qwen_vl")
    entries = [entry for file in sorted(folder.glob("*/output.json")) for entry in json.loads(file.read_text())]
    return [Item(_mmmu_sample(entry), Response(entry["response"]), upstream[entry["id"]]) for entry in entries]


def _mmmu_sample(entry: dict[str, Any]) -> Sample:
    row = {
        "id": entry["id"],
        "split": "validation",
        "question": "?",
        "answer": str(entry["answer"]),
        "image": PICTURES[:1],
        **(entry["index2ans"] if entry["question_type"] == "multiple-choice" else {}),
    }
    sample = mmmu.from_tsv(row)
    assert sample is not None
    return sample


MMMU_PRO = {
    "mmmu_pro_standard": ("gpt-4o_standard(10 options)_cot", "mmmu_pro_gpt-4o_standard10_options_cot"),
    "mmmu_pro_vision": ("gpt-4o_vision_direct", "mmmu_pro_gpt-4o_vision_direct"),
}


def mmmu_pro_items(shared: Shared, task: str) -> list[Item]:
    """The 1730 items of GPT-4o in one setting."""
    output, name = MMMU_PRO[task]
    upstream = derived(shared, name, "id")
    lines = shared(f"conformance/mmmu_pro/output/{output}.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return [
        Item(mmmu_pro.from_hub({**row, "image": PICTURES[:1]}), Response(row["response"]), upstream[row["id"]])
        for row in rows
    ]


# ---------------------------------------------------------------- MathVista

MATHVISTA = {
    "bard": "bard", "gpt4": "gpt4", "gpt4_2shot_code": "gpt4", "llava_llama_2_13b": "llava", "frequent_guess": "random"
}  # fmt: skip


def mathvista_items(shared: Shared, model: str) -> list[Item]:
    """The 1000 testmini items of a model; what its judge extracted is in upstream["extraction"]."""
    path = shared(f"conformance/mathvista/results/{MATHVISTA[model]}/output_{model}.json")
    upstream = derived(shared, f"mathvista_output_{model}", "pid")
    return [
        Item(
            mathvista.from_hub({**problem, "decoded_image": PICTURES[:1]}),
            Response(problem["response"]),
            {**upstream[pid], "extraction": problem["extraction"]},
        )
        for pid, problem in json.loads(path.read_text()).items()
    ]


# ---------------------------------------------------------------- BLINK

BLINK = (
    "GPT4o", "QwenVLMax", "Yi_VL_6B", "flamingov2", "instructblip_7b", "llava-v1.5-7b-xtuner", "llava-v1.6-34b",
    "llava_v1.5_7b",
)  # fmt: skip
# How many options the items of each task have, and no texts: the stored outputs do not say.
_BLINK_OPTIONS = dict.fromkeys(
    ("Counting", "Forensic_Detection", "Functional_Correspondence", "IQ_Test", "Semantic_Correspondence",
     "Visual_Correspondence"), 4
) | {"Relative_Reflectance": 3}  # fmt: skip


def blink_items(shared: Shared, model: str) -> list[Item]:
    """The 1901 validation items of a model; the option texts are place-holders that no response holds."""
    upstream = derived(shared, f"blink_{model}", "idx")
    found = []
    for path in sorted(shared(f"conformance/blink/saved_outputs/{model}").iterdir()):
        for entry in json.loads(path.read_text())["val"]:
            task = entry["idx"].removeprefix("val_").rpartition("_")[0]
            letters = "ABCD"[: _BLINK_OPTIONS.get(task, 2)]
            row = {
                **{letter: f"<option {letter} of {entry['idx']}>" for letter in letters},
                **{"index": entry["idx"], "question": "?", "answer": entry["answer"][1], "category": task},
                "image": PICTURES[:1],
            }
            found.append(Item(blink.from_tsv(row), Response(entry["full_prediction"]), upstream[entry["idx"]]))
    return found


# ---------------------------------------------------------------- tables of VLMEvalKit


def mmstar_items(shared: Shared) -> list[Item]:
    """The 1500 items of LLaVA-NeXT-34B."""
    upstream = derived(shared, "mmstar_llava_next_yi_34b", "index")
    return [
        Item(mmstar.from_hub({**row, "image": PICTURES[:1]}), Response(row["prediction"]), upstream[str(row["index"])])
        for row in _table(shared("conformance/mmstar/llava_next_yi_34b_MMStar.xlsx"))
    ]


def _table(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of an xlsx with every text as it stands (pandas would make NaN of the option "None")."""
    import openpyxl

    header, *lines = openpyxl.load_workbook(path, read_only=True).active.values
    for line in lines:
        row = dict(zip(header, line, strict=True))
        yield {name: value for name, value in row.items() if value is not None} | {"prediction": _said(row)}


def _said(row: dict[str, Any]) -> str:
    return "" if row["prediction"] is None else str(row["prediction"])


VILA = {
    "mmstar": ("MMStar", mmstar.from_tsv),
    "realworldqa": ("RealWorldQA", realworldqa.from_tsv),
    # The TSV has the option "None" where pandas left the table empty.
    "seedbench": ("SEEDBench_IMG", lambda row: seedbench.from_tsv({row["answer"]: "None", **row})),
}


def vila_items(shared: Shared, task: str) -> list[Item]:
    """A run of VILA-8B under VLMEvalKit, sorted by index as VLMEvalKit does."""
    name, from_tsv = VILA[task]
    upstream = derived(shared, f"vlmevalkit_vila_8b_{name}", "index")
    rows = _table(shared(f"conformance/vlmevalkit_vila/vila_8b_{name}.xlsx"))
    return [
        Item(from_tsv({**row, "image": PICTURES[:1]}), Response(row["prediction"]), upstream[str(row["index"])])
        for row in rows
    ]


def chartqa_items(shared: Shared) -> list[Item]:
    """The 2500 test items of VILA-8B."""
    task = registry.task("chartqa")
    found = []
    for entry in derived(shared, "vlmevalkit_vila_8b_ChartQA_TEST", "index").values():
        row = {"index": entry["index"], "question": entry["question"], "answer": entry["gold"],
               "split": entry["split"], "image": PICTURES[:1]}  # fmt: skip
        sample = task.from_tsv(row)
        assert sample is not None
        found.append(Item(sample, Response(str(entry["prediction"])), entry))
    return found


def ccbench_items(shared: Shared) -> list[Item]:
    """The 2040 passes of VILA-8B; upstream's verdict of a group stands with each of its passes."""
    task = registry.task("ccbench")
    upstream = derived(shared, "vlmevalkit_vila_8b_CCBench_circular", "g_index")
    found = []
    for row in _table(shared("conformance/vlmevalkit_vila/vila_8b_CCBench.xlsx")):
        sample = task.from_tsv({**row, "image": PICTURES[:1]})
        assert sample is not None
        found.append(Item(sample, Response(row["prediction"]), upstream[str(row["index"] % 1_000_000)]))
    return found
