"""Backend hf on tiny checkpoints of five real architectures."""

import functools
import random
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
import torch
from PIL import Image as Pillow
from safetensors.torch import load_file, save_file

from harness.api import Generation, HarnessError, Image, Request, Response
from harness.models.hf import HFModel, open_model
from harness.models.preprocess import Preprocessor

WORDS = ["What", "is", "the", "value", "of", "the", "highest", "bar", "in", "this", "chart", "red", "green"]


def png(seed: int, width: int, height: int) -> Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    data = BytesIO()
    Pillow.fromarray(pixels).save(data, "PNG")
    return Image.from_bytes(data.getvalue())


def make_requests(count: int, **generation: Any) -> list[Request]:
    """Prompts of different lengths with none, one or two images of different sizes, some repeated."""
    draw = random.Random(5)
    pictures = [png(i, draw.randrange(30, 80), draw.randrange(30, 80)) for i in range(8)]
    made = []
    for _ in range(count):
        parts: list[str | Image] = []
        for _ in range(draw.randrange(3)):
            parts += [pictures[draw.randrange(8)], " ".join(WORDS[: draw.randrange(1, 6)])]
        parts.append(" ".join(WORDS[: draw.randrange(2, 14)]) + "?")
        made.append(Request(tuple(parts), Generation(**{"max_new_tokens": 10, **generation})))
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="module")
def model(folder: Path) -> HFModel:
    return open_model(str(tiny_models.checkpoint("internvl", folder)))


def answers(model: HFModel, requests: list[Request]) -> dict[tuple[int, int], Response]:
    return {(index, response.sample_index): response for index, response in model.generate(requests)}


@pytest.mark.parametrize("family", tiny_models.FAMILIES)
def test_batched_equals_batch_of_one_and_plain_generate(family: str, folder: Path) -> None:
    path = tiny_models.checkpoint(family, folder)
    requests = make_requests(14)
    batched = answers(open_model(str(path)), requests)
    single = answers(open_model(str(path), batch_tokens=1), requests)
    assert batched == single
    assert len({response.token_ids for response in batched.values()}) > 7
    # The reference is transformers itself, on the prompts it builds itself, one at a time.
    module, processor = tiny_models.build(family)
    for index, request in enumerate(requests[:6]):
        parts = [{"type": "text", "text": p} if isinstance(p, str) else {"type": "image"} for p in request.parts]
        text = processor.apply_chat_template([{"role": "user", "content": parts}], add_generation_prompt=True)
        images = [Pillow.open(BytesIO(image.read())).convert("RGB") for image in request.images]
        inputs = processor(text=[text], images=[images] if images else None, return_tensors="pt")
        output = module.generate(**inputs, max_new_tokens=10, do_sample=False)[0, inputs["input_ids"].shape[1] :]
        assert batched[index, 0].token_ids == tuple(output.tolist())
        assert batched[index, 0].prompt_tokens == inputs["input_ids"].shape[1]


def test_rows_that_end_early_leave_the_others_as_they_are(model: HFModel) -> None:
    requests = make_requests(12)
    long = answers(model, requests)
    mixed = [Request(request.parts, Generation(max_new_tokens=2 + i % 5)) for i, request in enumerate(requests)]
    for (index, _), response in answers(model, mixed).items():
        assert response.token_ids == long[index, 0].token_ids[: 2 + index % 5]
        assert response.finish == "length"


def test_end_token_stops(folder: Path) -> None:
    path = tiny_models.checkpoint("internvl", folder)
    model = open_model(str(path))
    requests = make_requests(8)
    third = {index: response.token_ids[2] for (index, _), response in answers(model, requests).items()}
    model.module.generation_config.eos_token_id = sorted(set(third.values()))
    stopped = answers(HFModel(model.module, model.preprocessor, name="stops"), requests)
    for index, token in third.items():
        assert stopped[index, 0].finish == "stop"
        assert len(stopped[index, 0].token_ids) <= 3
        assert stopped[index, 0].token_ids[-1] in set(third.values())
        assert token in set(third.values())


def test_stop_strings_cut_the_text(model: HFModel) -> None:
    [request] = make_requests(1, max_new_tokens=24)
    whole = answers(model, [request])[0, 0].text
    stop = whole[8:11]
    cut = answers(model, [Request(request.parts, Generation(max_new_tokens=24, stop=(stop, "never")))])[0, 0]
    assert cut.finish == "stop"
    assert cut.text == whole[: whole.find(stop)]


def test_sampling_is_seeded_per_request_and_independent_of_the_batch(model: HFModel) -> None:
    settings = {"temperature": 0.8, "top_p": 0.9, "top_k": 20, "repetition_penalty": 1.1, "n": 3, "seed": 7}
    requests = make_requests(6, **settings)
    first = answers(model, requests)
    assert len(first) == 18
    alone = answers(model, [requests[4]])
    assert [alone[0, k].token_ids for k in range(3)] == [first[4, k].token_ids for k in range(3)]
    assert len({first[4, k].token_ids for k in range(3)}) == 3
    other = answers(model, [Request(requests[4].parts, Generation(**{"max_new_tokens": 10, **settings, "seed": 8}))])
    assert other[0, 0].token_ids != alone[0, 0].token_ids


