"""Masters with the divergence of a peer (Table 5f): masked teacher, responses and rewards as in Masters."""

from trainers.method import Method

FORWARD_KL = Method(
    "Masters on forward KL", "Masters with KL(teacher || student).", "mixed", {"divergence.kind": "forward_kl"}
)
REVERSE_KL = Method(
    "Masters on reverse KL", "Masters with KL(student || teacher).", "mixed", {"divergence.kind": "reverse_kl"}
)
SKEW_KL = Method("Masters on DistiLLM", "Masters with DistiLLM's skew KL.", "mixed", {"divergence.kind": "skew_kl"})
