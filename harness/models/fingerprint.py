"""Content hashes of checkpoints, processors and in-memory modules: the model's part of a response's identity."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

#: Files of a checkpoint folder that decide its answers, beside the weights.
_CONFIGS = ("*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt")


def checkpoint_fingerprint(folder: Path, dtype: str) -> str:
    """SHA-256 over weights (safetensors), configs, processor, tokenizer and chat template of a folder, and the dtype.

    Weight files are read once per process and (path, size, modification time).
    """
    digest = hashlib.sha256(f"dtype {dtype}\n".encode())
    files = {path for pattern in ("*.safetensors", *_CONFIGS) for path in folder.glob(pattern)}
    for path in sorted(files):
        status = path.stat()
        digest.update(f"{path.name} {_file_hash(str(path), status.st_size, status.st_mtime_ns)}\n".encode())
    return digest.hexdigest()


@lru_cache(maxsize=4096)
def _file_hash(path: str, size: int, mtime_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def processor_fingerprint(processor: Any) -> str:
    """SHA-256 over a processor's settings, its tokenizer's model and its chat template."""
    settings = json.dumps(processor.to_dict(), sort_keys=True, default=str)
    tokenizer = processor.tokenizer
    backend = getattr(tokenizer, "backend_tokenizer", None)
    words = backend.to_str() if backend is not None else json.dumps(tokenizer.get_vocab(), sort_keys=True)
    special = json.dumps(tokenizer.special_tokens_map, sort_keys=True, default=str)
    parts = (settings, words, special, json.dumps(processor.chat_template, sort_keys=True))
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def module_fingerprint(module: torch.nn.Module, processor: str) -> str:
    """SHA-256 over an in-memory module's state dict and config, and its processor's fingerprint."""
    import torch

    digest = hashlib.sha256(f"processor {processor}\n".encode())
    config = getattr(module, "config", None)
    if config is not None:
        settings = {key: value for key, value in config.to_dict().items() if not key.startswith("_")}
        digest.update(json.dumps(settings, sort_keys=True, default=str).encode())
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