def test_samples_follow_the_distribution_and_logprobs_are_of_it(model: HFModel) -> None:
    [request] = make_requests(1)
    settings = Generation(max_new_tokens=1, temperature=1.5, top_k=5, n=600, logprobs=True)
    responses = answers(model, [Request(request.parts, settings)])
    module, inputs = model.module, model.preprocessor.prepare(request)
    with torch.no_grad():
        logits = module(input_ids=inputs.input_ids[None], **inputs.features).logits[0, -1] / 1.5
    top = logits.topk(5)
    expected = dict(zip(top.indices.tolist(), top.values.log_softmax(-1).tolist(), strict=True))
    counts = dict.fromkeys(expected, 0)
    for response in responses.values():
        [token], [logprob] = response.token_ids, response.logprobs
        counts[token] += 1
        assert logprob == pytest.approx(expected[token], abs=1e-4)
    for token, logprob in expected.items():
        share = np.exp(logprob)
        assert abs(counts[token] / 600 - share) < 4 * np.sqrt(share * (1 - share) / 600)


def test_greedy_logprobs_equal_a_forward_over_prompt_and_answer(model: HFModel) -> None:
    requests = make_requests(6, logprobs=True)
    # Random weights may write the image placeholder itself, which no forward accepts without an image.
    image_token = model.module.config.image_token_id
    found = {key: value for key, value in answers(model, requests).items() if image_token not in value.token_ids}
    assert len(found) > 2
    for (index, _), response in found.items():
        prepared = model.preprocessor.prepare(requests[index])
        ids = torch.cat([prepared.input_ids, torch.tensor(response.token_ids)])[None]
        with torch.no_grad():
            logits = model.module(input_ids=ids, **prepared.features).logits[0].log_softmax(-1)
        at = torch.arange(prepared.length - 1, ids.shape[1] - 1)
        expected = logits[at, ids[0, prepared.length :]]
        torch.testing.assert_close(torch.tensor(response.logprobs), expected, atol=1e-4, rtol=1e-4)


