"""From ladder.yaml to checkpoints: tokenizer, then each rung; a rung that is finished is not trained again."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from harness.api import HarnessError
from trainers.zoo.config import Ladder
from trainers.zoo.data import Examples, Question, encode
from trainers.zoo.lessons import examples

#: Examples for the tokenizer are drawn with a seed that no chunk uses.
_TOKENIZER_SEED = 2**30


def build_ladder(ladder: Ladder, out: Path, names: Sequence[str] = ()) -> list[Path]:
    """Train the named rungs (default: all, smallest first) into `out/NAME`; returns the checkpoint folders.

    Stopped at any moment, the same call goes on from the last checkpoint in `out/.work/NAME`.
    """
    unknown = [name for name in names if name not in ladder.models]
    if unknown:
        raise HarnessError(f"the ladder has no rung {unknown[0]!r}", f"its rungs are {', '.join(ladder.models)}")
    processor = shared_processor(ladder, out / ".work" / "processor")
    return [build_rung(name, ladder, processor, out) for name in names or ladder.models]


def shared_processor(ladder: Ladder, folder: Path) -> Any:
    """The processor of all rungs: trained on first use, then read from the folder."""
    from transformers import AutoProcessor

    from trainers.zoo.model import build_processor
    from trainers.zoo.tokenizer import train_tokenizer

    if not (folder / "tokenizer.json").exists():
        settings = ladder.tokenizer
        prompts: dict[str, list[str]] = defaultdict(list)
        targets = []
        even = dict.fromkeys(settings.kinds, 1)
        for item in examples(even, settings.rows * len(even), _TOKENIZER_SEED):
            if isinstance(item, Question):
                prompts[item.task].extend(part for part in item.request.parts if isinstance(part, str))
                targets.append(item.target)
            else:
                targets.extend(text for turn in item.turns for text in turn)
        tokenizer = train_tokenizer(prompts, targets, settings.vocab_size, settings.phrase_share)
        partial = folder.with_name(f"{folder.name}.{os.getpid()}")
        build_processor(tokenizer, ladder).save_pretrained(partial)
        partial.rename(folder)
    return AutoProcessor.from_pretrained(folder)


def build_rung(name: str, ladder: Ladder, processor: Any, out: Path) -> Path:
    """Train one rung and write its checkpoint: fp16 safetensors, processor, and `training.json` last."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from trainers.zoo.model import build_model
    from trainers.zoo.train import Run, batches

    folder, size = out / name, ladder.models[name]
    if (folder / "training.json").exists():
        return folder
    model = build_model(size, ladder, processor.tokenizer, ladder.seed)
    training = ladder.training
    run = Run(model, training, size.steps, out / ".work" / name)
    run.resume()
    pad = processor.tokenizer.pad_token_id

    chunks = out / ".work" / "chunks"
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # the next chunk is drawn in a process of its own while this one is learned
    with ProcessPoolExecutor(1, get_context("spawn")) as painter, Progress(*columns) as progress:

        def chunk(number: int) -> Examples:
            this, following = ladder.drawn(number), ladder.drawn(number + 1)
            painter.submit(draw_chunk, this, ladder, processor, chunks).result()
            painter.submit(draw_chunk, following, ladder, processor, chunks)
            return load_chunk(this, chunks)

        bar = progress.add_task(name, total=size.steps, completed=run.step)
        stream = batches(chunk, training.batch_tokens, pad, ladder.seed, run.place)
        run.train(stream, lambda step, loss: progress.update(bar, completed=step, description=f"{name} {loss:.3f}"))
    export(model, processor, folder)
    report = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": run.step,
        "training_seconds": round(run.seconds, 1),
        "curve": run.curve,
    }
    (folder / "training.json").write_text(json.dumps(report), encoding="utf-8")
    return folder


def draw_chunk(number: int, ladder: Ladder, processor: Any, cache: Path) -> None:
    """Draw a chunk of the stream into `cache`, as its lesson says; once for all rungs."""
    import torch

    file = cache / f"{number}.npz"
    if file.exists():
        return
    torch.set_num_threads(1)
    drawn = encode(
        examples(ladder.lesson(number).mix, ladder.chunk, ladder.seed + number), processor, ladder.max_tokens
    )
    try:
        cache.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f".{number}.{os.getpid()}.npz")
        drawn.save(partial)
        partial.replace(file)
    except OSError as error:
        raise HarnessError(
            f"cannot keep the drawn questions in {cache}: {error.strerror or error}",
            "free some space (a chunk takes about 5 MB) and run the same command again",
        ) from error


def load_chunk(number: int, cache: Path) -> Examples:
    """A chunk that was drawn."""
    return Examples.load(cache / f"{number}.npz")


def export(model: Any, processor: Any, folder: Path) -> None:
    """Write a checkpoint that plain transformers loads: float16 safetensors, tied embeddings stored once."""
    import copy

    import torch

    half = copy.deepcopy(model).to(torch.float16).eval()
    half.config.architectures = ["InternVLForConditionalGeneration"]
    half.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    half.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    half.save_pretrained(folder)
    processor.save_pretrained(folder)
