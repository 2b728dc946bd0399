"""The loss against references that are not ours: trl, and plain arithmetic in float64. Values and gradients."""

import math
from collections import defaultdict
from types import SimpleNamespace

import pytest
import torch

from harness.api import HarnessError
from trainers import divergence as divergence_module
from trainers.divergence import Divergence, check_vocabularies, token_divergence, token_signals
from trainers.objective import (
    Layout,
    Objective,
    distillation_rewards,
    group_advantages,
    k3,
    loss_of_batch,
    response_means,
)

V, H = 23, 8


@pytest.fixture
def gkd():
    return pytest.importorskip("trl.experimental.gkd").GKDTrainer.generalized_jsd_loss


def logits(seed: int, tokens: int = 12, dtype=torch.float32) -> torch.Tensor:
    return 3 * torch.randn(tokens, V, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize(
    ("divergence", "beta", "temperature"),
    [
        (Divergence("jsd", beta=0.5), 0.5, 1.0),
        (Divergence("jsd", beta=0.9), 0.9, 1.0),
        (Divergence("jsd", beta=0.5, temperature=2.0), 0.5, 2.0),
        (Divergence("forward_kl"), 0.0, 1.0),
        (Divergence("reverse_kl"), 1.0, 1.0),
    ],
)
def test_divergence_equals_trl(gkd, divergence, beta, temperature):
    ours, theirs = logits(0).requires_grad_(), logits(0).requires_grad_()
    d = token_divergence(ours, logits(1), divergence)
    ref = gkd(theirs[None], logits(1)[None], beta=beta, temperature=temperature, reduction="none")[0].sum(-1)
    torch.testing.assert_close(d, ref, rtol=1e-5, atol=1e-6)
    weights = torch.arange(12.0)
    (d * weights).sum().backward()
    (ref * weights).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)


def test_skew_divergences_in_plain_arithmetic():
    q_logits, p_logits = logits(2, 1, torch.float64), logits(3, 1, torch.float64)
    q, p = (x.softmax(-1)[0].tolist() for x in (q_logits, p_logits))

    def kl(a, b):
        return sum(x * math.log(x / y) for x, y in zip(a, b, strict=True))

    a = 0.1
    skl = kl(p, [a * x + (1 - a) * y for x, y in zip(p, q, strict=True)])
    srkl = kl(q, [(1 - a) * x + a * y for x, y in zip(p, q, strict=True)])
    assert token_divergence(q_logits, p_logits, Divergence("skew_kl")).item() == pytest.approx(skl, abs=1e-12)
    assert token_divergence(q_logits, p_logits, Divergence("skew_reverse_kl")).item() == pytest.approx(srkl, abs=1e-12)


ALL = ["jsd", "forward_kl", "reverse_kl", "skew_kl", "skew_reverse_kl"]


