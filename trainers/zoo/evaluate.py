"""How often a rung is right on mini questions: greedy answers, a few hundred a second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from harness import registry
from harness.api import Response
from harness.scoring.score import score
from trainers.zoo.data import Examples, Question, encode, load_questions, pixel_values

_NO_LIMIT = 1024


@torch.inference_mode()
def answers(model: Any, processor: Any, examples: Examples, batch: int = 64, max_new_tokens: int = 40) -> list[str]:
    """Greedy answers in the order of the examples; prompts padded on the left, sorted by length."""
    tokenizer = processor.tokenizer
    model.eval()
    order = sorted(range(len(examples.items)), key=lambda i: len(examples.items[i].turns[0].given))
    found: dict[int, str] = {}
    for at in range(0, len(order), batch):
        chosen = order[at : at + batch]
        items = [examples.items[i] for i in chosen]
        longest = max(len(item.turns[0].given) for item in items)
        ids = torch.full((len(items), longest), tokenizer.pad_token_id)
        for row, item in enumerate(items):
            prompt = item.turns[0].given
            ids[row, longest - len(prompt) :] = torch.tensor(prompt)
        pixels = pixel_values(examples.pixels, [i for item in items for i in item.images])
        out = model.generate(
            input_ids=ids,
            attention_mask=(ids != tokenizer.pad_token_id).long(),
            pixel_values=pixels.to(model.dtype),
            max_new_tokens=max_new_tokens,
            do_sample=False,
        )
        texts = tokenizer.batch_decode(out[:, longest:], skip_special_tokens=True)
        found.update(zip(chosen, texts, strict=True))
    return [found[i] for i in range(len(order))]


def right(asked: Sequence[Question], said: Sequence[str]) -> list[float]:
    """The official score of each answer (a judged task: the rule judge's)."""
    return [score(registry.task(q.task), q.sample, Response(text)).score for q, text in zip(asked, said, strict=True)]


def print_table(weights: Path, names: Sequence[str], split: str, rows: int) -> None:
    """Score the rungs on `rows` rows of every mini task and print percent and standard error."""
    from rich.console import Console
    from rich.table import Table
    from transformers import AutoModelForImageTextToText, AutoProcessor

    asked = load_questions(split, rows, 0)
    shown = Table("task", "n", *names, title=f"mini {split}, official, row by row: % (standard error)")
    results = {}
    for name in names:
        processor = AutoProcessor.from_pretrained(weights / name)
        model = AutoModelForImageTextToText.from_pretrained(weights / name, dtype=torch.float32)
        results[name] = right(asked, answers(model, processor, encode(asked, processor, _NO_LIMIT)))
    for task in [*dict.fromkeys(q.task for q in asked), "all"]:
        chosen = [i for i, q in enumerate(asked) if task in (q.task, "all")]
        cells = [_cell([results[name][i] for i in chosen]) for name in names]
        shown.add_row(task, str(len(chosen)), *cells)
    Console().print(shown)


def _cell(scores: Sequence[float]) -> str:
    mean = sum(scores) / len(scores)
    error = (sum((s - mean) ** 2 for s in scores) / len(scores) / max(1, len(scores) - 1)) ** 0.5
    return f"{100 * mean:.1f} ({100 * error:.1f})"
