"""Cells, lists and placeholders: what task files rely on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.api import Image
from harness.data.placeholders import interleave
from harness.data.schema import cell, images, letter_choices, literal_list, text, text_list

ONE, TWO, THREE = (Image.from_bytes(bytes([n])) for n in range(3))


def test_cell_names_the_missing_column_and_the_empty_one() -> None:
    with pytest.raises(ValueError, match=r"'answer' is missing.*index"):
        cell({"index": "1"}, "answer")
    for empty in (None, "", "  ", "nan", float("nan")):
        with pytest.raises(ValueError, match="'answer' is empty"):
            cell({"answer": empty}, "answer")
    assert cell({"answer": 0}, "answer") == 0


def test_text_keeps_spaces_and_uses_the_default_only_where_nothing_is() -> None:
    assert text({"q": " a "}, "q") == " a "
    assert text({"q": None}, "q", "") == ""
    assert text({}, "hint", "none") == "none"
    assert text({"n": 14}, "n") == "14"


def test_options_called_none_or_na_are_real_options() -> None:
    assert letter_choices({"A": "None", "B": "NA", "C": None, "D": "nan", "E": "x"}) == {
        "A": "None",
        "B": "NA",
        "E": "x",
    }


@given(st.lists(st.text(max_size=20), max_size=6))
def test_lists_written_as_text_are_read_back(elements: list[str]) -> None:
    assert literal_list(repr(elements)) == elements
    assert text_list({"o": elements}, "o") == text_list({"o": repr(elements)}, "o") == elements


@pytest.mark.parametrize(
    "hostile", ["[__import__('os')]", "[" * 5000, "[1", "[Gambia, Niger]", "{'a': 1}", "['a'] + ['b']"]
)
def test_what_is_not_a_list_is_not_run(hostile: str) -> None:
    assert literal_list(hostile) is None
    with pytest.raises(ValueError, match="not a list"):
        text_list({"o": hostile}, "o")


def test_numbered_images_are_collected_in_order_and_a_gap_is_an_error() -> None:
    assert images({"image": (ONE, TWO)}) == (ONE, TWO)
    assert images({"image_1": (ONE,), "image_2": (TWO,), "image_3": ()}) == (ONE, TWO)
    with pytest.raises(ValueError, match="image_2 is empty but image_3 is not"):
        images({"image_1": (ONE,), "image_2": (), "image_3": (THREE,)})
    with pytest.raises(ValueError, match="no image"):
        images({"question": "?"})


def test_placeholders_map_by_number_when_shuffled_and_repeated() -> None:
    assert interleave("a <image 2> b <image 1><image 2>", (ONE, TWO)) == ("a ", TWO, " b ", ONE, TWO)


def test_images_the_text_never_names_come_first() -> None:
    assert interleave("see <image 2>.", (ONE, TWO, THREE)) == (ONE, THREE, "see ", TWO, ".")
    assert interleave("plain", (ONE, TWO)) == (ONE, TWO, "plain")


@pytest.mark.parametrize("number", [0, 3, 9999])
def test_a_number_without_image_is_an_error(number: int) -> None:
    with pytest.raises(ValueError, match=f"<image {number}>"):
        interleave(f"<image {number}>", (ONE, TWO))


@given(st.lists(st.one_of(st.integers(1, 3), st.text(alphabet="ab <>\n", max_size=5)), max_size=12))
def test_interleaving_keeps_all_text_and_every_image(plan: list[int | str]) -> None:
    written = "".join(f"<image {piece}>" if isinstance(piece, int) else piece for piece in plan)
    parts = interleave(written, (ONE, TWO, THREE))
    assert "".join(p for p in parts if isinstance(p, str)) == "".join(p for p in plan if isinstance(p, str))
    named = [(ONE, TWO, THREE)[p - 1] for p in plan if isinstance(p, int)]
    rest = [image for image in (ONE, TWO, THREE) if image not in named]
    assert [p for p in parts if isinstance(p, Image)] == rest + named
