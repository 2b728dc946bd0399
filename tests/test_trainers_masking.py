"""Masks against torch.nn.utils.prune and plain sorts; exact counts, ties, scopes, shards, restoring."""

import numpy as np
import pytest
import tiny_models
import torch
import torch.multiprocessing as processes
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune

from harness.api import HarnessError
from trainers import mask_controls
from trainers.mask_scope import matrices
from trainers.mask_shards import Piece, local_piece, mask_together
from trainers.masking import mask, restore
from trainers.recipe import Masking
from trainers.selection import threshold, zero_smallest

DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def masked(weight: torch.Tensor, k: int) -> torch.Tensor:
    out = weight.clone()
    if k:
        zero_smallest(out, threshold([out], k))
    return out


def pruned_by_torch(weight: torch.Tensor, ratio: float) -> torch.Tensor:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=weight.dtype)
    layer.weight.data.copy_(weight)
    prune.l1_unstructured(layer, "weight", amount=ratio)
    return layer.weight.detach()


def random(rows: int, columns: int, dtype=torch.float32, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.mark.parametrize("ratio", [0.0, 0.05, 0.2, 0.5, 0.999, 1.0])
def test_float32_mask_is_that_of_torch(ratio: float):
    weight = random(300, 257)
    ours = masked(weight, round(ratio * weight.numel()))
    assert torch.equal(ours, pruned_by_torch(weight, ratio))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("ratio", [0.05, 0.2, 0.5])
def test_half_precision_keeps_the_same_magnitudes_as_torch(dtype: torch.dtype, ratio: float):
    """These types have many equal magnitudes: which of them go is a choice, how many and how large is not."""
    weight = random(200, 333, dtype)
    ours, theirs = masked(weight, round(ratio * weight.numel())), pruned_by_torch(weight, ratio)
    assert torch.equal(ours.abs().flatten().sort().values, theirs.abs().flatten().sort().values)
    assert torch.equal(ours[ours != 0], weight[ours != 0])
    differ = ours != theirs
    assert len(weight[differ].abs().unique()) <= 1


@given(st.integers(1, 400), st.floats(0, 1), st.sampled_from(DTYPES), st.integers(0, 5), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_exactly_k_go_and_ties_by_lowest_index(n: int, ratio: float, dtype: torch.dtype, seed: int, levels: int):
    draws = np.random.default_rng(seed)
    weight = torch.tensor(draws.integers(-levels, levels + 1, n) / 2).to(dtype)
    k = round(ratio * n)
    order = np.argsort(weight.abs().float().numpy(), kind="stable")
    want = weight.clone()
    want[order[:k].copy()] = 0
    assert torch.equal(masked(weight, k), want)


@pytest.mark.parametrize("dtype", DTYPES[:2])
def test_past_2_to_the_24_elements_and_only_few_candidates(dtype: torch.dtype):
    """Past torch.quantile's limit; large enough for the search by sample, which must find what the full count finds."""
    weight = random(4100, 4100, dtype, 3) * 0.02
    k = round(0.2 * weight.numel())
    found = threshold([weight], k)
    full = threshold([weight], k, reduce=lambda counts: counts)
    assert found.border is not None
    assert full == found._replace(border=None)
    assert found.value == weight.abs().float().flatten().kthvalue(k).values.item()
    zero_smallest(weight, found)
    assert weight.numel() - int(torch.count_nonzero(weight)) == k


def test_a_sample_that_misleads_is_caught():
    """Every sampled place holds a large weight; the exact count finds out and the full count answers."""
    weight = torch.full((1 << 22,), 1e-3)
    step = weight.numel() // (1 << 14)
    weight.view(-1, step)[:, :32] = 1.0
    k = weight.numel() // 20
    found = threshold([weight], k)
    assert found.value == pytest.approx(1e-3)
    assert found.ties == k


def test_infinities_are_kept_and_float64_is_refused():
    assert masked(torch.tensor([1.0, float("inf"), 0.5, -2.0]), 3).tolist() == [0.0, float("inf"), 0.0, 0.0]
    with pytest.raises(HarnessError, match="float64 cannot be masked"):
        threshold([torch.ones(3, dtype=torch.float64)], 1)


# ---------------------------------------------------------------- models


@pytest.fixture
def teacher(tmp_path):
    path = tiny_models.checkpoint("internvl", tmp_path)
    import transformers

    return transformers.AutoModelForImageTextToText.from_pretrained(path), path


def test_scopes(teacher):
    model, _ = teacher
    names = {
        scope: [name for name, _ in matrices(model, scope)] for scope in ("lm_linear", "lm+vision_linear", "all_2d")
    }
    assert len(names["lm_linear"]) == 2 * 7
    assert all("language_model.layers" in name for name in names["lm_linear"])
    assert set(names["lm_linear"]) < set(names["lm+vision_linear"]) < set(names["all_2d"])
    assert any("vision_tower" in name for name in names["lm+vision_linear"])
    assert not any("embed_tokens" in name or "lm_head" in name for name in names["all_2d"])


@pytest.mark.parametrize("family", ["internvl", "qwen2_5_vl", "qwen3_vl", "smolvlm"])
def test_mask_reports_and_restore_undoes_it(family: str, tmp_path):
    path = tiny_models.checkpoint(family, tmp_path)
    import transformers

    model = transformers.AutoModelForImageTextToText.from_pretrained(path)
    before = {name: p.clone() for name, p in model.named_parameters()}
    masking = Masking(scope="lm+vision_linear")
    report = mask(model, 0.2, masking)
    scoped = dict(matrices(model, masking.scope))
    for tensor in report.tensors:
        weight = scoped[tensor.name]
        assert tensor.zeroed == round(0.2 * weight.numel()) == weight.numel() - int(torch.count_nonzero(weight))
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == set(scoped)
    assert report.in_scope == pytest.approx(0.2, abs=1e-3)
    zeros = sum(t.zeroed for t in report.tensors)
    assert report.effective == pytest.approx(zeros / sum(p.numel() for p in model.parameters()))
    assert report.effective < 0.2
    restore(model, path, masking.scope)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name])


