"""The machine a plan is for: GPUs as their maker states them, and what share of that a real program reaches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.api import HarnessError

_TABLE = Path(__file__).with_name("machines.yaml")


class Gpu(BaseModel):
    """One GPU: dense bf16 FLOP/s, memory in bytes, bandwidths in bytes/s of memory, node link and network share.

    `shares_host`: the models lie in the host's memory, beside what the process keeps there anyway.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    flops: float = Field(gt=0)
    memory: float = Field(gt=0)
    bandwidth: float = Field(gt=0)
    link: float = Field(gt=0)
    network: float = Field(gt=0)
    per_node: int = Field(ge=1)
    shares_host: bool = False


@dataclass(frozen=True, slots=True)
class Machine:
    """`gpus` GPUs of a kind; `price` is that of one GPU for an hour (0: not given)."""

    name: str
    gpu: Gpu
    gpus: int
    price: float = 0.0

    def with_gpus(self, gpus: int) -> Machine:
        """The same kind of machine with another number of GPUs."""
        return Machine(self.name, self.gpu, gpus, self.price)


def names() -> list[str]:
    """The GPUs that are known by name."""
    return list(yaml.safe_load(_TABLE.read_text(encoding="utf-8")))


def machine(name: str, gpus: int, price: float = 0.0, file: Path | None = None) -> Machine:
    """A machine by the name of its GPU, from our table or a file of the same form; unknown ones are a HarnessError."""
    path = file or _TABLE
    known = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(known, dict) or name not in known:
        listed = ", ".join(known) if isinstance(known, dict) else "nothing"
        raise HarnessError(
            f"{path} knows no GPU {name!r}", f"it has {listed}; describe yours in a file: --machine FILE"
        )
    try:
        return Machine(name, Gpu.model_validate(known[name]), gpus, price)
    except ValidationError as error:
        raise HarnessError(f"{path}: {name}: {error}", "compare it with trainers/planning/machines.yaml") from error
