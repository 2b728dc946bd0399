"""Operations and seconds of the four phases on a machine, from a model's shape and what a real program reaches."""

from __future__ import annotations

from dataclasses import dataclass

from harness.api import HarnessError
from trainers.planning.architecture import Architecture
from trainers.planning.formula import Figure, figure
from trainers.planning.machine import Machine
from trainers.planning.memory import Batch, kv_token
from trainers.planning.workload import Assumptions
from trainers.recipe import Recipe

_ENGINE_SHARE, _WEIGHT_SHARE = 0.9, 0.7  # of a GPU's memory for an engine; of that for weights, the rest for its cache


def forward_flops(model: Architecture, tokens: float, width: float, patches: float, said: float) -> Figure:
    """Operations of one forward pass over `tokens` positions in rows of `width`, of which `said` are predicted."""
    window = model.window_patches or patches
    return figure(
        f"forward of {model.name}", "FLOP",
        "2 * language * tokens + 2 * layers * query * tokens * width + 2 * hidden * vocabulary * said + "
        "2 * vision * patches + 4 * vision_layers * vision_width * patches * window + 2 * projector * patches / merge",
        "two a parameter and token; causal attention sees half of a row", language=model.language, tokens=tokens,
        layers=model.text.layers, query=model.text.query, width=width, hidden=model.text.hidden,
        vocabulary=model.vocabulary, said=said, vision=model.vision, patches=patches,
        vision_layers=model.image.layers, vision_width=model.image.hidden, window=min(window, max(patches, 1)),
        projector=model.projector, merge=model.patches_per_token,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Server:
    """A model in a generation engine: GPUs a replica, sequences at once, seconds a prompt and seconds a token of one
    sequence's share (all in GPU-seconds).
    """

    tensor_parallel: int
    sequences: int
    per_prompt: Figure
    per_token: Figure


def server(
    model: Architecture, machine: Machine, assumed: Assumptions, prompt: float, image: float, said: float, samples: int
) -> Server:
    """The engine for a model, answering prompts `samples` times each (they share their prompt's cache)."""
    gpu = machine.gpu
    weights = 2.0 * model.parameters
    parallel = next((n for n in (1, 2, 4, 8, 16) if weights <= _WEIGHT_SHARE * _ENGINE_SHARE * gpu.memory * n), 0)
    if not parallel:
        raise HarnessError(f"{model.name} does not fit into 16 {machine.name}", "plan for a larger GPU")
    cached = kv_token(model).value * (prompt / samples + said)
    room = _ENGINE_SHARE * gpu.memory * parallel - weights
    sequences = max(1, min(assumed.sequences, int(room // max(cached, 1))))
    flops = forward_flops(model, prompt, prompt, image * model.patches_per_token, 1)
    per_prompt = figure(
        f"prefill of {model.name}", "GPU s/prompt", "forward / (flops * share)", forward=flops, flops=gpu.flops,
        share=assumed.prefill_share,
    )  # fmt: skip
    active = float(model.language + model.head + (model.embeddings if not model.head else 0))
    per_token = figure(
        f"decoding of {model.name}", "GPU s/token",
        "max((2 * weights + sequences * kv * context) / (bandwidth * share), 2 * weights * sequences / "
        "(flops * compute)) / sequences",
        f"{parallel} GPU(s) a replica; weights and cache are read once for all sequences", weights=active,
        sequences=sequences, kv=kv_token(model), context=prompt + said / 2, bandwidth=gpu.bandwidth,
        share=assumed.decode_share, flops=gpu.flops, compute=assumed.prefill_share,
    )  # fmt: skip
    return Server(parallel, sequences, per_prompt, per_token)


@dataclass(frozen=True, slots=True)
class StepTime:
    """One round of micro-batches: operations, seconds of computing and of ZeRO-3's communication, rounds a step."""

    flops: Figure
    compute: Figure
    communication: Figure
    rounds: int

    @property
    def seconds(self) -> float:
        """Seconds of an optimizer step: communication hides behind computing as far as it can."""
        return self.rounds * max(self.compute.value, self.communication.value)


def step_time(
    recipe: Recipe, student: Architecture, teacher: Architecture | None, reference: bool, batch: Batch,
    machine: Machine, assumed: Assumptions, questions: float,
) -> StepTime:  # fmt: skip
    """The time of an optimizer step over `questions` questions: micro-batches are dealt to the GPUs in rounds."""
    micro = -(-questions // batch.questions)
    rounds = int(-(-micro // machine.gpus))
    own = forward_flops(student, batch.tokens, batch.width, batch.patches(student), batch.said)
    signal = 0.0
    if teacher is not None:
        signal = forward_flops(teacher, batch.tokens, batch.width, batch.patches(teacher), batch.said).value
    again = 1 if recipe.train.gradient_checkpointing else 0
    flops = figure(
        "operations of a micro-batch", "FLOP", "(3 + again + reference) * student + teacher",
        "forward, twice that backward, forward again where checkpointed; reference and teacher forward",
        again=again, reference=int(reference), student=own, teacher=signal,
    )  # fmt: skip
    compute = figure("computing", "s/round", "operations / (flops * share)", operations=flops,
                     flops=machine.gpu.flops, share=assumed.train_share)  # fmt: skip
    return StepTime(flops, compute, _communication(recipe, student, teacher, reference, machine, assumed), rounds)


def _communication(
    recipe: Recipe, student: Architecture, teacher: Architecture | None, reference: bool, machine: Machine,
    assumed: Assumptions,
) -> Figure:  # fmt: skip
    """ZeRO-3 gathers parameters for forward and for backward and scatters gradients; DDP and ZeRO-2 reduce once."""
    gpu, gpus = machine.gpu, machine.gpus
    if gpus == 1 or recipe.train.engine == "single":
        return Figure("communication", 0.0, "s/round", note="one process")
    size = 2 if recipe.train.precision == "bf16" else 4
    gathers = 2 if recipe.train.engine == "zero3" else 0
    frozen = (teacher.parameters if teacher else 0) + (student.parameters if reference else 0)
    nodes = -(-gpus // gpu.per_node)
    return figure(
        "communication", "s/round",
        "bytes * ((gathers + reduce) * student + gather_frozen * frozen) * max((local - 1) / local / link, "
        "(nodes - 1) / nodes / (network * local)) / share",
        "all-gathers and the reduce-scatter of a round; all cards of a node work together", bytes=size, gathers=gathers,
        reduce=1 if gathers else 2, student=student.parameters, gather_frozen=1 if gathers else 0, frozen=frozen,
        local=min(gpus, gpu.per_node), link=gpu.link, nodes=nodes, network=gpu.network, share=assumed.link_share,
    )  # fmt: skip