@pytest.mark.parametrize("kind", ALL)
def test_the_gradient_of_each_divergence_is_that_of_its_value(kind: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(divergence_module, "_IN_CACHE", 3 * V)  # rows in several blocks
    student, teacher = logits(6, 7, torch.float64).requires_grad_(), logits(7, 7, torch.float64)
    asked = Divergence(kind, beta=0.3, skew=0.2, temperature=1.7)
    assert torch.autograd.gradcheck(lambda z: token_divergence(z, teacher, asked), (student,))


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("size", [30.0, 300.0])
def test_probabilities_that_underflow_give_no_nan(kind: str, size: float):
    student, teacher = (size * logits(8)).requires_grad_(), size * logits(9)
    d = token_divergence(student, teacher, Divergence(kind))
    d.sum().backward()
    assert torch.isfinite(d).all()
    assert torch.isfinite(student.grad).all()
    assert (d >= -1e-6).all()


def test_equal_distributions_have_no_divergence_and_no_gradient():
    student = logits(4).requires_grad_()
    d = token_divergence(student, logits(4), Divergence())
    d.sum().backward()
    assert d.abs().max() < 1e-6
    assert student.grad.abs().max() < 1e-6


@pytest.mark.parametrize("chunk", [1, 5, 12, 100, None])
def test_chunks_change_neither_values_nor_gradients(chunk):
    def run(size):
        hidden = torch.randn(12, H, generator=torch.Generator().manual_seed(0)).requires_grad_()
        weight = torch.randn(V + 5, H, generator=torch.Generator().manual_seed(1)).requires_grad_()
        teacher = torch.cat([logits(5), torch.full((12, 3), 50.0)], 1)  # padded wider than the tokenizer
        targets = torch.arange(12)
        signals = token_signals(hidden, lambda h: h @ weight.T, targets, V, lambda s: teacher[s], chunk=size)
        (signals.logp.sum() + 2 * signals.divergence.sum()).backward()
        return signals, hidden.grad, weight.grad

    (one, hidden, weight), (all_at_once, hidden_ref, weight_ref) = run(chunk), run(12)
    torch.testing.assert_close(one, all_at_once)
    torch.testing.assert_close(hidden, hidden_ref)
    torch.testing.assert_close(weight, weight_ref)
    assert weight_ref[V:].abs().max() == 0  # rows beyond the shared vocabulary take no part


def test_logits_of_all_tokens_are_never_kept():
    """What autograd saves must not grow to [N, V]; the largest saved tensor is the head's weight."""
    hidden, weight = torch.randn(64, H, requires_grad=True), torch.randn(1000, H, requires_grad=True)
    sizes: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
        token_signals(hidden, lambda h: h @ weight.T, torch.zeros(64, dtype=torch.long), 1000, chunk=4)
    assert sum(sizes) < 64 * 1000 / 4


# ---------------------------------------------------------------- groups


def layout_of(lengths: list[int], groups: list[int]) -> Layout:
    index = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    return Layout(index, torch.tensor(groups))


def test_distillation_reward_of_a_hand_example():
    d = torch.tensor([0.2, 0.6, 0.4, 1.0, 1.0, 7.0])
    got = distillation_rewards(d, torch.tensor([0, 0, 0, 1, 1, 2]))
    torch.testing.assert_close(got, torch.tensor([1.0, 0.0, 0.5, 0.0, 0.0, 0.0]))


def test_advantages_equal_trls_formula():
    from trl.trainer.utils import nanstd

    reward = torch.tensor([[1.2, 0.3, 2.0, 0.0], [1.0, 1.0, 0.5, 0.0]])
    theirs = (reward - reward.mean(1, keepdim=True)) / (nanstd(reward, dim=1)[:, None] + 1e-4)
    shuffled = torch.tensor([0, 4, 1, 5, 2, 6, 3, 7])
    group = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    ours = group_advantages(reward.flatten()[shuffled], group[shuffled])
    torch.testing.assert_close(ours, theirs.flatten()[shuffled])


@pytest.mark.parametrize("reward", [[1.9] * 8, [0.1 + 0.2, 0.1 + 0.2, 0.1 + 0.2], [3.0]])
def test_a_group_without_variance_has_no_advantage(reward):
    assert group_advantages(torch.tensor(reward), torch.zeros(len(reward), dtype=torch.long)).abs().max() == 0


def trl_grpo(padded_logp, mask, advantage, reference, kl):
    """trl's own loss code on given log-probabilities (loss_type grpo, one update per generation)."""
    trainer = pytest.importorskip("trl").GRPOTrainer
    same = SimpleNamespace(gather=lambda x: x, reduce=lambda x, reduction: x, gather_for_metrics=lambda x: x)
    fake = SimpleNamespace(
        _get_per_token_logps_and_entropies=lambda *a, **k: (padded_logp, torch.zeros_like(padded_logp), None),
        aux_loss_enabled=False, top_entropy_quantile=1.0, off_policy_mask_threshold=None, beta=kl,
        importance_sampling_level="token", loss_type="grpo", epsilon_low=0.2, epsilon_high=0.2, use_vllm=False,
        args=SimpleNamespace(use_bias_correction_kl=False, delta=None), model=SimpleNamespace(training=True),
        current_gradient_accumulation_steps=1, _entropy_bonus_enabled=False, accelerator=same,
        _metrics={"train": defaultdict(list)},
    )  # fmt: skip
    ids = torch.zeros_like(mask, dtype=torch.long)
    inputs = {
        "prompt_ids": ids, "prompt_mask": mask, "completion_ids": ids, "completion_mask": mask,
        "advantages": advantage, "ref_per_token_logps": reference,
    }  # fmt: skip
    return trainer._compute_loss(fake, None, inputs)


@pytest.mark.parametrize("kl", [0.0, 0.1])
def test_policy_and_kl_terms_equal_trl(kl):
    lengths, accuracy = [3, 5, 1, 4], torch.tensor([1.0, 0.0, 0.0, 1.0])
    layout = layout_of(lengths, [0, 0, 0, 0])
    generator = torch.Generator().manual_seed(0)
    flat = -torch.rand(13, generator=generator) * 3
    reference = flat + 0.3 * torch.randn(13, generator=generator)
    d = torch.rand(13, generator=generator)
    ours = flat.clone().requires_grad_()
    objective = Objective(kl=kl, divergence=0.0)
    loss = loss_of_batch(type_signals(ours, d), layout, objective, accuracy, reference)
    loss.total.backward()

    theirs = flat.clone().requires_grad_()
    pad = [torch.nn.functional.pad(x, (0, 5 - len(x))) for x in theirs.split(lengths)]
    ref_pad = [torch.nn.functional.pad(x, (0, 5 - len(x))) for x in reference.split(lengths)]
    mask = torch.stack([(torch.arange(5) < n).float() for n in lengths])
    trl_loss = trl_grpo(torch.stack(pad), mask, loss.advantage, torch.stack(ref_pad), kl)
    trl_loss.backward()
    torch.testing.assert_close(loss.total, trl_loss)
    torch.testing.assert_close(ours.grad, theirs.grad)


def type_signals(logp, d):
    from trainers.divergence import TokenSignals

    return TokenSignals(logp, d)


def hand_loss(student, reference, teacher, accuracy, surrogate_advantage=None):
    """Eq. 8 in plain Python for two one-question responses: tokens [0, 1] and [2]; lists of logits, target is id 0."""

    def soft(row):
        top = max(row)
        total = sum(math.exp(x - top) for x in row)
        return [math.exp(x - top) / total for x in row]

    q, p, ref = ([soft(row) for row in rows] for rows in (student, teacher, reference))
    d_token = []
    for a, b in zip(p, q, strict=True):
        m = [(x + y) / 2 for x, y in zip(a, b, strict=True)]
        d_token.append(
            sum(0.5 * x * math.log(x / z) + 0.5 * y * math.log(y / z) for x, y, z in zip(a, b, m, strict=True))
        )
    d = [(d_token[0] + d_token[1]) / 2, d_token[2]]
    near = [(max(d) - x) / (max(d) - min(d)) for x in d]
    reward = [a + n for a, n in zip(accuracy, near, strict=True)]
    mean = sum(reward) / 2
    std = math.sqrt(sum((r - mean) ** 2 for r in reward) / 1)
    advantage = [(r - mean) / (std + 1e-4) for r in reward]
    logp = [math.log(row[0]) for row in q]
    delta = [math.log(r[0]) - lp for r, lp in zip(ref, logp, strict=True)]
    kl = [math.exp(x) - x - 1 for x in delta]
    # Value: the ratio is 1. Gradient: that of logp, so differences are taken of A * logp with A held.
    term = [1.0] * 3 if surrogate_advantage is None else logp
    held = advantage if surrogate_advantage is None else surrogate_advantage
    policy = [(held[0] * term[0] + held[0] * term[1]) / 2, held[1] * term[2]]
    kl_response = [(kl[0] + kl[1]) / 2, kl[2]]
    total = sum(-policy[j] + 0.1 * kl_response[j] + d[j] for j in (0, 1)) / 2
    return total, advantage


def test_equation_8_of_a_three_token_example_in_float64():
    student = [[0.3, -0.2, 0.9], [1.1, 0.4, -0.5], [-0.7, 0.2, 0.1]]
    reference = [[0.1, -0.1, 0.8], [0.9, 0.6, -0.4], [-0.5, 0.3, 0.0]]
    teacher = [[1.5, -0.3, 0.2], [0.2, 1.0, -1.0], [2.0, 0.1, -0.4]]
    accuracy = [0.0, 1.0]
    x = torch.tensor(student, dtype=torch.float64, requires_grad=True)
    signals = token_signals(
        x, lambda h: h, torch.zeros(3, dtype=torch.long), 3, lambda s: torch.tensor(teacher, dtype=torch.float64)[s]
    )
    ref_logp = torch.tensor(reference, dtype=torch.float64).log_softmax(-1)[:, 0]
    layout = layout_of([2, 1], [0, 0])
    loss = loss_of_batch(signals, layout, Objective(), torch.tensor(accuracy, dtype=torch.float64), ref_logp)
    want, advantage = hand_loss(student, reference, teacher, accuracy)
    assert loss.total.item() == pytest.approx(want, abs=1e-12)
    assert loss.advantage.tolist() == pytest.approx(advantage, abs=1e-12)

    loss.total.backward()
    step = 1e-6
    for i in range(3):
        for j in range(3):
            values = []
            for sign in (1, -1):
                moved = [row[:] for row in student]
                moved[i][j] += sign * step
                values.append(hand_loss(moved, reference, teacher, accuracy, advantage)[0])
            assert x.grad[i, j].item() == pytest.approx((values[0] - values[1]) / (2 * step), abs=1e-8)


def test_two_questions_in_one_batch_are_the_mean_of_each_alone():
    generator = torch.Generator().manual_seed(0)
    logp, d = -torch.rand(10, generator=generator), torch.rand(10, generator=generator)
    accuracy = torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0])
    both = loss_of_batch(type_signals(logp, d), layout_of([2, 2, 2, 1, 3], [0, 0, 0, 1, 1]), Objective(kl=0), accuracy)
    parts = [
        loss_of_batch(type_signals(logp[:6], d[:6]), layout_of([2, 2, 2], [0] * 3), Objective(kl=0), accuracy[:3],
                      responses_in_step=5),
        loss_of_batch(type_signals(logp[6:], d[6:]), layout_of([1, 3], [0] * 2), Objective(kl=0), accuracy[3:],
                      responses_in_step=5),
    ]  # fmt: skip
    torch.testing.assert_close(both.total, parts[0].total + parts[1].total)
    torch.testing.assert_close(both.advantage, torch.cat([p.advantage for p in parts]))