def test_restore_refuses_another_checkpoint(teacher, tmp_path):
    model, _ = teacher
    other = tiny_models.checkpoint("internvl", tmp_path / "other", seed=9)
    mask(model, 0.2)
    with pytest.raises(HarnessError, match="in weights that were not masked"):
        restore(model, other)


def test_ratio_0_changes_nothing_and_1_zeroes_all(teacher):
    model, _ = teacher
    before = [weight.clone() for _, weight in matrices(model)]
    assert mask(model, 0.0).effective == 0.0
    assert all(torch.equal(a, b) for a, (_, b) in zip(before, matrices(model), strict=True))
    assert mask(model, 1.0).in_scope == 1.0
    assert not any(weight.any() for _, weight in matrices(model))


# ---------------------------------------------------------------- controls


def test_global_threshold_is_one_for_all_matrices(teacher):
    model, _ = teacher
    scoped = matrices(model)
    scoped[0][1].mul_(0.1)  # a layer of small weights loses more than its share
    flat = torch.cat([weight.flatten() for _, weight in scoped])
    k = round(0.3 * len(flat))
    order = flat.abs().argsort(stable=True)[:k]
    want = flat.clone()
    want[order] = 0
    report = mask(model, 0.3, Masking(threshold="global"))
    assert torch.equal(torch.cat([weight.flatten() for _, weight in scoped]), want)
    assert sum(tensor.zeroed for tensor in report.tensors) == k
    assert len({tensor.threshold for tensor in report.tensors}) == 1
    assert report.tensors[0].zeroed / report.tensors[0].weights > 0.8


def test_random_mask_has_the_ratio_and_follows_its_seed():
    counts = np.zeros(4)
    for seed in range(20):
        weight = torch.ones(4, 40_000)
        assert mask_controls.zero_random(weight, 0.2, seed, "layer") == 32_000
        assert int((weight == 0).sum()) == 32_000
        counts += (weight == 0).sum(1).numpy()
    assert abs(counts / (20 * 8000) - 1).max() < 0.01  # no part of the tensor is preferred
    twice = [torch.ones(1000, 100) for _ in range(3)]
    for weight, seed in zip(twice, (0, 0, 1), strict=True):
        mask_controls.zero_random(weight, 0.2, seed, "layer")
    assert torch.equal(twice[0], twice[1])
    assert not torch.equal(twice[0], twice[2])


def test_wanda_on_a_model_equals_its_rule_in_numpy(teacher):
    model, _ = teacher
    _, processor = tiny_models.build("internvl")
    batches = [
        dict(processor.tokenizer(text, return_tensors="pt")) for text in ("How many circles?", "A. red B. green")
    ]
    name, weight = matrices(model)[0]
    module = model.get_submodule(name.removesuffix(".weight"))
    seen: list[np.ndarray] = []
    hook = module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0].detach().numpy()))
    norms = mask_controls.input_norms(model, batches, [n for n, _ in matrices(model)])
    hook.remove()
    score = np.abs(weight.numpy()) * np.sqrt((np.concatenate(seen) ** 2).sum(0))
    want = weight.numpy().copy()
    k = round(0.3 * want.shape[1])
    np.put_along_axis(want, np.argsort(score, axis=1, kind="stable")[:, :k], 0.0, axis=1)
    mask(model, 0.3, Masking(criterion="wanda"), norms)
    np.testing.assert_array_equal(weight.numpy(), want)


def test_wanda_without_calibration_says_so(teacher):
    with pytest.raises(HarnessError, match="needs the input norms"):
        mask(teacher[0], 0.2, Masking(criterion="wanda"))


# ---------------------------------------------------------------- shards


def _one_process(rank: int, size: int, port: str, weight: torch.Tensor, out: str) -> None:
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=f"file://{port}", rank=rank, world_size=size)
    piece = -(-weight.numel() // size)  # ZeRO-3 pads the last piece with zeros
    padded = nn.functional.pad(weight.flatten(), (0, piece * size - weight.numel()))
    parameter = nn.Parameter(torch.empty(0))
    parameter.ds_tensor = padded[rank * piece : (rank + 1) * piece].clone()
    parameter.ds_numel = weight.numel()
    shard, _ = local_piece(parameter, rank)
    (found,) = mask_together([Piece("weight", weight.numel(), shard)], 0.2)
    assert found.zeroed == round(0.2 * weight.numel())
    torch.save(shard, f"{out}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.parametrize("dtype", DTYPES[:2])
def test_two_processes_mask_their_shards_as_one_would(dtype: torch.dtype, tmp_path):
    weight = random(101, 77, dtype, 5)
    processes.spawn(_one_process, (2, str(tmp_path / "port"), weight, str(tmp_path)), nprocs=2)
    together = torch.cat([torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)])
    assert torch.equal(together, masked(weight.flatten(), round(0.2 * weight.numel())))
