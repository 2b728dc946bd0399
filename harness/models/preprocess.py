"""From a Request to the tensors of its prompt: once per request, reusable by every model with the same processor."""

from __future__ import annotations

import copy
import hashlib
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from harness.api import HarnessError, Request
from harness.models.fingerprint import processor_fingerprint
from harness.models.image_cache import ByteCache, CachedImages, Coming, open_image
from harness.models.text_only import TextProcessor

if TYPE_CHECKING:
    from transformers import ProcessorMixin


@dataclass(frozen=True, slots=True)
class Prepared:
    """One prompt, ready for a batch.

    `input_ids` has shape [T]; `per_token` holds further tensors of shape [T] (token types); `features` holds the
    visual tensors as the processor returns them for a batch of one. `key` hashes what the model is shown.
    """

    key: str
    input_ids: torch.Tensor
    per_token: Mapping[str, torch.Tensor]
    features: Mapping[str, torch.Tensor]

    @property
    def length(self) -> int:
        """Prompt tokens T, image tokens included."""
        return int(self.input_ids.shape[0])

    @property
    def nbytes(self) -> int:
        """Memory of the tensors."""
        tensors = [self.input_ids, *self.per_token.values(), *self.features.values()]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def messages(request: Request) -> list[dict[str, Any]]:
    """The request as a chat: the system prompt if there is one, then one user turn with its parts in order."""
    content = [{"type": "text", "text": part} if isinstance(part, str) else {"type": "image"} for part in request.parts]
    system = [{"role": "system", "content": [{"type": "text", "text": request.system}]}] if request.system else []
    return [*system, {"role": "user", "content": content}]


def prompt_key(request: Request) -> str:
    """Hash of what the model is shown: system prompt, texts, and the content of each image, in order."""
    digest = hashlib.sha256()
    for part in (request.system, *request.parts):
        kind, value = ("text", part) if isinstance(part, str) else ("image", part.sha256)
        encoded = value.encode("utf-8", "surrogatepass")
        digest.update(f"{kind} {len(encoded)} ".encode() + encoded)
    return digest.hexdigest()


class Preprocessor:
    """A processor with its caches. Share one among models of the same family: stages, student and teacher.

    `image_cache` bytes of processed images (least recently used go first) and `prompt_cache` bytes of whole prompts
    (the first that fit stay; None: a sixteenth of the machine's memory, at most 4 GiB) are kept. Thread-safe: every
    thread works on a copy of the processor of its own, since fast tokenizers must not be used by two threads at once.
    """

    def __init__(
        self, processor: ProcessorMixin | TextProcessor, image_cache: int = 256 << 20, prompt_cache: int | None = None
    ) -> None:
        if getattr(processor, "chat_template", None) is None:
            raise HarnessError(
                "the processor has no chat template, so the prompt's layout is unknown",
                "save one with it: a file chat_template.jinja in the checkpoint folder, as the model's authors used it",
            )
        self._images = ByteCache(image_cache)
        self._coming = Coming()
        self._prompts = ByteCache(_share_of_memory() if prompt_cache is None else prompt_cache, keep_first=True)
        self._source: Any = copy.copy(processor)
        if hasattr(self._source, "image_processor"):
            self._source.image_processor = CachedImages(self._source.image_processor, self._images, self._coming)
        self._local = threading.local()
        self._lock = threading.Lock()
        self.tokenizer = processor.tokenizer
        self.fingerprint = processor_fingerprint(processor)

    def prompt(self, request: Request) -> str:
        """The chat template's text, before image placeholders are expanded."""
        text: str = self._processor().apply_chat_template(messages(request), add_generation_prompt=True, tokenize=False)
        return text

    def expect(self, requests: Iterable[Request]) -> None:
        """Told of requests that will be prepared soon: their images are then processed many at a time."""
        new = (one for one in requests if len(one.images) == 1 and self._prompts.get(prompt_key(one)) is None)
        self._coming.add(one.images[0] for one in new)

    def prepare(self, request: Request) -> Prepared:
        """Tokens and features of a request. Raises one of PROMPT_ERRORS where it cannot be read."""
        key = prompt_key(request)
        found: Prepared | None = self._prompts.get(key)
        if found is None:
            found = self._prepare(key, request)
            self._prompts.put(key, found, found.nbytes)
        return found

    def _prepare(self, key: str, request: Request) -> Prepared:
        processor = self._processor()
        text = self.prompt(request)
        bos = self.tokenizer.bos_token
        arguments: dict[str, Any] = {"text": [text], "return_tensors": "pt"}
        if bos and text.startswith(bos):
            arguments["add_special_tokens"] = False  # the template has written it already
        if request.images:
            arguments["images"] = [[open_image(image) for image in request.images]]
        inputs = dict(processor(**arguments))
        ids = inputs.pop("input_ids")
        inputs.pop("attention_mask", None)
        per_token = {name: value[0] for name, value in inputs.items() if value.shape == ids.shape}
        features = {name: value for name, value in inputs.items() if name not in per_token}
        return Prepared(key, ids[0], per_token, features)

    def _processor(self) -> Any:
        if not hasattr(self._local, "processor"):
            with self._lock:
                self._local.processor = _merging_once(copy.deepcopy(self._source))
        return self._local.processor