def test_a_zero_variance_group_keeps_only_divergence_and_kl():
    logp = -torch.rand(4, requires_grad=True)
    layout = layout_of([2, 2], [0, 0])
    d = torch.tensor([0.3, 0.3, 0.3, 0.3])
    loss = loss_of_batch(type_signals(logp, d), layout, Objective(), torch.ones(2), logp.detach())
    assert loss.distillation_reward.tolist() == [0.0, 0.0]
    assert loss.parts["policy"] == 0
    torch.testing.assert_close(loss.total.detach(), torch.tensor(0.3))


def test_gate_keeps_the_distillation_reward_for_correct_responses():
    d, group = torch.tensor([0.1, 0.2, 0.3]), torch.zeros(3, dtype=torch.long)
    loss = loss_of_batch(
        type_signals(torch.zeros(3), d), Layout(torch.arange(3), group), Objective(gate_by_accuracy=True, kl=0),
        torch.tensor([0.0, 1.0, 1.0]),
    )  # fmt: skip
    torch.testing.assert_close(loss.reward, torch.tensor([0.0, 1.5, 1.0]))


def test_a_response_without_tokens_counts_and_breaks_nothing():
    layout = layout_of([0, 3], [0, 0])
    assert response_means(torch.tensor([1.0, 2.0, 6.0]), layout).tolist() == [0.0, 3.0]


