"""MMBench (English and Chinese, v1.0 and v1.1) and CCBench: circular multiple choice over 20 abilities.

The authors' evaluator is VLMEvalKit (open-compass/MMBench README), so `official` is its prompt, its reading and its
circular evaluation: every question is asked once per shift of its options and counts only if every pass is right.
"""

from __future__ import annotations

from harness.api import OFFICIAL, HubSet, Row, Rules, Sample, Task, TsvFile
from harness.data.schema import cell, text
from harness.scoring.aggregate import micro
from harness.scoring.can_infer import can_infer_2026, judged_option
from harness.scoring.circular import circular_group, group_index
from harness.scoring.prompts import images_then, vlmevalkit_mcq
from tasks._rows import tsv_sample

L2 = "l2-category"
FACETS = (L2, "category")


def from_tsv(row: Row) -> Sample:
    """Index (+ k * 1e6 for the k-th shift), hint, question, A.., answer, category, l2-category, image, split."""
    return tsv_sample(row, *FACETS, cluster=group_index(text(row, "index")))


def from_hub(row: Row) -> Sample:
    """The same columns, with the facet called L2-category."""
    return from_tsv({**row, L2: cell(row, "L2-category")})


def ccbench_row(row: Row) -> Sample:
    """CCBench has the columns of MMBench without l2-category, in the TSV and on the hub."""
    return tsv_sample(row, "category", cluster=group_index(text(row, "index")))


def _rules(*facets: str) -> dict[str, Rules]:
    return {
        OFFICIAL: Rules(
            request=images_then(vlmevalkit_mcq),
            score=judged_option(can_infer_2026),
            aggregate=micro(*facets, group=circular_group),
            source="open-compass/VLMEvalKit mcq_circular_eval and report_acc at e8e78f05",
        )
    }


def _mmbench(name: str, title: str, tsv: TsvFile, hub: HubSet) -> Task:
    return Task(
        name=name,
        title=title,
        tsv=tsv,
        hub=hub,
        from_tsv=from_tsv,
        from_hub=from_hub,
        rules=_rules(*FACETS),
        mini=f"tasks.mini.{name}:rows",
        licence="Apache-2.0",
        description="circular multiple choice, 6 abilities, 20 sub-abilities",
        facets=FACETS,
    )


def _hub(config: str, split: str, rows: int) -> HubSet:
    return HubSet(
        "lmms-lab-encoder/MMBench",
        revision="56ba1af8954932c4804bd3f522e05ed96e63b654",
        configs=(config,),
        split=split,
        rows=rows,
    )


#: v1.1 is published as TSV only: a hub set without a repository.
_TSV_ONLY = HubSet("", configs=(), split="dev")

EN = _mmbench(
    "mmbench_en",
    "MMBench EN (dev, v1.0)",
    TsvFile("MMBench_DEV_EN", md5="b6caf1133a01c6bb705cf753bb527ed8", rows=4329),
    _hub("en", "dev", 4329),
)
CN = _mmbench(
    "mmbench_cn",
    "MMBench CN (dev, v1.0)",
    TsvFile("MMBench_DEV_CN", md5="08b8fc3324a5ed74155350f57be69fbd", rows=4329),
    _hub("cn", "dev", 4329),
)
EN_V11 = _mmbench(
    "mmbench_en_v11",
    "MMBench EN (dev, v1.1)",
    TsvFile("MMBench_DEV_EN_V11", md5="30c05be8f2f347a50be25aa067248184"),
    _TSV_ONLY,
)
CN_V11 = _mmbench(
    "mmbench_cn_v11",
    "MMBench CN (dev, v1.1)",
    TsvFile("MMBench_DEV_CN_V11", md5="593f9b5f6bea453d870a798b34ae4f37"),
    _TSV_ONLY,
)
CCBENCH = Task(
    name="ccbench",
    title="CCBench",
    tsv=TsvFile("CCBench", md5="f5dde47f24dc5a6fb6e595b409b466ac", rows=2040),
    hub=_hub("cc", "test", 2040),
    from_tsv=ccbench_row,
    from_hub=ccbench_row,
    rules=_rules("category"),
    mini="tasks.mini.ccbench:rows",
    licence="Apache-2.0",
    description="circular multiple choice about Chinese culture, 7 categories, in Chinese",
    facets=("category",),
)
