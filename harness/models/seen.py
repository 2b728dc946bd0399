"""What a backend shows its model for a request, and how it decodes: what `harness parity` compares.

A backend that can tell has an attribute `watch`: None, or a function that it calls with (index of the request, Seen)
before the request's response is yielded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.api import Generation

if TYPE_CHECKING:
    import torch

#: Features that say how an image was cut: a row of numbers an image.
_GRIDS = ("image_grid_thw", "image_grid_hws", "image_sizes")


class Pixels(NamedTuple):
    """Number, mean and standard deviation of the pixel values, padding tiles left out. Without mean and deviation where
    the backend hands over bytes, which the model itself brings to scale (vLLM with Qwen's models).
    """

    number: int
    mean: float | None
    deviation: float | None

    def near(self, other: Pixels, share: float) -> bool:
        """Whether these can be the same pixels: as many, and mean and deviation within a share, where both state it."""
        if self.number != other.number:
            return False
        if None in (*self, *other):
            return True
        ours, theirs = ((p.mean or 0.0, p.deviation or 0.0) for p in (self, other))
        scale = share * max(abs(ours[0]), ours[1], 1e-6)
        return all(abs(x - y) <= scale for x, y in zip(ours, theirs, strict=True))


@dataclass(frozen=True, slots=True)
class Seen:
    """One prompt as the model saw it; what a backend cannot tell is empty or None.

    `ids` are the prompt's tokens with image placeholders expanded, `grid` the patches of each image where the processor
    states them. `settings` is how it is decoded, by name; `eos` among them are the tokens that end it.
    """

    ids: tuple[int, ...] = ()
    grid: tuple[tuple[int, ...], ...] | None = None
    pixels: Pixels | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Seen:
        """The inverse of `to_json`."""
        grid, pixels = body["grid"], body["pixels"]
        return cls(
            ids=tuple(body["ids"]),
            grid=None if grid is None else tuple(map(tuple, grid)),
            pixels=None if pixels is None else Pixels(*pixels),
            settings=body["settings"],
        )


@dataclass(frozen=True, slots=True)
class TokenScores:
    """Log-probabilities (temperature 1) of given tokens after a prompt: one a token, and the `top` best at each place
    as (token, log-probability), best first.
    """

    logprobs: tuple[float, ...]
    top: tuple[tuple[tuple[int, float], ...], ...] = ()


def pictures(
    items: Iterable[Mapping[str, torch.Tensor]],
) -> tuple[tuple[tuple[int, ...], ...] | None, Pixels | None]:
    """(grid, pixels) of processed images: tensors by name, of all images together or one mapping an image."""
    grid: list[tuple[int, ...]] = []
    count, total, squares, scaled = 0, 0.0, 0.0, True
    for features in items:
        for name, value in features.items():
            if name in _GRIDS:
                grid += [tuple(row) for row in value.reshape(-1, value.shape[-1]).tolist()]
            elif name.startswith("pixel_values"):
                scaled = scaled and value.is_floating_point()
                tiles = _tiles(value).double()
                count += tiles.numel()
                total += float(tiles.sum())
                squares += float(tiles.square().sum())
    if not count:
        return None, None
    if not scaled:
        return tuple(grid) or None, Pixels(count, None, None)
    mean = total / count
    return tuple(grid) or None, Pixels(count, mean, math.sqrt(max(0.0, squares / count - mean * mean)))


def _tiles(value: torch.Tensor) -> torch.Tensor:
    """Pixel values without the tiles that only pad a batch: tiles of zeros alone, in tensors of [..., C, H, W]."""
    if value.dim() < 4:
        return value
    tiles = value.flatten(0, -4)
    return tiles[tiles.flatten(1).any(-1)]


def decoding(generation: Generation, limit: int, **more: Any) -> dict[str, Any]:
    """The settings of a request as `Seen` names them; `limit` new tokens are left in the context."""
    return {
        "max_new_tokens": min(generation.max_new_tokens, limit),
        "temperature": generation.temperature,
        "top_p": generation.top_p,
        "top_k": generation.top_k,
        "repetition_penalty": generation.repetition_penalty,
        "stop": list(generation.stop),
        **more,
    }
