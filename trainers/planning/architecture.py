"""What a model is made of, from its config alone: built on the meta device, so no weight is read or allocated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from harness.api import HarnessError

TABLE = Path(__file__).with_name("architectures.yaml")
_TEXT = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
         "vocab_size", "head_dim")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tower:
    """Shape of a transformer: `inner` is the width of its feed-forward part, `gated` whether it has a gate (SwiGLU)."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    inner: int
    gated: bool
    qk_norm: bool = False
    layer_scale: bool = False
    rms_norm: bool = True

    @property
    def query(self) -> int:
        """Width of all queries."""
        return self.heads * self.head_dim

    @property
    def keys(self) -> int:
        """Width of all keys (and of all values)."""
        return self.kv_heads * self.head_dim


@dataclass(frozen=True, slots=True)
class Architecture:
    """A model's parameters by part, its shapes, and where its numbers come from.

    `language` are the decoder's layers and norms; `head` is 0 where tied to the embeddings. `patches_per_token` is how
    many vision patches one image token stands for, `pixel_bytes` their float32 pixels. `trained` maps `train.modules`
    to parameters.
    """

    name: str
    source: str
    family: str
    language: int
    embeddings: int
    head: int
    vision: int
    projector: int
    vocabulary: int
    text: Tower
    image: Tower
    patches_per_token: int
    window_patches: int
    trained: Mapping[str, int]
    pixel_bytes: int

    @property
    def parameters(self) -> int:
        """All parameters."""
        return self.language + self.embeddings + self.head + self.vision + self.projector


def architecture(model: str, given: Path | None = None) -> Architecture:
    """The architecture of a recipe's model.

    From, in this order: `given` (a config.json), a checkpoint folder or `embedded/NAME`, our table of published
    numbers, the hub (config.json only). Raises HarnessError where none is there.
    """
    config, source = _config(model, given)
    return _counted(model, source, config)


@cache
def _table() -> dict[str, dict[str, Any]]:
    models: dict[str, dict[str, Any]] = yaml.safe_load(TABLE.read_text(encoding="utf-8"))["models"]
    return models


def published() -> dict[str, float]:
    """Model id -> parameters as its authors state them, of the committed table."""
    return {name: float(entry["published"]) for name, entry in _table().items()}


def _config(model: str, given: Path | None) -> tuple[Any, str]:
    from harness.models.load import EMBEDDED, resolve

    if given is not None:
        return _read(given), str(given)
    folder = resolve(model) if model.startswith(EMBEDDED) else Path(model).expanduser()
    if (folder / "config.json").is_file():
        return _read(folder / "config.json"), "its config.json"
    name = model.partition("@")[0]
    if name in _table():
        entry = _table()[name]
        return _from_table(entry), f"trainers/planning/architectures.yaml, {entry['source']}"
    return _read(_fetched(model)), "config.json from the hub"


