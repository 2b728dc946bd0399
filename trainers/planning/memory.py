"""Memory of one GPU: weights, gradients and optimizer under the recipe's engine, activations, logits, KV cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.models.batches import NEW_TOKENS_COUNTED
from harness.models.hf import BATCH_TOKENS
from trainers.divergence import chunk_tokens
from trainers.order import StagePlan
from trainers.planning.architecture import Architecture, Tower
from trainers.planning.formula import Figure, figure
from trainers.planning.workload import Lengths
from trainers.recipe import Recipe

_LIVE, _BUCKET = 1e9, 5e8  # DeepSpeed's defaults: parameters gathered at once, elements of a reduce bucket
_CHUNK = 256 * 2**20  # what trainers.divergence.chunk_tokens lets a chunk of logits take


@dataclass(frozen=True, slots=True)
class Batch:
    """What one forward pass holds: questions, responses each, and whether they share their prompt (packing)."""

    questions: int
    group: int
    prompt: float
    image: float
    response: float
    packed: bool

    @property
    def rows(self) -> int:
        """Rows of the batch."""
        return self.questions if self.packed else self.questions * self.group

    @property
    def width(self) -> float:
        """Positions of a row."""
        return self.prompt + (self.group if self.packed else 1) * self.response

    @property
    def tokens(self) -> float:
        """Positions of the batch."""
        return self.rows * self.width

    @property
    def said(self) -> float:
        """Response tokens: those that are predicted."""
        return self.questions * self.group * self.response

    def patches(self, model: Architecture) -> float:
        """Vision patches; a spread batch encodes a question's image once a response."""
        return self.rows * self.image * model.patches_per_token


def batch_of(
    recipe: Recipe, length: Lengths, stages: Sequence[StagePlan], group: int, gold: bool, longest: bool = False
) -> Batch:
    """The largest micro-batch of stages, for groups of so many responses; `longest` takes the longest prompt seen."""
    packed = recipe.train.packing == "auto"
    prompt = length.longest if longest else length.prompt
    said = length.gold if gold else length.response
    step = max(len(questions) for stage in stages for questions in stage.steps)  # a stage may have less than a step's
    return Batch(min(recipe.train.questions_per_batch, step), group, prompt, length.image, said, packed)


def student_memory(recipe: Recipe, student: Architecture, gpus: int) -> list[Figure]:
    """Weights, gradients and optimizer state of the student on one GPU."""
    engine, bf16 = recipe.train.engine, recipe.train.precision == "bf16"
    deepspeed = engine in ("zero2", "zero3") and bf16
    trained = student.trained[recipe.train.modules]
    weights = figure(
        "student weights", "B", "parameters * bytes / shards", _ENGINES[engine], parameters=student.parameters,
        bytes=2 if deepspeed else 4, shards=gpus if engine == "zero3" else 1,
    )  # fmt: skip
    found = [weights]
    if bf16 and not deepspeed:
        found.append(figure("student weights, bf16 copy", "B", "parameters * 2", "made by autocast in every forward",
                            parameters=student.parameters))  # fmt: skip
    shards = gpus if engine in ("zero2", "zero3") else 1
    found.append(figure("gradients", "B", "trained * bytes / shards", trained=trained, bytes=2 if deepspeed else 4,
                        shards=shards))  # fmt: skip
    found.append(figure(
        "optimizer", "B", "trained * bytes / shards", "fp32 master weights and AdamW's two moments" if deepspeed else
        "AdamW's two moments", trained=trained, bytes=12 if deepspeed else 8, shards=shards,
    ))  # fmt: skip
    if engine == "zero3":
        found.append(figure(
            "ZeRO-3 buffers", "B", "2 * min(parameters, live) + 2 * min(trained, bucket)",
            "gathered parameters and one reduce bucket, DeepSpeed's defaults", parameters=student.parameters,
            trained=trained, live=_LIVE, bucket=_BUCKET,
        ))  # fmt: skip
    return found


_ENGINES = {
    "single": "whole on its GPU", "ddp": "whole on every GPU", "zero2": "whole on every GPU",
    "zero3": "sharded over all GPUs",
}  # fmt: skip


def frozen_memory(recipe: Recipe, name: str, model: Architecture, gpus: int) -> Figure:
    """A model that only computes forward: the teacher or the reference."""
    sharded = recipe.train.engine == "zero3"
    return figure(
        name, "B", "parameters * bytes / shards", "sharded over all GPUs" if sharded else "whole on every GPU",
        parameters=model.parameters, bytes=2 if recipe.train.precision == "bf16" else 4, shards=gpus if sharded else 1,
    )  # fmt: skip


