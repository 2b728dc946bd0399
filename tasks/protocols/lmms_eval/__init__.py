"""The protocols of EvolvingLMMs-Lab/lmms-eval: version 0.7.2 (75571cfe) and the same after pull request #1471.

Requests follow its chat models (its default backends): images, then text; `until` is left out where the yaml does not
state one, as those models ignore the framework's default of an empty line. MMBench v1.1 is not in lmms-eval.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.api import Rules
from tasks.protocols.lmms_eval import choice, mmbench, mmmu, open_ended

_SHARED: Mapping[str, Rules] = {**choice.RULES, **mmbench.RULES, **mmmu.PRO_RULES, **open_ended.RULES}

V0_7_2: Mapping[str, Rules] = {**_SHARED, "mmmu": mmmu.AT_0_7_2}
#: #1471 (2026-08-24): MMMU's open questions are compared as the authors do, and no longer character by character.
POST_1471: Mapping[str, Rules] = {**_SHARED, "mmmu": mmmu.AFTER_1471}
