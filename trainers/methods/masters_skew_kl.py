"""Masters on top of a peer (Table 5f): its divergence is DistiLLM's skew KL."""

from trainers.method import Method

METHOD = Method("Masters on DistiLLM", "mixed", {"divergence.kind": "skew_kl"})
