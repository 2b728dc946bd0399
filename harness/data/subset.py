"""`--limit`: the same few items every time, spread over a task's categories."""

from __future__ import annotations

from collections.abc import Sequence

from harness.api import Sample


def subset(samples: Sequence[Sample], limit: int | None, facet: str | None) -> Sequence[Sample]:
    """About `limit` samples, evenly spaced over clusters sorted by `facet`; all samples if `limit` is None.

    Whole clusters are taken (items of one image, passes of one circular group), so the result may be a few items
    longer than asked. The order stays the data set's.
    """
    if limit is None or limit >= len(samples):
        return samples
    clusters: dict[str, list[int]] = {}
    for position, sample in enumerate(samples):
        clusters.setdefault(sample.cluster or sample.id, []).append(position)
    groups = list(clusters.values())
    if facet is not None:
        groups.sort(key=lambda group: str(samples[group[0]].meta.get(facet, "")))
    taken: list[int] = []
    for step in _spread(len(groups)):
        taken.extend(groups[step])
        if len(taken) >= limit:
            break
    return [samples[position] for position in sorted(taken)]


def _spread(count: int) -> list[int]:
    """0..count-1 in an order whose every start is spread evenly: the golden-ratio sequence."""
    return sorted(range(count), key=lambda i: (i * 0.6180339887498949) % 1.0)