def _read(path: Path) -> Any:
    import transformers

    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        kind = values.pop("model_type")
        return transformers.AutoConfig.for_model(kind, **values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise HarnessError(
            f"{path} is no config.json of a model in transformers' own format: {error}",
            "give the config.json of the checkpoint in transformers' format (often named MODEL-hf)",
        ) from error


def _fetched(model: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    repo, _, revision = model.partition("@")
    try:
        return Path(hf_hub_download(repo, "config.json", revision=revision or None))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        known = ", ".join(_table())
        raise HarnessError(
            f"the architecture of {model} is not known here and the hub cannot be asked: {error}".splitlines()[0],
            f"give its config.json: --config {model}=FILE; known without one: {known}",
        ) from error


def _from_table(entry: Mapping[str, Any]) -> Any:
    import transformers

    text = dict(zip(_TEXT, entry["text"], strict=True))
    if not text["head_dim"]:
        del text["head_dim"]
    tied = {"tie_word_embeddings": entry.get("tied", False)}
    if entry["family"] == "internvl":
        kind = {"model_type": entry["text_type"]}
        return transformers.InternVLConfig(text_config={**text, **tied, **kind}, vision_config=entry["vision"], **tied)
    kinds = {"qwen2_5_vl": transformers.Qwen2_5_VLConfig, "qwen3_vl": transformers.Qwen3VLConfig}
    return kinds[entry["family"]](text_config={**text, **tied}, vision_config=entry["vision"], **tied)


def _counted(model: str, source: str, config: Any) -> Architecture:
    """Build on the meta device and count."""
    import torch
    import transformers

    from trainers.models import PROJECTORS, choose_parameters

    if type(config) not in transformers.AutoModelForImageTextToText._model_mapping:
        raise HarnessError(f"{model} ({config.model_type}) is no vision-language model", "name one that reads images")
    with torch.device("meta"):
        module: Any = transformers.AutoModelForImageTextToText.from_config(config)
    entry, exit_ = module.get_input_embeddings().weight, module.get_output_embeddings().weight
    decoder = {id(parameter) for parameter in module.get_decoder().parameters()} - {id(entry)}
    parts = {"language": 0, "vision": 0, "projector": 0}
    for name, parameter in module.named_parameters():
        if parameter is entry or parameter is exit_:
            continue
        projects = PROJECTORS & set(name.split("."))
        part = "language" if id(parameter) in decoder else "projector" if projects else "vision"
        parts[part] += parameter.numel()
    trained = {}
    for which in ("language_linear", "language", "language+projector", "all"):
        module.requires_grad_(True)
        choose_parameters(module, which)
        trained[which] = sum(p.numel() for p in module.parameters() if p.requires_grad)
    text = config.get_text_config()
    return Architecture(
        model, source, config.model_type, embeddings=entry.numel(), head=0 if exit_ is entry else exit_.numel(),
        vocabulary=exit_.shape[0], text=_text_tower(text), image=_vision_tower(config.vision_config, config.model_type),
        patches_per_token=_patches_per_token(config), window_patches=_window(config.vision_config), trained=trained,
        pixel_bytes=_pixel_bytes(config), **parts,
    )  # fmt: skip


def _text_tower(text: Any) -> Tower:
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    qk_norm = text.model_type in ("qwen3", "qwen3_vl_text")
    return Tower(
        text.num_hidden_layers, text.hidden_size, text.num_attention_heads, text.num_key_value_heads, head,
        text.intermediate_size, gated=True, qk_norm=qk_norm,
    )  # fmt: skip


def _vision_tower(vision: Any, family: str) -> Tower:
    layers = getattr(vision, "depth", None) or vision.num_hidden_layers
    heads = getattr(vision, "num_heads", None) or vision.num_attention_heads
    width = getattr(vision, "embed_dim", None) or vision.hidden_size
    inner = getattr(vision, "intermediate_size", None) or int(width * vision.mlp_ratio)
    internvl = family == "internvl"
    gated = family == "qwen2_5_vl"
    return Tower(
        layers, width, heads, heads, width // heads, inner, gated, qk_norm=getattr(vision, "use_qk_norm", False),
        layer_scale=internvl, rms_norm=gated or getattr(vision, "norm_type", "") == "rms_norm",
    )  # fmt: skip


def _patches_per_token(config: Any) -> int:
    merge = getattr(config.vision_config, "spatial_merge_size", None)
    return (
        int(merge**2) if merge else round(1 / config.downsample_ratio**2) if hasattr(config, "downsample_ratio") else 1
    )


def _pixel_bytes(config: Any) -> int:
    """Bytes of the processed pixels that one image token stands for."""
    vision = config.vision_config
    sides = vision.patch_size if isinstance(vision.patch_size, list | tuple) else [vision.patch_size] * 2
    frames = getattr(vision, "temporal_patch_size", 1)
    return int(4 * 3 * frames * sides[0] * sides[-1] * _patches_per_token(config))


def _window(vision: Any) -> int:
    """Patches that attend to each other: a window, a tile, or 0 for the whole image."""
    if getattr(vision, "window_size", None):
        return int((vision.window_size // vision.patch_size) ** 2)
    size, patch = getattr(vision, "image_size", None), vision.patch_size
    if size is None:
        return 0
    sides = (
        [side // (patch[i] if isinstance(patch, list | tuple) else patch) for i, side in enumerate(size)]
        if isinstance(size, list | tuple)
        else [size // patch] * 2
    )
    return int(sides[0] * sides[-1])
