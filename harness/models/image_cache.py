"""Processed images by content: each image is processed once, together with others that are known to come."""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from typing import Any

import torch
from PIL import Image as Pillow
from transformers import BatchFeature

from harness.api import Image
from harness.data.images import max_pixels
from harness.models.prompt_errors import PROMPT_ERRORS

_TOGETHER = 32  # images of one call of the image processor


class ByteCache:
    """A thread-safe mapping that holds at most `limit` bytes: the least recently used entry goes first, or, with
    `keep_first`, new entries are turned away (repeated scans over more than fits would otherwise never hit).
    """

    def __init__(self, limit: int, keep_first: bool = False) -> None:
        self.limit = limit
        self._keep_first = keep_first
        self._used = 0
        self._entries: OrderedDict[Any, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any) -> Any:
        """The entry, or None."""
        with self._lock:
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key][0]

    def put(self, key: Any, value: Any, nbytes: int) -> None:
        """Keep an entry of so many bytes."""
        with self._lock:
            if key in self._entries or nbytes > self.limit:
                return
            if self._keep_first and self._used + nbytes > self.limit:
                return
            self._entries[key] = (value, nbytes)
            self._used += nbytes
            while self._used > self.limit:
                _, (_, freed) = self._entries.popitem(last=False)
                self._used -= freed


class Coming:
    """Images that will be asked for, each alone in its prompt; shared by the threads that process them."""

    def __init__(self) -> None:
        self._images: OrderedDict[str, Image] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, images: Iterable[Image]) -> None:
        """Images of prompts that are about to be prepared."""
        with self._lock:
            self._images.update((image.sha256, image) for image in images)

    def take(self, sha256: str, most: int) -> list[Image]:
        """The image that is asked for now, if it is waited for, and those that come next; nobody else gets them."""
        with self._lock:
            own = self._images.pop(sha256, None)
            others = min(most - 1, len(self._images)) if own else 0
            return [*([own] if own else []), *(self._images.popitem(last=False)[1] for _ in range(others))]


class CachedImages:
    """Stands in for a processor's image processor: the same images (by content) are processed once, and, where their
    features can be told apart, together with those that come: most of a small image's time is the call itself.
    """

    def __init__(self, inner: Any, cache: ByteCache, coming: Coming) -> None:
        self._inner = inner
        self._cache = cache
        self._coming = coming
        self._largest = 0  # bytes of an image's features
        self._separable = True  # until a batch's features could not be told apart

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.__dict__["_inner"], name)

    def __deepcopy__(self, memo: dict[int, Any]) -> CachedImages:
        return CachedImages(copy.deepcopy(self._inner, memo), self._cache, self._coming)

    def __call__(self, images: Any, *args: Any, **kwargs: Any) -> BatchFeature:
        """As the image processor."""

        def key(names: Any) -> Any:
            return names, repr(args), repr(sorted(kwargs.items(), key=lambda item: item[0]))

        def process(given: Any) -> dict[str, Any]:
            return dict(self._inner(given, *args, **kwargs))

        names = _hashes(images)
        found = self._cache.get(key(names))
        if found is None and _one(names):
            self._process_coming(names, key, process)
            found = self._cache.get(key(names))
        if found is None:
            found = process(_to_rgb(images))
            self._keep(key(names), found)
        # A fresh mapping: processors pop the entries they have used.
        return BatchFeature(data=dict(found))

    def _process_coming(
        self, names: Any, key: Callable[[Any], Any], process: Callable[[list[Any]], dict[str, Any]]
    ) -> None:
        """Process the image of this name and those that come in one call, and keep each, where that can be done."""
        # The first call is alone: it says how much memory an image takes.
        room = self._cache.limit // 4 // self._largest if self._largest and self._separable else 1
        coming = self._coming.take(_one(names), min(_TOGETHER, room))
        nested = isinstance(names[0], tuple)
        batch = []
        for image in coming:
            name = ((image.sha256,),) if nested else (image.sha256,)
            if self._cache.get(key(name)) is None:
                try:
                    opened = _to_rgb(open_image(image))
                except PROMPT_ERRORS:
                    continue  # it will be told where its own prompt is prepared
                batch.append((name, [opened] if nested else opened))
        if len(batch) < 2:
            return
        try:
            parts = _apart(process([image for _, image in batch]), len(batch))
        except PROMPT_ERRORS:
            return
        self._separable = bool(parts)
        for (name, _), part in zip(batch, parts, strict=False):
            self._keep(key(name), part)

    def _keep(self, key: Any, features: dict[str, Any]) -> None:
        nbytes = sum(v.numel() * v.element_size() for v in features.values() if torch.is_tensor(v))
        self._largest = max(self._largest, nbytes)
        self._cache.put(key, features, nbytes)


def _one(names: Any) -> str:
    """The name of the image, where there is but one."""
    while not isinstance(names, str):
        if len(names) != 1:
            return ""
        (names,) = names
    return names


def _apart(features: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """The features of each of `count` images; empty where they do not say which rows belong to which.

    Rows of an image are counted by `num_patches` (tiles) or `image_grid_thw` (patches); a feature with one row an image
    needs no count. They are copied, so that one image does not keep the memory of all.
    """
    if "image_grid_thw" in features:
        rows = features["image_grid_thw"].prod(-1).tolist()
    else:
        rows = [int(number) for number in features.get("num_patches", ())]
    parts: list[dict[str, Any]] = [{} for _ in range(count)]
    for name, value in features.items():
        if len(value) == count and not (torch.is_tensor(value) and name.startswith("pixel") and not rows):
            pieces = [value[at : at + 1] for at in range(count)]
        elif torch.is_tensor(value) and rows and len(value) == sum(rows):
            pieces = list(torch.split(value, rows))
        else:
            return []
        for part, piece in zip(parts, pieces, strict=True):
            part[name] = piece.clone() if torch.is_tensor(piece) else piece
    return parts


def _hashes(images: Any) -> Any:
    if isinstance(images, list | tuple):
        return tuple(_hashes(image) for image in images)
    return images.info["sha256"]


def _to_rgb(images: Any) -> Any:
    if isinstance(images, list | tuple):
        return [_to_rgb(image) for image in images]
    return images.convert("RGB")


def open_image(image: Image) -> Pillow.Image:
    """Header only: Pillow decodes the pixels when they are first asked for, which a cached image never is."""
    Pillow.MAX_IMAGE_PIXELS = max(max_pixels(), Pillow.MAX_IMAGE_PIXELS or 0)  # what the data's check has let through
    opened = Pillow.open(BytesIO(image.read()))
    opened.info["sha256"] = image.sha256
    return opened
