"""Identity is content: what makes two inferences the same."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from functools import lru_cache

from harness.api import Generation, Request


@lru_cache(maxsize=64)
def _generation(generation: Generation) -> str:
    settings = asdict(generation)
    settings.pop("n")  # samples of one request are told apart by their index
    if generation.temperature == 0:
        settings.pop("seed")  # greedy decoding does not depend on it
    return json.dumps(settings, sort_keys=True)


def request_key(fingerprint: str, request: Request) -> bytes:
    """SHA-256 over the model's fingerprint, the prompt, each image's bytes and the generation settings."""
    parts = [part if isinstance(part, str) else ["image", part.sha256] for part in request.parts]
    body = json.dumps([fingerprint, request.system, parts, _generation(request.generation)], ensure_ascii=False)
    return hashlib.sha256(body.encode("utf-8", "surrogatepass")).digest()
