"""Every prompt, byte for byte: two mini items of each task under each protocol, and VLMEvalKit's documented frames.

After an intended change: `pytest tests/test_prompts.py --update-snapshots`, and read the difference.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from harness import registry
from harness.api import Image, Request
from harness.data import open_dataset

SNAPSHOTS = Path(__file__).parent / "snapshots" / "prompts"
PICTURE = (Image.from_bytes(b"picture"),)


def shown(request: Request) -> dict[str, Any]:
    """A request as text: parts in order, images by their place in the prompt."""
    parts = [part if isinstance(part, str) else "<image>" for part in request.parts]
    settings = {name: getattr(request.generation, name) for name in ("max_new_tokens", "temperature", "stop", "n")}
    return {"parts": parts, "system": request.system, "generation": {**settings, "stop": list(settings["stop"])}}


def snapshot(name: str) -> dict[str, Any]:
    """Protocol -> item -> request, of the first item and of one with other options, hint or type if there is one."""
    task = registry.task(name)
    samples = list(open_dataset(task, "mini", limit=40))
    first = samples[0]
    other = next((s for s in samples if bool(s.choices) != bool(first.choices) or "hint" in s.meta), samples[1])
    covering = [protocol for protocol in registry.protocols() if registry.covers(protocol, task)]
    return {
        protocol: {s.id: shown(registry.rules(task, protocol).request(s)) for s in (first, other)}
        for protocol in covering
    }


@pytest.mark.parametrize("name", registry.names("tasks"))
def test_prompts_are_those_of_the_snapshot(name: str, request: pytest.FixtureRequest) -> None:
    path = SNAPSHOTS / f"{name}.json"
    found = snapshot(name)
    if request.config.getoption("--update-snapshots"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    assert found == json.loads(path.read_text(encoding="utf-8"))


def test_protocols_cover_what_their_frameworks_have() -> None:
    every = set(registry.names("tasks"))
    lacking = {
        "lmms-eval@0.7.2": {"mmbench_en_v11", "mmbench_cn_v11"},
        "lmms-eval@post-1471": {"mmbench_en_v11", "mmbench_cn_v11"},
        "vlmevalkit@2026-08": set(),
        "vlmevalkit@2024-07": {"mmmu_pro_standard", "mmmu_pro_vision"},
    }
    for protocol, tasks in lacking.items():
        rules = registry.load("protocols", protocol)
        assert set(rules) == every - tasks
        assert all(rule.source for rule in rules.values())


# ---------------------------------------------------------------- VLMEvalKit's documented frames

ROW = {
    "index": "7", "id": "validation_Art_7", "split": "validation", "question": "Which <image 1>?", "A": "red",
    "B": "None", "C": "blue", "answer": "C", "hint": "Look.", "category": "Art", "l2-category": "x",
    "l2_category": "x", "image": PICTURE,
}  # fmt: skip
#: Written from the documentation of ImageMCQDataset.build_prompt; pandas reads the option "None" as no option.
STANDARD = "Which {}?\nOptions:\nA. red\nC. blue\nPlease select the correct answer from the options above. \n"


@pytest.mark.parametrize("protocol", ["vlmevalkit@2026-08", "vlmevalkit@2024-07"])
def test_vlmevalkits_frames(protocol: str) -> None:
    def parts(name: str, **change: Any) -> tuple[Any, ...]:
        task = registry.task(name)
        sample = task.from_tsv({**ROW, **change})
        assert sample is not None
        return registry.rules(task, protocol).request(sample).parts

    hinted = "Hint: Look.\nQuestion: " + STANDARD
    for name in ("mmbench_en", "mmbench_cn_v11", "ccbench", "seedbench"):
        assert parts(name) == (*PICTURE, hinted.format("<image 1>")), name
    assert parts("ai2d", hint="None") == (*PICTURE, "Question: " + STANDARD.format("<image 1>"))
    before, _, behind = hinted.format("|").partition("|")
    assert parts("mmmu", hint="") == ("Question: Which ", *PICTURE, behind)
    assert before.endswith("Which ")
    open_row = {"A": "", "B": "", "C": "", "answer": "12", "hint": ""}
    assert parts("mmmu", **open_row) == ("Question: Which ", *PICTURE, "?\n")
    chart = {"question": "How many?", "answer": "3", "split": "test_human"}
    assert parts("chartqa", **chart) == (*PICTURE, "How many?\nAnswer the question using a single word or phrase.")
    assert parts("mmvet", question="Why?", category="ocr,math") == (*PICTURE, "Why?")


def test_mmmu_pro_frames_of_vlmevalkit() -> None:
    options = {"A": "red", "B": "nan", "C": "blue"}
    for name, expected in {
        "mmmu_pro_standard": ("Question: Which ", *PICTURE, "?\nOptions:\nA. red\nC. blue\n"
                              "Answer directly with the option letter from the given choices. "),
        "mmmu_pro_vision": (*PICTURE, "Answer the following multiple-choice question in the image. "
                            "Answer directly with the option letter from the given choices. "),
    }.items():  # fmt: skip
        task = registry.task(name)
        sample = task.from_tsv({**ROW, **options})
        assert sample is not None
        assert registry.rules(task, "vlmevalkit@2026-08").request(sample).parts == expected
