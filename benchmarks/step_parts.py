"""Models, questions and our steps for benchmarks/training_steps.py: an InternVL with a real processor."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from harness.api import Image, Request, Sample
from trainers.generate import STUDENT, TEACHER, Generated
from trainers.groups import Group
from trainers.questions import TrainingQuestion

GROUP, RESPONSE, TILE, TOKENS_OF_TILE = 8, 32, 64, 16
TEXT = "How many of the coloured squares in picture {} are lighter than their neighbours on all sides? Say a number."


def checkpoint(folder: Path, seed: int) -> Path:
    """An InternVL of about 5 M parameters with the ladder's tokenizer; its processor cuts an image into tiles."""
    import torch
    import transformers as hf

    from harness.models.load import load_processor, resolve

    words = load_processor(resolve("embedded/student"))
    image_token = words.tokenizer.convert_tokens_to_ids(words.image_token)
    torch.manual_seed(seed)
    config = hf.InternVLConfig(
        vision_config=hf.InternVLVisionConfig(
            hidden_size=128, num_hidden_layers=4, num_attention_heads=4, intermediate_size=512,
            image_size=[TILE, TILE], patch_size=[8, 8],
        ),
        text_config=hf.Qwen2Config(
            hidden_size=256, num_hidden_layers=6, num_attention_heads=8, num_key_value_heads=4, intermediate_size=704,
            vocab_size=-(-len(words.tokenizer) // 64) * 64, tie_word_embeddings=True, bos_token_id=None,
            eos_token_id=words.tokenizer.eos_token_id, pad_token_id=words.tokenizer.pad_token_id,
        ),
        image_token_id=image_token, image_seq_length=TOKENS_OF_TILE, downsample_ratio=0.5, tie_word_embeddings=True,
    )  # fmt: skip
    model = hf.InternVLForConditionalGeneration(config)
    model.generation_config = hf.GenerationConfig(eos_token_id=words.tokenizer.eos_token_id)
    images = words.image_processor
    images.crop_to_patches, images.min_patches, images.max_patches = True, 1, 64
    words.image_seq_length = TOKENS_OF_TILE
    path = folder / f"internvl-{seed}"
    model.save_pretrained(path)
    words.save_pretrained(path)
    return path


def pictures(tiles: tuple[int, int], number: int) -> list[Any]:
    """Pictures of so many tiles across and down, as PIL images: coloured squares that differ from one to the next."""
    from PIL import Image as Pillow

    width, height = tiles
    draws = random.Random(0)
    found = []
    for _ in range(number):
        small = Pillow.frombytes("RGB", (3 * width, 3 * height), draws.randbytes(27 * width * height))
        found.append(small.resize((TILE * width, TILE * height), Pillow.Resampling.NEAREST))
    return found


def groups(shown: Sequence[Any], words: int, place: int) -> list[Group]:
    """A question with G random responses for each picture; `place` makes the questions of a step its own."""
    draws = random.Random(place)
    made = []
    for index, picture in enumerate(shown):
        buffer = BytesIO()
        picture.save(buffer, "PNG")
        image, name = Image.from_bytes(buffer.getvalue()), f"{place}-{index}"
        sample = Sample(name, TEXT.format(name), "7", (image,))
        question = TrainingQuestion(name, sample, Request((image, sample.question)), "7")
        said = tuple(
            Generated(name, at, TEACHER if at < GROUP // 2 else STUDENT, 0.2, "", tuple(ids), (), "length")
            for at, ids in enumerate([draws.choices(range(8, words - 8), k=RESPONSE) for _ in range(GROUP)])
        )
        made.append(Group(question, said, tuple(float(draws.random() < 0.5) for _ in said)))
    return made


class Round(NamedTuple):
    """What one step sees: as groups of ours, and as pictures for trl."""

    shown: list[Any]
    asked: list[Any]


class Ours:
    """Our optimizer steps on one student: `step(kind, groups)`, kind one of live, unpacked, cached, sft."""

    def __init__(self, student: str, teacher: str, folder: Path, per_batch: int) -> None:
        import torch

        from trainers.context import accelerator_of
        from trainers.models import load_frozen, load_student
        from trainers.objective import Objective
        from trainers.optimizer import build_optimizer
        from trainers.packing import ResponseModel
        from trainers.recipe import Recipe
        from trainers.reference_cache import ReferenceCache
        from trainers.step import Batches, Signals, Stepper
        from trainers.teacher_cache import TeacherCache

        torch.set_num_threads(1)
        recipe = Recipe.model_validate(
            {
                "name": "steps", "student": {"model": student}, "teachers": [{"model": teacher}],
                "data": {"sources": ["mini"], "questions": 1},
                "train": {"precision": "fp32", "gradient_checkpointing": False, "questions_per_batch": per_batch},
            }
        )  # fmt: skip
        self.student = load_student(recipe, torch.device("cpu"))
        self.student.module.train()
        self._load: Callable[[str], Any] = lambda name: load_frozen(Path(name), torch.device("cpu"), "fp32")
        self._names = (student, teacher)
        accelerator = accelerator_of(recipe, folder)
        optimizer = build_optimizer(self.student.module, recipe.optimizer)
        model, prepared = accelerator.prepare(ResponseModel(self.student.module), optimizer)
        apart = recipe.override({"train.packing": "off"}, "")
        packed, spread = Batches(self.student, recipe), Batches(self.student, apart)
        words = max(self.student.preprocessor.tokenizer.get_vocab().values()) + 1
        sft = Objective(policy=0, divergence=0, likelihood=1)
        self._signals = {kind: Signals(recipe, words) for kind in ("live", "cached", "sft")}
        self._signals["unpacked"] = self._signals["live"]
        self._steppers = {
            kind: Stepper(recipe, objective, batches, accelerator, model, prepared, folder)
            for kind, objective, batches in (
                ("live", Objective(), packed), ("cached", Objective(), packed), ("sft", sft, packed),
                ("unpacked", Objective(), spread),
            )
        }  # fmt: skip
        self._teacher_cache = self._signals["cached"].cache = TeacherCache(folder / "teacher", teacher, words)
        self._references = self._signals["cached"].references = ReferenceCache(folder / "reference", student, words)
        self.batches, self.words = packed, words

    def resident(self) -> None:
        """Load teacher and reference, which the live steps need."""
        student, teacher = self._names
        self._signals["live"].teacher, self._signals["live"].reference = self._load(teacher), self._load(student)

    def fill(self, asked: Sequence[Group]) -> None:
        """Have the caches hold what the cached steps need."""
        live = self._signals["live"]
        for part in self.batches.split(asked):
            batch = self.batches.batch(part)
            self._teacher_cache.add(live.teacher, batch, part)
            self._references.add(live.reference, batch, part)
        self._teacher_cache.refresh()
        self._references.refresh()

    def step(self, kind: str, asked: Sequence[Group], number: int) -> float:
        """One step; its loss."""
        return sum(self._steppers[kind].step(asked, self._signals[kind], number).parts.values())
