"""The schema of ladder.yaml: what `python -m trainers.zoo build` needs to know. Unknown keys are errors."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from harness.api import HarnessError

LADDER_FILE = Path(__file__).with_name("ladder.yaml")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Size(_Strict):
    """One rung: widths, depths and first weights (trainers/zoo/model.py) of its two parts, and its steps."""

    hidden: PositiveInt
    layers: PositiveInt
    heads: PositiveInt
    ffn: PositiveInt
    vision_hidden: PositiveInt
    vision_layers: PositiveInt
    vision_heads: PositiveInt
    init_std: float = Field(gt=0, le=1)
    copy_back: float = Field(gt=0, le=2)
    steps: PositiveInt


class TokenizerSettings(_Strict):
    """Made from `rows` examples of each of the `kinds`.

    A line found in `phrase_share` of a task's prompts becomes one token.
    """

    vocab_size: PositiveInt
    kinds: list[str] = Field(min_length=1)
    rows: PositiveInt
    phrase_share: float = Field(gt=0, le=1)


class Lesson(_Strict):
    """What `chunks` chunks hold: kinds of examples (trainers/zoo/lessons.py) and their parts."""

    chunks: PositiveInt
    mix: dict[str, PositiveInt]


class TrainSettings(_Strict):
    """Optimizer settings: linear up over `warmup_steps`, flat, linear down to 0 over the last `decay` of the steps."""

    batch_tokens: PositiveInt
    muon_lr: float = Field(gt=0)
    adamw_lr: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    warmup_steps: PositiveInt
    decay: float = Field(gt=0, le=1)
    clip: float = Field(gt=0)
    checkpoint_minutes: float = Field(gt=0)
    log_every: PositiveInt


class Ladder(_Strict):
    """The whole recipe. A chunk has `chunk` examples; longer ones than `max_tokens` are left out; after the last chunk
    those of the last lesson come again, shuffled anew.
    """

    seed: int
    image_size: PositiveInt
    patch_size: PositiveInt
    chunk: PositiveInt
    max_tokens: PositiveInt
    tokenizer: TokenizerSettings
    lessons: list[Lesson] = Field(min_length=1)
    training: TrainSettings
    models: dict[str, Size]

    def lesson(self, chunk: int) -> Lesson:
        """The lesson that a chunk belongs to."""
        for lesson in self.lessons[:-1]:
            if chunk < lesson.chunks:
                return lesson
            chunk -= lesson.chunks
        return self.lessons[-1]

    def drawn(self, chunk: int) -> int:
        """Which drawn chunk the stream's chunk `chunk` is: its own, or one of the last lesson's come again."""
        last = self.lessons[-1].chunks
        first = sum(lesson.chunks for lesson in self.lessons) - last
        return chunk if chunk < first else first + (chunk - first) % last

    def shortened(self, share: float) -> Ladder:
        """The same recipe with a share of every rung's steps."""
        models = {
            name: size.model_copy(update={"steps": max(1, round(size.steps * share))})
            for name, size in self.models.items()
        }
        return self.model_copy(update={"models": models})

    @property
    def image_tokens(self) -> int:
        """Tokens of one image: the pixel shuffle joins 2 x 2 patches."""
        return (self.image_size // self.patch_size // 2) ** 2


def load_ladder(path: Path = LADDER_FILE) -> Ladder:
    """Read a ladder recipe; HarnessError names the file and what is wrong with it."""
    try:
        return Ladder.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError) as error:
        raise HarnessError(f"{path}: {error}", "compare it with trainers/zoo/ladder.yaml") from error
