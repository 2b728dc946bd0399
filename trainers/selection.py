"""The k-th smallest magnitude of a tensor, exactly, without sorting and without a copy of the tensor.

The bits of |w|, read as an integer, grow with |w|; so the k-th smallest is found by counting bit patterns: bf16 and
fp16 have 2^15 of them, float32 is counted in two digits of 16 bits. Counts of several tensors, or of the shards of one
tensor on several processes, add up. One large tensor on a CPU is searched faster: a sample guesses the pattern, an
exact count of what is below it and below the next decides (`_search`); where the sample misleads, the full count does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from harness.api import HarnessError

_CHUNK = 1 << 16
_SEARCHED = 1 << 19  # weights in a chunk of the search: larger, because the calls count and not the cache
_DIGITS = 1 << 15
_MAGNITUDE = {torch.bfloat16: 0x7FFF, torch.float16: 0x7FFF, torch.float32: 0x7FFFFFFF}

#: Adds a tensor of counts over all processes.
Reduce = Callable[[Tensor], Tensor]


class Threshold(NamedTuple):
    """All weights below `value` in magnitude are zeroed and `ties` of those equal to it, lowest flat index first.

    `border` is the flat index just after the last zeroed tie, where the search has found it on its way.
    """

    value: float
    below: int
    ties: int
    border: int | None = None


class _Found(NamedTuple):
    """The upper digit of the k-th smallest, how many lie below it, and (searched) how many each chunk has of it."""

    digit: int
    below: int
    of_chunk: Any = None


def bits(tensor: Tensor) -> Tensor:
    """The weights as flat integers of their size, sign included, sharing memory. `tensor` must be contiguous."""
    if tensor.dtype not in _MAGNITUDE:
        raise HarnessError(f"weights of {tensor.dtype} cannot be masked", "load the model in bfloat16 or float32")
    return tensor.detach().view(-1).view(torch.int32 if tensor.dtype == torch.float32 else torch.int16)


def threshold(tensors: Sequence[Tensor], k: int, reduce: Reduce | None = None) -> Threshold:
    """The threshold that zeroes exactly the k smallest magnitudes of the tensors taken together (k >= 1).

    `reduce` adds counts over processes: each passes its own shards and gets the threshold of the whole. All tensors
    have one dtype and are contiguous. Memory beyond them: the counts and one chunk.
    """
    kinds = {tensor.dtype for tensor in tensors}
    if len(kinds) > 1:
        raise HarnessError(
            f"weights of {sorted(map(str, kinds))} have no common threshold", "load them in one precision"
        )
    (kind,) = kinds
    found = _search(tensors[0], k) if len(tensors) == 1 and reduce is None else None
    if found is None:
        counts = torch.stack([_digit_counts(tensor) for tensor in tensors]).sum(0)
        found = _Found(*_bin_of(reduce(counts) if reduce else counts, k))
    ties = k - found.below
    if kind != torch.float32:
        border = None
        if found.of_chunk is not None:
            border = _border(bits(tensors[0]), found.digit, ties, found.of_chunk, _SEARCHED)
        return Threshold(_value(found.digit, kind), found.below, ties, border)
    if found.of_chunk is not None and 16 * int(found.of_chunk.sum()) < tensors[0].numel():
        return _resolve(tensors[0], found, ties)
    counts = torch.stack([_lower_counts(tensor, found.digit) for tensor in tensors]).sum(0)
    lower, more = _bin_of(reduce(counts) if reduce else counts, ties)
    return Threshold(_value(found.digit << 16 | lower, kind), found.below + more, ties - more)


def zero_smallest(tensor: Tensor, found: Threshold) -> None:
    """Zero, in place, what the threshold says. Two passes over memory at most, one where the border is known."""
    flat = tensor.detach().view(-1)
    border = found.border
    if border is None:
        whole, mask = _whole_bits(found.value, tensor.dtype), _MAGNITUDE[tensor.dtype]
        per_chunk = (
            [int(torch.count_nonzero((part & mask) == whole)) for part in torch.split(bits(tensor), _CHUNK)]
            if found.ties
            else []
        )
        border = _border(bits(tensor), whole, found.ties, per_chunk)
    _zero_upto(flat[:border], found.value)
    if found.value > 0:
        _zero_upto(flat[border:], _value(_whole_bits(found.value, tensor.dtype) - 1, tensor.dtype))


def count_equal(tensor: Tensor, value: float) -> int:
    """How many weights have exactly this magnitude."""
    whole, mask = _whole_bits(value, tensor.dtype), _MAGNITUDE[tensor.dtype]
    return sum(int(torch.count_nonzero((part & mask) == whole)) for part in torch.split(bits(tensor), _CHUNK))


# ---------------------------------------------------------------- counting


def _magnitudes(tensor: Tensor) -> Iterator[Tensor]:
    for part in torch.split(bits(tensor), _CHUNK):
        yield part & _MAGNITUDE[tensor.dtype]


def _digit_counts(tensor: Tensor) -> Tensor:
    """How many magnitudes have each upper digit (15 bits): int64 [32768]."""
    counts = torch.zeros(_DIGITS, dtype=torch.int64, device=tensor.device)
    for part in _magnitudes(tensor):
        counts += torch.bincount(part if part.dtype == torch.int16 else part >> 16, minlength=_DIGITS)
    return counts


def _lower_counts(tensor: Tensor, digit: int) -> Tensor:
    """Of the float32 magnitudes with this upper digit, how many have each lower digit: int64 [65536]."""
    counts = torch.zeros(1 << 16, dtype=torch.int64, device=tensor.device)
    for part in _magnitudes(tensor):
        inside = part[(part >> 16) == digit]
        if len(inside):
            counts += torch.bincount(inside & 0xFFFF, minlength=1 << 16)
    return counts


def _bin_of(counts: Tensor, k: int) -> tuple[int, int]:
    """The bin that holds the k-th (1-based) smallest, and how many lie in the bins before it."""
    upto = counts.cumsum(0)
    index = int(torch.searchsorted(upto, k))
    return index, int(upto[index] - counts[index])


def _guess(tensor: Tensor, k: int) -> int | None:
    """The upper digit that the k-th smallest has in a sample of short runs all over the tensor; None where the tensor
    is too small, or not in a CPU's memory.
    """
    flat, run = tensor.detach().view(-1), 32
    runs = min(len(flat) // (32 * run), 1 << 17)
    if tensor.device.type != "cpu" or runs < 1 << 11:
        return None
    step = len(flat) // runs
    counts = _digit_counts(flat[: runs * step].view(runs, step)[:, :run].contiguous())
    return _bin_of(counts, max(1, round(k / len(flat) * runs * run)))[0]


def _search(tensor: Tensor, k: int) -> _Found | None:
    """The upper digit of the k-th smallest by an exact count of what is below the guessed digit and below the next; of
    its neighbour, where the count says so. None where that is not it either: then all digits are counted.
    """
    digit = _guess(tensor, k)
    for _ in range(2):
        if digit is None or not 0 <= digit < _DIGITS:
            return None
        below = _count(tensor, digit)
        first, after = (int(column.sum()) for column in below)
        if first < k <= after:
            return _Found(digit, first, below[1] - below[0])
        digit += 1 if after < k else -1
    return None


def _count(tensor: Tensor, digit: int) -> Any:
    """How many magnitudes of each chunk lie below an upper digit, and below the next: int64 [2, chunks].

    numpy, because its comparisons and its count of true values run at the speed of memory on one core.
    """
    import numpy as np

    values = bits(tensor).numpy()
    kind, mask = values.dtype.type, _MAGNITUDE[tensor.dtype]
    shift = 16 if tensor.dtype == torch.float32 else 0
    # The edge after the last digit is one more than the type holds; no magnitude of a finite weight reaches it.
    edges = [kind(min(edge << shift, mask)) for edge in (digit, digit + 1)]
    below = np.zeros((2, -(-len(values) // _SEARCHED)), np.int64)
    magnitude, less = np.empty(_SEARCHED, kind), np.empty(_SEARCHED, bool)
    for place, start in enumerate(range(0, len(values), _SEARCHED)):
        part = values[start : start + _SEARCHED]
        size = len(part)
        np.bitwise_and(part, kind(mask), out=magnitude[:size])
        for row, edge in enumerate(edges):
            np.less(magnitude[:size], edge, out=less[:size])
            below[row, place] = np.count_nonzero(less[:size])
    return below


def _resolve(tensor: Tensor, found: _Found, k: int) -> Threshold:
    """The float32 threshold, given its upper digit: the few magnitudes that have it are gathered and selected from."""
    import numpy as np

    values = bits(tensor).numpy()
    mask, base = _MAGNITUDE[tensor.dtype], np.uint32(found.digit << 16)
    magnitude, inside = np.empty(_CHUNK, np.uint32), np.empty(_CHUNK, bool)
    gathered = []
    for start in range(0, len(values), _CHUNK):
        part = values[start : start + _CHUNK].view(np.uint32)
        size = len(part)
        np.bitwise_and(part, np.uint32(mask), out=magnitude[:size])
        np.subtract(magnitude[:size], base, out=magnitude[:size])  # wraps below the digit, so one comparison is enough
        np.less(magnitude[:size], np.uint32(1 << 16), out=inside[:size])
        gathered.append(magnitude[:size][inside[:size]])
    lower = np.concatenate(gathered)
    chosen = int(np.partition(lower, k - 1)[k - 1])
    below = int(np.count_nonzero(lower < chosen))
    whole = found.digit << 16 | chosen
    of_chunk = np.array([np.count_nonzero(part == chosen) for part in gathered])
    border = _border(bits(tensor), whole, k - below, of_chunk)
    return Threshold(_value(whole, tensor.dtype), found.below + below, k - below, border)


def _border(flat: Tensor, whole: int, ties: int, of_chunk: Any, size: int = _CHUNK) -> int:
    """The flat index just after the `ties`-th magnitude with these bits, from how many each chunk of `size` has."""
    if ties == 0:
        return 0
    upto = torch.as_tensor(of_chunk).cumsum(0)
    chunk = int(torch.searchsorted(upto, ties))
    start = chunk * size
    part = flat[start : start + size] & (0x7FFFFFFF if flat.dtype == torch.int32 else 0x7FFF)
    before = int(upto[chunk] - of_chunk[chunk])
    return start + int((part == whole).nonzero()[ties - before - 1]) + 1


# ---------------------------------------------------------------- values


def _value(whole: int, kind: torch.dtype) -> float:
    """The magnitude with these bits."""
    return float(torch.tensor([whole], dtype=torch.int32 if kind == torch.float32 else torch.int16).view(kind))


def _whole_bits(value: float, kind: torch.dtype) -> int:
    """The bits of a magnitude that the type holds exactly."""
    return int(torch.tensor([value], dtype=kind).view(torch.int32 if kind == torch.float32 else torch.int16))


def _zero_upto(flat: Tensor, value: float) -> None:
    """Zero what has magnitude <= value: hardshrink does that in one pass over memory."""
    torch.ops.aten.hardshrink.out(flat, value, out=flat)
