"""Models in pieces on several processes: what DeepSpeed's ZeRO-2 and ZeRO-3 need of the loop, and nothing else of it.

Under ZeRO-3 every process holds a part of each parameter; a parameter is whole only while its module computes. The
student is sharded by Accelerate; teacher and reference, which only compute forwards, are sharded here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from harness.api import HarnessError
from trainers.recipe import Recipe

_WHOLE_HEAD = "whole_head"


def plugin(recipe: Recipe) -> Any:
    """Accelerate's settings for DeepSpeed. HarnessError where it is not installed.

    With bf16 the student keeps float32 weights and computes in bf16, as it does without DeepSpeed.
    """
    import accelerate
    from accelerate.utils import is_deepspeed_available

    stage = int(recipe.train.engine[-1])
    if not is_deepspeed_available():
        raise HarnessError(
            f"train.engine: {recipe.train.engine} needs DeepSpeed, which is not installed",
            "pip install 'masters-harness[deepspeed]', or train.engine: ddp",
        )
    config: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": recipe.optimizer.clip,
        "zero_optimization": {"stage": stage, "stage3_gather_16bit_weights_on_model_save": True},
        "torch_autocast": {"enabled": recipe.train.precision == "bf16", "dtype": "bfloat16"},
    }
    found = accelerate.DeepSpeedPlugin(hf_ds_config=config, zero3_init_flag=False)
    return found


class Sharding:
    """Loads and runs models in pieces."""

    @contextmanager
    def loading(self, dtype: str) -> Iterator[None]:
        """What transformers loads in here is sharded at once; only the main process reads the values."""
        from transformers.integrations import HfDeepSpeedConfig, unset_hf_deepspeed_config

        kept = HfDeepSpeedConfig(_inference(dtype))  # known to transformers as long as it lives
        try:
            yield
        finally:
            del kept
            unset_hf_deepspeed_config()

    @staticmethod
    def keep_names(module: Any) -> None:
        """Have a module loaded in pieces saved under the names of its checkpoint: of all ways to read old names,
        transformers would otherwise undo those, too, that the checkpoint did not need.
        """
        conversions = getattr(module, "_weight_conversions", None) or []
        module._weight_conversions = [conversion for conversion in conversions if conversion.was_used()]

    def for_inference(self, module: Any, dtype: str) -> Any:
        """The sharded module, gathering each layer while it computes. All processes must compute at the same time."""
        import deepspeed

        engine, *_ = deepspeed.initialize(model=module, config=_inference(dtype))
        module = engine.module.eval()
        head = module.get_output_embeddings()
        with deepspeed.zero.GatheredParameters(list(head.parameters())), torch.no_grad():
            weight, bias = head.weight.clone(), None if head.bias is None else head.bias.clone()
        # Logits are computed in chunks, as many as a process has tokens for, and a head in pieces would need all
        # processes to have as many. So it stays whole, outside of the module's parameters.
        module.__dict__[_WHOLE_HEAD] = lambda states: torch.nn.functional.linear(states, weight, bias)
        return module


def head_of(model: Any) -> Any:
    """The output embedding of a model, callable in every process by itself where the model only computes forwards."""
    return model.__dict__.get(_WHOLE_HEAD) or model.get_output_embeddings()


def called_once(head: Any, states: Tensor, work: Callable[[Tensor, Callable[[Tensor], Tensor]], Any]) -> Any:
    """`work(states, head)` inside one call of an output embedding in pieces: it is gathered once for all that the work
    asks of it, and once more in the backward pass.
    """
    plain = type(head).forward.__get__(head)
    head.forward = lambda given: work(given, plain)
    try:
        return head(states)
    finally:
        del head.forward


def _inference(dtype: str) -> dict[str, Any]:
    return {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "zero_optimization": {"stage": 3},
        "bf16": {"enabled": dtype == "bfloat16"},
        "steps_per_print": float("inf"),
    }


def sharding_of(accelerator: Any) -> Sharding | None:
    """Where parameters are in pieces (ZeRO-3), what loads and runs them; else None."""
    if accelerator.deepspeed_plugin is None:
        return None
    from transformers.integrations import unset_hf_deepspeed_config

    unset_hf_deepspeed_config()  # Accelerate has every model sharded from here on, those of the evaluation too
    return Sharding() if accelerator.deepspeed_plugin.zero_stage == 3 else None
