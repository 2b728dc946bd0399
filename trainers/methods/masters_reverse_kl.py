"""Masters on top of a peer (Table 5f): its divergence is KL(student || teacher)."""

from trainers.method import Method

METHOD = Method("Masters on reverse KL", "mixed", {"divergence.kind": "reverse_kl"})
