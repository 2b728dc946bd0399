"""Tiny InternVL models (vision tower, pixel shuffle, MLP, Qwen2) and the processor that they share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainers.zoo.config import Ladder, Size
from trainers.zoo.tokenizer import CHAT_TEMPLATE, IMAGE

if TYPE_CHECKING:
    from torch import nn

#: Scale of the first queries and keys; strength and number of rotary pairs of the head that looks back.
_SHARPER, _PULL, _FAST = 1.5, 6.0, 4
#: Scale of the first values and outputs (their product is its square).
_COPY = 0.5


def build_processor(tokenizer: Any, ladder: Ladder) -> Any:
    """InternVL's processor; an image is resized to one tile, never cropped into several."""
    from transformers import GotOcr2ImageProcessor, InternVLProcessor, InternVLVideoProcessor

    side = {"height": ladder.image_size, "width": ladder.image_size}
    image_processor = GotOcr2ImageProcessor(
        size=side, crop_to_patches=False, min_patches=1, max_patches=1, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    return InternVLProcessor(
        image_processor=image_processor,
        tokenizer=tokenizer,
        video_processor=InternVLVideoProcessor(size=side, image_mean=[0.5] * 3, image_std=[0.5] * 3),
        image_seq_length=ladder.image_tokens,
        chat_template=CHAT_TEMPLATE,
    )


def build_config(size: Size, ladder: Ladder, tokenizer: Any) -> Any:
    """An `InternVLConfig` of the size: tied embeddings, image tokens as the processor writes them."""
    from transformers import InternVLConfig, InternVLVisionConfig, Qwen2Config

    ids = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}
    text = Qwen2Config(
        vocab_size=-(-len(tokenizer) // 64) * 64,
        hidden_size=size.hidden,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        intermediate_size=size.ffn,
        max_position_embeddings=1024,
        initializer_range=size.init_std,
        tie_word_embeddings=True,
        **ids,
    )
    vision = InternVLVisionConfig(
        hidden_size=size.vision_hidden,
        num_hidden_layers=size.vision_layers,
        num_attention_heads=size.vision_heads,
        intermediate_size=4 * size.vision_hidden,
        image_size=[ladder.image_size] * 2,
        patch_size=[ladder.patch_size] * 2,
        attention_bias=True,
        layer_scale_init_value=1.0,
        initializer_range=size.init_std,
    )
    return InternVLConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        image_seq_length=ladder.image_tokens,
        downsample_ratio=0.5,
        tie_word_embeddings=True,
        **ids,
    )


def _attend_to_alike(attention: Any) -> None:
    """Queries equal keys: a token first looks at tokens like itself (Trockman and Kolter 2023, arXiv 2305.09828).

    Measured (docs/ladder.md): options found by their text in hundreds of steps; objects in pictures found later.
    """
    attention.q_proj.weight.mul_(_SHARPER)
    attention.k_proj.weight.copy_(attention.q_proj.weight)


def _copy_what_is_seen(attention: Any) -> None:
    """What a head reads it also writes: its output is its value turned back, so that words are copied from the start.

    Measured (docs/ladder.md): letters are found in 1,750 steps instead of 2,500.
    """
    from torch.nn.init import orthogonal_

    orthogonal_(attention.v_proj.weight).mul_(_COPY)
    attention.o_proj.weight.copy_(attention.v_proj.weight.mT)


def _attend_to_previous(language_model: Any, copy: float) -> None:
    """The first head of the first layer looks one token back: its biases differ by one turn of the rotary positions.

    What it copies has the scale `copy`: at 1, 48 numbers a token find letters in 900 steps, at 0.5 in 1,900.
    """
    import torch

    attention = language_model.layers[0].self_attn
    width = attention.head_dim
    turn = language_model.rotary_emb.inv_freq[:_FAST]
    attention.v_proj.weight[:width] *= copy / _COPY
    attention.o_proj.weight[:, :width] *= copy / _COPY
    for projection, back in ((attention.q_proj, 1.0), (attention.k_proj, 0.0)):
        projection.weight[:width].zero_()
        projection.bias[:width].zero_()
        projection.bias[:_FAST] = _PULL * torch.cos(back * turn)
        projection.bias[width // 2 : width // 2 + _FAST] = -_PULL * torch.sin(back * turn)


def build_model(size: Size, ladder: Ladder, tokenizer: Any, seed: int) -> nn.Module:
    """A freshly initialised `InternVLForConditionalGeneration` in float32."""
    import torch
    from transformers import InternVLForConditionalGeneration

    torch.manual_seed(seed)
    model: Any = InternVLForConditionalGeneration(build_config(size, ladder, tokenizer))
    with torch.no_grad():
        # transformers leaves positions at zero: all patches would look alike at first
        position = model.model.vision_tower.embeddings.position_embeddings
        position.normal_(0, size.init_std)
        for layer in model.model.language_model.layers:
            _attend_to_alike(layer.self_attn)
            _copy_what_is_seen(layer.self_attn)
        _attend_to_previous(model.model.language_model, size.copy_back)
    built: nn.Module = model
    return built
