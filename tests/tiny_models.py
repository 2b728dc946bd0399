"""Tiny checkpoints of real architectures: random weights, two layers, own tokenizer and processor, built offline.

`checkpoint(family, folder)` saves one that `AutoModelForImageTextToText` and vLLM load, under 1 MB. Weights are drawn
wide (standard deviation 0.15) so that greedy decoding has clear winners and batched results can be compared exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

VISION, TEXT = 32, 64  # two text heads of 32: the smallest that vLLM attends with on a CPU
_CORPUS = [
    "Answer the question using a single word or phrase. What is the value of the highest bar in the chart?",
    "Answer with the option letter from the given choices directly. A. red B. green C. blue D. yellow 0123456789",
    "You are a helpful assistant. How many circles are there in the image? The answer is none of these.",
]
_CHATML = (
    "{%- for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{%- if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{%- for part in message['content'] %}{% if part['type'] == 'image' %}IMAGE{% else %}{{ part['text'] }}{% endif %}"
    "{%- endfor %}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_LM = {
    "hidden_size": TEXT,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
}


def tokenizer(named: dict[str, str]) -> Any:
    """A byte-level BPE tokenizer of about 400 tokens; `named` are the family's image tokens by attribute name."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=360,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>", *named.values()],
        show_progress=False,
    )
    core.train_from_iterator(_CORPUS, trainer)
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        padding_side="left",
        model_max_length=4096,
        extra_special_tokens=named,
    )


def _text(kind: Any, words: Any, **extra: Any) -> Any:
    settings = {**_LM, "vocab_size": len(words), "eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id}
    return kind(**{**settings, "bos_token_id": None, **extra})


def _internvl() -> tuple[Any, Any]:
    words = tokenizer(
        {
            "start_image_token": "<img>",
            "end_image_token": "</img>",
            "context_image_token": "<IMG_CONTEXT>",
            "video_token": "<video>",
        }
    )
    config = hf.InternVLConfig(
        vision_config=hf.InternVLVisionConfig(
            hidden_size=VISION, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=[32, 32],
            patch_size=[8, 8],
        ),
        text_config=_text(hf.Qwen2Config, words),
        image_token_id=words.context_image_token_id,
        image_seq_length=4,
        downsample_ratio=0.5,
    )  # fmt: skip
    size = {"height": 32, "width": 32}
    images = hf.GotOcr2ImageProcessor(size=size, crop_to_patches=True, min_patches=1, max_patches=4)
    processor = hf.InternVLProcessor(
        image_processor=images,
        tokenizer=words,
        video_processor=hf.InternVLVideoProcessor(size=size),
        image_seq_length=4,
        chat_template=_CHATML.replace("IMAGE", "<IMG_CONTEXT>\n"),
    )
    return hf.InternVLForConditionalGeneration(config), processor


_QWEN = {
    "vision_start_token": "<|vision_start|>",
    "vision_end_token": "<|vision_end|>",
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
}


def _qwen_ids(words: Any) -> dict[str, Any]:
    return {
        "image_token_id": words.image_token_id,
        "video_token_id": words.video_token_id,
        "vision_start_token_id": words.vision_start_token_id,
        "vision_end_token_id": words.vision_end_token_id,
        "tie_word_embeddings": True,
    }


def _qwen2_5_vl() -> tuple[Any, Any]:
    words = tokenizer(_QWEN)
    config = hf.Qwen2_5_VLConfig(
        vision_config={
            "hidden_size": VISION, "depth": 2, "num_heads": 2, "intermediate_size": 64, "out_hidden_size": TEXT,
            "patch_size": 8, "window_size": 32, "fullatt_block_indexes": [1],
        },
        text_config=_text(
            hf.Qwen2_5_VLConfig.sub_configs["text_config"], words,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 6, 6]},
        ).to_dict(),
        **_qwen_ids(words),
    )  # fmt: skip
    images = hf.Qwen2VLImageProcessor(patch_size=8, min_pixels=32 * 32, max_pixels=64 * 64)
    processor = hf.Qwen2_5_VLProcessor(
        image_processor=images,
        tokenizer=words,
        video_processor=hf.Qwen2VLVideoProcessor(patch_size=8),
        chat_template=_CHATML.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>"),
    )
    return hf.Qwen2_5_VLForConditionalGeneration(config), processor


