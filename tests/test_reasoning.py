"""Reasoning blocks are removed by lmms-eval's rule."""

import pytest

from harness.scoring.reasoning import strip_reasoning


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>two and two</think> 4 ", "4"),
        ("<think>a</think>x<think>b</think>y", "xy"),
        ("the bar is at 7</think>\n7", "7"),
        ("a</think>b</think>c", "c"),
        ("<think>never closed", "<think>never closed"),
        ("<Think>case</Think> B", "<Think>case</Think> B"),
        ("<analysis>x</analysis><think>y</think>C", "C"),
        ("no tags", "no tags"),
        ("<think></think>", ""),
    ],
)
def test_default_tags(text: str, answer: str) -> None:
    assert strip_reasoning(text) == answer


def test_tags_are_an_argument() -> None:
    assert strip_reasoning("[r]why[/r]A", [("[r]", "[/r]")]) == "A"
    assert strip_reasoning("<think>why</think>A", []) == "<think>why</think>A"
