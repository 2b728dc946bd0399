"""The models of a training in memory: the student that is trained, the teacher that is masked, the reference."""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.api import HarnessError, Request, Response
from harness.models.fingerprint import checkpoint_fingerprint
from harness.models.hf import HFModel
from harness.models.load import load_module, load_processor, resolve
from harness.models.preprocess import Preprocessor, collate
from trainers import mask_controls
from trainers.mask_scope import MaskReport, Scope, scoped_parameters
from trainers.masking import mask, restore
from trainers.packing import Question
from trainers.questions import TrainingQuestion
from trainers.recipe import Masking, Recipe, Train
from trainers.sharding import Sharding

PROJECTORS = {"multi_modal_projector", "connector", "merger", "projector", "deepstack_merger_list"}
_ATTENTION = "sdpa"  # what a packed mask needs


def autocast(precision: str, device: torch.device) -> Any:
    """The context in which a model of the recipe's precision computes; weights of the student stay float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


class LiveModel(HFModel):
    """A module in memory as a Model, computing in the training's precision."""

    def __init__(self, module: Any, processor: Any, *, name: str, fingerprint: str, precision: str) -> None:
        super().__init__(module, processor, name=name, fingerprint=lambda: fingerprint)
        self._precision = precision

    def generate(self, requests: Iterable[Request]) -> Iterator[tuple[int, Response]]:
        """As HFModel."""
        answers = super().generate(requests)
        while True:
            with autocast(self._precision, self.module.device):  # not held while the caller works
                answer = next(answers, None)
            if answer is None:
                return
            yield answer


@dataclass(slots=True)
class Student:
    """The model that is trained: float32 weights, its processor, and the checkpoint it started from."""

    module: Any
    preprocessor: Preprocessor
    processor: Any
    folder: Path
    fingerprint: str
    precision: str

    def model(self, name: str, fingerprint: str) -> LiveModel:
        """The module as it is now, as a Model; `fingerprint` is that of the checkpoint it equals."""
        return LiveModel(self.module, self.preprocessor, name=name, fingerprint=fingerprint, precision=self.precision)

    @property
    def end(self) -> int:
        """The token that ends a turn."""
        token: int = self.preprocessor.tokenizer.eos_token_id
        return token

    def mark(self, folder: Path) -> str:
        """The fingerprint of a stage's checkpoint, under this precision."""
        found = checkpoint_fingerprint(folder, str(self.module.dtype))
        return found if self.precision == "fp32" else hashlib.sha256(f"{found} {self.precision}".encode()).hexdigest()


def load_student(recipe: Recipe, device: torch.device, sharding: Sharding | None = None) -> Student:
    """The recipe's student, with the parameters trained that the recipe names; in pieces where there is a sharding."""
    folder = resolve(recipe.student.model)
    processor = load_processor(folder)
    with sharding.loading("float32") if sharding else nullcontext():
        module = load_module(folder, str(device), "float32", _ATTENTION)
    if sharding:
        sharding.keep_names(module)
    choose_parameters(module, recipe.train.modules)
    if recipe.train.gradient_checkpointing:
        module.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    student = Student(module, Preprocessor(processor), processor, folder, "", recipe.train.precision)
    student.fingerprint = student.mark(folder)
    return student


def load_frozen(folder: Path, device: torch.device, precision: str, sharding: Sharding | None = None) -> Any:
    """A model that only computes forwards: a teacher, or the policy to which KL is measured."""
    if sharding is None:
        return load_module(folder, str(device), _dtype(precision), _ATTENTION).requires_grad_(False)
    with sharding.loading(_dtype(precision)):
        module = load_module(folder, str(device), _dtype(precision), _ATTENTION).requires_grad_(False)
    return sharding.for_inference(module, _dtype(precision))


def choose_parameters(module: Any, which: str) -> None:
    """Freeze what the recipe's `train.modules` leaves out."""
    if which == "all":
        return
    language = {id(p) for p in (*module.get_decoder().parameters(), *module.get_output_embeddings().parameters())}
    linear = {id(m.weight) for m in module.modules() if isinstance(m, nn.Linear)}
    projectors = 0
    for name, parameter in module.named_parameters():
        keep = id(parameter) in language
        if which == "language_linear":
            keep = keep and id(parameter) in linear
        if which == "language+projector" and PROJECTORS & set(name.split(".")):
            keep, projectors = True, projectors + 1
        parameter.requires_grad_(keep)
    if which == "language+projector" and not projectors:
        raise HarnessError(
            f"{type(module).__name__} has no part called {', '.join(sorted(PROJECTORS))}",
            "set train.modules to language or all",
        )


def load_weights(module: Any, folder: Path) -> None:
    """Put the weights of a stage's checkpoint into a module in memory."""
    module.load_state_dict(load_module(folder, "cpu", "float32", _ATTENTION).state_dict())


