"""The bare loop as a script of its own: bare_process.py ITEMS ROWS FAMILY."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from inputs import TOKENS, inputs

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bare_loop import bare_loop

from harness import registry
from harness.data import open_dataset
from harness.models.load import load_module, load_processor

if __name__ == "__main__":
    made = inputs(int(sys.argv[1]), sys.argv[3])
    torch.set_num_threads(1)
    task = registry.task("chartqa")
    rules = registry.rules(task, "lmms-eval@0.7.2")
    requests = [rules.request(sample) for sample in open_dataset(task, made.folder)]
    assert {request.generation.max_new_tokens for request in requests} == {TOKENS}
    model, processor = load_module(made.checkpoint, "cpu", "bfloat16", "auto"), load_processor(made.checkpoint)
    print(len(list(bare_loop(model, processor, requests, int(sys.argv[2])))), "answers")
