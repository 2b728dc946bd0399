"""Bytes on disk of one training: Gen-Data, teacher cache, checkpoints, states, masked teachers saved for an engine."""

from __future__ import annotations

from trainers.planning.architecture import Architecture
from trainers.planning.formula import Figure, figure
from trainers.planning.workload import Lengths
from trainers.recipe import Recipe
from trainers.teacher_cache import WHOLE

#: Parquet with zstd, counted on files of trainers.generate: what names a question (its hash, twice), a token's text,
#: a file's footer and its columns that hardly vary.
QUESTION, TEXT, FILE = 107.0, 1.3, 3_000.0
_HEADER = 110.0  # a tensor's entry in a safetensors header: its name of 32 hex digits, dtype, shape, offsets


def gen_data(recipe: Recipe, student: Architecture, at: Lengths, questions: float, responses: float) -> Figure:
    """Gen-Data of some questions with so many responses each."""
    return figure(
        "Gen-Data", "B",
        "questions * (question + responses * tokens * (log2(vocabulary) / 8 + 4 * uncertain + text)) + "
        "ceil(questions / batch) * file",
        "ids, float32 log-probabilities where top-p left a choice (0 elsewhere), text; zstd", questions=questions,
        question=QUESTION, responses=responses, tokens=at.response, vocabulary=student.vocabulary,
        uncertain=at.uncertain, text=TEXT, batch=recipe.responses.batch_questions, file=FILE,
    )  # fmt: skip


def teacher_cache(recipe: Recipe, student: Architecture, tokens: float, responses: float) -> Figure:
    """The teacher's distributions on so many response tokens; nothing where the teacher is live."""
    if recipe.train.teacher == "live":
        return Figure("teacher cache", 0.0, "B", note="train.teacher: live")
    whole = student.vocabulary <= WHOLE
    if whole:
        return figure("teacher cache", "B", "tokens * 2 * vocabulary + responses * header",
                      "whole distributions in float16", tokens=tokens, vocabulary=student.vocabulary,
                      responses=responses, header=_HEADER)  # fmt: skip
    return figure("teacher cache", "B", "tokens * (6 * top_k + 2) + 3 * responses * header",
                  "float16 log-probabilities and int32 tokens of the top k, and the rest's mass", tokens=tokens,
                  top_k=recipe.train.cache_top_k, responses=responses, header=_HEADER)  # fmt: skip


def checkpoint(recipe: Recipe, student: Architecture) -> Figure:
    """The checkpoint of one stage."""
    half = recipe.train.engine in ("zero2", "zero3") and recipe.train.precision == "bf16"
    return figure("checkpoint", "B", "parameters * bytes", "safetensors; tokenizer and configs are small",
                  parameters=student.parameters, bytes=2 if half else 4)  # fmt: skip


def state(recipe: Recipe, student: Architecture) -> Figure:
    """The state that a killed training goes on from; the newest is kept, the next is written beside it."""
    deepspeed = recipe.train.engine in ("zero2", "zero3") and recipe.train.precision == "bf16"
    return figure("training state", "B", "2 * (weights * parameters + optimizer * trained)",
                  "weights and optimizer, the newest and the one being written", parameters=student.parameters,
                  trained=student.trained[recipe.train.modules], weights=2 if deepspeed else 4,
                  optimizer=12 if deepspeed else 8)  # fmt: skip


def served(recipe: Recipe, teacher: Architecture) -> Figure:
    """A masked teacher saved as a checkpoint for another engine; none where this process generates itself."""
    if recipe.responses.backend == "hf":
        return Figure("masked teacher for the engine", 0.0, "B", note="responses.backend: hf")
    return figure("masked teacher for the engine", "B", "parameters * bytes", "one a mask ratio; zeros stay dense",
                  parameters=teacher.parameters, bytes=2 if recipe.train.precision == "bf16" else 4)  # fmt: skip