def _dtype(precision: str) -> str:
    return "float32" if precision == "fp32" else "bfloat16"


# ---------------------------------------------------------------- teachers


@dataclass(frozen=True, slots=True)
class MaskedTeacher:
    """A teacher at a mask ratio: its module, itself as a Model, what the mask did, and its content."""

    module: Any
    model: HFModel
    processor: Any
    report: MaskReport
    fingerprint: str


class Teachers:
    """Holds one teacher at a time. A mask is undone from the checkpoint, so there is never a second copy."""

    def __init__(self, train: Train, device: torch.device, sharding: Sharding | None = None) -> None:
        self._precision = train.precision
        self._device = device
        self._sharding = sharding
        self._name = ""
        self._module: Any = None
        self._processor: Any = None
        self._preprocessor: Preprocessor | None = None
        self._folder = Path()
        self._masked = False
        self._scope: Scope = "lm_linear"
        self._norms: tuple[str, dict[str, Tensor]] | None = None

    def at(
        self, name: str, ratio: float, masking: Masking, calibration: Sequence[TrainingQuestion] = ()
    ) -> MaskedTeacher:
        """The teacher with the share `ratio` of its weights masked; `calibration` questions are needed for wanda."""
        self._load(name)
        if self._masked:
            restore(self._module, self._folder, self._scope)
            self._masked = False
        norms = self._input_norms(masking, calibration) if masking.criterion == "wanda" and ratio else None
        report = mask(self._module, ratio, masking, norms)
        self._masked, self._scope = ratio > 0, masking.scope
        mark = self._fingerprint(ratio, masking, calibration)
        preprocessor = self._preprocessor
        model = HFModel(self._module, preprocessor, name=f"{name} r={ratio:g}", fingerprint=lambda: mark)
        return MaskedTeacher(self._module, model, self._processor, report, mark)

    def drop(self) -> None:
        """Free the teacher's memory."""
        self._module, self._name, self._masked, self._norms = None, "", False, None
        gc.collect()  # the hooks of a sharded module refer to each other
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def tokenizer(self, name: str) -> Any:
        """The teacher's tokenizer."""
        self._load(name)
        return self._preprocessor.tokenizer if self._preprocessor else None

    def _load(self, name: str) -> None:
        if name == self._name:
            return
        self.drop()
        self._folder = resolve(name)
        self._processor = load_processor(self._folder)
        self._preprocessor = Preprocessor(self._processor)
        self._module = load_frozen(self._folder, self._device, self._precision, self._sharding)
        self._name = name

    def _fingerprint(self, ratio: float, masking: Masking, calibration: Sequence[TrainingQuestion]) -> str:
        whole = checkpoint_fingerprint(self._folder, str(self._module.dtype))
        if ratio == 0:
            return whole
        how: list[Any] = [whole, ratio, masking.criterion, masking.threshold, masking.scope]
        if masking.criterion == "random":
            how.append(masking.seed)
        if masking.criterion == "wanda":
            how += [question.key for question in calibration]
        return hashlib.sha256(json.dumps(how).encode()).hexdigest()

    def _input_norms(self, masking: Masking, calibration: Sequence[TrainingQuestion]) -> dict[str, Tensor]:
        if self._norms is None or self._norms[0] != masking.scope:
            names = [name for name, _, _ in scoped_parameters(self._module, masking.scope)]
            batches = (self._calibration_batch(question) for question in calibration)
            self._norms = masking.scope, mask_controls.input_norms(self._module, batches, names)
        return self._norms[1]

    def _calibration_batch(self, question: TrainingQuestion) -> dict[str, Tensor]:
        if self._preprocessor is None:
            raise HarnessError("no teacher is loaded", "load one first")
        batch = collate([self._preprocessor.prepare(question.request)], 0)
        return {name: value.to(self._device) for name, value in batch.items()}


# ---------------------------------------------------------------- prompts


def prompt_of(question: TrainingQuestion, preprocessor: Preprocessor) -> dict[str, Tensor]:
    """A question's prompt as its processor encodes it: input_ids [1, P], token types, vision tensors."""
    ready = preprocessor.prepare(question.request)
    per_token = {name: value[None] for name, value in ready.per_token.items()}
    return {"input_ids": ready.input_ids[None], **per_token, **ready.features}


def packed_question(
    question: TrainingQuestion, responses: Sequence[Sequence[int]], preprocessor: Preprocessor
) -> Question:
    """A question with its responses, as `trainers.packing` reads it."""
    return Question(prompt_of(question, preprocessor), responses, question.sample.id)


@contextmanager
def training_mode(module: Any) -> Iterator[None]:
    """Train mode for the time of the steps (gradient checkpointing needs it)."""
    module.train()
    try:
        yield
    finally:
        module.eval()