def _qwen3_vl() -> tuple[Any, Any]:
    words = tokenizer(_QWEN)
    config = hf.Qwen3VLConfig(
        vision_config={
            "hidden_size": VISION, "depth": 2, "num_heads": 2, "intermediate_size": 64, "out_hidden_size": TEXT,
            "patch_size": 8, "num_position_embeddings": 64, "deepstack_visual_indexes": [0],
        },
        text_config=_text(
            hf.Qwen3VLConfig.sub_configs["text_config"], words, head_dim=32,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 6, 6]},
        ).to_dict(),
        **_qwen_ids(words),
    )  # fmt: skip
    limits = {"shortest_edge": 32 * 32, "longest_edge": 64 * 64}
    images = hf.Qwen2VLImageProcessor(patch_size=8, size=limits)
    processor = hf.Qwen3VLProcessor(
        image_processor=images,
        tokenizer=words,
        video_processor=hf.Qwen3VLVideoProcessor(patch_size=8, size=limits),
        chat_template=_CHATML.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>"),
    )
    return hf.Qwen3VLForConditionalGeneration(config), processor


def _smolvlm() -> tuple[Any, Any]:
    words = tokenizer(
        {
            "fake_image_token": "<fake_token_around_image>",
            "image_token": "<image>",
            "global_image_token": "<global-img>",
            "end_of_utterance_token": "<end_of_utterance>",
        }
    )
    config = hf.SmolVLMConfig(
        vision_config={
            "hidden_size": VISION, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
            "image_size": 32, "patch_size": 8,
        },
        text_config=_text(hf.LlamaConfig, words, head_dim=32).to_dict(),
        image_token_id=words.image_token_id,
        scale_factor=2,
        tie_word_embeddings=True,
        pad_token_id=words.pad_token_id,
    )  # fmt: skip
    images = hf.SmolVLMImageProcessor(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    sampling = {"fps": 1, "max_frames": 4}
    processor = hf.SmolVLMProcessor(
        image_processor=images,
        tokenizer=words,
        video_processor=hf.SmolVLMVideoProcessor(
            size={"longest_edge": 64}, max_image_size={"longest_edge": 32}, video_sampling=sampling
        ),
        image_seq_len=4,
        chat_template=_CHATML.replace("IMAGE", "<image>"),
    )
    return hf.SmolVLMForConditionalGeneration(config), processor


def _llava_onevision() -> tuple[Any, Any]:
    words = tokenizer({"image_token": "<image>", "video_token": "<video>"})
    pinpoints = [[32, 32], [32, 64], [64, 32], [64, 64]]
    config = hf.LlavaOnevisionConfig(
        vision_config=hf.SiglipVisionConfig(
            hidden_size=VISION, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=32,
            patch_size=8, vision_use_head=False,
        ),
        text_config=_text(hf.Qwen2Config, words),
        image_token_index=words.image_token_id,
        video_token_index=words.video_token_id,
        image_grid_pinpoints=pinpoints,
        vision_feature_layer=-1,
        tie_word_embeddings=True,
    )  # fmt: skip
    size = {"height": 32, "width": 32}
    images = hf.LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=pinpoints)
    processor = hf.LlavaOnevisionProcessor(
        image_processor=images,
        tokenizer=words,
        video_processor=hf.LlavaOnevisionVideoProcessor(size=size),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=_CHATML.replace("IMAGE", "<image>\n"),
    )
    return hf.LlavaOnevisionForConditionalGeneration(config), processor


FAMILIES: dict[str, Callable[[], tuple[Any, Any]]] = {
    "internvl": _internvl,
    "qwen2_5_vl": _qwen2_5_vl,
    "qwen3_vl": _qwen3_vl,
    "smolvlm": _smolvlm,
    "llava_onevision": _llava_onevision,
}


@cache
def build(family: str, seed: int = 0) -> tuple[Any, Any]:
    """(model in fp32 and eval mode, processor) of a family, with seeded random weights; one object per session."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model, processor = FAMILIES[family]()
    return _drawn(model, processor.tokenizer, seed), processor


def _drawn(model: Any, words: Any, seed: int) -> Any:
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if parameter.dim() > 1:
                parameter.normal_(0.0, 0.15, generator=draws)
            elif not name.endswith("norm.weight"):
                parameter.add_(torch.randn(parameter.shape, generator=draws) * 0.02)
    model.generation_config = hf.GenerationConfig(eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id)
    return model.eval()


def checkpoint(family: str, folder: Path, seed: int = 0) -> Path:
    """Save the family's tiny checkpoint below `folder` (once) and return its path."""
    path = folder / f"{family}-{seed}"
    if not (path / "model.safetensors").exists():
        model, processor = build(family, seed)
        model.save_pretrained(path)
        processor.save_pretrained(path)
    return path


def language_model(folder: Path, seed: int = 0) -> Path:
    """Save a tiny Qwen2 without eyes; its template, as theirs do, adds a turn's content to a text."""
    words = tokenizer({})
    words.chat_template = (
        "{%- for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
        "{{ message['content'] + '<|im_end|>\n' }}{%- endfor %}"
        "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = hf.Qwen2ForCausalLM(_text(hf.Qwen2Config, words))
    _drawn(model, words, seed).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder
