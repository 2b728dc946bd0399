"""Does the model look? The same suite with the images blanked, swapped or blurred, and the gain that seeing brings.

An ablation wraps a model, so that it works with every backend, protocol and task. Its answers are cells of their own
("NAME [blank]"), with a fingerprint of their own: they are never mixed up with answers to the real images.
"""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from harness import registry
from harness.api import HarnessError, Image, Model, Request, Response
from harness.stats.paired import Difference, compare, pair
from harness.store import Result, Store

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from harness.evaluation import Evaluator

KINDS = ("blank", "shuffle", "blur")
_GREY = (128, 128, 128)
_BLUR = 1 / 12  # standard deviation as a share of the longer side: no digit, letter or small shape survives


class Ablated:
    """A model that sees changed images; `name` and fingerprint say how."""

    def __init__(self, model: Model, kind: str, change: Callable[[Image], Image], state: str = "") -> None:
        """`state` is hashed into the fingerprint: what else than the image and `kind` decides the change."""
        self.name = label(model.name, kind)
        self._model, self._change, self._told = model, change, f"{kind} {state}"

    @property
    def usage(self) -> Any:
        """What the model has spent, where it counts that."""
        return self._model.usage  # type: ignore[attr-defined]

    def fingerprint(self) -> str:
        """That of the model, with the change."""
        return hashlib.sha256(f"{self._model.fingerprint()} ablate {self._told}".encode()).hexdigest()

    def generate(self, requests: Iterable[Request]) -> Iterator[tuple[int, Response]]:
        """The model's answers to the requests with changed images."""
        return self._model.generate(map(self._changed, requests))

    def _changed(self, request: Request) -> Request:
        parts = tuple(self._change(part) if isinstance(part, Image) else part for part in request.parts)
        return replace(request, parts=parts)


def label(model: str, kind: str) -> str:
    """The name of an ablated model in tables."""
    return f"{model} [{kind}]"


def is_ablated(name: str) -> bool:
    """Whether a model of this name saw changed images."""
    return any(name.endswith(label("", kind)) for kind in KINDS)


def ablated(model: Model, kind: str, evaluator: Evaluator, tasks: Sequence[str]) -> Ablated:
    """The model under an ablation (one of KINDS); `shuffle` swaps images within each of the tasks.

    Raises HarnessError for `shuffle` on a task that has one image only.
    """
    if kind == "blank":
        return Ablated(model, kind, _blank)
    if kind == "blur":
        return Ablated(model, kind, _blur)
    swaps = _swaps(evaluator, tasks)
    told = hashlib.sha256("".join(f"{old}{new.sha256}" for old, new in sorted(swaps.items())).encode()).hexdigest()
    return Ablated(model, kind, partial(_swap, swaps), told)


def _swaps(evaluator: Evaluator, tasks: Sequence[str]) -> Mapping[str, Image]:
    """Hash of an image -> another image of the same task: one cycle through all of them, so none stays in place.

    An image that several tasks share is swapped as in the first of them.
    """
    swaps: dict[str, Image] = {}
    for name in tasks:
        _, samples = evaluator.open(registry.task(name))
        images = {image.sha256: image for sample in samples for image in sample.images}
        order = sorted(images)
        if len(order) == 1:
            raise HarnessError(f"{name} has one image only, so there is none to swap it with", "use --ablate blank")
        random.Random(0).shuffle(order)  # noqa: S311  a fixed order that has nothing to do with the data set's
        for old, new in zip(order, order[1:] + order[:1], strict=True):
            swaps.setdefault(old, images[new])
    return swaps


def _swap(swaps: Mapping[str, Image], image: Image) -> Image:
    return swaps[image.sha256]


def _blank(image: Image) -> Image:
    return _grey(_picture(image).size)


@lru_cache(maxsize=256)
def _grey(size: tuple[int, int]) -> Image:
    from PIL import Image as Pillow

    return _encoded(Pillow.new("RGB", size, _GREY))


def _blur(image: Image) -> Image:
    from PIL import ImageFilter

    picture = _picture(image).convert("RGB")
    return _encoded(picture.filter(ImageFilter.GaussianBlur(_BLUR * max(picture.size))))


def _picture(image: Image) -> Picture:
    from PIL import Image as Pillow

    return Pillow.open(io.BytesIO(image.read()))


def _encoded(picture: Picture) -> Image:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return Image.from_bytes(buffer.getvalue())


# ---------------------------------------------------------------- what seeing brings


@dataclass(frozen=True)
class Gain:
    """One task: `score` with the images, `blind` without, in percent, and their paired difference."""

    model: str
    task: str
    kind: str
    score: float
    blind: float
    difference: Difference
    protocol: str


def gains(store: Store, results: Sequence[Result]) -> list[Gain]:
    """The visual gain of every result that has an ablated partner among the results, task by task."""
    cells = {result.cell: result for result in results}
    found = []
    for result in results:
        for kind in KINDS:
            blind = cells.get(result.cell._replace(model=label(result.cell.model, kind)))
            if blind is not None:
                difference = compare(pair(store.units(result.cell), store.units(blind.cell)))
                scores = result.metrics.score, blind.metrics.score
                found.append(Gain(result.cell.model, result.cell.task, kind, *scores, difference, result.cell.protocol))
    return found
