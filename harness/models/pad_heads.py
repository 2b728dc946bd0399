"""The same model with wider attention heads, for engines whose kernels know only some widths (vLLM's on a CPU: 32 up).

A head is widened with zeros, which add nothing to a product of queries and keys or to a sum of values. Queries are
scaled so that the softmax sees what it saw; the rotary base is raised to the power wide / narrow, so that each pair of
positions that was there turns as it did. What the copy computes is equal but for the rounding of one product.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.folders import cache_folder
from harness.models.fingerprint import checkpoint_fingerprint

if TYPE_CHECKING:
    import torch

#: Widths that vLLM 0.32's attention on a CPU computes.
CPU_WIDTHS = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)
_PROJECTION = re.compile(r"\.self_attn\.([qkvo])_proj\.(weight|bias)$")
_WRITTEN_ANEW = ("*.safetensors", "*.safetensors.index.json", "config.json")


def padded(folder: Path, widths: Sequence[int]) -> Path:
    """The checkpoint, or where its heads have none of the `widths`, a copy in the cache whose heads have the next.

    Only plain Qwen2 decoders (InternVL's) are known; any other checkpoint is returned as it is.
    """
    import transformers

    text = transformers.AutoConfig.from_pretrained(folder, local_files_only=True).get_text_config()
    if text.model_type != "qwen2" or (text.rope_parameters or {}).get("rope_type") != "default":
        return folder
    narrow = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    wide = next((width for width in sorted(widths) if width >= narrow), narrow)
    if wide == narrow or narrow % 2:
        return folder
    root = cache_folder() / "padded"
    made = root / f"{checkpoint_fingerprint(folder, 'padded')[:16]}-{wide}"
    if not made.exists():
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root) as part:
            _write(folder, Path(part) / "copy", narrow, wide)
            try:
                (Path(part) / "copy").rename(made)
            except OSError:  # another process was faster
                if not made.exists():
                    raise
    return made


def _write(folder: Path, out: Path, narrow: int, wide: int) -> None:
    from safetensors.torch import load_file, save_file

    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    text = config.get("text_config", config)
    shutil.copytree(folder, out, ignore=shutil.ignore_patterns(*_WRITTEN_ANEW))
    tensors: dict[str, torch.Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        for name, tensor in load_file(file).items():
            tensors.update(_padded(name, tensor, text["num_attention_heads"], text["num_key_value_heads"], wide))
    save_file(tensors, out / "model.safetensors", {"format": "pt"})
    # Llama's decoder is Qwen2's, but takes the width of a head from its config; its output projection has a bias.
    text |= {"model_type": "llama", "head_dim": wide, "attention_bias": True, "mlp_bias": False}
    theta = text["rope_parameters"]["rope_theta"] ** (wide / narrow)
    text["rope_parameters"] = {**text["rope_parameters"], "rope_theta": theta}
    if text is config:
        config["architectures"] = ["LlamaForCausalLM"]
    (out / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")


def _padded(name: str, tensor: torch.Tensor, heads: int, kv_heads: int, wide: int) -> dict[str, torch.Tensor]:
    """A tensor of the checkpoint as the copy has it, with what belongs to it."""
    found = _PROJECTION.search(name)
    if found is None:
        return {name: tensor}
    which, kind = found.groups()
    if which == "o":  # [hidden, heads * width]: the width is in the columns
        bias = tensor.new_zeros(tensor.shape[0])
        return {name: _widened(tensor.T, heads, wide).T.contiguous(), name.removesuffix("weight") + "bias": bias}
    rows = tensor.reshape(tensor.shape[0], -1)
    whole = _widened(rows, heads if which == "q" else kv_heads, wide)
    if which == "q":
        narrow = tensor.shape[0] // heads
        whole = whole.float() * (wide / narrow) ** 0.5
    return {name: whole[:, 0].contiguous() if kind == "bias" else whole}


def _widened(rows: torch.Tensor, heads: int, wide: int) -> torch.Tensor:
    """[heads * narrow, n] -> [heads * wide, n]: each half of a head (rotary pairs the halves) followed by zeros."""
    narrow = rows.shape[0] // heads
    halves = rows.reshape(heads, 2, narrow // 2, -1)
    made = rows.new_zeros(heads, 2, wide // 2, rows.shape[1])
    made[:, :, : narrow // 2] = halves
    return made.reshape(heads * wide, -1)