def layer_bytes(tower: Tower, mixed: bool) -> tuple[float, float]:
    """Bytes a layer keeps for its backward pass: per token, and per pair of positions in a row (its mask).

    Counted from the operations of transformers' layers with sdpa: the norms keep input (in float32), normalised and
    scaled values; attention keeps queries, repeated keys and values and its output; a gated feed-forward keeps gate,
    its activation, up and their product, a plain one two. `mixed` is bf16 computation. Tested against autograd.
    """
    size = 2 if mixed else 4
    norm = (4 + 2 * size) if tower.rms_norm else (4 + size if mixed else 2 * size)
    kept = 2 * norm * tower.hidden + 4 * size * tower.query + (4 if tower.gated else 2) * size * tower.inner
    kept += 4 * tower.heads  # the softmax's normaliser
    if tower.qk_norm:
        kept += (norm - size) * (tower.query + tower.keys)
    if tower.layer_scale:
        kept += 2 * size * tower.hidden
    return kept, size


def activations(recipe: Recipe, student: Architecture, batch: Batch) -> list[Figure]:
    """Activations of one micro-batch of the student, with or without checkpointing, and the logits in work."""
    mixed = recipe.train.precision == "bf16"
    size = 2 if mixed else 4
    of_text, of_pair = layer_bytes(student.text, mixed)
    of_patch, _ = layer_bytes(student.image, mixed)
    pairs = batch.rows * batch.width**2 if batch.packed else 0.0
    found = []
    if recipe.train.gradient_checkpointing:
        found.append(figure(
            "activations", "B", "size * (layers * hidden * tokens + vision_layers * vision_hidden * patches) + "
            "max(layer * tokens + pair * pairs, vision_layer * patches)",
            "the input of every layer, and all of the layer that is computed again", size=size,
            layers=student.text.layers, hidden=student.text.hidden, tokens=batch.tokens,
            vision_layers=student.image.layers, vision_hidden=student.image.hidden, patches=batch.patches(student),
            layer=of_text, pair=of_pair, pairs=pairs, vision_layer=of_patch,
        ))  # fmt: skip
    else:
        found.append(figure(
            "activations", "B",
            "layers * (layer * tokens + pair * pairs) + vision_layers * vision_layer * patches",
            "all that autograd keeps", layers=student.text.layers, layer=of_text, tokens=batch.tokens, pair=of_pair,
            pairs=pairs, vision_layers=student.image.layers, vision_layer=of_patch, patches=batch.patches(student),
        ))  # fmt: skip
    found.append(figure(
        "logits in work", "B", "52 * vocabulary * min(said, chunk)",
        "thirteen float32 values a vocabulary entry while a chunk is computed again: logits, log-probabilities, and "
        "what their divergence keeps",
        vocabulary=student.vocabulary, said=batch.said, chunk=chunk_tokens(student.vocabulary, _CHUNK),
    ))  # fmt: skip
    return found


def generating(recipe: Recipe, teacher: Architecture, length: Lengths, asked: float) -> list[Figure]:
    """What the backend hf needs beside the models to generate `asked` responses on a CPU: a batch's cache and work."""
    rows = figure(
        "rows of a batch", "rows", "min(asked, budget / (prompt + counted))", "harness.models.hf", asked=asked,
        budget=BATCH_TOKENS["cpu"], prompt=length.prompt,
        counted=min(recipe.responses.sampling.max_new_tokens, NEW_TOKENS_COUNTED),
    )  # fmt: skip
    size = 2 if recipe.train.precision == "bf16" else 4
    tower = teacher.text
    cache = figure("KV cache of a batch", "B", "rows * (prompt + tokens) * kv", rows=rows, prompt=length.prompt,
                   tokens=length.response, kv=kv_token(teacher, size))  # fmt: skip
    return [cache, figure(
        "widest layer of a batch", "B", "rows * prompt * bytes * (3 * inner + 2 * hidden)", rows=rows,
        prompt=length.prompt, bytes=size, inner=tower.inner, hidden=tower.hidden,
    )]  # fmt: skip


def host_caches(recipe: Recipe, student: Architecture, length: Lengths) -> Figure:
    """Processed images that student's and teacher's preprocessors keep in the host's memory (256 MiB each kind)."""
    return figure(
        "processed images kept by the host", "B", "2 * 2 * min(limit, questions * image * pixels)",
        "as image and as part of a prompt, for student and for teacher", limit=2**28, questions=length.questions,
        image=length.image, pixels=student.pixel_bytes,
    )  # fmt: skip


def kv_token(model: Architecture, size: int = 2) -> Figure:
    """Bytes of one position in the KV cache."""
    return figure(f"KV cache of {model.name}", "B/token", "2 * layers * keys * bytes", layers=model.text.layers,
                  keys=model.text.keys, bytes=size)  # fmt: skip


def total(name: str, parts: Sequence[Figure], note: str = "") -> Figure:
    """The sum of figures in bytes."""
    return Figure(name, sum(part.value for part in parts), "B", note=note or " + ".join(part.name for part in parts))
