"""How far the student's next-token distributions are from the teacher's, token by token (D of Eq. 4 and Eq. 8).

Shapes: N response tokens in a flat row (trainers/packing.py), V the vocabulary both models share, H hidden size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from harness.api import HarnessError

Kind = Literal["jsd", "forward_kl", "reverse_kl", "skew_kl", "skew_reverse_kl"]

#: Logits whose work fits into a core's cache.
_IN_CACHE = 1 << 17

#: Texts on which two tokenizers must agree: digits, spaces, accents, other scripts, newlines, emoji.
_PROBES = (
    "The answer is (B) 3.14, 2026.",
    "  two  spaces\n\nand lines\t",
    "Ünïcödé naïve",
    "图中有几只猫？",
    "x²≤y ∑ 🙂",
)


@dataclass(frozen=True, slots=True)
class Divergence:
    """Which divergence, with p the teacher and q the student.

    `jsd`: beta KL(p||m) + (1-beta) KL(q||m), m = beta p + (1-beta) q (GKD, arXiv 2306.13649). `forward_kl` KL(p||q),
    `reverse_kl` KL(q||p). `skew_kl` KL(p || skew p + (1-skew) q) and `skew_reverse_kl` KL(q || (1-skew) p + skew q)
    (DistiLLM, arXiv 2402.03898). `temperature` divides both logits.
    """

    kind: Kind = "jsd"
    beta: float = 0.5
    skew: float = 0.1
    temperature: float = 1.0


class TokenSignals(NamedTuple):
    """Per response token, float32 [N]: log-probability of the token under the student, divergence to the teacher."""

    logp: Tensor
    divergence: Tensor


class Tokenizer(Protocol):
    """What is asked of a tokenizer: its table and its encoding."""

    def get_vocab(self) -> Mapping[str, int]:
        """Token to id, added tokens included."""
        ...

    def encode(self, text: str, add_special_tokens: bool = ...) -> list[int]:
        """The ids of a text."""
        ...


def token_divergence(student_logits: Tensor, teacher_logits: Tensor, divergence: Divergence) -> Tensor:
    """The divergence of each token [N], computed in float32 (float64 stays), from logits [N, V] of both models. Only
    the student's logits get a gradient.
    """
    found: Tensor = _TokenDivergence.apply(student_logits, teacher_logits, divergence)
    return found


class _TokenDivergence(torch.autograd.Function):
    """With its gradient, so that neither autograd's copies of [N, V] nor a slow log of a sum of exponentials is paid.

    For logits z with q = softmax(z / T), dD/dz = q (g - sum(q g)) / T where g is dD/dq up to a constant.
    """

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, divergence: Divergence) -> Tensor:
        wide = torch.promote_types(student.dtype, torch.float32)
        found = torch.empty(len(student), dtype=wide, device=student.device)
        gradient = torch.empty_like(student)
        size = len(student) if student.device.type != "cpu" else max(1, _IN_CACHE // student.shape[-1])
        for rows in (slice(at, at + size) for at in range(0, len(student), size or 1)):
            log_q, log_p = ((z[rows].to(wide) / divergence.temperature).log_softmax(-1) for z in (student, teacher))
            found[rows], slope = _value_and_gradient(log_p, log_q, divergence)
            gradient[rows] = slope.div_(divergence.temperature)
        ctx.save_for_backward(gradient)
        return found

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grads[0][:, None].to(gradient.dtype), None, None


def _value_and_gradient(log_p: Tensor, log_q: Tensor, divergence: Divergence) -> tuple[Tensor, Tensor]:
    """D [N] and its gradient by the student's logits [N, V], as if the temperature were 1."""
    p, q = log_p.exp(), log_q.exp()
    if divergence.kind == "forward_kl":
        return (p * (log_p - log_q)).sum(-1), q - p
    if divergence.kind == "reverse_kl":
        g = log_q - log_p
        found = (q * g).sum(-1)
        return found, g.sub_(found[:, None]).mul_(q)
    if divergence.kind == "skew_kl":
        share = 1 - divergence.skew  # of the student in the mixture
        m = torch.lerp(p, q, share)
        found = (p * (log_p - _log(m))).sum(-1)
        return found, _centred(_share_of(p, m).mul_(-share), q)
    if divergence.kind == "skew_reverse_kl":
        m = torch.lerp(p, q, divergence.skew)
        g = log_q - _log(m)
        found = (q * g).sum(-1)
        return found, _centred(g.sub_(_share_of(q, m).mul_(divergence.skew)), q)
    log_m = _log(torch.lerp(q, p, divergence.beta))
    g = (log_q - log_m).mul_(1 - divergence.beta)
    of_student = q * g
    mean = of_student.sum(-1)
    found = mean + divergence.beta * p.mul_(log_p - log_m).sum(-1)
    return found, of_student.sub_(q * mean[:, None])


