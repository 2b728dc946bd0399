"""How often a rung is right on mini questions: greedy answers, a few hundred a second."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch

from trainers.zoo.data import Example, Examples, pixel_values

_END_MARKS = re.compile(r"[.。\s]+$")


def final(text: str) -> str:
    """What an answer comes down to: its last word, or the letter after a Chinese `answer is`."""
    words = _END_MARKS.sub("", text).split("答案是")[-1].split()
    return words[-1].strip("()").lower() if words else ""


@torch.inference_mode()
def answers(model: Any, processor: Any, examples: Examples, batch: int = 64, max_new_tokens: int = 40) -> list[str]:
    """Greedy answers in the order of the examples; prompts padded on the left, sorted by length."""
    tokenizer = processor.tokenizer
    model.eval()
    order = sorted(range(len(examples.items)), key=lambda i: len(examples.items[i].prompt))
    found: dict[int, str] = {}
    for at in range(0, len(order), batch):
        chosen = order[at : at + batch]
        items = [examples.items[i] for i in chosen]
        longest = max(len(item.prompt) for item in items)
        ids = torch.full((len(items), longest), tokenizer.pad_token_id)
        for row, item in enumerate(items):
            ids[row, longest - len(item.prompt) :] = torch.tensor(item.prompt)
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


def accuracy(items: Sequence[Example], said: Sequence[str], wanted: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Task -> (right, asked), by the last word of answer and target; "all" sums them up."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for item, answer, target in zip(items, said, wanted, strict=True):
        for key in (item.task, "all"):
            counts[key][0] += final(answer) == final(target)
            counts[key][1] += 1
    return {task: (right, asked) for task, (right, asked) in counts.items()}