def _share_of_memory() -> int:
    """Enough for the prompts of a stage's evaluation where that is cheap: the next stage asks the same."""
    import psutil

    return int(min(4 << 30, psutil.virtual_memory().total // 16))


def _merging_once(processor: Any) -> Any:
    """Let a processor merge and validate its settings once: it does so at every call, a third of a small prompt's time.

    We always pass the same settings (return_tensors, add_special_tokens), which are the key.
    """
    if isinstance(processor, TextProcessor):
        return processor
    merge = processor._merge_kwargs
    known: dict[str, Any] = {}

    def merged(*args: Any, tokenizer_init_kwargs: Any = None, **kwargs: Any) -> Any:
        key = repr((args, kwargs))
        if key not in known:
            known[key] = merge(*args, tokenizer_init_kwargs=tokenizer_init_kwargs, **kwargs)
        return {kind: dict(value) if isinstance(value, dict) else value for kind, value in known[key].items()}

    processor._merge_kwargs = merged
    return processor


def collate(batch: Sequence[Prepared], pad_token_id: int, dtype: torch.dtype | None = None) -> dict[str, torch.Tensor]:
    """Left-pad prompts to input_ids, attention_mask and token types of shape [B, T]; features are joined on dim 0.

    Features whose other dims differ (numbers of images or tiles) are zero-padded to the largest, which is how the
    processors themselves pad and what the models drop. Floating-point features become `dtype` (None: stay).
    """
    width = max(item.length for item in batch)

    def padded(rows: Sequence[torch.Tensor], value: int) -> torch.Tensor:
        full = rows[0].new_full((len(rows), width), value)
        for target, row in zip(full, rows, strict=True):
            target[width - row.shape[0] :] = row
        return full

    inputs = {
        "input_ids": padded([item.input_ids for item in batch], pad_token_id),
        "attention_mask": padded([torch.ones_like(item.input_ids) for item in batch], 0),
    }
    for name in {name for item in batch for name in item.per_token}:
        inputs[name] = padded([item.per_token.get(name, torch.zeros_like(item.input_ids)) for item in batch], 0)
    for name in {name for item in batch for name in item.features}:
        inputs[name] = _join([item.features[name] for item in batch if name in item.features], dtype)
    return inputs


def _join(tensors: Sequence[torch.Tensor], dtype: torch.dtype | None) -> torch.Tensor:
    """One tensor, written in a single pass: pixels are most of a batch's bytes."""
    first = tensors[0]
    if dtype is None or not first.is_floating_point():
        dtype = first.dtype
    sizes = [max(dims) for dims in zip(*(tensor.shape[1:] for tensor in tensors), strict=True)]
    alike = len({tensor.shape[1:] for tensor in tensors}) == 1
    full = (first.new_empty if alike else first.new_zeros)((sum(map(len, tensors)), *sizes), dtype=dtype)
    start = 0
    for tensor in tensors:
        full[(slice(start, start + len(tensor)), *map(slice, tensor.shape[1:]))] = tensor
        start += len(tensor)
    return full
