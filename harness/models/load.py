"""From what the user typed to a loaded checkpoint; every way it can fail is a sentence with a remedy."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness import registry
from harness.api import HarnessError
from harness.deferred import importing
from harness.models.text_only import TextProcessor

EMBEDDED = "embedded/"
DTYPES = ("auto", "float32", "bfloat16", "float16")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(@[\w./-]+)?")
#: What the hub may send: weights as safetensors, configs, tokenizer. No code, no pickles.
_WANTED = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt"]


def resolve(spec: str) -> Path:
    """The folder of a checkpoint: a path, `embedded/<name>` (an entry point of group harness.checkpoints), or a hub
    id `owner/name[@revision]`, which is the only one that may reach the network.
    """
    if spec.startswith(EMBEDDED):
        return _embedded(spec.removeprefix(EMBEDDED))
    path = Path(spec).expanduser()
    if path.is_dir():
        return path
    if path.is_file():
        raise HarnessError(f"model {spec} is a file", "give the checkpoint's folder")
    if not _HUB_ID.fullmatch(spec):
        raise HarnessError(
            f"model {spec}: no such folder", "give a checkpoint folder, embedded/<name>, or a hub id owner/name"
        )
    return _download(spec)


def _embedded(name: str) -> Path:
    known = registry.names("checkpoints")
    if name not in known:
        shipped = ", ".join(f"{EMBEDDED}{other}" for other in known) or "none is installed"
        raise HarnessError(f"no embedded model is called {name!r}", f"choose one of: {shipped}")
    return Path(registry.load("checkpoints", name)())


def _download(spec: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    repo, _, revision = spec.partition("@")
    try:
        return Path(snapshot_download(repo, revision=revision or None, allow_patterns=_WANTED))
    except GatedRepoError as error:
        raise HarnessError(
            f"model {spec} is gated: {_first_line(error)}", "accept its licence on the hub and log in: hf auth login"
        ) from error
    except RepositoryNotFoundError as error:
        raise HarnessError(
            f"model {spec} is neither a folder here nor a hub repository: {_first_line(error)}", "check the spelling"
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise HarnessError(
            f"model {spec} is not a folder here and the hub cannot be reached: {_first_line(error)}",
            f"on a machine with a connection: hf download {repo}; then give the folder's path as the model",
        ) from error


def load_processor(folder: Path, text_only: bool = False) -> Any:
    """The checkpoint's own processor; HarnessError where it has none. With `text_only` a tokenizer will do."""
    try:
        with importing():
            import transformers

            processor = transformers.AutoProcessor.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        remedy = "copy processor_config.json, preprocessor_config.json and the tokenizer's files from the base model"
        raise HarnessError(f"model {folder}: its processor cannot be loaded: {_first_line(error)}", remedy) from error
    if text_only and isinstance(processor, transformers.PreTrainedTokenizerBase):
        return TextProcessor(processor)
    if not isinstance(processor, transformers.ProcessorMixin):
        raise HarnessError(
            f"model {folder} has a {type(processor).__name__} but no image processor",
            "copy processor_config.json and preprocessor_config.json from the base model into the folder",
        )
    return processor


def load_module(folder: Path, device: str, dtype: str, attention: str, text_only: bool = False) -> Any:
    """The checkpoint as a module in eval mode. `dtype` auto: bf16 on CUDA, fp32 on CPU; `attention` auto: flash where
    it is installed and the model has it, else transformers' own choice (sdpa where the model has it). With `text_only`
    a language model will do.
    """
    with importing():
        import torch
        from safetensors import SafetensorError
        from transformers.integrations import is_deepspeed_zero3_enabled

        check_files(folder)
        config = _config(folder)
        auto = _auto_class(folder, config, text_only)
        cls = auto._model_mapping[type(config)]
    # Weights are loaded outside: what is garbage of it must be collected.
    device = _device(device)
    arguments: dict[str, Any] = {"dtype": getattr(torch, dtype_of(device, dtype).removeprefix("torch."))}
    if not is_deepspeed_zero3_enabled():  # which places the weights itself
        arguments["device_map"] = device
    if attention == "auto":
        if device != "cpu" and find_spec("flash_attn") and getattr(cls, "_supports_flash_attn", False):
            arguments["attn_implementation"] = "flash_attention_2"
    else:
        arguments["attn_implementation"] = attention
    try:
        module, found = auto.from_pretrained(
            folder, config=config, local_files_only=True, trust_remote_code=False, use_safetensors=True,
            output_loading_info=True, **arguments,
        )  # fmt: skip
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise HarnessError(
            f"model {folder}: its weights cannot be loaded: {_first_line(error)}",
            "check that every *.safetensors file is complete and belongs to this config.json",
        ) from error
    absent = sorted({*found["missing_keys"], *(key for key, *_ in found["mismatched_keys"])})
    if absent:  # transformers would draw them at random and only warn
        raise HarnessError(
            f"model {folder} lacks {len(absent)} weight(s) of its config.json, or their shape is another: {absent[0]}",
            "copy all *.safetensors files and the config.json that belongs to them",
        )
    return module.eval()


def dtype_of(device: str, dtype: str) -> str:
    """The dtype, as torch prints it, that `load_module` loads."""
    if dtype not in DTYPES:
        raise HarnessError(f"dtype {dtype!r} is unknown", f"use {', '.join(DTYPES)}")
    if dtype == "auto":
        dtype = "float32" if _device(device) == "cpu" else "bfloat16"
    return f"torch.{dtype}"


def _device(device: str) -> str:
    if device != "auto":
        return device
    with importing():
        import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _config(folder: Path) -> Any:
    import transformers

    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise HarnessError(
            f"model {folder}: transformers {transformers.__version__} does not know this architecture or cannot read "
            f"its config.json: {_first_line(error)}",
            "use a checkpoint in transformers' own format (often named <model>-hf), or upgrade transformers; "
            "code from the checkpoint is never run",
        ) from error
    return config


def _auto_class(folder: Path, config: Any, text_only: bool) -> Any:
    """The family of models that a config belongs to, the vision-language one first."""
    import transformers

    if type(config) in transformers.AutoModelForImageTextToText._model_mapping:
        return transformers.AutoModelForImageTextToText
    if text_only and type(config) in transformers.AutoModelForCausalLM._model_mapping:
        return transformers.AutoModelForCausalLM
    reads = "text" if text_only else "images and text"
    raise HarnessError(
        f"model {folder} ({config.model_type}) does not read {reads} to write text",
        "give a vision-language checkpoint that transformers' AutoModelForImageTextToText loads"
        + (", or a language model that AutoModelForCausalLM loads" if text_only else ""),
    )


def check_files(folder: Path) -> None:
    """HarnessError for a folder that has no config.json or no weights that may be read."""
    if not (folder / "config.json").is_file():
        raise HarnessError(f"model {folder} has no config.json", "give the folder that holds the checkpoint's files")
    if any(folder.glob("*.safetensors")):
        return
    pickles = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern))
    if pickles:
        raise HarnessError(
            f"model {folder} has its weights only as pickle ({pickles[0]}), which can run code when it is read",
            "convert them once where you trust the file: model.save_pretrained(folder) writes safetensors",
        )
    raise HarnessError(f"model {folder} has no *.safetensors file", "copy the checkpoint's weights into the folder")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
