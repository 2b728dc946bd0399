"""Response tokens of several questions in one forward pass.

`pack`: the G responses of a question share its image and prompt, so one row [prefix | r1 | ... | rG] is forwarded, in
which a response sees the prefix and itself only and its positions go on from the prefix's end. `spread` is the plain
layout, one row a response, for families that cannot be packed. Both give the same states of the same tokens, so
student, teacher and reference, loss and log are the same code for either.

Shapes: B rows, L positions, N response tokens, R responses, G of one question, H hidden size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from harness.api import HarnessError
from trainers.divergence import Divergence, TokenSignals, token_signals
from trainers.mask_scope import in_pieces
from trainers.objective import Layout
from trainers.sharding import called_once, head_of

_JSD = Divergence()

#: Families whose language model is a causal transformer with rotary positions and takes a 4-D mask as it is (tested).
_FAMILIES = {"internvl", "qwen2_vl", "qwen2_5_vl", "qwen3_vl"}
_TEXT_KEYS = {"input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids", "position_ids"}
_PADDING = -1


@dataclass(frozen=True, slots=True)
class Question:
    """One question as its processor encodes it, and its responses.

    `inputs`: the processor's output for one prompt with its generation prompt (`input_ids` [1, P], no padding, and the
    vision tensors); `responses`: token ids of each, with the end-of-turn token where the response has one. `name`
    stands in errors.
    """

    inputs: Mapping[str, Tensor]
    responses: Sequence[Sequence[int]]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a model is forwarded on, and where the response tokens are in it.

    `predictors` [N] index the B*L positions (flat) whose state predicts `targets` [N]. `segment` [B, L] is 0 in the
    prefix, j in the j-th response of the row and -1 in padding; `packed` rows hold several responses.
    """

    input_ids: Tensor
    segment: Tensor
    position_ids: Tensor | None
    extra: Mapping[str, Tensor]
    predictors: Tensor
    targets: Tensor
    layout: Layout
    packed: bool

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on a device."""

        def move(value: Tensor) -> Tensor:
            return value.to(device, non_blocking=True)

        return Batch(
            move(self.input_ids),
            move(self.segment),
            None if self.position_ids is None else move(self.position_ids),
            {key: move(value) for key, value in self.extra.items()},
            move(self.predictors),
            move(self.targets),
            Layout(move(self.layout.response), move(self.layout.group)),
            self.packed,
        )

    def split(self, values: Tensor) -> list[Tensor]:
        """A token value [N, ...] cut into its responses."""
        return list(torch.split(values, self.layout.lengths.tolist()))


def supports(model: Any) -> str | None:
    """None where the model can be packed, else the reason as a sentence (the loop then spreads and says so)."""
    family = model.config.model_type
    if family not in _FAMILIES:
        return f"{family} is not known to take a packed mask and positions; packed are {', '.join(sorted(_FAMILIES))}"
    text = model.config.get_text_config()
    if set(getattr(text, "layer_types", None) or ["full_attention"]) != {"full_attention"}:
        return f"{family} has layers with sliding-window attention, which one mask cannot describe"
    attention = text._attn_implementation
    if attention not in ("sdpa", "eager"):
        return f"attention {attention!r} takes no 4-D mask; load the model with attn_implementation='sdpa'"
    return None


def pack(questions: Sequence[Question], model: Any) -> Batch:
    """One row a question: [prefix | r1 | ... | rG], right-padded. `model` gives the family's positions."""
    rows: list[Tensor] = []
    segments: list[Tensor] = []
    positions: list[Tensor] = []
    predictors: list[tuple[int, Tensor]] = []
    targets: list[Tensor] = []
    for question in questions:
        ids, responses = _checked(question, model)
        prefix = len(ids)
        start = _prefix_positions(question, model)
        after = int(start.max()) + 1
        parts, segment, position = [ids], [torch.zeros(prefix, dtype=torch.long)], [start]
        at = prefix
        for index, response in enumerate(responses, start=1):
            size = len(response)
            parts.append(response)
            segment.append(torch.full((size,), index))
            position.append((torch.arange(size) + after).expand(start.shape[0], size))
            within = torch.arange(at - 1, at + size - 1)
            within[:1] = prefix - 1  # a first token is predicted from the prefix's last position
            predictors.append((len(rows), within))
            targets.append(response)
            at += size
        rows.append(torch.cat(parts))
        segments.append(torch.cat(segment))
        positions.append(torch.cat(position, dim=1))
    width = max(map(len, rows))
    planes = torch.stack([_right_pad(p, width, 0) for p in positions], dim=1)
    return Batch(
        torch.stack([_right_pad(row, width, 0) for row in rows]),
        torch.stack([_right_pad(segment, width, _PADDING) for segment in segments]),
        planes if len(planes) > 1 else planes[0],
        _vision(questions, [1] * len(questions)),
        *_tokens(predictors, targets, questions, width),
        packed=True,
    )


