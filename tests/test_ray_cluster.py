"""Backend ray joined to a cluster by its address: two nodes on this machine, one of which goes while it works."""

from pathlib import Path

import pytest
from test_ray import MODEL, table

from harness.evaluation import evaluate
from harness.models.hf import open_model as open_hf
from harness.progress import Silent

ray = pytest.importorskip("ray", reason="needs the package ray (pip install 'masters-harness[ray]')")
pytestmark = pytest.mark.slow

from ray.cluster_utils import Cluster  # noqa: E402

from harness.models.ray import open_model  # noqa: E402


class Breaker(Silent):
    """Takes a node away, without warning, when so many responses have come."""

    def __init__(self, cluster: Cluster, after: int) -> None:
        self.cluster, self.after, self.count, self.gone = cluster, after, 0, False

    def advanced(self, model: str, task: str, count: int) -> None:
        self.count += count
        if not self.gone and self.count >= self.after:
            self.gone = True
            self.cluster.remove_node(next(iter(self.cluster.worker_nodes)), allow_graceful=False)


def test_the_other_node_does_what_a_lost_one_left(tmp_path: Path) -> None:
    ray.shutdown()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        model = open_model(MODEL, address=cluster.address, workers=2, window=8)
        assert model.wait() == 2
        breaker = Breaker(cluster, 40)
        run = evaluate(model, ["mmstar", "chartqa"], limit=60, out=tmp_path / "ray", progress=breaker)
        assert breaker.gone
        model.close()
    finally:
        ray.shutdown()
        cluster.shutdown()
    alone = evaluate(open_hf(MODEL), ["mmstar", "chartqa"], limit=60, out=tmp_path / "hf")
    assert table(run) == table(alone)
    assert sum(result.inferred for result in run.results) == 120
