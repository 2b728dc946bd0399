"""The embedded ladder: its checkpoints in plain transformers, its tokenizer, its processor, its training."""

from pathlib import Path
from typing import Any

import pytest

from harness import registry
from harness.api import HarnessError, Sample
from harness.data import open_dataset
from trainers import zoo
from trainers.zoo.config import Ladder, load_ladder

SENTENCES = (
    "What color is the circle?\nA. red\nB. blue\nAnswer with the option's letter from the given choices directly.",
    "红色圆形在左上 (B)",
    "Question: 最高的柱是什么颜色？\nOptions:\nA. 4\nPlease select the correct answer from the options above. \n",
    "Answer the question using a single word or phrase.",
    "漢字 ñ ü 🙂 never seen in training, 3.14159 and\ttabs  and double spaces",
)


@pytest.fixture(scope="module")
def processor() -> Any:
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(zoo.path("student"))


@pytest.fixture(scope="module")
def student() -> Any:
    import torch
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(zoo.path("student"), dtype=torch.float32).eval()


def _asked(task: str, n: int) -> list[Any]:
    from trainers.zoo.data import questions

    return list(questions(registry.task(task), "test", n, 0))


def _processed(processor: Any, request: Any, **more: Any) -> Any:
    import io

    from PIL import Image

    from harness.models.preprocess import messages

    text = processor.apply_chat_template(messages(request), add_generation_prompt=True, tokenize=False)
    pictures = [Image.open(io.BytesIO(image.read())) for image in request.images]
    return processor(text=[text], images=[pictures], return_tensors="pt", **more)


@pytest.mark.parametrize("name", zoo.NAMES)
def test_every_rung_loads_in_plain_transformers_and_answers(name: str, processor: Any) -> None:
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    folder = registry.load("checkpoints", name)()
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    assert type(model).__name__ == "InternVLForConditionalGeneration"
    assert AutoProcessor.from_pretrained(folder).tokenizer.get_vocab() == processor.tokenizer.get_vocab()
    inputs = _processed(processor, _asked("chartqa", 1)[0].request)
    out = model.generate(**inputs, max_new_tokens=8, do_sample=False)
    said = processor.tokenizer.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert said.strip()
    assert out[0, -1] == processor.tokenizer.eos_token_id


def test_the_shipped_weights_are_small_and_half_precision() -> None:
    from safetensors import safe_open

    files = [zoo.path(name) / "model.safetensors" for name in zoo.NAMES]
    assert sum(f.stat().st_size for name in zoo.NAMES for f in zoo.path(name).rglob("*") if f.is_file()) < 15_000_000
    counts = []
    for file in files:
        with safe_open(file, "pt") as tensors:
            loaded = [tensors.get_tensor(key) for key in tensors.keys()]  # noqa: SIM118
        assert {str(tensor.dtype) for tensor in loaded} == {"torch.float16"}
        counts.append(sum(tensor.numel() for tensor in loaded))
    assert counts == sorted(counts)
    assert counts[-1] <= 5_000_000


@pytest.mark.parametrize("sentence", SENTENCES)
def test_the_tokenizer_gives_every_text_back(sentence: str, processor: Any) -> None:
    ids = processor.tokenizer(sentence, add_special_tokens=False)["input_ids"]
    assert processor.tokenizer.decode(ids, skip_special_tokens=True) == sentence


def test_official_instructions_are_one_token(processor: Any) -> None:
    line = "\nAnswer with the option's letter from the given choices directly."
    assert len(processor.tokenizer(line, add_special_tokens=False)["input_ids"]) == 1


@pytest.mark.parametrize("side", [64, 100, 640])
def test_image_tokens_equal_image_features(side: int, processor: Any, student: Any) -> None:
    from PIL import Image

    text = "<|user|><IMG_CONTEXT>and <IMG_CONTEXT>?<|assistant|>"
    inputs = processor(
        text=[text], images=[[Image.new("RGB", (side, 64)), Image.new("RGB", (64, side))]], return_tensors="pt"
    )
    tokens = int((inputs["input_ids"] == student.config.image_token_id).sum())
    features = student.get_image_features(inputs["pixel_values"]).pooler_output
    assert tokens == features.shape[0] * features.shape[1] == 2 * load_ladder().image_tokens
    assert student(**inputs).logits.isfinite().all()


