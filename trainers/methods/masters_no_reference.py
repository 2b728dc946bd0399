"""Control: Masters without the KL to the reference policy."""

from trainers.method import Method

METHOD = Method("Masters, no reference KL", "mixed", {"policy.kl": 0.0})
