"""Masters on top of a peer (Table 5f): its divergence is KL(teacher || student)."""

from trainers.method import Method

METHOD = Method("Masters on forward KL", "mixed", {"divergence.kind": "forward_kl"})
