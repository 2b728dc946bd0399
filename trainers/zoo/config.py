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
    """One rung: widths and depths of its language model and vision tower, and how long it trains.

    The first `drill_chunks` chunks are drills; all of training takes `steps` steps.
    `grow` names a smaller rung whose finished weights this one starts from;
    `lr` scales both learning rates.
    """

    hidden: PositiveInt
    layers: PositiveInt
    heads: PositiveInt
    ffn: PositiveInt
    vision_hidden: PositiveInt
    vision_layers: PositiveInt
    vision_heads: PositiveInt
    init_std: float = Field(gt=0, le=1)
    drill_chunks: int = Field(ge=0)
    grow: str = ""
    lr: float = Field(default=1.0, gt=0)
    steps: PositiveInt


class TokenizerSettings(_Strict):
    """`phrase_share`: a line found in this share of a task's prompts becomes one token."""

    vocab_size: PositiveInt
    rows_per_task: PositiveInt
    drills: PositiveInt
    phrase_share: float = Field(gt=0, le=1)


class DataSettings(_Strict):
    """Train rows that a task gives to each chunk (circular tasks: rows, not groups), drills and explained scenes in it,
    drills of one of the first chunks (which hold nothing else), and the longest sequence that is kept.
    """

    rows_per_task: PositiveInt
    drills: PositiveInt
    explained: PositiveInt
    first_drills: PositiveInt
    max_tokens: PositiveInt


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
    """The whole recipe."""

    seed: int
    image_size: PositiveInt
    patch_size: PositiveInt
    matching_init: bool
    tokenizer: TokenizerSettings
    data: DataSettings
    training: TrainSettings
    models: dict[str, Size]

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
