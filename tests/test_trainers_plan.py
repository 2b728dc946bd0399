"""`harness plan` against what torch, transformers, autograd and the disk really use, and against sums done by hand."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
import tiny_models
import torch
from click.testing import CliRunner
from trainer_runs import recipe

from harness.api import HarnessError
from harness.cli import main
from harness.models.load import load_module, resolve
from trainers import packing
from trainers.models import choose_parameters
from trainers.order import plan_stages
from trainers.planning import disk, memory
from trainers.planning.architecture import architecture, published
from trainers.planning.assemble import RunPlan, make_plan
from trainers.planning.formula import Figure, figure
from trainers.planning.machine import machine
from trainers.planning.plot import write_plot
from trainers.planning.speed import forward_flops, server
from trainers.planning.stages import Phase, StageCost
from trainers.planning.sweep import overlapped, powers, sweep
from trainers.planning.workload import Assumptions, Lengths
from trainers.recipe_file import load_recipe
from trainers.run import plan_run
from trainers.schedule import stage_count

FAMILIES = ("internvl", "qwen2_5_vl", "qwen3_vl")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plan")


@pytest.fixture(scope="module")
def paper() -> RunPlan:
    run = plan_run("internvl3_5-8b")
    return make_plan(run, machine("a100-80gb", 64, price=2.0), Assumptions(questions=1_500_000))


# ---------------------------------------------------------------- parameters


@pytest.mark.parametrize("model", published())
def test_the_tables_models_have_the_parameters_their_authors_state(model: str) -> None:
    stated = published()[model]
    tolerance = 0.004 if stated % 1e6 == 0 else 0  # "8.5 B" is rounded, 8292166656 is not
    found = architecture(model)
    assert found.parameters == pytest.approx(stated, rel=tolerance)
    assert found.source.startswith(("trainers/planning/architectures.yaml, file: ",
                                    "trainers/planning/architectures.yaml, composed: "))  # fmt: skip


def test_every_model_of_the_ready_recipes_is_known_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_, **__: pytest.fail("reached the hub"))
    for name in ("internvl3-8b", "internvl3_5-8b", "qwen2_5-vl-7b", "qwen3-vl-8b"):
        asked = load_recipe(name)
        for model in (asked.student.model, *(teacher.model for teacher in asked.teachers)):
            assert architecture(model).parameters > 7e9


@pytest.mark.parametrize("name", ["student", "small", "mid", "large"])
def test_the_ladder_has_exactly_the_parameters_of_its_weights(name: str) -> None:
    planned = architecture(f"embedded/{name}")
    module = load_module(resolve(f"embedded/{name}"), "cpu", "float32", "sdpa")
    assert planned.parameters == sum(p.numel() for p in module.parameters())
    assert planned.head == 0  # tied


@pytest.mark.parametrize("family", FAMILIES)
def test_parts_and_trained_parameters_are_those_of_the_loaded_module(family: str, folder: Path) -> None:
    checkpoint = tiny_models.checkpoint(family, folder)
    planned = architecture(str(checkpoint))
    module = load_module(checkpoint, "cpu", "float32", "sdpa")
    assert planned.parameters == sum(p.numel() for p in module.parameters())
    assert planned.language + planned.embeddings == sum(p.numel() for p in module.get_decoder().parameters())
    for which, count in planned.trained.items():
        module.requires_grad_(True)
        choose_parameters(module, which)
        assert count == sum(p.numel() for p in module.parameters() if p.requires_grad)


def test_a_model_nobody_knows_asks_for_its_config(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> str:
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", unreachable)
    with pytest.raises(HarnessError, match="nobody/model is not known here") as caught:
        architecture("nobody/model")
    assert "--config nobody/model=FILE" in caught.value.remedy
    given = tiny_models.checkpoint("qwen2_5_vl", folder) / "config.json"
    assert architecture("nobody/model", given).family == "qwen2_5_vl"


# ---------------------------------------------------------------- memory


def test_a_micro_batch_holds_no_more_than_a_stages_step() -> None:
    recipe = load_recipe("embedded").override({"data.questions": 96}, "few questions")
    length = Lengths(96, 42.0, 17.0, 8.0, 8.0, 143.0, "by hand")
    stages = plan_stages(recipe, 96)
    sizes = {len(step) for stage in stages for step in stage.steps}
    assert max(sizes) < recipe.optimizer.questions_per_step == recipe.train.questions_per_batch
    assert memory.batch_of(recipe, length, stages, 8, gold=False).rows == max(sizes)


def held_by_autograd(module: torch.nn.Module, batch: packing.Batch) -> int:
    """Bytes of distinct storages that a forward pass keeps for backward, without parameters."""
    own = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        states = packing.response_states(module, batch)
        del states
    return sum(kept.values())


def wide(family: str, folder: Path):
    """A checkpoint with a language model wide enough that its activations are what counts."""
    source = tiny_models.checkpoint(family, folder)
    config = json.loads((source / "config.json").read_text())
    config["text_config"].update(hidden_size=256, intermediate_size=704, num_hidden_layers=4, num_attention_heads=8,
                                 num_key_value_heads=4, head_dim=32)  # fmt: skip
    config["text_config"].pop("layer_types", None)
    if family != "internvl":
        config["vision_config"]["out_hidden_size"] = 256
    path = folder / f"{family}-wide.json"
    path.write_text(json.dumps(config))
    import transformers

    kind = config.pop("model_type")
    made = transformers.AutoConfig.for_model(kind, **config)
    torch.manual_seed(0)
    return transformers.AutoModelForImageTextToText.from_config(made, attn_implementation="sdpa").train(), path


@pytest.mark.parametrize("family", FAMILIES)
def test_activations_are_what_autograd_keeps(family: str, folder: Path) -> None:
    module, config = wide(family, folder)
    planned = architecture(family, config)
    image = module.config.image_token_id
    tokens = 4 * 4  # a square image
    ids = torch.cat([torch.full((tokens,), image), torch.randint(5, 300, (84,))])[None]
    inputs = {"input_ids": ids}
    if family == "internvl":
        inputs["pixel_values"] = torch.randn(tokens // 4, 3, 32, 32)
    else:
        grid = torch.tensor([[1, 8, 8]])
        patch = module.config.vision_config.patch_size
        inputs |= {"pixel_values": torch.randn(64, 3 * 2 * patch**2), "image_grid_thw": grid}
    responses = torch.randint(5, 300, (4, 25)).tolist()
    batch = packing.pack([packing.Question(inputs, responses)], module)
    shape = memory.Batch(1, 4, 100, tokens, 25, packed=True)
    asked = recipe(folder, "masters")
    planned_bytes = memory.activations(asked, planned, shape)[0].value
    assert planned_bytes == pytest.approx(held_by_autograd(module, batch), rel=0.1)


def test_adamw_takes_sixteen_bytes_a_parameter_in_float32(folder: Path) -> None:
    asked = recipe(folder, "masters")
    planned = architecture(asked.student.model)
    module = load_module(Path(asked.student.model), "cpu", "float32", "sdpa")
    optimizer = torch.optim.AdamW(module.parameters())
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    states = [t for s in optimizer.state.values() for t in s.values() if t.dim()]
    parts = {part.name: part.value for part in memory.student_memory(asked, planned, 1)}
    assert parts["optimizer"] == sum(t.numel() * t.element_size() for t in states)
    assert parts["student weights"] + parts["gradients"] + parts["optimizer"] == 16 * planned.parameters


def test_zero3_shards_sixteen_bytes_a_parameter_in_bf16(paper: RunPlan) -> None:
    parts = {part.name: part.value for part in paper.memory["masters"]}
    student, teacher = 8_528_318_464, 38_390_405_504
    assert parts["student weights"] + parts["gradients"] + parts["optimizer"] == 16 * student / 64
    assert parts["teacher weights"] == 2 * teacher / 64
    assert parts["reference weights"] == 2 * student / 64
    assert parts["peak"] == pytest.approx(sum(parts.values()) - parts["peak"])


@pytest.mark.parametrize("family", FAMILIES)
def test_kv_cache_is_as_large_as_transformers_makes_it(family: str, folder: Path) -> None:
    checkpoint = tiny_models.checkpoint(family, folder)
    module = load_module(checkpoint, "cpu", "float32", "sdpa")
    with torch.no_grad():
        cache = module(input_ids=torch.arange(5, 17)[None], use_cache=True).past_key_values
    kept = sum(t.numel() * t.element_size() for layer in cache.layers for t in (layer.keys, layer.values))
    assert 12 * memory.kv_token(architecture(str(checkpoint)), size=4).value == kept


# ---------------------------------------------------------------- work and disk


def test_operations_are_those_torch_counts(folder: Path) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    module, config = wide("internvl", folder)
    planned = architecture("internvl", config)
    ids = torch.cat([torch.full((16,), module.config.image_token_id), torch.randint(5, 300, (184,))])[None]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(input_ids=ids, pixel_values=torch.randn(4, 3, 32, 32))
    assert forward_flops(planned, 200, 200, 64, 200).value == pytest.approx(counter.get_total_flops(), rel=0.1)


def test_stages_and_tokens_of_the_papers_recipe(paper: RunPlan) -> None:
    masters = [stage for stage in paper.stages if stage.method == "masters"]
    assert len(masters) == stage_count(0.4, 0.05) + stage_count(0.2, 0.05) == 14
    assert sum(stage.questions for stage in masters) == 1_500_000
    assert sum(stage.value("response tokens") for stage in masters) == 1_500_000 * 8 * 256
    assert masters[0].value("judge calls") == 2 * 8 * masters[0].questions
    first = [stage for stage in paper.stages if stage.method == "naive-kd"]
    assert not any(stage.phases["generation"].work or stage.phases["judging"].work for stage in first)


def test_methods_share_the_responses_of_one_model() -> None:
    run = plan_run("embedded")
    stages = make_plan(run, machine("cpu", 1), Assumptions()).stages
    multi = {s.index: s.value("generated by the teacher") for s in stages if s.method == "mask-only-multi"}
    full = {s.index: s.value("generated by the teacher") for s in stages if s.method == "masters"}
    assert multi[0] > 0  # r = 0.2, first asked for here
    assert multi[2] == 0  # r = 0: naive-kd-multi has asked the same teacher
    assert not any(full.values())  # the same masked teachers as mask-only-multi


def test_more_gpus_than_micro_batches_do_not_help_training(paper: RunPlan) -> None:
    stage = paper.stages[-1]
    assert stage.phases["training"].seconds(1024) == stage.phases["training"].seconds(32)
    assert stage.phases["evaluation"].seconds(1024) == stage.phases["evaluation"].seconds(1)
    assert stage.phases["generation"].seconds(1) == float("inf")  # the 38B teacher needs two GPUs a replica


def test_an_engine_that_cannot_hold_a_model_says_so() -> None:
    model = architecture("OpenGVLab/InternVL3-78B-hf")
    assert server(model, machine("a100-80gb", 8), Assumptions(), 100, 0, 10, 1).tensor_parallel == 4
    with pytest.raises(HarnessError, match="does not fit"):
        server(model, machine("cpu", 8), Assumptions(), 100, 0, 10, 1)


def test_a_top_k_cache_holds_six_bytes_an_entry(folder: Path) -> None:
    asked = recipe(folder, "masters", **{"train.teacher": "cached"})
    large = architecture("OpenGVLab/InternVL3_5-8B-HF")
    found = disk.teacher_cache(asked, large, 1000, 0)
    assert found.value == 1000 * (128 * (2 + 4) + 2)


def test_lengths_come_from_the_data_where_they_are_here(folder: Path) -> None:
    asked = recipe(folder, "masters")
    from trainers.planning.workload import lengths

    found = lengths(asked, Assumptions())
    assert found.questions == 12
    assert found.image >= 4
    assert found.longest >= found.prompt > found.image
    assert lengths(asked, Assumptions(response_tokens=100)).response == 5  # never more than max_new_tokens


def test_without_data_the_number_of_questions_is_asked_for() -> None:
    with pytest.raises(HarnessError, match="data are not here") as caught:
        make_plan(plan_run("internvl3_5-8b"), machine("h100", 8), Assumptions())
    assert "--questions" in caught.value.remedy


# ---------------------------------------------------------------- the simulation


def stage(index: int, teacher: float, student: float, judging: float, training: float, evaluation: float) -> StageCost:
    """A stage of so many GPU-seconds a phase; one step takes all of the training."""
    phases = {
        "generation": Phase(teacher + student, 10**9), "judging": Phase(judging, 10**9),
        "training": Phase(training, 1), "evaluation": Phase(evaluation, 1),
    }  # fmt: skip
    figures = [
        Figure("generation by the teacher", teacher, "GPU s"),
        Figure("generation by the student", student, "GPU s"),
    ]
    return StageCost("masters", index, "t", 0.0, 1, 1, phases, training, figures)


def test_overlapping_by_hand() -> None:
    # two stages; per stage 4 s of teacher, 1 s of student, 1 s of judging, 3 s of training, 2 s of evaluation
    two = [stage(index, 4, 1, 1, 3, 2) for index in range(2)]
    # serve: student 0-1, teacher 1-5, judging 5-6, next teacher 6-10 while training 6-9; student 10-11, judging 11-12;
    # training 12-15, evaluation 15-17
    assert overlapped(two, train=1, serve=1) == 17
    # with four GPUs serving: student .25, teacher 1, judging .25 = 1.5; training 4.5; student and judging .5: 5.0;
    # training 8.0; evaluation 10.0 (the teacher's second answers and the first evaluation are hidden)
    assert overlapped(two, train=1, serve=4) == 10


def test_one_stage_cannot_overlap() -> None:
    assert overlapped([stage(0, 4, 1, 1, 3, 2)], train=1, serve=1) == 11


def test_gpu_counts_are_powers_of_two() -> None:
    assert powers(1024) == [2**n for n in range(11)]
    assert powers(100)[-1] == 64


# ---------------------------------------------------------------- formulas and the command


def test_a_figure_is_its_formula() -> None:
    found = figure("weights", "B", "parameters * max(bytes, 1) / ceil(shards)", parameters=10, bytes=2, shards=3.5)
    assert found.value == 5
    assert found.explained() == (
        "parameters * max(bytes, 1) / ceil(shards)   where parameters = 10, bytes = 2, shards = 3.5"
    )
    with pytest.raises(ValueError, match="no arithmetic"):
        figure("bad", "", "__import__('os').getcwd()")


def test_the_command_prints_tables_formulas_and_json(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["plan", "internvl3_5-8b", "--gpus", "64", "--questions", "1500000", "--price", "2"]
    monkeypatch.setenv("COLUMNS", "200")
    shown = CliRunner().invoke(main, [*words, "--explain"])
    assert shown.exit_code == 0, shown.output
    assert "8.53 G" in shown.output
    assert "masters stage 1 (OpenGVLab/InternVL3_5-14B-HF r=0.4): response tokens" in shown.output
    body = json.loads(CliRunner().invoke(main, [*words, "--json"]).output)
    assert body["models"]["OpenGVLab/InternVL3_5-38B-HF"]["parameters"] == 38_390_405_504
    hours = sum(body["total"]["seconds"].values()) / 3600
    assert body["total"]["cost"] == pytest.approx(hours * 64 * 2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--gpu", "h1000"], "knows no GPU 'h1000'"),
        (["--assume", "luck=1"], "no assumption is called 'luck'"),
        (["--assume", "image_tokens=many"], "'many' is no number"),
        (["--config", "a=b"], "there is no file 'b'"),
    ],
)
def test_bad_words_are_told(words: list[str], message: str) -> None:
    failed = CliRunner().invoke(main, ["plan", "embedded", *words])
    assert failed.exit_code != 0
    assert message in failed.output


def test_the_sweep_says_what_bounds_the_run(paper: RunPlan, folder: Path) -> None:
    few, many = sweep(paper, [2, 256])
    assert few.phases["judging"] > few.phases["generation"]  # two calls of a 38B judge for every response
    assert not few.fits
    assert many.bound == "evaluation"  # 42 checkpoints, one process
    assert many.fits
    assert many.phases["training"] == pytest.approx(few.phases["training"] / 16, rel=0.01)  # 32 micro-batches a step
    assert many.overlapped < many.in_turn
    write_plot([few, many], "title", folder / "plot.html")
    assert "all, overlapped" in (folder / "plot.html").read_text()


def test_the_sweeps_picture_has_a_line_for_all_that_fits(paper: RunPlan, folder: Path) -> None:
    points = sweep(paper, [2, 64, 256])
    write_plot(points, "a < b", folder / "plot.svg")
    picture = ElementTree.parse(folder / "plot.svg").getroot()
    space = "{http://www.w3.org/2000/svg}"
    lines = [line.get("points", "").split() for line in picture.iter(f"{space}polyline")]
    assert [len(line) for line in lines] == [3, 3, 2, 3, 2, 2]  # two GPUs do not hold a training
    heights = [float(place.split(",")[1]) for place in lines[0]]
    assert heights == sorted(heights)  # less time is further down, which in SVG is a larger y
    assert {text.text for text in picture.iter(f"{space}text")} >= {"generation", "judging", "training", "evaluation"}
    with pytest.raises(HarnessError, match=r"ends with \.html or \.svg"):
        write_plot(points, "title", folder / "plot.png")
