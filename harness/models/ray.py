"""Backend `ray`: hf or vllm workers over the nodes of a Ray cluster; answers stream back into this process."""

from __future__ import annotations

import inspect
import logging
import math
import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from harness import registry
from harness.api import HarnessError, Image, Request, Response
from harness.models.dealing import Dealer, Hand
from harness.models.options import check_options
from harness.models.prompt_errors import PROMPT_ERRORS
from harness.models.ray_worker import Opened, Worker

log = logging.getLogger(__name__)

_PROBE_SECONDS = 10.0
_POLL_SECONDS = 5.0  # how often a cluster that gives no worker is looked at


def open_model(spec: str, **options: Any) -> RayModel:
    """A checkpoint on the workers of a cluster; every node finds it under the same path, or downloads the hub id.

    Options: those of RayModel; all others go to the engine of the workers (`dtype`, `batch_tokens`,
    `gpu_memory_utilization`, ...). Workers start when they are first needed. HarnessError where ray is missing.
    """
    _import_ray()
    own = set(inspect.signature(RayModel).parameters) - {"name", "options"}
    mine = {name: options.pop(name) for name in own & set(options)}
    check_options("ray", mine, RayModel)
    return RayModel(spec, options=options, **mine)


class RayModel:
    """`workers` processes (None: as many as the cluster holds), each with a model of its own, as one Model.

    `engine` answers in each (hf, vllm, or any backend with an option `window`), with `num_cpus` and `num_gpus`
    (None: one where the cluster has any).
    `address` is HOST:PORT of the head (None: RAY_ADDRESS, else a cluster on this machine for the time of the run).
    `window` is what an engine may look at ahead (None: 64 requests, with a GPU 512).

    A worker that dies is replaced, and what it had not answered is dealt again. A request on which two workers die
    alone is an error of its item; after `max_deaths` in a row without an answer, or where no worker starts within
    `start_timeout` seconds, HarnessError. Workers live as long as the model, or until `close`.
    """

    def __init__(
        self, name: str, *, address: str | None = None, workers: int | None = None, engine: str = "hf",
        num_cpus: float = 1, num_gpus: float | None = None, window: int | None = None, max_deaths: int = 8,
        start_timeout: float = 600.0, options: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        registry.target("models", engine)  # an unknown one is told now, not on a node
        if engine == "ray":
            raise HarnessError("ray workers cannot be ray themselves", "use engine=hf or engine=vllm")
        if (workers is not None and workers < 1) or num_cpus < 0 or (num_gpus or 0) < 0 or max_deaths < 1:
            raise HarnessError("backend ray: an option is out of range", "workers and max_deaths are at least 1")
        self.name = name
        self._address, self._workers, self._engine = address, workers, engine
        self._cpus, self._gpus, self._window = num_cpus, num_gpus, window
        self._max_deaths, self._start_timeout = max_deaths, start_timeout
        self._options = dict(options or {})
        self._crew: _Crew | None = None

    def fingerprint(self) -> str:
        """What the engine itself would say: a run can go on with the same engine without Ray, and the reverse."""
        return self._started().fingerprint()

    def generate(self, requests: Iterable[Request]) -> Iterator[tuple[int, Response]]:
        """Yield (index, response) as workers answer; `requests` is read only as far as the workers hold them."""
        return self._started().answer(requests)

    def wait(self) -> int:
        """Wait until every worker has loaded its model; returns how many there are."""
        return self._started().wait()

    def close(self) -> None:
        """End the workers; the next use starts new ones."""
        if self._crew is not None:
            self._crew.close()
            self._crew = None

    def _started(self) -> _Crew:
        if self._crew is None or self._crew.closed:
            ray = _connect(self._address, (self._workers or 0) * self._cpus)
            total = ray.cluster_resources()
            gpus = self._gpus if self._gpus is not None else float(total.get("GPU", 0) >= 1)
            count = self._workers or max(1, _fitting(total, self._cpus, gpus))
            window = self._window or (512 if gpus else 64)
            options = {**self._options, "window": window}
            if self._engine == "hf":  # threads that prepare prompts: no more than the worker's share of the node
                options["workers"] = max(1, int(self._cpus))
            spec = str(Path(self.name).resolve()) if Path(self.name).is_dir() else self.name
            actor = ray.remote(Worker).options(
                num_cpus=self._cpus, num_gpus=gpus, max_restarts=0, max_task_retries=0, scheduling_strategy="SPREAD"
            )
            log.info("ray: %d workers of %g CPU and %g GPU, the cluster has %s", count, self._cpus, gpus, total)
            self._crew = _Crew(
                hire=partial(actor.remote, self._engine, spec, options), count=count,
                ahead=window + max(8, window // 4), needs=f"{self._cpus:g} CPU and {gpus:g} GPU",
                max_deaths=self._max_deaths, start_timeout=self._start_timeout,
            )  # fmt: skip
        return self._crew


@dataclass(slots=True, eq=False)
class _Seat:
    """A worker: its actor, the call that is under way (loading, or answering), what it holds."""

    actor: Any
    call: Any
    hand: Hand = field(default_factory=Hand)
    opened: bool = False


class _Crew:
    """The workers of a model, and how the dead are replaced."""

    def __init__(
        self, *, hire: partial[Any], count: int, ahead: int, needs: str, max_deaths: int, start_timeout: float
    ) -> None:
        self._hire, self._ahead, self._needs = hire, ahead, needs
        self._max_deaths, self._start_timeout = max_deaths, start_timeout
        self._first: Opened | None = None
        self._deaths = 0  # since the last answer
        self._waiting_since = time.monotonic()
        self._seats = [self._seat() for _ in range(count)]

    def _seat(self) -> _Seat:
        actor = self._hire()
        return _Seat(actor, actor.open.remote())

    def close(self) -> None:
        """Kill every worker."""
        import ray

        while self._seats:
            ray.kill(self._seats.pop().actor)

    @property
    def closed(self) -> bool:
        """Whether there are no workers any more."""
        return not self._seats

    def fingerprint(self) -> str:
        """Of the first worker that has loaded its model."""
        while self._first is None:
            self._settle()
        return self._first.fingerprint

    def wait(self) -> int:
        """Until all have loaded it."""
        while not all(seat.opened for seat in self._seats):
            self._settle()
        return len(self._seats)

    def _settle(self) -> None:
        """Wait for a worker to load or die while there is nothing to answer."""
        for _ in self._events(Dealer((), self._ahead)):
            pass

    def answer(self, requests: Iterable[Request]) -> Iterator[tuple[int, Response]]:
        """Deal requests until all are answered; a caller that stops early, or an error, ends the workers."""
        dealer = Dealer(requests, self._ahead)
        try:
            while not dealer.finished:
                for seat in self._seats:
                    if seat.call is None:
                        dealt = dealer.deal(seat.hand)
                        if seat.hand.items:
                            asked = [(index, _sealed(request)) for index, request in dealt.requests]
                            seat.call = seat.actor.step.remote(asked, dealt.last)
                if not dealer.finished:
                    yield from self._events(dealer)
        finally:
            if not dealer.finished:
                self.close()

    def _events(self, dealer: Dealer) -> Iterator[tuple[int, Response]]:
        """Wait for workers to load, answer or die; yields what they have answered."""
        import ray

        under_way = {seat.call: place for place, seat in enumerate(self._seats) if seat.call is not None}
        ready, _ = ray.wait(list(under_way), num_returns=1, timeout=_POLL_SECONDS)
        self._check_start(bool(ready))
        for call in ready:
            place = under_way[call]
            seat = self._seats[place]
            try:
                result = ray.get(call)
            except ray.exceptions.RayError as error:
                yield from self._lost(place, dealer, error)
                continue
            seat.call = None
            if not seat.opened:
                self._welcome(seat, result)
            elif not result:
                yield from self._lost(place, dealer, RuntimeError("the engine ended without answering"))
            for index, response in result if seat.hand.items else ():
                self._deaths = 0
                yield from dealer.answered(seat.hand, index, response)

    def _welcome(self, seat: _Seat, opened: Opened) -> None:
        """A worker has loaded its model: it must be the same model and the same code as everybody's."""
        from harness import __version__

        seat.opened = True
        self._first = self._first or opened
        if opened.version != __version__:
            raise HarnessError(
                f"the node {opened.node} has Masters Harness {opened.version}, this one {__version__}",
                "install the same version on every node",
            )
        if opened.fingerprint != self._first.fingerprint:
            raise HarnessError(
                f"the model on {opened.node} is another than on {self._first.node}",
                "copy the checkpoint to every node anew; the nodes must have the same kind of device",
            )

    def _lost(self, place: int, dealer: Dealer, error: Exception) -> Iterator[tuple[int, Response]]:
        """A worker has died, or its engine has failed: another takes its place, unless that never helps."""
        seat = self._seats[place]
        cause = getattr(error, "cause", None)
        if isinstance(cause, HarnessError) and self._first is None:
            raise cause from None  # no worker can load this model
        why = _why(error)
        self._deaths += 1
        log.warning("ray: a worker died (%s); it is replaced, %d requests are dealt again", why, len(seat.hand.items))
        yield from dealer.died(seat.hand, why)
        if self._deaths >= self._max_deaths:
            raise HarnessError(
                f"{self._deaths} ray workers died in a row without an answer; the last: {why}",
                "what was answered is kept, and the same command goes on from there; look at the logs of Ray and the "
                "memory of the nodes (each worker loads the whole model)",
            )
        self._replace(place)

    def _replace(self, place: int) -> None:
        import ray

        ray.kill(self._seats[place].actor)
        self._seats[place] = self._seat()
        self._waiting_since = time.monotonic()

    def _check_start(self, event: bool) -> None:
        """HarnessError where no worker comes up: the cluster lacks what they need."""
        if event or any(seat.opened for seat in self._seats):
            self._waiting_since = time.monotonic()
        elif time.monotonic() - self._waiting_since > self._start_timeout:
            import ray

            free, total = ray.available_resources(), ray.cluster_resources()
            have = ", ".join(f"{free.get(kind, 0):g} of {total.get(kind, 0):g} {kind}" for kind in ("CPU", "GPU"))
            raise HarnessError(
                f"no ray worker started within {self._start_timeout:g} s: one needs {self._needs} on a node, "
                f"free in the cluster are {have}",
                "lower num_cpus or num_gpus, free the cluster, or raise start_timeout for a large model",
            )


def _import_ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise HarnessError(
            f"backend ray needs the package ray: {error}", "pip install 'masters-harness[ray]'"
        ) from error
    return ray


def _connect(address: str | None, cpus: float) -> Any:
    """Ray, connected: as this process already is, to `address`, or to a new cluster on this machine with `cpus`."""
    ray = _import_ray()
    if ray.is_initialized():
        return ray
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")  # of workers that are ended: the first error is told
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    settings: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
        settings |= {"include_dashboard": False, "num_cpus": max(os.cpu_count() or 1, math.ceil(cpus))}
    elif address != "auto":
        _probe(address)
    try:
        with _Starting():
            ray.init(**settings)
    except (OSError, RuntimeError, ValueError) as error:
        raise HarnessError(
            f"the Ray cluster {address} cannot be joined: {_why(error)}",
            "run this on a node of the cluster (`ray start --address=HEAD:6379` makes it one), with the same Ray",
        ) from error
    return ray


class _Starting:
    """Makes a sentence of the bare Exception with which Ray says that a node did not come up in its 30 seconds."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is Exception:
            raise HarnessError(f"Ray did not start: {error}", "the machine is overloaded: run it again") from error


def _probe(address: str) -> None:
    """HarnessError within seconds where nothing listens (Ray itself tries for minutes)."""
    host, _, port = address.rpartition(":")
    remedy = "give HOST:PORT of the head node, as `ray start --head` prints it (port 6379 by default)"
    if not host or "/" in host or not port.isdigit():
        raise HarnessError(f"the Ray address {address!r} is not HOST:PORT", remedy)
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PROBE_SECONDS).close()
    except OSError as error:
        raise HarnessError(f"no Ray cluster answers at {address}: {error}", remedy) from error


def _fitting(total: Mapping[str, float], cpus: float, gpus: float) -> int:
    """How many workers the resources of a cluster hold."""
    shares = [total.get(kind, 0) / need for kind, need in (("CPU", cpus), ("GPU", gpus)) if need]
    return int(min(shares, default=1))


def _sealed(request: Request) -> Request:
    """The request with its images' bytes inside, for another process; an image that cannot be read fails there."""
    parts = tuple(part if isinstance(part, str) else _sealed_image(part) for part in request.parts)
    return Request(parts, request.generation, request.system)


def _sealed_image(image: Image) -> Image:
    try:
        return Image(image.sha256, partial(bytes, image.read()))
    except PROMPT_ERRORS as error:
        return Image(image.sha256, partial(_unreadable, str(error)))


def _unreadable(why: str) -> bytes:
    raise OSError(why)


def _why(error: Exception) -> str:
    """The first line of an error that says something (Ray's errors are pages long)."""
    cause = getattr(error, "cause", None) or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return f"{type(cause).__name__}: {lines[0]}" if lines else type(cause).__name__