def test_out_of_memory_halves_the_batch(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = open_model(str(tiny_models.checkpoint("internvl", folder)))
    requests = make_requests(12)
    expected = answers(model, requests)
    forward = model.module.forward
    largest: list[int] = []

    @functools.wraps(forward)
    def small_memory(*args: Any, **kwargs: Any) -> Any:
        rows = kwargs["input_ids"].shape[0]
        if rows > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        largest.append(rows)
        return forward(*args, **kwargs)

    model.module.forward = small_memory
    assert answers(model, requests) == expected
    assert max(largest) == 3
    assert "out of memory" in caplog.text


def test_out_of_memory_with_one_prompt_is_that_items_error(folder: Path) -> None:
    model = open_model(str(tiny_models.checkpoint("internvl", folder)))
    forward = model.module.forward

    @functools.wraps(forward)
    def short_prompts(*args: Any, **kwargs: Any) -> Any:
        if kwargs["input_ids"].shape[1] > 40:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(*args, **kwargs)

    model.module.forward = short_prompts
    requests = make_requests(10)
    found = answers(model, requests).values()
    assert {response.finish for response in found} == {"error", "length"}
    for response in found:
        assert (response.finish == "error") == (response.prompt_tokens > 40)
        assert ("out of memory with this prompt alone" in response.error) == (response.prompt_tokens > 40)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_image_or_prompt_fails_alone(workers: int, folder: Path) -> None:
    model = open_model(str(tiny_models.checkpoint("internvl", folder)), workers=workers)
    good = make_requests(4)
    broken = Image.from_bytes(png(1, 40, 40).read()[:200])
    bad = [
        Request((broken, "What is it?")),
        Request((Image.from_bytes(b"not an image"), "?")),
        Request(("word " * 5000,), Generation(max_new_tokens=4)),
        Request(("<IMG_CONTEXT> without an image",)),
    ]
    found = answers(model, [good[0], bad[0], good[1], bad[1], good[2], bad[2], good[3], bad[3]])
    assert [found[i, 0].finish for i in range(8)] == ["length", "error"] * 4
    assert "truncated" in found[1, 0].error
    assert "cannot identify" in found[3, 0].error
    assert "4096" in found[5, 0].error
    expected = answers(model, good)
    assert [found[2 * i, 0] for i in range(4)] == [expected[i, 0] for i in range(4)]


def test_answers_do_not_depend_on_the_threads_that_prepare(folder: Path) -> None:
    requests = make_requests(30, max_new_tokens=5)
    path = str(tiny_models.checkpoint("qwen2_5_vl", folder))
    alone, threaded = (answers(open_model(path, workers=workers), requests) for workers in (0, 3))
    assert alone == threaded


@pytest.mark.parametrize("workers", [0, 2])
def test_the_window_of_prepared_requests_is_bounded(workers: int, folder: Path) -> None:
    model = open_model(str(tiny_models.checkpoint("internvl", folder)), window=16, batch_tokens=1000, workers=workers)
    taken = 0

    def stream() -> Iterator[Request]:
        nonlocal taken
        for request in make_requests(120, max_new_tokens=1):
            taken += 1
            yield request

    done = 0
    for _ in model.generate(stream()):
        done += 1
        assert taken - done <= 16 + 16  # a window ahead, and the batch that is being handed over
    assert done == 120


def test_prompts_are_processed_once_for_all_stages(folder: Path) -> None:
    module, processor = tiny_models.build("smolvlm")
    calls = 0

    class Counting(type(processor)):  # type: ignore[misc]
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            return super().__call__(*args, **kwargs)

    counting = Counting(processor.image_processor, processor.tokenizer, processor.video_processor, image_seq_len=4)
    counting.chat_template = processor.chat_template
    shared = Preprocessor(counting)
    stages = [HFModel(module, shared, name=f"stage-{i}") for i in range(3)]
    requests = make_requests(9)
    tables = [answers(stage, requests) for stage in stages]
    assert tables[0] == tables[1] == tables[2]
    assert calls == len({request.parts for request in requests})


def test_a_module_in_training_stays_in_training() -> None:
    module, processor = tiny_models.build("internvl")
    module.train()
    list(HFModel(module, processor, name="stage").generate(make_requests(2)))
    assert module.training
    module.eval()


def test_system_prompt_is_shown(model: HFModel) -> None:
    with_system = Request(("Hello",), system="Be brief.")
    assert "Be brief." in model.preprocessor.prompt(with_system)
    assert model.preprocessor.prepare(with_system).length > model.preprocessor.prepare(Request(("Hello",))).length


def test_fingerprint_follows_the_content(folder: Path, tmp_path: Path) -> None:
    path = tiny_models.checkpoint("internvl", folder)
    copy = tiny_models.checkpoint("internvl", tmp_path)
    mark = open_model(str(path)).fingerprint()
    assert open_model(str(copy)).fingerprint() == mark
    template = copy / "chat_template.jinja"
    template.write_text(template.read_text() + " ")
    assert open_model(str(copy)).fingerprint() != mark
    assert open_model(str(path), dtype="bfloat16").fingerprint() != mark

    module, processor = tiny_models.build("internvl")
    live = HFModel(module, processor, name="live")
    before = live.fingerprint()
    assert HFModel(module, processor, name="other name").fingerprint() == before
    weight = next(module.parameters())
    with torch.no_grad():
        weight += 1
        assert live.fingerprint() != before
        weight -= 1


class TestRefusals:
    """What cannot be loaded is refused with a sentence and a remedy."""

    @pytest.fixture
    def broken(self, tmp_path: Path) -> Path:
        return tiny_models.checkpoint("internvl", tmp_path)

    def refused(self, path: Path | str, words: str) -> None:
        with pytest.raises(HarnessError, match=words) as error:
            list(open_model(str(path)).generate([Request(("Hello",))]))
        assert error.value.remedy

    def test_no_such_folder(self, tmp_path: Path) -> None:
        self.refused(tmp_path / "absent", "no such folder")

    def test_unknown_embedded_name(self) -> None:
        self.refused("embedded/never", "no embedded model is called 'never'")

    def test_pickled_weights(self, broken: Path) -> None:
        (broken / "model.safetensors").rename(broken / "pytorch_model.bin")
        self.refused(broken, "only as pickle")

    def test_no_weights(self, broken: Path) -> None:
        (broken / "model.safetensors").unlink()
        self.refused(broken, r"no \*\.safetensors")

    def test_truncated_weights(self, broken: Path) -> None:
        weights = broken / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:1000])
        self.refused(broken, "weights cannot be loaded")

    def test_missing_weights(self, broken: Path) -> None:
        weights = load_file(broken / "model.safetensors")
        weights.pop(next(name for name in weights if "mlp.down_proj" in name))
        save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
        self.refused(broken, r"lacks 1 weight.*mlp\.down_proj")

    def test_no_chat_template(self, broken: Path) -> None:
        (broken / "chat_template.jinja").unlink()
        self.refused(broken, "no chat template")

    def test_no_processor(self, broken: Path) -> None:
        for path in (*broken.glob("*processor*"), broken / "tokenizer.json", broken / "tokenizer_config.json"):
            path.unlink(missing_ok=True)
        self.refused(broken, "processor cannot be loaded|no image processor")

    def test_unknown_architecture(self, broken: Path) -> None:
        (broken / "config.json").write_text('{"model_type": "of_tomorrow"}')
        self.refused(broken, "does not know this architecture")

    def test_a_language_model(self, broken: Path) -> None:
        (broken / "config.json").write_text('{"model_type": "llama"}')
        self.refused(broken, "does not read images and text")

    def test_hub_id_without_a_connection(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import huggingface_hub.constants

        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        self.refused("nobody/such-model", "hub cannot be reached")
