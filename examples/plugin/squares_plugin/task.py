"""Squares: what color is the square? Data, prompt, rule, aggregation."""

from io import BytesIO

from PIL import Image

from harness.api import OFFICIAL, Generation, HubSet, Request, Response, Row, Rules, Sample, Task, TsvFile, Verdict
from harness.data.schema import images, text
from harness.scoring.aggregate import micro
from harness.scoring.verdicts import scored, unread

COLORS = {"red": (220, 40, 40), "green": (40, 160, 60), "blue": (50, 80, 220), "yellow": (240, 210, 40)}


def sample(row: Row) -> Sample:
    """A row of squares.tsv (index, question, answer, image) as an item."""
    return Sample(text(row, "index"), text(row, "question"), text(row, "answer"), images(row))


def request(item: Sample) -> Request:
    """The picture, the question, and the form of the answer."""
    return Request((*item.images, f"{item.question}\nAnswer with one word."), Generation(max_new_tokens=16))


def score(item: Sample, response: Response) -> Verdict:
    """The only color that the response names; none or several is unparsed: nothing is guessed."""
    named = [color for color in COLORS if color in response.text.lower().split()]
    return scored(named == [item.answer], named[0], "one color") if len(named) == 1 else unread(response, "one color")


def mini(split: str, size: int | None = None, seed: int = 0):
    """Items drawn by code, in the columns of squares.tsv; `target` is what a training teaches the model to say."""
    for number in range(size or 40):
        answer, top, buffer = list(COLORS)[number % 4], {"test": 0, "validation": 12, "train": 24}[split], BytesIO()
        Image.new("RGB", (24, 24), COLORS[answer]).transform((64, 64), 0, (1, 0, -number, 0, 1, -top)).save(
            buffer, "PNG"
        )
        row = {"index": number, "question": "What color is the square?", "answer": answer, "target": answer}
        yield {**row, "image": buffer.getvalue()}


RULES = {OFFICIAL: Rules(request, score, micro(), source="this file")}
TSV, HUB = TsvFile("squares"), HubSet("me/squares")
TASK = Task("squares", "Squares", TSV, HUB, sample, sample, RULES, mini="squares_plugin.task:mini", licence="CC0-1.0")