def spread(questions: Sequence[Question], model: Any) -> Batch:
    """One row a response: [prefix | r], right-padded; images are repeated and positions are the model's own."""
    rows: list[Tensor] = []
    segments: list[Tensor] = []
    predictors: list[tuple[int, Tensor]] = []
    targets: list[Tensor] = []
    types: list[dict[str, Tensor]] = []
    for question in questions:
        ids, responses = _checked(question, model)
        prefix = len(ids)
        for response in responses:
            size = len(response)
            predictors.append((len(rows), torch.arange(prefix - 1, prefix + size - 1)))
            rows.append(torch.cat([ids, response]))
            segments.append(torch.cat([torch.zeros(prefix, dtype=torch.long), torch.ones(size, dtype=torch.long)]))
            types.append({k: torch.cat([v, v.new_zeros(size)]) for k, v in _token_types(question, model).items()})
            targets.append(response)
    width = max(map(len, rows))
    extra = _vision(questions, [len(question.responses) for question in questions])
    for key in types[0]:
        extra[key] = torch.stack([_right_pad(row[key], width, 0) for row in types])
    return Batch(
        torch.stack([_right_pad(row, width, 0) for row in rows]),
        torch.stack([_right_pad(segment, width, _PADDING) for segment in segments]),
        None,
        extra,
        *_tokens(predictors, targets, questions, width),
        packed=False,
    )


def attention_mask(batch: Batch, model: Any) -> Tensor:
    """The mask of a batch: bool [B, 1, L, L] when packed (additive for eager attention), int [B, L] when spread."""
    valid = batch.segment != _PADDING
    if not batch.packed:
        return valid.long()
    own = batch.segment[:, :, None] == batch.segment[:, None, :]
    prefix = (batch.segment == 0)[:, None, :] & valid[:, :, None]
    length = batch.segment.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=batch.segment.device).tril()
    # Padding sees padding before it (own), so no row of the softmax is empty and none gives NaN.
    allowed = ((own | prefix) & causal)[:, None]
    if model.config.get_text_config()._attn_implementation != "eager":
        return allowed
    zero = torch.zeros((), dtype=model.dtype, device=allowed.device)
    return torch.where(allowed, zero, torch.finfo(model.dtype).min)


def response_states(model: Any, batch: Batch) -> Tensor:
    """The states [N, H] that predict the response tokens; the output embedding is applied to no other position."""
    given = {"position_ids": batch.position_ids} if batch.packed else {}
    out = model.base_model(
        input_ids=batch.input_ids, attention_mask=attention_mask(batch, model), use_cache=False, **given, **batch.extra
    )
    states: Tensor = out.last_hidden_state
    return states.flatten(0, 1)[batch.predictors]


def teacher_logits(model: Any, batch: Batch) -> Callable[[slice], Tensor]:
    """A live teacher's signal for `token_signals`: one forward now, then the logits [n, V] of a slice of tokens."""
    with torch.no_grad():
        states = response_states(model, batch)

    head = head_of(model)

    def of(part: slice) -> Tensor:
        logits: Tensor = head(states[part])
        return logits

    return of


