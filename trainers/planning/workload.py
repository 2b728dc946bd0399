"""How much there is to do: questions, and how long prompts and responses are; counted where the data are here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.api import HarnessError
from trainers.recipe import Recipe

_SAMPLE = 256  # questions looked at to learn how long they are


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What a config does not say. A length of 0 is taken from the data, or where they are not here, from `ABSENT`.

    Lengths are in tokens, `*_share` are shares of what the maker states: `train_share` and `prefill_share` of FLOP/s,
    `decode_share` of memory bandwidth, `link_share` of links. A replica decodes `sequences` at once at most.
    `uncertain_share` of sampled tokens had another candidate within top-p.
    """

    questions: int = 0
    image_tokens: float = 0
    text_tokens: float = 0
    response_tokens: float = 0
    gold_tokens: float = 0
    judge_prompt: float = 320
    judge_response: float = 96
    evaluation_response: float = 64
    train_share: float = 0.35
    prefill_share: float = 0.45
    decode_share: float = 0.6
    uncertain_share: float = 0.4
    link_share: float = 0.7
    sequences: int = 256


#: Lengths assumed where the data are not here: an image of one megapixel at 28 x 28 pixels a token, a short question,
#: half of the tokens a response may have, a short gold answer.
ABSENT = {"image_tokens": 1280.0, "text_tokens": 120.0, "gold_tokens": 24.0, "response_share": 0.5}


@dataclass(frozen=True, slots=True)
class Lengths:
    """Questions, and mean tokens of prompts (`image` of them are image tokens), gold answers and responses.

    `longest` is the longest prompt seen (or the mean where none was); `source` says where the numbers come from.
    """

    questions: int
    prompt: float
    image: float
    gold: float
    response: float
    longest: float
    source: str
    uncertain: float = 1.0


def lengths(recipe: Recipe, assumed: Assumptions) -> Lengths:
    """Lengths of a recipe's data; `assumed` wins over what is counted.

    Raises HarnessError where neither the data nor `assumed` say how many questions there are.
    """
    counted = _counted(recipe)
    questions = assumed.questions or (counted.questions if counted else 0) or recipe.data.questions or 0
    if not questions:
        raise HarnessError(
            f"{', '.join(recipe.data.sources)}: the training data are not here, so their number is not known",
            "say how many questions there will be: --questions N",
        )
    most = recipe.responses.sampling.max_new_tokens
    base = counted or Lengths(
        questions, ABSENT["image_tokens"] + ABSENT["text_tokens"], ABSENT["image_tokens"], ABSENT["gold_tokens"],
        most * ABSENT["response_share"], 0.0, "assumed: the data are not here",
    )  # fmt: skip
    image = assumed.image_tokens or base.image
    text = assumed.text_tokens or base.prompt - base.image
    return replace(
        base, questions=questions, prompt=image + text, image=image, gold=assumed.gold_tokens or base.gold,
        response=min(assumed.response_tokens or base.response, most), longest=max(base.longest, image + text),
        uncertain=assumed.uncertain_share,
    )  # fmt: skip


def _counted(recipe: Recipe) -> Lengths | None:
    """Lengths of some of the questions, by the student's own processor; None where data or processor are not here."""
    from harness.models.load import EMBEDDED, load_processor, resolve
    from harness.models.preprocess import Preprocessor
    from trainers.questions import open_training_data

    stored = [source for source in recipe.data.sources if source.partition(":")[0] != "mini"]
    student = recipe.student.model
    if not all(Path(source).exists() for source in stored):
        return None
    if not student.startswith(EMBEDDED) and not Path(student).expanduser().is_dir():
        return None
    data = open_training_data(recipe.data)
    total = len(data.train)
    processor = load_processor(resolve(student))
    preprocessor = Preprocessor(processor)
    image = _image_token(processor)
    prompts, images, golds = [], [], []
    for place in range(0, total, max(1, total // _SAMPLE)):
        question = data.train[place]
        ids = preprocessor.prepare(question.request).input_ids
        prompts.append(len(ids))
        images.append(int((ids == image).sum()))
        golds.append(len(processor.tokenizer(question.target, add_special_tokens=False)["input_ids"]) + 1)
    count = len(prompts)
    gold = sum(golds) / count
    return Lengths(
        total, sum(prompts) / count, sum(images) / count, gold, gold, float(max(prompts)),
        f"counted on {count} of {total} questions; responses as long as gold answers",
    )  # fmt: skip


def _image_token(processor: Any) -> int:
    token: int = processor.image_token_id
    return token