@pytest.mark.parametrize("task", ["chartqa", "blink", "mmbench_cn"])
def test_training_examples_are_what_the_processor_makes(task: str, processor: Any) -> None:
    import torch

    from trainers.zoo.data import encode, pixel_values

    asked = _asked(task, 6)
    encoded = encode(asked, processor, 1024)
    for question, example in zip(asked, encoded.items, strict=True):
        inputs = _processed(processor, question.request)
        (turn,) = example.turns
        assert inputs["input_ids"][0].tolist() == list(turn.given)
        torch.testing.assert_close(inputs["pixel_values"], pixel_values(encoded.pixels, example.images))
        said = processor.tokenizer.decode(turn.learned, skip_special_tokens=True)
        assert said == question.target


@pytest.mark.parametrize("task", ["mmstar", "mathvista", "mmbench_cn"])
def test_training_questions_are_the_harness_s_own(task: str) -> None:
    dataset = open_dataset(registry.task(task), "mini", split="test", size=8)
    theirs: list[Sample] = [dataset[i] for i in range(8)]
    for ours, sample in zip(_asked(task, 8), theirs, strict=True):
        assert (ours.sample.question, dict(ours.sample.choices), ours.sample.answer) == (
            sample.question,
            dict(sample.choices),
            sample.answer,
        )
        assert [i.sha256 for i in ours.sample.images] == [i.sha256 for i in sample.images]


def _tiny() -> Ladder:
    ladder = load_ladder().model_dump()
    ladder |= {"chunk": 120}
    for lesson in ladder["lessons"]:
        lesson["chunks"] = 1
    ladder["tokenizer"] |= {"rows": 200}
    ladder["training"] |= {"log_every": 1, "batch_tokens": 1024}
    ladder["models"] = {"student": ladder["models"]["student"] | {"steps": 20}}
    return Ladder.model_validate(ladder)


def _weights(folder: Path) -> bytes:
    return (folder / "student" / "model.safetensors").read_bytes()


