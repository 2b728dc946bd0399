"""The protocols of open-compass/VLMEvalKit: August 2026 (e8e78f05) and July 2024 (c03bc048).

Both ask with the data set's own prompt (no model-specific one) and decode greedily: VLMEvalKit's settings belong to
the model, 2048 tokens being the most common. Without a judge they score as its `exact_matching`. A random option after
three unreadable replies of the judge, which upstream draws without a seed, is `judge_failed` here. MMMU-Pro came after
July 2024.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.api import Rules
from harness.scoring.can_infer import can_infer_2024, can_infer_2026
from tasks.protocols.vlmevalkit import choice, mmmu, open_ended

AUGUST_2026: Mapping[str, Rules] = {
    **choice.rules(can_infer_2026, "e8e78f05"),
    **mmmu.rules(can_infer_2026, "e8e78f05"),
    **mmmu.pro_rules(can_infer_2026, "e8e78f05"),
    **open_ended.rules(can_infer_2026, "e8e78f05", grade_tokens=2048, swapped=False),
}
JULY_2024: Mapping[str, Rules] = {
    **choice.rules(can_infer_2024, "c03bc048"),
    **mmmu.rules(can_infer_2024, "c03bc048"),
    **open_ended.rules(can_infer_2024, "c03bc048", grade_tokens=3, swapped=True),
}