class ResponseModel(nn.Module):
    """A model as a module from batch to token signals: what DDP, DeepSpeed or Accelerate wrap for training."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        batch: Batch,
        vocabulary: int,
        teacher: Callable[[slice], Tensor] | None = None,
        divergence: Divergence = _JSD,
        chunk: int | None = None,
    ) -> TokenSignals:
        """Log-probability and divergence of each response token (see `token_signals`)."""
        model: Any = self.model
        states = response_states(model, batch)
        head = head_of(model)

        def signals(states: Tensor, head: Callable[[Tensor], Tensor]) -> tuple[Tensor, ...]:
            return tuple(token_signals(states, head, batch.targets, vocabulary, teacher, divergence, chunk))

        return TokenSignals(*(called_once(head, states, signals) if in_pieces(head) else signals(states, head)))


# ---------------------------------------------------------------- pieces


def _checked(question: Question, model: Any) -> tuple[Tensor, list[Tensor]]:
    """Prefix ids [P] and response ids; an image token inside a response would be taken for an image and is refused."""
    ids = question.inputs["input_ids"]
    if ids.dim() != 2 or ids.shape[0] != 1 or ids.shape[1] == 0:
        raise HarnessError(
            f"question {question.name}: its prompt has shape {tuple(ids.shape)}, not [1, P]",
            "encode one prompt at a time",
        )
    mask = question.inputs.get("attention_mask")
    if mask is not None and not bool(mask.all()):
        raise HarnessError(f"question {question.name}: its prompt is padded", "encode it without padding")
    if not question.responses:
        raise HarnessError(f"question {question.name} has no responses", "leave the question out")
    special = image_token_ids(model)
    responses = [torch.as_tensor(response, dtype=torch.long) for response in question.responses]
    for index, response in enumerate(responses):
        if special.intersection(response.tolist()):
            raise HarnessError(
                f"question {question.name}: response {index} contains an image token",
                "drop the response; the model would look for another image",
            )
    return ids[0].cpu(), responses


def image_token_ids(model: Any) -> set[int]:
    """The tokens that stand for an image in a prompt, and that no response may hold."""
    names = ("image_token_id", "video_token_id", "image_token_index")
    return {value for name in names if (value := getattr(model.config, name, None)) is not None}


def _token_types(question: Question, model: Any) -> dict[str, Tensor]:
    """Token types [P] that the family needs to place images; 0 for responses is added by the caller."""
    found = {
        key: question.inputs[key][0].cpu() for key in ("token_type_ids", "mm_token_type_ids") if key in question.inputs
    }
    if "mm_token_type_ids" not in found and hasattr(model.base_model, "get_rope_index"):
        found["mm_token_type_ids"] = (question.inputs["input_ids"][0].cpu() == model.config.image_token_id).int()
    return found


def _prefix_positions(question: Question, model: Any) -> Tensor:
    """Rotary positions of the prefix: [1, P], or [3, P] for the families with time, height and width."""
    ids = question.inputs["input_ids"].cpu()
    if not hasattr(model.base_model, "get_rope_index"):
        return torch.arange(ids.shape[1])[None]
    grid = question.inputs.get("image_grid_thw")
    types = _token_types(question, model)["mm_token_type_ids"][None]
    positions, _ = model.base_model.get_rope_index(
        ids, mm_token_type_ids=types, image_grid_thw=None if grid is None else grid.cpu()
    )
    planes: Tensor = positions[:, 0]
    return planes


def _vision(questions: Sequence[Question], times: Sequence[int]) -> dict[str, Tensor]:
    """The vision tensors of all rows, in row order, one after the other along their first dimension."""
    found: dict[str, list[Tensor]] = {}
    for question, repeat in zip(questions, times, strict=True):
        for key, value in question.inputs.items():
            if key not in _TEXT_KEYS:
                found.setdefault(key, []).extend([value] * repeat)
    for key, values in found.items():
        if len({value.shape[1:] for value in values}) > 1:
            raise HarnessError(
                f"the questions' {key} have different shapes and cannot share a batch",
                "set train.questions_per_batch: 1",
            )
    return {key: torch.cat(values) for key, values in found.items()}


def _tokens(
    predictors: list[tuple[int, Tensor]],
    targets: list[Tensor],
    questions: Sequence[Question],
    width: int,
) -> tuple[Tensor, Tensor, Layout]:
    """Flat predictor indices [N], targets [N] and the layout of responses and groups."""
    index = torch.cat([row * width + within for row, within in predictors])
    response = torch.repeat_interleave(torch.arange(len(targets)), torch.tensor([len(target) for target in targets]))
    sizes = torch.tensor([len(question.responses) for question in questions])
    return index, torch.cat(targets), Layout(response, torch.repeat_interleave(torch.arange(len(questions)), sizes))


def _right_pad(value: Tensor, width: int, fill: int) -> Tensor:
    """Pad the last dimension to `width`."""
    return nn.functional.pad(value, (0, width - value.shape[-1]), value=fill)
