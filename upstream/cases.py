"""What both sides score: mini items with responses of every style, and real responses where there are any."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness import registry
from harness.api import Response, Sample, Task
from harness.data import open_dataset
from harness.data.imports import read
from harness.data.imports.samples import assemble
from harness.data.subset import subset
from harness.scoring.circular import circular_group

ROUNDS = 3  # responses, each of another style, to every mini item
ITEMS = 120  # mini items a task
CIRCULAR = ("mmbench_en", "mmbench_cn", "mmbench_en_v11", "mmbench_cn_v11", "ccbench")


class Run(NamedTuple):
    """The responses to some items of a task."""

    task: Task
    source: str
    samples: list[Sample]
    responses: list[Response]

    def unit(self, sample: Sample) -> str:
        """What counts as one question: a circular group, or the item."""
        return circular_group(sample)[0] if self.task.name in CIRCULAR else sample.id

    def cases(self) -> Iterator[Mapping[str, Any]]:
        """The records for a worker, those of a unit together."""
        pairs = sorted(zip(self.samples, self.responses, strict=True), key=lambda pair: self.unit(pair[0]))
        for sample, response in pairs:
            fields = ("id", "question", "answer", "choices", "meta")
            yield {
                "task": self.task.name,
                "source": self.source,
                "unit": self.unit(sample),
                "sample": {name: getattr(sample, name) for name in fields},
                "response": response.text,
            }


def runs() -> Iterator[Run]:
    """Mini runs of every task, then the real ones."""
    for task in registry.tasks():
        samples = list(subset(open_dataset(task, "mini"), ITEMS, task.facets[0] if task.facets else None))
        for number in range(ROUNDS):
            responses = [Response(styled(sample, number)) for sample in samples]
            yield Run(task, f"mini, styles {number + 1}", samples, responses)
    yield from _real()


# ---------------------------------------------------------------- mini

_CHOICE = (
    "{L}", "({L})", "{L}.", "{L}. {T}", "The answer is {L}.", "The correct answer is ({L}).", "{T}", "Option {L}",
    "It must be {T}, not {U}.", "**{L}**", "Answer: {L}", "Answer: {L}. {T}", "{L} or {M}", "", "{l}", "{L}: {T}",
    "I'm sorry, I cannot see the image.", "A cat sits near B.", "None of the above", "答案是{L}", "{L}，{T}",
    "<answer>{L}</answer>", "Z", "E", "Between {L} and {M}, ({L}) is better.", "{L})", "{T}.", "so {L} {T} and {M} {U}",
    "Look at the picture.\n\n({M}) is wrong because it shows {U}.\nTherefore, the answer is {L}", "\n{L}\n",
    "$\\boxed{{{L}}}$", "I think that\nAnswer:\n{L}", "A", "The answer is {T}", "option {l} is right", "{L}/{M}",
)  # fmt: skip
_OPEN = (
    "{G}", "{G}.", "The answer is {G}.", "{G} %", "{G}%", "about {G}", "{N}", "{N}.5", "1{N},000", "[1, 2]", "", "nan",
    "inf", "I'm sorry, I cannot see the image.", "${N}", "1e3", "Answer: {G}", "{G} and {N}", "So x = {G}", "-{N}",
    "{G}\n\nbecause of {N}", "{N}.04", "the {G}", "YES", "A", "0{G}", "{G} {G}",
)  # fmt: skip


def styled(sample: Sample, number: int) -> str:
    """A response whose style and content depend on the item and `number` alone; about half say the gold answer."""
    draw = int.from_bytes(hashlib.sha256(f"{sample.id} {number}".encode()).digest()[:8], "big")
    styles = _CHOICE if sample.choices else _OPEN
    style, draw = styles[draw % len(styles)], draw // len(styles)
    if not sample.choices:
        return style.format(G=sample.answer, N=draw % 97)
    letters = list(sample.choices)
    gold = next((x for x, text in sample.choices.items() if sample.answer in (x, text)), letters[0])
    said = gold if draw % 2 else letters[draw // 2 % len(letters)]
    other = letters[(letters.index(said) + 1) % len(letters)]
    names = {"L": said, "l": said.lower(), "M": other, "T": sample.choices[said], "U": sample.choices[other]}
    return style.format(**names)


# ---------------------------------------------------------------- real

_BLINK = "conformance/blink/saved_outputs"
_VILA = "conformance/vlmevalkit_vila/vila_8b"
_MATHVISTA = "conformance/mathvista/results"
#: Format of `harness import`, path, task.
_STORED = (
    ("mmmu", "conformance/mmmu/example_outputs/qwen_vl", "mmmu"),
    ("mmmu-pro", "conformance/mmmu_pro/output/gpt-4o_standard(10 options)_cot.jsonl", "mmmu_pro_standard"),
    ("mmmu-pro", "conformance/mmmu_pro/output/gpt-4o_vision_direct.jsonl", "mmmu_pro_vision"),
    ("mathvista", f"{_MATHVISTA}/bard/output_bard.json", "mathvista"),
    ("mathvista", f"{_MATHVISTA}/gpt4/output_gpt4.json", "mathvista"),
    ("vlmevalkit", "conformance/vlmevalkit_misc/instructblip_7b_MMVet_gpt4.xlsx", "mmvet"),
    ("vlmevalkit", "conformance/mmstar/llava_next_yi_34b_MMStar.xlsx", "mmstar"),
    ("blink", f"{_BLINK}/GPT4o", "blink"),
    ("blink", f"{_BLINK}/llava-v1.6-34b", "blink"),
    ("vlmevalkit", f"{_VILA}_ChartQA_TEST.xlsx", "chartqa"),
    ("vlmevalkit", f"{_VILA}_MMStar.xlsx", "mmstar"),
    ("vlmevalkit", f"{_VILA}_RealWorldQA.xlsx", "realworldqa"),
    ("vlmevalkit", f"{_VILA}_SEEDBench_IMG.xlsx", "seedbench"),
    ("vlmevalkit", f"{_VILA}_CCBench.xlsx", "ccbench"),
)


def _real() -> Iterator[Run]:
    """The runs that lie in MASTERS_SHARED, or in the folder shared beside the project; none is needed."""
    folder = Path(os.environ.get("MASTERS_SHARED") or Path(__file__).resolve().parents[2] / "shared")
    for form, path, name in _STORED:
        if (folder / path).exists():
            task = registry.task(name)
            found = assemble(task, read(form, folder / path))
            pairs = [(s, r) for s, r in zip(found.samples, found.responses, strict=True) if r.finish != "error"]
            yield Run(task, Path(path).stem, [s for s, _ in pairs], [r for _, r in pairs])
