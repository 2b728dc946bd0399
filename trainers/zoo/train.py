"""Training one rung from scratch: next-token loss on the answers, Muon for matrices, AdamW for the rest."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from trainers.zoo.config import TrainSettings
from trainers.zoo.data import Example, Examples, pixel_values
from trainers.zoo.muon import Muon

#: Batches are cut from windows of this many batches, sorted by length: little padding, still shuffled.
_WINDOW = 32


class Place(NamedTuple):
    """A place in the stream: the chunk and the next batch of it."""

    chunk: int
    batch: int


@dataclass(frozen=True, slots=True)
class Batch:
    """ids (B, T) padded on the right, pixels (images, 3, side, side), `where` flat positions whose next token is
    `labels` (N), and the place in the stream after it.
    """

    ids: Tensor
    pixels: Tensor
    where: Tensor
    labels: Tensor
    after: Place


def batches(
    examples: Callable[[int], Examples], batch_tokens: int, pad: int, seed: int, place: Place | None = None
) -> Iterator[Batch]:
    """An endless, seeded stream of batches of about `batch_tokens` tokens, from `place` on.

    `examples(chunk)` are the examples of the stream's chunk; each is shuffled by a seed of its own.
    """
    first = place or Place(0, 0)
    for chunk in range(first.chunk, 2**31):
        drawn = examples(chunk)
        generator = torch.Generator().manual_seed(seed * 1009 + chunk)
        order = torch.randperm(len(drawn.items), generator=generator).tolist()
        groups = list(_cut([drawn.items[i] for i in order], batch_tokens, generator))
        for at in range(first.batch if chunk == first.chunk else 0, len(groups)):
            yield collate(groups[at], drawn.pixels, pad, Place(chunk, at + 1))


def _cut(items: Sequence[Example], batch_tokens: int, generator: torch.Generator) -> Iterator[list[Example]]:
    average = sum(item.tokens for item in items) / len(items)
    window = max(1, int(_WINDOW * batch_tokens / average))
    for at in range(0, len(items), window):
        groups: list[list[Example]] = [[]]
        for item in sorted(items[at : at + window], key=lambda item: item.tokens):
            if (len(groups[-1]) + 1) * item.tokens > batch_tokens and groups[-1]:
                groups.append([])
            groups[-1].append(item)
        yield from (groups[i] for i in torch.randperm(len(groups), generator=generator).tolist())


def collate(items: Sequence[Example], pixels: Tensor, pad: int, after: Place) -> Batch:
    """Pad on the right: a causal model never looks there, so that no mask is needed."""
    longest = max(item.tokens for item in items)
    ids = torch.full((len(items), longest), pad)
    where: list[int] = []
    labels: list[int] = []
    for row, item in enumerate(items):
        ids[row, : item.tokens] = torch.tensor([token for turn in item.turns for part in turn for token in part])
        at = row * longest - 1
        for given, learned in item.turns:
            at += len(given)
            where.extend(range(at, at + len(learned)))
            labels.extend(learned)
            at += len(learned)
    rows = [i for item in items for i in item.images]
    return Batch(ids, pixel_values(pixels, rows), torch.tensor(where), torch.tensor(labels), after)


def loss_of(model: Any, batch: Batch) -> Tensor:
    """Mean next-token loss over the answers; logits are computed only there."""
    pixels = batch.pixels if len(batch.pixels) else None
    hidden = model.model(input_ids=batch.ids, pixel_values=pixels, use_cache=False).last_hidden_state
    logits = model.lm_head(hidden.flatten(0, 1)[batch.where])
    return nn.functional.cross_entropy(logits.float(), batch.labels)


def optimizers(model: nn.Module, settings: TrainSettings) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks and the projector; AdamW for embeddings, patches, norms and biases."""
    matrices: list[Tensor] = []
    rest: list[Tensor] = []
    for name, p in model.named_parameters():
        (matrices if p.ndim == 2 and "embed" not in name and "lm_head" not in name else rest).append(p)
    return [
        Muon(matrices, lr=settings.muon_lr, weight_decay=settings.weight_decay),
        torch.optim.AdamW(rest, lr=settings.adamw_lr, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def rate(step: int, steps: int, settings: TrainSettings) -> float:
    """Share of the full learning rate at a step: linear up, flat, linear down to 0."""
    return min(1.0, (step + 1) / settings.warmup_steps, (steps - step) / (settings.decay * steps))


class Run:
    """One model's training, resumable from its last checkpoint; `curve` holds (step, seconds, loss) means."""

    def __init__(self, model: nn.Module, settings: TrainSettings, steps: int, folder: Path) -> None:
        self.model, self.settings, self.steps, self.folder = model, settings, steps, folder
        self.optimizers = optimizers(model, settings)
        self.full = [group["lr"] for o in self.optimizers for group in o.param_groups]
        self.step, self.seconds, self.place = 0, 0.0, Place(0, 0)
        self.curve: list[tuple[int, float, float]] = []

    @property
    def _state_file(self) -> Path:
        return self.folder / "state.pt"

    def resume(self) -> None:
        """Continue from the folder's checkpoint, if there is one."""
        if not self._state_file.exists():
            return
        state = torch.load(self._state_file, weights_only=True)
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.seconds = state["step"], state["seconds"]
        self.place = Place(*state["place"])
        self.curve = [tuple(point) for point in state["curve"]]

    def save(self) -> None:
        """Write a checkpoint; it replaces the last one only when it is whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {
            "model": self.model.state_dict(),
            "optimizers": [o.state_dict() for o in self.optimizers],
            "step": self.step,
            "place": list(self.place),
            "seconds": self.seconds,
            "curve": [list(point) for point in self.curve],
        }
        partial = self._state_file.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self._state_file)
        (self.folder / "curve.json").write_text(json.dumps(self.curve), encoding="utf-8")

    def train(self, stream: Iterator[Batch], advance: Any = None) -> None:
        """Train to the last step; `advance(step, loss)` is told of every logged step."""
        self.model.train()
        every, recent = self.settings.log_every, []
        saved = time.monotonic()
        while self.step < self.steps:
            begin = time.monotonic()
            recent.append(self._update(next(stream)))
            self.seconds += time.monotonic() - begin
            if self.step % every == 0 or self.step == self.steps:
                self.curve.append((self.step, round(self.seconds, 1), round(sum(recent) / len(recent), 4)))
                if advance is not None:
                    advance(self.step, self.curve[-1][2])
                recent = []
            if time.monotonic() - saved > 60 * self.settings.checkpoint_minutes:
                self.save()
                saved = time.monotonic()
        self.save()

    def _update(self, batch: Batch) -> float:
        share = rate(self.step, self.steps, self.settings)
        groups = [group for o in self.optimizers for group in o.param_groups]
        for group, full in zip(groups, self.full, strict=True):
            group["lr"] = full * share
        loss = loss_of(self.model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
        for optimizer in self.optimizers:
            optimizer.step()
        self.model.zero_grad(set_to_none=True)
        self.step, self.place = self.step + 1, batch.after
        return loss.item()
