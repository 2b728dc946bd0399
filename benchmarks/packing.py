"""One Masters step (student forward and backward, teacher and reference forward), packed against one row a response.

    python benchmarks/packing.py            writes benchmarks/results/packing.md

G = 8 responses of 32 tokens to one question; InternVL with random weights, fp32, one thread. Each cell runs in a
process of its own; memory is what the process grew by over its size before the first step. Time is processor time of
the one thread, fastest of a few steps.
"""

from __future__ import annotations

import json
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from conditions import BESIDE

RESULTS = Path(__file__).parent / "results" / "packing.md"
PREFIXES, GROUP, RESPONSE, REPEATS = (64, 128, 256, 512, 1024), 8, 32, 3
TEXT, TILE = 16, 16  # text tokens of the prompt, tokens of an image tile
VOCABULARY, IMAGE_TOKEN = 4096, 4095


def model(seed: int) -> Any:
    """An InternVL of about 6 M parameters."""
    import torch
    import transformers as hf

    torch.manual_seed(seed)
    config = hf.InternVLConfig(
        vision_config=hf.InternVLVisionConfig(
            hidden_size=128, num_hidden_layers=4, num_attention_heads=4, intermediate_size=512, image_size=[64, 64],
            patch_size=[8, 8],
        ),
        text_config=hf.Qwen2Config(
            hidden_size=256, num_hidden_layers=6, num_attention_heads=8, num_key_value_heads=4, intermediate_size=704,
            vocab_size=VOCABULARY, tie_word_embeddings=True,
        ),
        image_token_id=IMAGE_TOKEN,
        downsample_ratio=0.5,
    )  # fmt: skip
    return hf.InternVLForConditionalGeneration(config)


def question(prefix: int) -> Any:
    """A prompt of `prefix` tokens, all but TEXT of them image tokens, and G responses."""
    import torch

    from trainers.packing import Question

    tiles = (prefix - TEXT) // TILE
    ids = torch.cat([torch.full((tiles * TILE,), IMAGE_TOKEN), torch.randint(0, 4000, (TEXT,))])[None]
    pixels = torch.randn(tiles, 3, 64, 64)
    return Question({"input_ids": ids, "pixel_values": pixels}, torch.randint(0, 4000, (GROUP, RESPONSE)).tolist())


def measure(prefix: int, layout: str) -> dict[str, float]:
    """Seconds of the fastest step, MiB the process grew by, loss and gradient norm of a cell."""
    import torch

    from trainers import packing
    from trainers.divergence import token_signals
    from trainers.objective import Objective, loss_of_batch

    torch.set_num_threads(1)
    student, teacher, reference = model(0), model(1).eval(), model(2).eval()
    torch.manual_seed(3)
    asked = question(prefix)
    accuracy = torch.tensor([1.0, 0, 1, 0, 0, 1, 0, 0])
    wrapped = packing.ResponseModel(student)

    def step() -> float:
        student.zero_grad()
        batch = getattr(packing, layout)([asked], student)
        signals = wrapped(batch, VOCABULARY, packing.teacher_logits(teacher, batch))
        with torch.no_grad():
            states = packing.response_states(reference, batch)
            fixed = token_signals(states, reference.get_output_embeddings(), batch.targets, VOCABULARY).logp
        loss = loss_of_batch(signals, batch.layout, Objective(), accuracy, fixed)
        loss.total.backward()
        return float(loss.total.detach())

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(REPEATS):
        start = time.process_time()
        loss = step()
        seconds.append(time.process_time() - start)
    norm = torch.stack([p.grad.norm() for p in student.parameters() if p.grad is not None]).norm()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"seconds": min(seconds), "mib": grown, "loss": loss, "norm": float(norm)}


def cell(prefix: int, layout: str) -> dict[str, float]:
    """`measure` in a process of its own."""
    out = subprocess.run([sys.executable, __file__, str(prefix), layout], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(out.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure every cell and write the table."""
    lines = [
        "# Group packing: one Masters step, packed against one row a response",
        "",
        f"G = {GROUP} responses of {RESPONSE} tokens, one question, InternVL of 6 M parameters, fp32, one thread; "
        f"processor time, fastest of {REPEATS} steps; `python benchmarks/packing.py`. {platform.machine()}, "
        f"{BESIDE}. The bound is that of the language model's tokens, "
        "G (P + R) / (P + G R).",
        "",
        "| prefix | spread samples/s | packed samples/s | ratio | bound | spread, MiB | packed, MiB | loss differs |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for prefix in PREFIXES:
        spread, packed = cell(prefix, "spread"), cell(prefix, "pack")
        bound = GROUP * (prefix + RESPONSE) / (prefix + GROUP * RESPONSE)
        lines.append(
            f"| {prefix} | {GROUP / spread['seconds']:.1f} | {GROUP / packed['seconds']:.1f} "
            f"| {spread['seconds'] / packed['seconds']:.2f} | {bound:.2f} | {spread['mib']:.0f} | {packed['mib']:.0f} "
            f"| {abs(spread['loss'] - packed['loss']) / abs(spread['loss']):.0e} |"
        )
        print(lines[-1])
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(measure(int(sys.argv[1]), sys.argv[2])))
    else:
        main()
