"""Decode a batch over the model's own cache: rows end one by one, and ended rows leave the batch.

transformers prepares everything (positions, cache, masks) in `generate`; only its token loop is replaced, because it
runs every row until the slowest ends and draws all rows from one generator.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import Cache, GenerationConfig
from transformers.utils import ModelOutput

from harness.api import Generation
from harness.models.preprocess import Prepared, collate
from harness.models.seen import TokenScores

#: The batch is made smaller when this share of its rows has ended: each time, the cache is copied once.
_COMPACT_AT = 0.2


@dataclass(eq=False)
class Row:
    """One response in the making: `prepared` is its prompt, `sample` its index among the n of the request."""

    index: int
    sample: int
    prepared: Prepared
    generation: Generation
    limit: int
    finish: str = ""
    text: str = ""
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    error: str = ""
    _draws: torch.Generator | None = None

    def restart(self) -> None:
        """Forget what was decoded, so that the row can be decoded again with the same result."""
        self.token_ids, self.logprobs, self._draws = [], [], None

    def draw(self) -> float:
        """The next uniform number of this row's own stream: it depends on seed, sample and prompt alone."""
        if self._draws is None:
            name = f"{self.generation.seed} {self.sample} {self.prepared.key}"
            seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
            self._draws = torch.Generator().manual_seed(seed)
        return torch.rand((), generator=self._draws, dtype=torch.float64).item()


def sampling_key(generation: Generation) -> tuple[float, float, int, float]:
    """Rows of one batch agree in these; everything else may differ row by row."""
    return (generation.temperature, generation.top_p, generation.top_k, generation.repetition_penalty)


@torch.no_grad()
def decode(model: Any, tokenizer: Any, rows: Sequence[Row], eos: frozenset[int], pad: int) -> None:
    """Decode `rows` (same `sampling_key`) to their ends; sets finish, text, token_ids and logprobs of each.

    A prompt with several samples is encoded once. A row that ended before an exception keeps its result.
    """
    prompts: dict[int, int] = {}
    batch: list[Prepared] = []
    for row in rows:
        if row.index not in prompts:
            prompts[row.index] = len(batch)
            batch.append(row.prepared)
    _run(model, batch, _Loop(tokenizer, rows, [prompts[row.index] for row in rows], eos), pad)


@torch.no_grad()
def token_scores(model: Any, tokenizer: Any, prompt: Prepared, tokens: Sequence[int], top: int) -> TokenScores:
    """Log-probabilities (temperature 1) of `tokens` after a prompt, and the `top` best at each place.

    Token by token, as they were decoded: a token of the answer may be one that stands for an image in a prompt.
    """
    if not tokens:
        return TokenScores(())
    row = Row(0, 0, prompt, Generation(), len(tokens))
    loop = _Given(tokenizer, row, tokens, top)
    _run(model, [prompt], loop, 0)
    return TokenScores(tuple(row.logprobs), tuple(loop.best))


def _run(model: Any, batch: Sequence[Prepared], loop: _Loop, pad: int) -> None:
    inputs = {name: value.to(model.device) for name, value in collate(batch, pad, model.dtype).items()}
    config = GenerationConfig(
        max_new_tokens=loop.steps, do_sample=False, num_beams=1, use_cache=True, pad_token_id=pad,
        eos_token_id=sorted(loop.eos) or None, num_return_sequences=1,
    )  # fmt: skip
    model.generate(**inputs, generation_config=config, custom_generate=loop.run)


