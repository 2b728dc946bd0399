"""From ladder.yaml to checkpoints: tokenizer, then each rung; a rung that is finished is not trained again."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from harness.api import HarnessError
from trainers.zoo.config import Ladder
from trainers.zoo.data import Examples, Question, encode, load_questions
from trainers.zoo.drills import Drill, drills, explained, first_drills

#: Chunks of train rows begin here; seed 0 is the harness's own train split.
_FIRST_SEED = 1
#: Rows for the tokenizer are drawn with a seed that no chunk uses.
_TOKENIZER_SEED = 2**30
#: Drills of the mixed chunks are not those of the first chunks.
_AWAY = 1_000_000


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
        asked = load_questions("train", settings.rows_per_task, _TOKENIZER_SEED)
        told = [
            *first_drills(settings.drills, 99, ladder.seed),
            *drills(settings.drills, ladder.seed),
            *explained(settings.drills, ladder.seed),
        ]
        targets += [text for drill in told for turn in drill.turns for text in turn]
        for question in asked:
            prompts[question.task].extend(part for part in question.request.parts if isinstance(part, str))
            targets.append(question.target)
        tokenizer = train_tokenizer(prompts, targets, settings.vocab_size, settings.phrase_share)
        partial = folder.with_name(f"{folder.name}.{os.getpid()}")
        build_processor(tokenizer, ladder).save_pretrained(partial)
        partial.rename(folder)
    return AutoProcessor.from_pretrained(folder)


def build_rung(name: str, ladder: Ladder, processor: Any, out: Path) -> Path:
    """Train one rung and write its checkpoint: fp16 safetensors, processor, and `training.json` last."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from trainers.zoo.model import build_model, grow
    from trainers.zoo.train import Run, batches

    folder, size = out / name, ladder.models[name]
    if (folder / "training.json").exists():
        return folder
    model = build_model(size, ladder, processor.tokenizer, ladder.seed)
    if size.grow:
        grow(model, finished_weights(size.grow, ladder, processor, out))
    training = ladder.training
    scaled = {"muon_lr": training.muon_lr * size.lr, "adamw_lr": training.adamw_lr * size.lr}
    run = Run(model, training.model_copy(update=scaled), size.steps, out / ".work" / name)
    run.resume()
    pad = processor.tokenizer.pad_token_id

    def chunk(number: int) -> Examples:
        first = number < size.drill_chunks
        return draw_chunk(
            number if first else number - size.drill_chunks, ladder, first, processor, out / ".work" / "chunks"
        )

    stream = batches(chunk, ladder.training.batch_tokens, pad, ladder.seed, run.place)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    begin = time.monotonic()
    with Progress(*columns) as progress:
        bar = progress.add_task(name, total=size.steps, completed=run.step)
        run.train(stream, lambda step, loss: progress.update(bar, completed=step, description=f"{name} {loss:.3f}"))
    export(model, processor, folder)
    report = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": run.step,
        "training_seconds": round(run.seconds, 1),
        "last_session_seconds": round(time.monotonic() - begin, 1),
        "curve": run.curve,
    }
    (folder / "training.json").write_text(json.dumps(report), encoding="utf-8")
    return folder


def finished_weights(name: str, ladder: Ladder, processor: Any, out: Path) -> dict[str, Any]:
    """The float32 weights of a rung, which is trained first if it is not finished."""
    import torch

    if name not in ladder.models:
        raise HarnessError(f"the ladder has no rung {name!r} to grow from", f"its rungs are {', '.join(ladder.models)}")
    build_rung(name, ladder, processor, out)
    weights: dict[str, Any] = torch.load(out / ".work" / name / "state.pt", weights_only=True)["model"]
    return weights


def draw_chunk(number: int, ladder: Ladder, only_drills: bool, processor: Any, cache: Path) -> Examples:
    """A chunk of the stream: drills only, or rows of every task with explained scenes and drills.

    Drawn once for all rungs, then read from `cache`.
    """
    import torch

    from trainers.zoo.data import Example, Turn

    file = cache / f"{'drills' if only_drills else 'mixed'}-{number}.pt"
    if not file.exists():
        data = ladder.data
        seed = ladder.seed + number
        if only_drills:
            asked: Iterable[Question | Drill] = first_drills(data.first_drills, number, seed)
        else:
            told = itertools.chain(drills(data.drills, seed + _AWAY), explained(data.explained, seed))
            asked = itertools.chain(load_questions("train", data.rows_per_task, _FIRST_SEED + number), told)
        drawn = encode(asked, processor, data.max_tokens)
        cache.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(f".{os.getpid()}")
        torch.save(
            {"items": [(tuple(map(tuple, e.turns)), e.images) for e in drawn.items], "pixels": drawn.pixels}, partial
        )
        partial.replace(file)
    stored = torch.load(file, weights_only=True)
    return Examples(
        [Example(tuple(Turn(*turn) for turn in turns), images) for turns, images in stored["items"]], stored["pixels"]
    )


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