def test_k3_is_positive_and_zero_at_equality():
    x = -torch.rand(5)
    assert (k3(x, x) == 0).all()
    assert (k3(x, x + torch.tensor([-1.0, -0.1, 0.1, 1.0, 2.0])) > 0).all()


def test_likelihood_alone_is_cross_entropy():
    x = logits(6).requires_grad_()
    targets = torch.arange(12)
    signals = token_signals(x, lambda h: h, targets, V)
    only = Objective(policy=0, divergence=0, likelihood=1)
    loss = loss_of_batch(signals, layout_of([12], [0]), only)
    torch.testing.assert_close(loss.total, torch.nn.functional.cross_entropy(x, targets))


# ---------------------------------------------------------------- vocabularies


def tokenizer(words: list[str]):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>")


def test_padded_vocabularies_are_cut_to_the_shared_tokenizer():
    words = ["<unk>", "a", "b"]
    assert check_vocabularies(tokenizer(words), tokenizer(words), 128, 256) == 3


def test_different_tokenizers_are_refused_with_a_sentence():
    with pytest.raises(HarnessError, match=r"different tokenizers: 4 entries.*'a' = 1"):
        check_vocabularies(tokenizer(["<unk>", "a", "b"]), tokenizer(["<unk>", "b", "a"]), 8, 8)


def test_too_narrow_output_is_refused():
    words = ["<unk>", "a", "b"]
    with pytest.raises(HarnessError, match="the teacher predicts 2 tokens"):
        check_vocabularies(tokenizer(words), tokenizer(words), 3, 2)