def _log(m: Tensor) -> Tensor:
    """The logarithm; where m underflows both probabilities are 0, and so is what is multiplied by this."""
    return m.clamp_min(torch.finfo(m.dtype).tiny).log_()


def _share_of(a: Tensor, m: Tensor) -> Tensor:
    return a / m.clamp_min(torch.finfo(m.dtype).tiny)


def _centred(g: Tensor, q: Tensor) -> Tensor:
    return g.sub_((q * g).sum(-1, keepdim=True)).mul_(q)


def chunk_tokens(vocabulary: int, budget_bytes: int = 256 * 2**20) -> int:
    """Tokens a chunk may hold so that its float32 work (about ten [chunk, V] tensors) stays within the budget."""
    return max(1, budget_bytes // (10 * 4 * vocabulary))


def token_signals(
    hidden: Tensor,
    head: Callable[[Tensor], Tensor],
    targets: Tensor,
    vocabulary: int,
    teacher: Callable[[slice], Tensor] | None = None,
    divergence: Divergence = Divergence(),
    chunk: int | None = None,
) -> TokenSignals:
    """Log-probability and divergence of each response token without ever keeping [N, V].

    `hidden` [N, H] are the student's states that predict `targets` [N]; `head` maps states to logits (the model's
    output embedding). `teacher(slice)` gives the teacher's logits [n, V'] of those tokens: from a live model's states,
    or read from disk; None (no teacher) gives divergence 0. Both logits are cut to `vocabulary`, the width the
    tokenizers share (`check_vocabularies`). Of several chunks each is recomputed in the backward pass (activation
    checkpointing), so memory grows with the chunk, not with N.
    """
    size = chunk_tokens(vocabulary) if chunk is None else chunk

    def of_chunk(part: Tensor, want: Tensor, start: int) -> tuple[Tensor, Tensor]:
        logits = head(part)[:, :vocabulary]
        wide = torch.promote_types(logits.dtype, torch.float32)
        logp = torch.gather(logits.to(wide).log_softmax(-1), 1, want[:, None]).squeeze(1)
        if teacher is None:
            return logp, torch.zeros_like(logp)
        with torch.no_grad():
            signal = teacher(slice(start, start + len(want)))[:, :vocabulary].to(logits.device)
        return logp, token_divergence(logits, signal, divergence)

    logps: list[Tensor] = []
    divergences: list[Tensor] = []
    for start in range(0, len(targets), size):
        part, want = hidden[start : start + size], targets[start : start + size]
        if torch.is_grad_enabled() and len(targets) > size:
            logp, d = checkpoint(of_chunk, part, want, start, use_reentrant=False)
        else:
            logp, d = of_chunk(part, want, start)
        logps.append(logp)
        divergences.append(d)
    if not logps:
        empty = hidden.sum() * 0.0 + torch.zeros(0, device=hidden.device)
        return TokenSignals(empty, empty)
    return TokenSignals(torch.cat(logps), torch.cat(divergences))


def check_vocabularies(student: Tokenizer, teacher: Tokenizer, student_width: int, teacher_width: int) -> int:
    """The vocabulary both models share, to which their logits are cut; one family pads its sizes differently.

    `student_width` and `teacher_width` are the rows of the output embeddings. Raises HarnessError where the tokenizers
    differ (in a token's id, or in how they split a text), or where an output embedding has fewer rows than tokens.
    """
    ours, theirs = student.get_vocab(), teacher.get_vocab()
    if ours != theirs:
        odd = sorted(set(ours.items()) ^ set(theirs.items()), key=lambda item: (item[1], item[0]))
        shown = ", ".join(f"{token!r} = {index}" for token, index in odd[:3])
        raise HarnessError(
            f"student and teacher have different tokenizers: {len(odd)} entries are in one only (first: {shown})",
            "distil within one model family; a divergence needs the same tokens on both sides",
        )
    for text in _PROBES:
        if student.encode(text, add_special_tokens=False) != teacher.encode(text, add_special_tokens=False):
            raise HarnessError(
                f"student and teacher have the same tokens but split {text!r} differently",
                "use the student's tokenizer files for both, if the models were trained with the same one",
            )
    shared = max(ours.values()) + 1
    for name, width in (("student", student_width), ("teacher", teacher_width)):
        if width < shared:
            raise HarnessError(
                f"the {name} predicts {width} tokens but its tokenizer has {shared}",
                "resize the model's embeddings to its tokenizer, or use the tokenizer it was trained with",
            )
    return shared


def output_width(model: Any) -> int:
    """Rows of a model's output embedding (its padded vocabulary)."""
    weight = model.get_output_embeddings().weight
    return int(getattr(weight, "ds_shape", weight.shape)[0])
