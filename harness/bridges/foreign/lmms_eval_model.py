"""The model `harness` of lmms-eval (entry point lmms_eval.models), and the two that prepare and score a task."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmms_eval.api.instance import Instance
from lmms_eval.api.model import lmms
from lmms_eval.models.registry_v2 import ModelManifest
from PIL import Image

from .engine import Engine
from .files import Record, Refused, save_image

_HERE = "masters_harness_bridge.lmms_eval_model"
MANIFEST = ModelManifest(model_id="harness", chat_class_path=f"{_HERE}.Harness")
_GREEDY = (None, False, 0)


class Capture(Exception):
    """Carries the requests of a task out of lmms-eval's evaluator: no error, it ends the run once they are known."""

    def __init__(self, requests: list[tuple[Instance, Record]]) -> None:
        super().__init__("requests")
        self.requests = requests


class _Generates(lmms):  # type: ignore[misc]
    """A model that generates from messages and does nothing else."""

    is_simple = False

    def loglikelihood(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
        """Refused."""
        raise Refused("the task compares likelihoods of texts; the bridge carries generation only")

    def generate_until_multi_round(self, requests: Sequence[Instance]) -> list[str]:
        """Refused."""
        raise Refused("the task asks in several rounds; the bridge carries single questions only")


class Harness(_Generates):
    """lmms-eval --model harness --model_args model=FOLDER,backend=hf,store=RUN: answers come from our engine."""

    def __init__(
        self, model: str, backend: str = "hf", store: str = "", batch_size: Any = None, max_batch_size: Any = None,
        device: Any = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__()
        self._engine = Engine(model, backend=backend, store=store, **options)

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        """All requests go out at once, so that the engine always has a full batch."""
        return self._engine.answer([to_request(one, self.task_dict, self._engine.folder) for one in requests])

    def clean(self) -> None:
        """End the engine before judges are loaded."""
        self._engine.close()
        super().clean()


class Capturing(_Generates):
    """Writes the requests' images into a folder and raises Capture."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        """Never returns."""
        raise Capture([(one, to_request(one, self.task_dict, self._folder)) for one in requests])


class Stored(_Generates):
    """Gives back answers that are known by the document's number."""

    def __init__(self, answers: Mapping[str, str]) -> None:
        super().__init__()
        self._answers = answers

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        """The stored answers, in order."""
        return [self._answers[str(one.doc_id)] for one in requests]


def to_request(instance: Instance, task_dict: Mapping[str, Any], folder: Path) -> Record:
    """The request of an instance as lmms-eval's chat models read it: its messages, their images as PNG files."""
    if instance.repeats and int(instance.repeats) > 1:
        raise Refused(f"the task asks every question {instance.repeats} times; the bridge asks once")
    _, to_messages, settings, doc_id, task, split = instance.args
    parts: list[Any] = []
    system = ""
    for message in to_messages(task_dict[task][split][doc_id]):
        content = message["content"]
        content = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if message["role"] == "system" and not parts:
            system += "".join(part["text"] for part in content)
        elif message["role"] == "user":
            parts += [_part(part, folder) for part in content]
        else:
            raise Refused("the task's prompt holds turns of an assistant; the bridge carries single questions only")
    return {"index": str(doc_id), "parts": parts, "system": system, "generation": generation(settings or {})}


def _part(part: Mapping[str, Any], folder: Path) -> Any:
    if part["type"] == "text":
        return part["text"]
    if part["type"] != "image":
        raise Refused(f"the task shows {part['type']}; the bridge carries text and images only")
    shown = part["url"]
    if isinstance(shown, str):
        return {"image": save_image(folder, Path(shown).read_bytes())}
    if not isinstance(shown, Image.Image):
        raise Refused(f"the task shows an image as {type(shown).__name__}, which the bridge cannot read")
    encoded = io.BytesIO()
    shown.save(encoded, "PNG")
    return {"image": save_image(folder, encoded.getvalue())}


def generation(settings: Mapping[str, Any]) -> Record:
    """lmms-eval's generation_kwargs as our settings.

    `until` is left out where it is only lmms-eval's own default (a blank line): its chat models do not stop there.
    """
    if int(settings.get("num_beams") or 1) > 1:
        raise Refused("the task asks for beam search, which no backend here does")
    made: Record = {}
    if length := settings.get("max_new_tokens") or settings.get("max_gen_toks"):
        made["max_new_tokens"] = int(length)
    if settings.get("do_sample", True) not in _GREEDY and float(settings.get("temperature") or 0) > 0:
        made["temperature"] = float(settings["temperature"])
        made |= {name: kind(settings[name]) for name, kind in (("top_p", float), ("top_k", int)) if settings.get(name)}
    until = settings.get("until") or []
    stop = [text for text in ([until] if isinstance(until, str) else until) if text and text != "\n\n"]
    return {**made, "stop": stop} if stop else made
