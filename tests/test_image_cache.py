"""Images that are processed together have the features they have alone, in every family."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
import torch
from PIL import Image as Pillow

from harness.api import Generation, Image, Request
from harness.models.load import load_processor
from harness.models.preprocess import Preprocessor


def request(seed: int, width: int, height: int, count: int = 1) -> Request:
    images = []
    for number in range(count):
        pixels = np.random.default_rng([seed, number]).integers(0, 256, (height, width, 3), dtype=np.uint8)
        data = BytesIO()
        Pillow.fromarray(pixels).save(data, "PNG")
        images.append(Image.from_bytes(data.getvalue()))
    return Request((*images, "What is it?"), Generation(max_new_tokens=1))


def calls_of(preprocessor: Preprocessor) -> list[int]:
    """Images of each call of the image processor from now on."""
    found: list[int] = []
    inner = preprocessor._processor().image_processor._inner
    process = inner.preprocess

    def counted(images: Any, *args: Any, **kwargs: Any) -> Any:
        found.append(len(images))
        return process(images, *args, **kwargs)

    inner.preprocess = counted
    return found


REQUESTS = [request(seed, 30 + 7 * (seed % 5), 40 + 11 * (seed % 3), 2 if seed == 9 else 1) for seed in range(20)]


@pytest.mark.parametrize("family", tiny_models.FAMILIES)
def test_together_is_bit_equal_to_alone(family: str, tmp_path: Path) -> None:
    processor = load_processor(tiny_models.checkpoint(family, tmp_path))
    alone, together = Preprocessor(processor), Preprocessor(processor)
    calls = calls_of(together)
    together.expect(REQUESTS)
    for one in REQUESTS:
        left, right = alone.prepare(one), together.prepare(one)
        assert left.input_ids.equal(right.input_ids)
        assert left.features.keys() == right.features.keys()
        for name, value in left.features.items():
            assert torch.is_tensor(value)
            assert value.equal(right.features[name]), (family, name)
    if family in ("internvl", "qwen2_5_vl", "qwen3_vl"):
        assert calls == [1, 18, 1]  # the first says how much memory one takes; two images of one prompt stay apart


def test_an_unreadable_image_fails_alone_and_the_bytes_at_once_are_bounded(tmp_path: Path) -> None:
    processor = load_processor(tiny_models.checkpoint("internvl", tmp_path))
    broken = Request((Image.from_bytes(b"\x89PNG no picture"), "What is it?"), Generation(max_new_tokens=1))
    preprocessor = Preprocessor(processor)
    calls = calls_of(preprocessor)
    preprocessor.expect([*REQUESTS[:4], broken])
    assert all(preprocessor.prepare(one).length for one in REQUESTS[:4])
    with pytest.raises(OSError, match="identify image"):
        preprocessor.prepare(broken)
    assert calls == [1, 3]

    size = preprocessor.prepare(REQUESTS[0]).nbytes
    small = Preprocessor(processor, image_cache=16 * size)
    calls = calls_of(small)
    small.expect(REQUESTS[:9])
    for one in REQUESTS[:9]:
        small.prepare(one)
    assert max(calls) <= 4


def test_prompts_that_are_kept_are_not_processed_again(tmp_path: Path) -> None:
    preprocessor = Preprocessor(load_processor(tiny_models.checkpoint("qwen2_5_vl", tmp_path)))
    calls = calls_of(preprocessor)
    for _ in range(2):
        preprocessor.expect(REQUESTS[:5])
        for one in REQUESTS[:5]:
            preprocessor.prepare(one)
    assert calls == [1, 4]
