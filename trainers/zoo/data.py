"""Training examples of the ladder: mini rows, asked with the official prompts, as token ids and small pictures."""

from __future__ import annotations

import importlib
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from harness import registry
from harness.api import OFFICIAL, HarnessError, Image, Request, Sample, Task
from trainers.zoo.drills import Drill
from trainers.zoo.tokenizer import END, IMAGE, IMAGE_END, IMAGE_START

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Question:
    """A mini row: the sample, the official request and what an ideal model says."""

    task: str
    sample: Sample
    request: Request
    target: str


class Turn(NamedTuple):
    """Tokens that are given, then tokens that are learned."""

    given: tuple[int, ...]
    learned: tuple[int, ...]


class Example(NamedTuple):
    """One sequence: its turns, and the rows of the picture tensor that it shows."""

    turns: tuple[Turn, ...]
    images: tuple[int, ...]

    @property
    def tokens(self) -> int:
        """Length of the whole sequence."""
        return sum(len(given) + len(learned) for given, learned in self.turns)


@dataclass(slots=True)
class Examples:
    """Encoded examples and their pictures: uint8 (N, 3, side, side), each content stored once."""

    items: list[Example]
    pixels: Tensor

    def save(self, file: Path) -> None:
        """Write them, deflated: the pictures are flat colours and take a thirtieth of their size."""
        import numpy as np

        items = json.dumps([(item.turns, item.images) for item in self.items]).encode()
        np.savez_compressed(file, items=np.frombuffer(items, np.uint8), pixels=self.pixels.numpy())

    @classmethod
    def load(cls, file: Path) -> Examples:
        """Read what `save` wrote."""
        import numpy as np
        import torch

        with np.load(file, allow_pickle=False) as stored:
            items, pixels = json.loads(stored["items"].tobytes()), torch.from_numpy(stored["pixels"])
        turned = (
            (tuple(Turn(tuple(given), tuple(learned)) for given, learned in turns), images) for turns, images in items
        )
        return cls([Example(turns, tuple(images)) for turns, images in turned], pixels)


def _images(value: Any) -> tuple[Image, ...]:
    pictures = value if isinstance(value, list | tuple) else [value]
    return tuple(Image.from_bytes(picture) for picture in pictures)


def mini_tasks() -> list[Task]:
    """The installed tasks that have a mini edition."""
    return [task for task in registry.tasks() if task.mini]


def questions(task: Task, split: str, size: int, seed: int) -> Iterator[Question]:
    """The first `size` rows of a task's mini split; `size` counts rows, also where the generator counts groups."""
    module, _, function = task.mini.partition(":")
    rows = getattr(importlib.import_module(module), function)
    for row in itertools.islice(rows(split, size, seed), size):
        decoded = {k: _images(v) if k == "image" else v for k, v in row.items() if v is not None}
        sample = task.from_tsv(decoded)
        if sample is None:
            continue
        if "target" not in row:
            raise HarnessError(f"{task.mini}, split {split}, row {row['index']}: no target", "mini rows need one")
        yield Question(task.name, sample, task.rules[OFFICIAL].request(sample), str(row["target"]))


def chat(processor: Any, request: Request) -> str:
    """The prompt in the processor's chat format, one image mark for each image."""
    content = [{"type": "text", "text": p} if isinstance(p, str) else {"type": "image"} for p in request.parts]
    messages = [{"role": "user", "content": content}]
    if request.system:
        messages.insert(0, {"role": "system", "content": [{"type": "text", "text": request.system}]})
    text: str = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return text


def encode(asked: Iterable[Question | Drill], processor: Any, max_tokens: int) -> Examples:
    """Questions and drills to token ids, pictures to one tensor; sequences over `max_tokens` are left out.

    Equal to calling the processor on each question, but a hundred times faster (tests compare the two).
    """
    marks = IMAGE_START + IMAGE * processor.image_seq_length + IMAGE_END
    kept = [_drill(item, processor) if isinstance(item, Question) else item for item in asked]
    texts = [text.replace(IMAGE, marks) for drill in kept for turn in drill.turns for text in turn]
    ids = iter(processor.tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else ())
    store = _Pictures(processor.image_processor)
    items = []
    for drill in kept:
        turns = tuple(Turn(tuple(next(ids)), tuple(next(ids))) for _ in drill.turns)
        if sum(len(given) + len(learned) for given, learned in turns) <= max_tokens:
            items.append(Example(turns, tuple(store.row(image) for image in drill.images)))
    return Examples(items, store.tensor())


def _drill(question: Question, processor: Any) -> Drill:
    return Drill(question.request.images, ((chat(processor, question.request), question.target + END),))


class _Pictures:
    """Resizes pictures as the image processor does and keeps each content once, as uint8."""

    def __init__(self, image_processor: Any) -> None:
        self._processor = image_processor
        self._rows: dict[str, int] = {}
        self._pixels: list[Tensor] = []

    def row(self, image: Image) -> int:
        if image.sha256 not in self._rows:
            self._rows[image.sha256] = len(self._pixels)
            self._pixels.append(self._decode(image.read()))
        return self._rows[image.sha256]

    def _decode(self, data: bytes) -> Tensor:
        import io

        import numpy as np
        import torch
        from PIL import Image as Pillow

        picture = Pillow.open(io.BytesIO(data)).convert("RGB")
        side = self._processor.size["height"]
        if picture.size == (side, side):
            return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()
        resized: Tensor = self._processor(picture, return_tensors="pt", do_rescale=False, do_normalize=False)[
            "pixel_values"
        ][0]
        return resized.to(torch.uint8)

    def tensor(self) -> Tensor:
        import torch

        return torch.stack(self._pixels) if self._pixels else torch.empty(0, 3, 0, 0, dtype=torch.uint8)


def pixel_values(pixels: Tensor, rows: Sequence[int]) -> Tensor:
    """Pictures as the model sees them: float32 in [-1, 1], (images, 3, side, side)."""
    import torch

    return pixels[torch.tensor(rows, dtype=torch.long)].float().div_(127.5).sub_(1.0)


def load_questions(split: str, size: int, seed: int, tasks: Sequence[Task] | None = None) -> list[Question]:
    """`size` rows of every mini task (drawing takes about a millisecond a row)."""
    chosen = mini_tasks() if tasks is None else list(tasks)
    return [q for task in chosen for q in questions(task, split, size, seed)]
