"""A good bare loop of batched `model.generate`, without a harness: the yardstick of the loop's overhead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any

import torch
from PIL import Image as Pillow

from harness.api import Request


@torch.no_grad()
def bare_loop(model: Any, processor: Any, requests: Sequence[Request], rows: int) -> Iterator[tuple[int, str]]:
    """Yield (index, text) of greedy answers: prompts sorted by length in characters, `rows` a batch, left padding.

    The whole batch goes through the processor and `model.generate` in one call each, as a careful script would do.
    All requests must share max_new_tokens; the longest prompts come first, so that memory runs out at once or never.
    """
    order = sorted(range(len(requests)), key=lambda i: (len(requests[i].images), len(requests[i].text)), reverse=True)
    for start in range(0, len(order), rows):
        batch = order[start : start + rows]
        texts = [processor.apply_chat_template(_chat(requests[i]), add_generation_prompt=True) for i in batch]
        images = [[Pillow.open(BytesIO(x.read())).convert("RGB") for x in requests[i].images] for i in batch]
        inputs = processor(
            text=texts, images=images if any(images) else None, padding=True, padding_side="left", return_tensors="pt"
        ).to(model.device, model.dtype)
        limit = requests[batch[0]].generation.max_new_tokens
        output = model.generate(**inputs, max_new_tokens=limit, do_sample=False)
        answers = processor.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        yield from zip(batch, answers, strict=True)


def _chat(request: Request) -> list[dict[str, Any]]:
    parts = [{"type": "text", "text": part} if isinstance(part, str) else {"type": "image"} for part in request.parts]
    return [{"role": "user", "content": parts}]
