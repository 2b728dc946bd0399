"""The table in docs/protocols.md: python docs/make_protocol_table.py CONFORMANCE_FOLDER

Imports real outputs that other frameworks stored, scores each under every protocol, and replaces the table between the
two marks. Where the outputs hold what upstream's judge answered, that is the judge (`recorded`), else rules decide.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from harness import registry
from harness.data.imports import read
from harness.data.imports.samples import assemble
from harness.importing import import_responses
from harness.rescore import rescore
from harness.store import Result, Store

PAGE = Path(__file__).with_name("protocols.md")
BEGIN, END = "<!-- table of make_protocol_table.py -->\n", "<!-- end of the table -->\n"


class Output(NamedTuple):
    """A stored output: format and path of `harness import`, task, model, judge."""

    format: str
    path: str
    task: str
    model: str
    judge: str = "rule"


OUTPUTS = (
    Output("vlmevalkit", "vlmevalkit_vila/vila_8b_ChartQA_TEST.xlsx", "chartqa", "VILA-8B"),
    Output("mathvista", "mathvista/results/bard/output_bard.json", "mathvista", "Bard", "recorded"),
    Output("mathvista", "mathvista/results/gpt4/output_gpt4.json", "mathvista", "GPT-4 (text only)", "recorded"),
    Output("mathvista", "mathvista/results/llava/output_llava_llama_2_13b.json", "mathvista", "LLaVA-13B", "recorded"),
    Output("vlmevalkit", "vlmevalkit_vila/vila_8b_CCBench.xlsx", "ccbench", "VILA-8B"),
    Output("mmmu", "mmmu/example_outputs/qwen_vl", "mmmu", "Qwen-VL"),
    Output("mmmu-pro", "mmmu_pro/output/gpt-4o_standard(10 options)_cot.jsonl", "mmmu_pro_standard", "GPT-4o, thought"),
    Output("mmmu-pro", "mmmu_pro/output/gpt-4o_vision_direct.jsonl", "mmmu_pro_vision", "GPT-4o, direct"),
    Output("vlmevalkit", "mmstar/llava_next_yi_34b_MMStar.xlsx", "mmstar", "LLaVA-NeXT-34B"),
    Output("vlmevalkit", "vlmevalkit_vila/vila_8b_MMStar.xlsx", "mmstar", "VILA-8B"),
    Output("blink", "blink/saved_outputs/GPT4o", "blink", "GPT-4o", "recorded"),
    Output("blink", "blink/saved_outputs/llava-v1.6-34b", "blink", "LLaVA-1.6-34B", "recorded"),
    Output("vlmevalkit", "vlmevalkit_vila/vila_8b_SEEDBench_IMG.xlsx", "seedbench", "VILA-8B"),
    Output("vlmevalkit", "vlmevalkit_vila/vila_8b_RealWorldQA.xlsx", "realworldqa", "VILA-8B"),
)


def scores(output: Output, root: Path) -> Mapping[str, Result]:
    """Protocol -> result of one stored output."""
    task = registry.task(output.task)
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "run") as store:
        import_responses(store, task, output.model, assemble(task, read(output.format, root / output.path)))
        results = rescore(store, registry.protocols(), judge=output.judge, skip_missing=True)
        return {result.cell.protocol: result for result in results}


def cell(result: Result | None) -> str:
    """The score, and in brackets the score without random picks."""
    if result is None:
        return "–"
    picks = f" ({result.score_without_random:.2f})" if result.random else ""
    return f"{result.metrics.score:.2f}{picks}"


def line(output: Output, root: Path) -> str:
    """A row of the table."""
    found = scores(output, root)
    values = [result.metrics.score for result in found.values()]
    cells = [cell(found.get(protocol)) for protocol in registry.protocols()]
    n = next(iter(found.values())).metrics.n
    judge = ", judge recorded" if output.judge != "rule" else ""
    row = [f"{output.task}: {output.model}{judge}", str(n), *cells, f"{max(values) - min(values):.2f}"]
    print(" | ".join(row), flush=True)
    return f"| {' | '.join(row)} |\n"


def main() -> None:
    """Replace the table in the page."""
    root = Path(sys.argv[1])
    head = ["benchmark: model", "n", *registry.protocols(), "spread"]
    rule = " | ".join([":--"] + ["--:"] * (len(head) - 1))
    table = f"| {' | '.join(head)} |\n| {rule} |\n" + "".join(line(output, root) for output in OUTPUTS)
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
