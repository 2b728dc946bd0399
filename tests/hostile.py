"""Samples of every kind and responses that break parsers, for the property tests, the fuzz run and the time table."""

from collections.abc import Iterator, Mapping

from harness import registry
from harness.api import Sample
from harness.data import open_dataset

ATOMS = (
    *"ABCDEZabcdz", *"0123456789", *" .,:;!?'\"()[]{}*#-=%$/\\<>|&_~\n\t\r\x00\x0b\x1b\u00a0\u3000\u202e\u0661\u00b2",
    "the answer is ", "Answer: ", "(A)", "(B).", "C)", " D ", "option ", "is ", "so ", "1e999", "nan", "-inf", "1,111,",
    "<think>", "</think>", "答案是", "正解", "مرحبا ", "İ", "ſ", "ß", "😀", "((((", "[[[[", "]]]]", "<image 9>",
    "Failed to obtain answer via API", "Cannot determine the answer", "None", "\n\n", "\ud800",
)  # fmt: skip
#: Repeated to the wanted length, each is the worst of its kind.
PIECES = {
    "letters": "A", "words": "A B ", "brackets": "(A) ", "open brackets": "(", "nested lists": "[", "digits": "1",
    "thousands": "1,111,", "decimals": "1.", "exponents": "1e", "minus": "-", "indicators": "is so ", "equals": "=",
    "lines": "\n", "blanks": " ", "stars": "**", "answer is": "the answer is ", "answer lines": "Answer: A\n",
    "controls": "\x00\x1b", "right to left": "\u202eمرحبا", "chinese": "答案是", "no break": "a",
}  # fmt: skip


def long(piece: str, length: int) -> str:
    """A text of about `length` characters that repeats a piece and ends with a letter, alike at every length."""
    return piece * (length // len(piece)) + "B"


def mini_samples(limit: int = 6) -> Mapping[str, list[Sample]]:
    """A few mini items of every task: choices, numbers, lists, open questions."""
    return {task.name: list(open_dataset(task, "mini", limit=limit)) for task in registry.tasks()}


def scorers() -> Iterator[tuple[str, str]]:
    """(task, protocol) of every rule."""
    for task in registry.tasks():
        for protocol in registry.protocols():
            if registry.covers(protocol, task):
                yield task.name, protocol
