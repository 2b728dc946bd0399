"""Packed equals unpacked, in loss and in every gradient, on tiny checkpoints of real families."""

import numpy as np
import pytest
import tiny_models
import torch
from PIL import Image

from harness.api import HarnessError
from trainers.divergence import token_signals
from trainers.objective import Objective, loss_of_batch
from trainers.packing import Question, ResponseModel, pack, response_states, spread, supports, teacher_logits

FAMILIES = ["internvl", "qwen2_5_vl", "qwen3_vl"]


def question(processor, words: str, shape: tuple[int, int], lengths: list[int], seed: int) -> Question:
    draws = np.random.default_rng(seed)
    image = Image.fromarray(draws.integers(0, 255, (*shape, 3), dtype=np.uint8))
    content = [{"type": "image", "image": image}, {"type": "text", "text": words}]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=True, return_dict=True,
        return_tensors="pt",
    )  # fmt: skip
    return Question(inputs, [draws.integers(20, 250, n).tolist() for n in lengths], name=str(seed))


def two_questions(processor) -> list[Question]:
    return [
        question(processor, "How many circles?", (64, 32), [3, 1, 6, 6], 0),
        question(processor, "What is the value of the highest bar in the chart?", (32, 32), [2, 5, 4], 1),
    ]


def loss_and_gradients(student, teacher, reference, batch):
    student.zero_grad()
    vocabulary = student.config.get_text_config().vocab_size
    signals = ResponseModel(student)(batch, vocabulary, teacher_logits(teacher, batch), chunk=7)
    with torch.no_grad():
        states = response_states(reference, batch)
        fixed = token_signals(states, reference.get_output_embeddings(), batch.targets, vocabulary).logp
    accuracy = torch.tensor([1.0, 0, 0, 1, 0, 1, 0])
    loss = loss_of_batch(signals, batch.layout, Objective(), accuracy, fixed)
    loss.total.backward()
    return loss, {name: p.grad.clone() for name, p in student.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", FAMILIES)
def test_packed_loss_and_gradients_equal_the_unpacked_ones(family: str, attention: str):
    student, processor = tiny_models.build(family)
    teacher, reference = tiny_models.build(family, 1)[0], tiny_models.build(family, 2)[0]
    for model in (student, teacher, reference):
        model.set_attn_implementation(attention)
    assert supports(student) is None
    questions = two_questions(processor)
    packed, grads = loss_and_gradients(student, teacher, reference, pack(questions, student))
    plain, plain_grads = loss_and_gradients(student, teacher, reference, spread(questions, student))
    torch.testing.assert_close(packed.total, plain.total, rtol=1e-5, atol=0)
    torch.testing.assert_close(packed.divergence, plain.divergence, rtol=1e-5, atol=1e-7)
    assert packed.divergence.max() > 0.01
    assert grads.keys() == plain_grads.keys()
    difference = torch.cat([(grads[name] - plain_grads[name]).flatten() for name in grads]).norm()
    size = torch.cat([grad.flatten() for grad in plain_grads.values()]).norm()
    assert difference / size < 1e-5
    assert any("vis" in name and grad.abs().max() > 0 for name, grad in grads.items())


@pytest.mark.parametrize("family", [*FAMILIES, "smolvlm"])
def test_spread_equals_the_models_own_forward_of_one_response(family: str):
    """The reference that is not ours: transformers' forward of prompt + response, without any padding."""
    model, processor = tiny_models.build(family)
    asked = two_questions(processor)[:1]
    batch = spread(asked, model)
    vocabulary = model.config.get_text_config().vocab_size
    with torch.no_grad():
        ours = batch.split(ResponseModel(model)(batch, vocabulary).logp)
        for response, logp in zip(asked[0].responses, ours, strict=True):
            inputs = dict(asked[0].inputs)
            inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([response])], 1)
            inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
            if "mm_token_type_ids" in inputs:
                zeros = inputs["mm_token_type_ids"].new_zeros(1, len(response))
                inputs["mm_token_type_ids"] = torch.cat([inputs["mm_token_type_ids"], zeros], 1)
            logits = model(**inputs).logits[0, -len(response) - 1 : -1].log_softmax(-1)
            want = logits[torch.arange(len(response)), torch.tensor(response)]
            torch.testing.assert_close(logp, want, rtol=1e-4, atol=1e-5)


def test_a_response_without_tokens_and_a_prompt_without_image():
    model, processor = tiny_models.build("qwen2_5_vl")
    inputs = processor.tokenizer("How many?", return_tensors="pt")
    asked = [Question({"input_ids": inputs["input_ids"]}, [[], [30, 31, 32]])]
    with torch.no_grad():
        packed, plain = pack(asked, model), spread(asked, model)
        assert packed.layout.lengths.tolist() == [0, 3]
        a, b = ResponseModel(model)(packed, 300).logp, ResponseModel(model)(plain, 300).logp
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_a_response_that_holds_an_image_token_is_refused():
    model, processor = tiny_models.build("internvl")
    asked = two_questions(processor)[0]
    bad = Question(asked.inputs, [[30, model.config.image_token_id]], name="q7")
    with pytest.raises(HarnessError, match="question q7: response 0 contains an image token"):
        pack([bad], model)


def test_families_that_cannot_be_packed_say_why():
    assert "smolvlm is not known" in supports(tiny_models.build("smolvlm")[0])


def test_sliding_windows_are_not_packed():
    model, _ = tiny_models.build("internvl")
    text = model.config.get_text_config()
    kept = text.layer_types
    text.layer_types = ["full_attention", "sliding_attention"]
    try:
        assert "sliding-window" in supports(model)
    finally:
        text.layer_types = kept