class _Loop:
    """The token loop of one batch. `rows[i]` is row i of the tensors, None where it has ended."""

    def __init__(self, tokenizer: Any, rows: Sequence[Row], prompts: Sequence[int], eos: frozenset[int]) -> None:
        self._tokenizer = tokenizer
        self._rows: list[Row | None] = list(rows)
        self._prompts = prompts
        self.eos = eos
        self.steps = max(row.limit for row in rows)
        self._generation = rows[0].generation
        self._seen: torch.Tensor | None = None

    def run(
        self, model: Any, input_ids: torch.Tensor, logits_processor: Any, stopping_criteria: Any,
        generation_config: Any, **state: Any,
    ) -> torch.Tensor:  # fmt: skip
        """Called by `generate` with everything prepared; `state` holds mask, positions and cache."""
        inputs = model.prepare_inputs_for_generation(input_ids, is_first_iteration=True, **state)
        mask = state.get("attention_mask")
        logits, state = self._forward(model, inputs, state)
        if self._generation.repetition_penalty != 1:
            self._seen = _tokens_seen(input_ids, mask, logits.shape[-1])
        if list(self._prompts) != list(range(logits.shape[0])):
            logits = self._select(torch.tensor(self._prompts, device=logits.device), state, logits)
        while True:
            tokens = self._choose(logits)
            alive = [i for i, row in enumerate(self._rows) if row is not None]
            if not alive:
                return input_ids
            if len(alive) <= (1 - _COMPACT_AT) * len(self._rows):
                self._rows = [self._rows[i] for i in alive]
                tokens = self._select(torch.tensor(alive, device=tokens.device), state, tokens)
            inputs = model.prepare_inputs_for_generation(tokens[:, None], next_sequence_length=1, **state)
            logits, state = self._forward(model, inputs, state)

    @staticmethod
    def _forward(model: Any, inputs: dict[str, Any], state: dict[str, Any]) -> tuple[torch.Tensor, dict[str, Any]]:
        outputs = model(**inputs, return_dict=True)
        state = model._update_model_kwargs_for_generation(
            outputs, state, is_encoder_decoder=model.config.is_encoder_decoder
        )
        return outputs.logits[:, -1].float(), state

    def _select(self, keep: torch.Tensor, state: dict[str, Any], values: torch.Tensor) -> torch.Tensor:
        """Keep (or repeat) the rows `keep` of everything that has a row per response."""
        size = values.shape[0]
        for name, value in state.items():
            state[name] = _select_rows(name, value, keep, size)
        if self._seen is not None:
            self._seen = self._seen[keep]
        return values[keep]

    def _choose(self, logits: torch.Tensor) -> torch.Tensor:
        """Next token [R] of each row from its logits [R, V]; ended rows get an arbitrary one."""
        settings = self._generation
        if self._seen is not None:
            scaled = torch.where(logits > 0, logits / settings.repetition_penalty, logits * settings.repetition_penalty)
            logits = torch.where(self._seen, scaled, logits)
        if settings.temperature == 0:
            tokens = logits.argmax(-1)
        else:
            logits = _warp(logits, settings)
            tokens = _sample(logits, [0.0 if row is None else row.draw() for row in self._rows])
        if self._seen is not None:
            self._seen[torch.arange(len(tokens), device=tokens.device), tokens] = True
        chosen: list[float] = []
        if any(row is not None and row.generation.logprobs for row in self._rows):
            chosen = logits.log_softmax(-1).gather(-1, tokens[:, None])[:, 0].tolist()
        for i, token in enumerate(tokens.tolist()):
            row = self._rows[i]
            if row is not None:
                self._append(row, token, chosen[i] if row.generation.logprobs else None)
                if row.finish:
                    self._rows[i] = None
        return tokens

    def _append(self, row: Row, token: int, logprob: float | None) -> None:
        row.token_ids.append(token)
        if logprob is not None:
            row.logprobs.append(logprob)
        if token in self.eos:
            row.finish, row.text = "stop", self._text(row.token_ids)
        elif row.generation.stop and self._stopped(row):
            row.finish = "stop"
        elif len(row.token_ids) >= row.limit:
            row.finish, row.text = "length", self._text(row.token_ids)

    def _stopped(self, row: Row) -> bool:
        """Whether a stop string has been written; the text then ends before it."""
        # Every token adds at least one byte, and a character has at most four: the tail below holds any stop string.
        tail = self._text(row.token_ids[-4 * max(map(len, row.generation.stop)) - 4 :])
        if not any(stop in tail for stop in row.generation.stop):
            return False
        text = self._text(row.token_ids)
        ends = [at for at in map(text.find, row.generation.stop) if at >= 0]
        if not ends:
            return False
        row.text = text[: min(ends)]
        return True

    def _text(self, ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text


class _Given(_Loop):
    """A loop that is told each token and notes its log-probability."""

    def __init__(self, tokenizer: Any, row: Row, tokens: Sequence[int], top: int) -> None:
        super().__init__(tokenizer, [row], [0], frozenset())
        self._tokens, self._top = tokens, top
        self.best: list[tuple[tuple[int, float], ...]] = []

    def _choose(self, logits: torch.Tensor) -> torch.Tensor:
        [row] = self._rows
        assert row is not None
        log_p = logits[0].log_softmax(-1)
        token = self._tokens[len(row.token_ids)]
        row.token_ids.append(token)
        row.logprobs.append(float(log_p[token]))
        if self._top:
            best = log_p.topk(self._top)
            self.best.append(tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True)))
        if len(row.token_ids) == len(self._tokens):
            self._rows = [None]
        return torch.tensor([token], device=logits.device)


def _select_rows(name: str, value: Any, keep: torch.Tensor, size: int) -> Any:
    if isinstance(value, Cache):
        value.batch_select_indices(keep)
        return value
    if isinstance(value, ModelOutput):
        return type(value)(**{key: _select_rows(key, part, keep, size) for key, part in value.items()})
    if not torch.is_tensor(value) or value.dim() == 0:
        return value
    dim = value.dim() - 2 if name.endswith("position_ids") and value.dim() > 1 else 0
    # Tensors without a row per response (patches of all images) are only read while the prompt is encoded.
    return value.index_select(dim, keep) if value.shape[dim] == size else value


def _tokens_seen(input_ids: torch.Tensor, mask: torch.Tensor | None, vocabulary: int) -> torch.Tensor:
    """Which tokens [B, V] occur in each prompt, padding aside: the repetition penalty counts the prompt."""
    width = max(vocabulary, int(input_ids.max()) + 1)
    seen = torch.zeros((input_ids.shape[0], width), dtype=torch.long, device=input_ids.device)
    present = torch.ones_like(input_ids) if mask is None else mask.long()
    return seen.scatter_add_(1, input_ids, present)[:, :vocabulary] > 0


def _warp(logits: torch.Tensor, settings: Generation) -> torch.Tensor:
    """Temperature, then top-k, then top-p, on logits [R, V]; tokens left out become -inf."""
    logits = logits / settings.temperature
    if settings.top_k:
        least = logits.topk(min(settings.top_k, logits.shape[-1])).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if settings.top_p < 1:
        ordered, order = logits.sort(dim=-1, descending=True, stable=True)
        share = ordered.softmax(-1)
        before = share.cumsum(-1) - share
        out = (before >= settings.top_p).scatter(1, order, before >= settings.top_p)
        logits = logits.masked_fill(out, -torch.inf)
    return logits


def _sample(logits: torch.Tensor, draws: Sequence[float]) -> torch.Tensor:
    """One token [R] a row by inverting its distribution function at a number in [0, 1)."""
    mass = logits.double().softmax(-1).cumsum(-1)
    targets = torch.tensor(draws, dtype=torch.float64, device=logits.device)[:, None] * mass[:, -1:]
    tokens = torch.searchsorted(mass, targets, right=True)[:, 0]
    return tokens.clamp_(max=logits.shape[-1] - 1)
