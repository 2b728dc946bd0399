"""Prompt frames that several benchmarks share. The wording is each protocol's own and must stay byte-equal to it."""

from __future__ import annotations

from collections.abc import Callable

from harness.api import Generation, Request, Sample

#: LLaVA's sentence for multiple choice, which most authors and lmms-eval use.
LETTER_DIRECTLY = "Answer with the option's letter from the given choices directly."


def lettered(sample: Sample, tail: str = LETTER_DIRECTLY) -> str:
    """The question, one line `A. text` per option, and a last line."""
    options = "".join(f"\n{letter}. {text}" for letter, text in sample.choices.items())
    return f"{sample.question}{options}\n{tail}"


def vlmevalkit_mcq(sample: Sample) -> str:
    """VLMEvalKit's standard multiple-choice text (ImageMCQDataset.build_prompt), the same for all languages."""
    hint = sample.meta.get("hint", "")
    lines = [f"Hint: {hint}\n"] if hint else []
    lines.append(f"Question: {sample.question}\n")
    if sample.choices:
        lines.append("Options:\n")
        lines += [f"{letter}. {text}\n" for letter, text in sample.choices.items()]
        lines.append("Please select the correct answer from the options above. \n")
    return "".join(lines)


def images_then(prompt: Callable[[Sample], str], generation: Generation = Generation()) -> Callable[[Sample], Request]:  # noqa: B008
    """The request of a sample: all its images in order, then the prompt's text."""
    return lambda sample: Request((*sample.images, prompt(sample)), generation)


def text_then_images(
    prompt: Callable[[Sample], str],
    generation: Generation = Generation(),  # noqa: B008
) -> Callable[[Sample], Request]:
    """The request of a sample: the prompt's text, then all its images in order."""
    return lambda sample: Request((prompt(sample), *sample.images), generation)
