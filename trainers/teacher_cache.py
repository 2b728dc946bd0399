"""The masked teacher's distributions on stored responses, kept on disk: training then needs no teacher in memory.

A distribution is kept whole (a small vocabulary) or as its `top_k` log-probabilities; the mass of the others is spread
evenly over them when it is read. Known by content: teacher, mask, question and response tokens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.api import HarnessError
from trainers.divergence import Divergence, chunk_tokens, token_signals
from trainers.groups import Group
from trainers.packing import Batch, response_states, teacher_logits

WHOLE = 4096  # vocabularies up to this size are kept whole


@dataclass(frozen=True, slots=True)
class CacheError:
    """What the cache costs in exactness and room: mean and largest difference of D per token, mean D, bytes a token."""

    mean: float
    largest: float
    divergence: float
    bytes_per_token: float


def response_key(question: str, token_ids: Sequence[int]) -> str:
    """A response's name in the cache."""
    return hashlib.sha256(f"{question} {list(token_ids)}".encode()).hexdigest()[:32]


def response_keys(groups: Sequence[Group]) -> list[str]:
    """The names of all responses of some groups, in order."""
    return [response_key(group.question.key, response.token_ids) for group in groups for response in group.responses]


class TeacherCache:
    """Distributions of one teacher at one mask ratio. `top_k` None keeps the whole vocabulary."""

    def __init__(
        self, folder: Path, teacher: str, vocabulary: int, top_k: int | None = None,
        dtype: torch.dtype = torch.float16, writer: int = 0,
    ) -> None:  # fmt: skip
        self.vocabulary = vocabulary
        self.top_k = top_k if top_k is not None and top_k < vocabulary else None
        self._dtype = dtype
        self._writer = writer
        kind = f"{teacher} {vocabulary} {self.top_k} {dtype}"
        self._folder = folder / hashlib.sha256(kind.encode()).hexdigest()[:20]
        self._folder.mkdir(parents=True, exist_ok=True)
        self._where: dict[str, Path] = {}
        self._added: dict[str, Path] = {}
        self._open: tuple[Path, Any] | None = None
        own = sorted(self._folder.glob(f"part-{writer:03d}-*.safetensors"))
        self._next = int(own[-1].stem.rpartition("-")[2]) + 1 if own else 0
        self.refresh()

    def refresh(self) -> None:
        """See what is on disk: what other processes have added, too."""
        self._added.clear()
        known = set(self._where.values())
        for path in sorted(self._folder.glob("*.safetensors")):
            if path not in known:
                with _opened(path) as file:
                    self._where.update({key.rpartition(".")[0]: path for key in file.keys()})  # noqa: SIM118

    def missing(self, groups: Sequence[Group]) -> list[Group]:
        """Groups with a response that was not kept at the last `refresh`, which several processes can agree on."""
        return [g for g in groups if any(key not in self._where for key in response_keys([g]))]

    @torch.no_grad()
    def add(self, teacher: Any, batch: Batch, groups: Sequence[Group], keep: bool = True) -> None:
        """Run the teacher on a batch of groups and keep its distributions, as one file (`keep` False: only run)."""
        from safetensors.torch import save_file

        logits = teacher_logits(teacher, batch)
        if not keep:
            return
        size = chunk_tokens(self.vocabulary)
        pieces = [self._packed(logits(slice(at, at + size))) for at in range(0, len(batch.targets), size)]
        columns = {name: torch.cat([piece[name] for piece in pieces]) for name in pieces[0]} if pieces else {}
        kept: dict[str, Tensor] = {}
        keys = response_keys(groups)
        for name, values in columns.items():
            for key, part in zip(keys, batch.split(values), strict=True):
                kept[f"{key}.{name}"] = part.contiguous()
        path = self._folder / f"part-{self._writer:03d}-{self._next:06d}.safetensors"
        self._next += 1
        half = path.with_suffix(".half")
        save_file(kept, half)
        half.replace(path)
        self._added.update(dict.fromkeys(keys, path))

    def signal(self, groups: Sequence[Group]) -> Callable[[slice], Tensor]:
        """The teacher's signal for `token_signals`: log-probabilities [n, V] of a slice of the groups' tokens."""
        rows = [self._read(key) for key in response_keys(groups)]
        with torch.autocast("cpu", enabled=False):  # which has no rule for float16
            columns = {name: torch.cat([row[name] for row in rows]) for name in rows[0]}

        def of(part: slice) -> Tensor:
            return self._unpacked({name: values[part] for name, values in columns.items()})

        return of

    def measure(
        self, student: Any, teacher: Any, batch: Batch, groups: Sequence[Group], divergence: Divergence
    ) -> CacheError:
        """The error that the cache makes in D on a batch, against the teacher itself, and the room it takes."""
        with torch.no_grad():
            states, head = response_states(student, batch), student.get_output_embeddings()
            live, kept = (
                token_signals(states, head, batch.targets, self.vocabulary, signal, divergence).divergence
                for signal in (teacher_logits(teacher, batch), self.signal(groups))
            )
        off = (live - kept).abs()
        rows = [self._read(key) for key in response_keys(groups)]
        stored = sum(value.numel() * value.element_size() for row in rows for value in row.values())
        return CacheError(float(off.mean()), float(off.max()), float(live.mean()), stored / max(1, len(off)))

    def _packed(self, logits: Tensor) -> dict[str, Tensor]:
        log_p = logits[:, : self.vocabulary].float().log_softmax(-1)
        if self.top_k is None:
            return {"logp": log_p.to(self._dtype).cpu()}
        best = log_p.topk(self.top_k)
        tail = torch.log1p(-best.values.exp().sum(-1).clamp(max=1 - 1e-7))
        return {
            "logp": best.values.to(self._dtype).cpu(),
            "token": best.indices.to(torch.int32).cpu(),
            "tail": tail.to(self._dtype).cpu(),
        }

    def _unpacked(self, columns: dict[str, Tensor]) -> Tensor:
        if self.top_k is None:
            return columns["logp"].float()
        rest = (columns["tail"].float() - torch.log(torch.tensor(float(self.vocabulary - self.top_k))))[:, None]
        full = rest.expand(-1, self.vocabulary).clone()
        return full.scatter_(1, columns["token"].long(), columns["logp"].float())

    def _read(self, key: str) -> dict[str, Tensor]:
        path = self._where.get(key) or self._added[key]
        if self._open is None or self._open[0] != path:
            self._open = path, _opened(path)
        names = ("logp",) if self.top_k is None else ("logp", "token", "tail")
        return {name: self._open[1].get_tensor(f"{key}.{name}") for name in names}


def _opened(path: Path) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(path, framework="pt")
    except (OSError, SafetensorError) as error:
        raise HarnessError(
            f"{path} cannot be read: {error}", "delete this file; what it held is made again on the next run"
        ) from error