def test_a_seeded_build_is_deterministic_resumes_and_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    from trainers.zoo.build import build_ladder
    from trainers.zoo.train import Run

    ladder = _tiny()
    build_ladder(ladder, tmp_path / "once")
    update = Run._update

    def killed(self: Run, batch: Any) -> float:
        if self.step == 13:
            self.save()
            raise KeyboardInterrupt
        return update(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_update", killed)
        with pytest.raises(KeyboardInterrupt):
            build_ladder(ladder, tmp_path / "twice")
    build_ladder(ladder, tmp_path / "twice")
    assert _weights(tmp_path / "once") == _weights(tmp_path / "twice")
    losses = [loss for _, _, loss in json.loads((tmp_path / "once" / "student" / "training.json").read_text())["curve"]]
    assert losses[-1] < losses[0]


def test_a_saved_checkpoint_gives_the_same_logits_again(tmp_path: Path, processor: Any, student: Any) -> None:
    import torch
    from transformers import AutoModelForImageTextToText

    from trainers.zoo.build import export

    export(student, processor, tmp_path)
    again = AutoModelForImageTextToText.from_pretrained(tmp_path, dtype=torch.float32).eval()
    inputs = _processed(processor, _asked("mmstar", 1)[0].request)
    with torch.no_grad():
        assert torch.equal(student(**inputs).logits, again(**inputs).logits)


def test_drills_are_true_of_their_pictures() -> None:
    """A bar chart's sentences, read back from the pixels: the height of the column that has the named colour."""
    import io
    import re

    import numpy as np
    from PIL import Image

    from tasks.mini.scenes.canvas import RGB
    from trainers.zoo.drills import read_bars

    checked, rng = 0, np.random.default_rng(3)
    for drill in (read_bars(rng) for _ in range(50)):
        for color, value in re.findall(r"The (\w+) bar is (\d)\.<", "".join(answer for _, answer in drill.turns)):
            pixels = np.array(Image.open(io.BytesIO(drill.images[0].read())))
            painted = (pixels == RGB[color]).all(-1)
            assert painted.any(1).sum() == 8 * int(value)
            checked += 1
    assert checked > 20


def test_marks_and_tables_are_named_as_they_are_drawn() -> None:
    """A mark's box has the colour that is said with it; a table's cell holds the shape that is said with its heads."""
    import io

    import numpy as np
    from PIL import Image

    from tasks.mini.scenes.canvas import CELL, COLORS, RGB, SHAPES, mask
    from trainers.zoo.lessons import KINDS

    def said(drill: Any) -> list[list[str]]:
        text = "".join(given + learned for given, learned in drill.turns).split("<|assistant|>")[1]
        return [line.split() for line in text.removesuffix("<|end|>").split("\n")]

    def cells(drill: Any) -> Any:
        pixels = np.array(Image.open(io.BytesIO(drill.images[0].read())))
        return pixels.reshape(4, CELL, 4, CELL, 3).transpose(0, 2, 1, 3, 4)

    def colors(cell: Any) -> list[str]:
        return [name for name in COLORS if (cell == RGB[name]).all(-1).any()]

    def shape(cell: Any, ink: str) -> str:
        drawn = (cell == RGB[ink]).all(-1)[1:-1, 1:-1]
        return max(SHAPES, key=lambda name: (drawn == mask(name, CELL - 2)).mean())

    paired = 0
    for drill in KINDS["match_marks"](40, 5):
        held = {}
        for cell in cells(drill).reshape(16, CELL, CELL, 3):
            for name in colors(cell):
                held[name] = shape(cell, "black" if (cell == 0).all(-1).any() else "white")
        for first, *second in said(drill):
            if first in COLORS and second[0] in SHAPES:
                assert held[first] == second[0]
                paired += 1
    for drill in KINDS["match_table"](10, 5):
        grid = cells(drill)
        heads = {
            "row": [colors(grid[i, 0])[0] for i in (1, 2, 3)],
            "column": [colors(grid[0, i])[0] for i in (1, 2, 3)],
        }
        for row, column, name in said(drill):
            at = heads["row"].index(row) + 1, heads["column"].index(column) + 1
            assert shape(grid[at], "black") == name
    assert paired > 20


@pytest.mark.parametrize("kind", ["find_options", "name_option"])
def test_options_drills_name_the_right_letter(kind: str) -> None:
    import re

    from trainers.zoo.lessons import KINDS

    checked = 0
    for drill in KINDS[kind](100, 5):
        assert not getattr(drill, "images", ())
        lines = dict(
            re.findall(r"[\n ]\(?([A-J])(?:\. |\) |: )([^\n<,]+)", drill.turns[0][0].split("<|assistant|>")[0])
        )
        for given, learned in drill.turns:
            letter, text = re.fullmatch(r" ?\(?([A-J])[.:)] ?(.*)", learned.replace("<|end|>", "")).groups()
            assert lines[letter] == (text or given.split("<|assistant|>")[-1].removesuffix(", answer:").strip())
            checked += 1
    assert checked >= 100


def test_cell_drills_name_the_place_of_what_is_drawn_there() -> None:
    """The letter's cell of the picture holds the colour that is named, and no other."""
    import io

    import numpy as np
    from PIL import Image

    from tasks.mini.scenes.canvas import CELL, COLORS, RGB
    from trainers.zoo.lessons import KINDS

    for drill in KINDS["find_cells"](20, 5):
        pixels = np.array(Image.open(io.BytesIO(drill.images[0].read())))
        for given, learned in drill.turns:
            color = given.split("<|assistant|>")[-1].split()[0]
            row, column = divmod(4 + "ABCDEFGHIJ".index(learned[2]), 4)
            cell = pixels[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL]
            assert [name for name in COLORS if (cell == RGB[name]).all(-1).any()] == [color]


def test_a_drawn_chunk_is_kept_whole_and_small(processor: Any, tmp_path: Path) -> None:
    """The stream of every rung is read from these files."""
    import torch

    from trainers.zoo.build import draw_chunk, load_chunk
    from trainers.zoo.data import encode
    from trainers.zoo.lessons import examples

    ladder = load_ladder().model_copy(update={"chunk": 300})
    number = sum(lesson.chunks for lesson in ladder.lessons) - 1
    draw_chunk(number, ladder, processor, tmp_path)
    kept, (file,) = load_chunk(number, tmp_path), tmp_path.iterdir()
    drawn = encode(examples(ladder.lesson(number).mix, 300, ladder.seed + number), processor, ladder.max_tokens)
    assert kept.items == drawn.items
    assert torch.equal(kept.pixels, drawn.pixels)
    assert file.stat().st_size < kept.pixels.numel() / 10


def test_a_chunk_that_cannot_be_kept_says_so_across_processes(processor: Any, tmp_path: Path) -> None:
    """The painter is a process of its own: its error has to survive the way back."""
    import pickle

    from trainers.zoo.build import draw_chunk

    (tmp_path / "chunks").write_text("a file where the folder should be")
    with pytest.raises(HarnessError, match="cannot keep the drawn questions") as found:
        draw_chunk(0, load_ladder().model_copy(update={"chunk": 20}), processor, tmp_path / "chunks")
    again = pickle.loads(pickle.dumps(found.value))
    assert str(again) == str(found.value)
    assert "free some space" in again.remedy


def test_a_share_of_the_steps_is_a_share_of_every_rung() -> None:
    ladder = load_ladder()
    assert {name: size.steps / 2 for name, size in ladder.models.items()} == {
        name: size.steps for name, size in ladder.shortened(0.5).models.items()
    }


def test_lessons_follow_the_chunks_and_an_unknown_kind_is_named() -> None:
    from trainers.zoo.lessons import examples

    ladder = load_ladder()
    first = ladder.lessons[0].chunks
    assert [ladder.lesson(at) for at in (0, first - 1, first, 10**6)] == [
        ladder.lessons[0],
        ladder.lessons[0],
        ladder.lessons[1],
        ladder.lessons[-1],
    ]
    last, chunks = ladder.lessons[-1].chunks, sum(lesson.chunks for lesson in ladder.lessons)
    assert [ladder.drawn(at) for at in (0, chunks - 1, chunks, chunks + last - 1, chunks + last)] == [
        0,
        chunks - 1,
        chunks - last,
        chunks - 1,
        chunks - last,
    ]
    with pytest.raises(HarnessError, match="called 'charades'"):
        list(examples({"charades": 1}, 10, 0))


def test_only_what_follows_is_learned() -> None:
    import torch

    from trainers.zoo.data import Example, Turn
    from trainers.zoo.train import Place, collate

    items = [Example((Turn((3, 4), (5,)), Turn((6,), (7, 8))), ()), Example((Turn((3,), (9,)),), ())]
    batch = collate(items, torch.zeros(0, 3, 8, 8), 0, Place(0, 0))
    flat = batch.ids.flatten().tolist()
    assert batch.labels.tolist() == [5, 7, 8, 9]
    assert [flat[i + 1] for i in batch.where.tolist()] == [5, 7, 8, 9]
    assert [flat[i] for i in batch.where.tolist()] == [4, 6, 7, 3]


def test_muon_orthogonalises() -> None:
    import torch

    from trainers.zoo.muon import orthogonalise

    matrices = torch.randn(3, 40, 24, generator=torch.Generator().manual_seed(0))
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    update = orthogonalise(matrices)
    values = torch.linalg.svdvals(update)
    assert values.max() < 1.3
    assert values.min() > 0.5
    # the same directions as the exact polar factor
    assert torch.nn.functional.cosine_similarity(update.flatten(1), (left @ right).flatten(1)).min() > 0.97


def test_unknown_rungs_and_recipe_keys_are_named(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="no rung 'huge'"):
        zoo.path("huge")
    recipe = tmp_path / "ladder.yaml"
    recipe.write_text(Path(zoo.__file__).with_name("ladder.yaml").read_text().replace("clip:", "clipp:"))
    with pytest.raises(HarnessError, match="clipp"):
        load_ladder(recipe)
