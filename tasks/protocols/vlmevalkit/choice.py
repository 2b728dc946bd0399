"""VLMEvalKit's multiple-choice benchmarks: one prompt, one reading (can_infer, then its judge), micro averages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from harness.api import Generation, Response, Rules, Sample, Scoring, Verdict
from harness.scoring.aggregate import Aggregate, micro
from harness.scoring.can_infer import Infer, judged_option
from harness.scoring.circular import circular_group
from harness.scoring.match_prompts import vlmevalkit_blink_prompt
from harness.scoring.prompts import images_then, vlmevalkit_mcq
from harness.scoring.verdicts import unread
from harness.scoring.vlmevalkit_tables import NO_VALUE, Rule, kept_sample, through_tables
from tasks import ai2d, blink, mmbench, mmstar, realworldqa, seedbench, seedbench2_plus

GREEDY = Generation(max_new_tokens=2048)

_MICRO: Mapping[str, Aggregate] = {
    "ai2d": micro(*ai2d.FACETS),
    "ai2d_no_mask": micro(*ai2d.FACETS),
    "mmstar": micro(*mmstar.FACETS),
    "blink": micro(*blink.FACETS),
    "seedbench": micro(*seedbench.FACETS),
    "seedbench2_plus": micro(*seedbench2_plus.FACETS),
    "realworldqa": micro(*realworldqa.FACETS),
    **dict.fromkeys(
        ("mmbench_en", "mmbench_cn", "mmbench_en_v11", "mmbench_cn_v11"), micro(*mmbench.FACETS, group=circular_group)
    ),
    "ccbench": micro("category", group=circular_group),
}


def prompt(sample: Sample) -> str:
    """The standard text (ImageMCQDataset.build_prompt) with the options and the hint that the table keeps."""
    kept = kept_sample(sample)
    if kept.meta.get("hint") in NO_VALUE:
        kept = replace(kept, meta={name: value for name, value in kept.meta.items() if name != "hint"})
    return vlmevalkit_mcq(kept)


# ---------------------------------------------------------------- RealWorldQA: all 765 rows have options


def realworldqa_prompt(sample: Sample) -> str:
    """The hub states options and an instruction in the question; VLMEvalKit's table has the bare question."""
    if realworldqa.stated_options(sample.question):
        sample = replace(sample, question=sample.question.partition("\nA. ")[0])
    return prompt(sample)


def _needs_options(rule: Rule) -> Rule:
    """The hub's open questions have no options: VLMEvalKit asks them otherwise, and nothing can be read here."""

    def score(sample: Sample, response: Response) -> Verdict | Scoring:
        return rule(sample, response) if sample.choices else unread(response, "no options: not an item of VLMEvalKit")

    return score


def rules(infer: Infer, commit: str) -> dict[str, Rules]:
    """The rules of one version by task."""
    score = through_tables(judged_option(infer))
    scores: dict[str, Rule] = {
        "blink": through_tables(judged_option(infer, vlmevalkit_blink_prompt)),
        "realworldqa": _needs_options(score),
    }
    return {
        name: Rules(
            request=images_then(realworldqa_prompt if name == "realworldqa" else prompt, GREEDY),
            score=scores.get(name, score),
            aggregate=aggregate,
            source=f"VLMEvalKit {commit} vlmeval/dataset: ImageMCQDataset, can_infer, report_acc",
        )
        for name, aggregate in _MICRO.items()
    }
