"""MM-Vet's grading by a language model: the prescribed prompt, how a grade is read, and the five tries.

Source: yuweihao/MM-Vet at acde843e, mm-vet_evaluator.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.api import Ask, Response, Sample, Scoring, State, Verdict
from harness.scoring.verdicts import scored, unread

TRIES = 5
_MAX_TOKENS = 3

TASK = (
    "Compare the ground truth and prediction from AI models, to give a correctness score for the prediction. <AND> in "
    "the ground truth means it is totally right only when all elements in the ground truth are present in the "
    "prediction, and <OR> means it is totally right when any one element in the ground truth is present in the "
    "prediction. The correctness score is 0.0 (totally wrong), 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, or 1.0 "
    "(totally right). Just complete the last space of the correctness score."
)
HEADER = ("Question", "Ground truth", "Prediction", "Correctness")

_EQUATION = ("What is x in the equation?", "-1 <AND> -5")
_MEME = (
    "Can you explain this meme?",
    "This meme is poking fun at the fact that the names of the countries Iceland and Greenland are misleading. "
    "Despite its name, Iceland is known for its beautiful green landscapes, while Greenland is mostly covered in ice "
    "and snow. The meme is saying that the person has trust issues because the names of these countries do not "
    "accurately represent their landscapes.",
)
EXAMPLES = (
    (*_EQUATION, "x = 3", "0.0"),
    (*_EQUATION, "x = -1", "0.5"),
    (*_EQUATION, "x = -5", "0.5"),
    (*_EQUATION, "x = -5 or 5", "0.5"),
    (*_EQUATION, "x = -1 or x = -5", "1.0"),
    (
        *_MEME,
        "The meme talks about Iceland and Greenland. It's pointing out that despite their names, Iceland is not very "
        "icy and Greenland isn't very green.",
        "0.4",
    ),
    (
        *_MEME,
        "The meme is using humor to point out the misleading nature of Iceland's and Greenland's names. Iceland, "
        "despite its name, has lush green landscapes while Greenland is mostly covered in ice and snow. The text 'This "
        "is why I have trust issues' is a playful way to suggest that these contradictions can lead to distrust or "
        "confusion. The humor in this meme is derived from the unexpected contrast between the names of the countries "
        "and their actual physical characteristics.",
        "1.0",
    ),
)
#: What upstream adds after a grade that it could not read.
INSIST = "\nPredict the correctness of the answer (digit): "


def head(task: str, header: Sequence[str]) -> str:
    """The task, then the table of examples under `header`."""
    return "\n".join([task, *map(" | ".join, (header, ("---",) * len(header), *EXAMPLES)), ""])


_HEAD = head(f"{TASK}\n", HEADER)


def grading_prompt(question: str, gold: str, prediction: str) -> str:
    """Task, table of examples, and the row whose last cell the judge completes."""
    return f"{_HEAD}\n{graded_row(question, gold, prediction)}"


def graded_row(question: str, gold: str, prediction: str) -> str:
    """`question | gold | prediction | `, blanks around the <AND> and <OR> of the gold."""
    spaced = gold.replace("<AND>", " <AND> ").replace("<OR>", " <OR> ")
    return " | ".join([question, spaced, prediction, ""])


def read_grade(reply: str) -> float | None:
    """The number in [0, 1] before the first blank of the judge's reply; None for any other reply.

    Upstream takes "nan" for a grade, as it is neither above 1 nor below 0; here it is unreadable.
    """
    try:
        grade = float(reply.split(" ", 1)[0])
    except ValueError:
        return None
    return grade if 0 <= grade <= 1 else None


def official_tries(prompt: str) -> list[tuple[str, float]]:
    """(prompt, temperature) of each try: 0, then insisting at 0 again, 0.5, 1 and 1.5."""
    return [(prompt, 0.0), *((prompt + INSIST, 0.5 * repeat) for repeat in range(TRIES - 1))]


def ask_grade(
    sample: Sample, response: Response, tries: Sequence[tuple[str, float]], read: Callable[[str], float | None],
    max_tokens: int,
) -> Scoring:  # fmt: skip
    """Ask until a reply can be read as a grade.

    After the last try upstream writes 0.0; here the item is `judge_failed`, which counts 0 and is shown.
    """
    data = {"id": sample.id, "question": sample.question, "gold": sample.answer, "response": response.text}
    reply: str | None = None
    for prompt, temperature in tries:
        reply = yield Ask("grade", prompt, temperature=temperature, max_tokens=max_tokens, data=data)
        if reply is None:
            return unread(response, "mmvet:grade")
        grade = read(reply)
        if grade is not None:
            return scored(grade, response.text.strip(), "mmvet:grade", note=reply)
    return Verdict(State.JUDGE_FAILED, rule="mmvet:grade", note=f"no grade in {len(tries)} replies: {reply!r}")


def grade(sample: Sample, response: Response) -> Scoring:
    """The authors' grading of a response: their prompt and their tries, at most three tokens a reply."""
    prompt = grading_prompt(sample.question, sample.answer, response.text)
    return ask_grade(sample, response, official_tries(prompt), read_grade, _MAX_TOKENS)
