"""Each preflight check passes on a sound set-up and says what is wrong with a broken one."""

import dataclasses

import pytest
import tiny_models
import torch
from test_trainers_packing import two_questions

from harness.api import HarnessError
from trainers.masking import mask
from trainers.objective import Held, Objective, loss_of_batch
from trainers.packing import Question, ResponseModel, pack, teacher_logits
from trainers.preflight import finite, generation_logprobs, image_tokens, masked_share, require, step_lowers_loss

FAMILIES = ["internvl", "qwen2_5_vl", "qwen3_vl"]


@pytest.mark.parametrize("family", FAMILIES)
def test_image_tokens_are_counted(family: str):
    model, processor = tiny_models.build(family)
    asked = two_questions(processor)[0]
    assert image_tokens(model, asked).ok
    ids = asked.inputs["input_ids"]
    extra = torch.tensor([[model.config.image_token_id]])
    more = Question({**asked.inputs, "input_ids": torch.cat([ids, extra], 1)}, [[1]], name="q3")
    with pytest.raises(HarnessError, match=r"question q3 has \d+ image tokens and \d+ image features"):
        require([image_tokens(model, more)])


def test_generations_logprobs_are_those_of_training():
    model, processor = tiny_models.build("internvl")
    asked = two_questions(processor)[0]
    out = model.generate(
        **asked.inputs, max_new_tokens=6, do_sample=False, output_logits=True, return_dict_in_generate=True
    )
    tokens = out.sequences[0, asked.inputs["input_ids"].shape[1] :]
    noted = torch.stack(out.logits)[:, 0].log_softmax(-1)[torch.arange(len(tokens)), tokens]
    batch = pack([Question(asked.inputs, [tokens.tolist()])], model)
    vocabulary = model.config.get_text_config().vocab_size
    assert generation_logprobs(model, batch, noted, vocabulary, tolerance=1e-4).ok
    assert not generation_logprobs(model, batch, noted.roll(1), vocabulary).ok


def test_the_masked_share_is_counted_in_the_weights(tmp_path):
    import transformers

    model = transformers.AutoModelForImageTextToText.from_pretrained(tiny_models.checkpoint("internvl", tmp_path))
    report = mask(model, 0.2)
    assert masked_share(model, report, "lm_linear").ok
    wrong = dataclasses.replace(report, asked=0.4)
    assert "20.0" in masked_share(model, wrong, "lm_linear").message
    assert not masked_share(model, wrong, "lm_linear").ok


def test_nan_is_found():
    assert finite({"policy": torch.tensor(1.0)}).ok
    with pytest.raises(HarnessError, match="kl = nan"):
        require([finite({"policy": torch.tensor(1.0), "kl": torch.tensor(float("nan"))})])


@pytest.mark.parametrize("objective", [Objective(kl=0.0), Objective(kl=0.0, divergence=0.0)])
def test_a_step_lowers_the_loss_of_its_batch_and_is_undone(objective: Objective):
    student, processor = tiny_models.build("internvl")
    teacher, _ = tiny_models.build("internvl", 1)
    batch = pack(two_questions(processor), student)
    vocabulary = student.config.get_text_config().vocab_size
    signal = teacher_logits(teacher, batch)
    accuracy = torch.tensor([1.0, 0, 0, 1, 0, 1, 0])

    def evaluate(held: Held | None):
        signals = ResponseModel(student)(batch, vocabulary, signal)
        return signals, loss_of_batch(signals, batch.layout, objective, accuracy, held=held)

    first, loss = evaluate(None)
    held = Held(first.logp.detach(), loss.advantage)
    before = [parameter.clone() for parameter in student.parameters()]
    assert step_lowers_loss(student.parameters(), lambda: evaluate(held)[1].total).ok
    assert all(torch.equal(a, b) for a, b in zip(before, student.parameters(), strict=True))
    assert not step_lowers_loss(student.parameters(), lambda: -evaluate(held)[1].total, steps=(-1e-4, -1e-5, -1e-6)).ok


def test_a_step_that_overshoots_is_tried_again_smaller():
    """A narrow valley: 1e-4 of the weights' norm leaps over its floor and ends higher, a tenth of it ends lower."""
    weight = torch.nn.Parameter(torch.tensor([1e-3, 100.0], dtype=torch.float64))

    def loss():
        return weight[0] ** 2

    assert not step_lowers_loss([weight], loss, steps=(1e-4,)).ok
    found = step_lowers_loss([weight], loss)
    assert found.ok, found
    assert weight.tolist() == [1e-3, 100.0]
