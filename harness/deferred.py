"""Modules that packages beneath us import and an evaluation never uses are loaded at their first use, not at the start.

torchvision and transformers import torch's compiler for one function and some decorators, and scipy's optimizers for
one loss of object detection: a third of the start of `harness run`. Only a process of our own (the command line)
defers them; nothing but the moment of the import changes. It also keeps what transformers finds out at every start.
"""

from __future__ import annotations

import functools
import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from threading import RLock
from types import ModuleType
from typing import Any

from harness import transformers_names

#: Functions that others import from a deferred module by name: calling one loads the module.
_FUNCTIONS = {"torch._dynamo.utils": ("is_compile_supported",), "scipy.optimize": ("linear_sum_assignment",)}
#: Decorators that tell the compiler how to treat a function: while it is not loaded, the function is called as it is.
_DECORATORS = {"torch._dynamo": ("disable", "assume_constant_result", "allow_in_graph")}
MODULES = ("torch._dynamo", "torch._dynamo.utils", "scipy.optimize", "trio")
#: Part of a deferred package that needs nothing of the package; any other part loads it first.
_ALONE = ("torch._dynamo._trace_wrapped_higher_order_op",)
_NAMES = "transformers.utils.import_utils"
_lock = RLock()


def enable() -> None:
    """Defer MODULES from now on, and let `importing` hold back the collection of garbage: the process is ours."""
    if not enabled():
        sys.meta_path.insert(0, _Finder())


def enabled() -> bool:
    """Whether the process is ours."""
    return any(isinstance(finder, _Finder) for finder in sys.meta_path)


@contextmanager
def importing() -> Iterator[None]:
    """Around imports that make a million objects, none of them garbage: it is not looked for, now or later.

    Garbage that is there already is collected first; what becomes garbage inside never is, so nothing large belongs
    there. Does nothing in a process that has not called `enable`.
    """
    if not gc.isenabled() or not enabled():
        yield
        return
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


class _Finder(MetaPathFinder):
    """Defers MODULES that are not loaded yet."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name in MODULES or name == _NAMES:
            spec = PathFinder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _Keeping(spec.loader) if name == _NAMES else _Later(spec.loader)
            return spec
        package = sys.modules.get(name.rpartition(".")[0])
        if isinstance(package, _Deferred) and name not in _ALONE:
            _load(package)
        return None


class _Around(Loader):
    """A loader that does more than the module's own, `inner`."""

    def __init__(self, inner: Loader) -> None:
        self._inner = inner

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._inner.create_module(spec)


class _Keeping(_Around):
    """Loads the module, and keeps what it would find out at every start."""

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._inner
        self._inner.exec_module(module)
        transformers_names.keep(module)


class _Later(_Around):
    """Makes a module that is empty until it is used."""

    def exec_module(self, module: ModuleType) -> None:
        module.__class__ = _Deferred
        names = vars(module)
        names["_inner"] = self._inner
        names |= {name: _function(module, name) for name in _FUNCTIONS.get(module.__name__, ())}
        names |= {name: _decorator(module, name) for name in _DECORATORS.get(module.__name__, ())}


class _Deferred(ModuleType):
    """A module before its first use."""

    def __getattr__(self, name: str) -> Any:
        if name == "__path__":  # `from module import` asks whether it is a package; a package has it from the start
            raise AttributeError(name)
        _load(self)
        return getattr(self, name)


def _load(module: ModuleType) -> None:
    """Run the code of a deferred module, in the same object; that of its package first, as an import would."""
    with _lock:
        package = sys.modules.get(module.__name__.rpartition(".")[0])
        if isinstance(package, _Deferred):
            _load(package)
        if isinstance(module, _Deferred):
            inner: Loader = vars(module).pop("_inner")
            module.__class__ = ModuleType  # type: ignore[assignment]
            assert module.__spec__ is not None
            module.__spec__.loader = module.__loader__ = inner
            inner.exec_module(module)


def _function(module: ModuleType, name: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        _load(module)
        return getattr(module, name)(*args, **kwargs)

    return call


def _decorator(module: ModuleType, name: str) -> Callable[..., Any]:
    def decorate(function: Callable[..., Any] | None = None, *args: Any, **kwargs: Any) -> Any:
        if function is None:
            return lambda given: decorate(given, *args, **kwargs)
        if not isinstance(module, _Deferred):
            return getattr(module, name)(function, *args, **kwargs)
        decorated: list[Callable[..., Any]] = []

        @functools.wraps(function)
        def call(*given: Any, **named: Any) -> Any:
            if isinstance(module, _Deferred):
                return function(*given, **named)
            if not decorated:
                decorated.append(getattr(module, name)(function, *args, **kwargs))
            return decorated[0](*given, **named)

        return call

    return decorate
