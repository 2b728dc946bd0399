"""Backend `hf`: any AutoModelForImageTextToText checkpoint, batched, in this process.

Nothing is imported or loaded before the first request: a run opens its data first, and what is answered already
needs no model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, partial
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.api import Request, Response
from harness.deferred import importing
from harness.models.fingerprint import checkpoint_fingerprint, module_fingerprint
from harness.models.load import check_files, dtype_of, load_module, load_processor, resolve
from harness.models.options import check_options

if TYPE_CHECKING:
    from harness.models.batches import Batches
    from harness.models.preprocess import Preprocessor
    from harness.models.seen import Seen, TokenScores

#: Tokens a batch may hold, by device.
BATCH_TOKENS = {"cpu": 12_288, "cuda": 131_072}


def open_model(spec: str, **options: Any) -> HFModel:
    """A checkpoint: a folder, `embedded/<name>`, or a hub id `owner/name[@revision]`; loaded when it is first asked.

    Options: `device` (auto, cpu, cuda, cuda:1, or a device_map such as balanced), `dtype` (auto, float32, bfloat16,
    float16), `attention` (auto, sdpa, flash_attention_2, eager), `preprocessor` (one to share), `text_only` (no prompt
    will hold an image: a language model will do), and those of HFModel.
    Raises HarnessError with a remedy for files that cannot be a checkpoint; what only loading shows, at the first use.
    """
    folder = resolve(spec)
    loading = {"device": "auto", "dtype": "auto", "attention": "auto", "text_only": False}
    place, dtype, attention, text_only = (options.pop(name, value) for name, value in loading.items())
    preprocessor = options.pop("preprocessor", None)
    check_options("hf", options, HFModel, *loading)
    check_files(folder)
    return HFModel(
        Later(partial(load_module, folder, place, dtype, attention, text_only)),
        preprocessor or Later(partial(load_processor, folder, text_only)),
        **{"name": spec, "fingerprint": lambda: checkpoint_fingerprint(folder, dtype_of(place, dtype)), **options},
    )


class Later(NamedTuple):
    """Something that is loaded when it is first used."""

    load: Callable[[], Any]


class HFModel:
    """A module with its processor, as a Model; each loaded, or a Later.

    `processor` is the checkpoint's processor or a Preprocessor (share one between stages: prompts are then processed
    once). `batch_tokens` bounds prompt and new tokens of a batch (None: by device), `window` the requests prepared
    ahead, `window_bytes` their memory, `workers` the threads that prepare them (0: none, it is done between batches;
    None: one per free core, at most 8).

    Greedy decoding gives, in fp32, the tokens of a batch of one. Sampling draws from a stream per response, seeded by
    generation seed, sample index and prompt: it is the same in any batch, as far as the logits are (bit-wise equal
    logits are not promised in bf16, on CUDA, or for other batch shapes). `logprobs` are those of the distribution
    that was drawn from: after repetition penalty, temperature, top-k and top-p; greedy ones are of temperature 1.
    token_ids hold the end-of-sequence token where the model wrote it.
    """

    def __init__(
        self, module: Any, processor: Any, *, name: str, fingerprint: Callable[[], str] | None = None,
        batch_tokens: int | None = None, window: int = 512, window_bytes: int = 2 << 30, workers: int | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.watch: Callable[[int, Seen], None] | None = None
        self._module, self._processor = module, processor
        self._batch_tokens = batch_tokens
        self._fingerprint = fingerprint
        self._window, self._window_bytes, self._workers = window, window_bytes, workers

    @cached_property
    def module(self) -> Any:
        """The loaded module."""
        return self._module.load() if isinstance(self._module, Later) else self._module

    @cached_property
    def preprocessor(self) -> Preprocessor:
        """What makes prompts of requests."""
        from harness.models.preprocess import Preprocessor

        processor = self._processor.load() if isinstance(self._processor, Later) else self._processor
        return processor if isinstance(processor, Preprocessor) else Preprocessor(processor)

    @property
    def batch_tokens(self) -> int:
        """Tokens that a batch may hold; halved where memory runs out."""
        return self._batch_tokens or BATCH_TOKENS["cpu" if self.module.device.type == "cpu" else "cuda"]

    @batch_tokens.setter
    def batch_tokens(self, tokens: int) -> None:
        self._batch_tokens = tokens

    def fingerprint(self) -> str:
        """Content hash: files of the checkpoint and dtype, or, for a module in memory, its present state."""
        if self._fingerprint is not None:
            return self._fingerprint()
        return module_fingerprint(self.module, self.preprocessor.fingerprint)

    def load(self) -> None:
        """Load now what would be loaded at the first request; HarnessError for what cannot be."""
        _ = self._batches

    def generate(self, requests: Iterable[Request]) -> Iterator[tuple[int, Response]]:
        """Yield (index, response) as batches end; `generation.n` responses a request, errors as responses."""
        waiting = iter(requests)
        for first in waiting:  # without one, nothing is loaded
            yield from self._batches.answers(chain([first], waiting))

    def score(self, pairs: Iterable[tuple[Request, Sequence[int]]], top: int = 0) -> Iterator[tuple[int, TokenScores]]:
        """Yield (index, log-probabilities of the given tokens after the request's prompt), one pair at a time.

        HarnessError for a prompt that cannot be read.
        """
        yield from self._batches.scores(pairs, top)

    @cached_property
    def _batches(self) -> Batches:
        with importing():
            from harness.models.batches import Batches

        return Batches(self, self._window, self._window_bytes, self._workers)
