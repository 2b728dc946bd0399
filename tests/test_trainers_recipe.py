"""Recipes: ready ones load, mistakes are told with file, line, key and the nearest name."""

import json
import textwrap
from pathlib import Path

import pytest

from harness.api import HarnessError
from trainers.recipe import Recipe, json_schema
from trainers.recipe_file import load_recipe, ready_recipes

MINIMAL = """\
    name: small
    student: {model: student}
    teachers: [{model: teacher}]
    data: {sources: [mini]}
"""


def write(folder: Path, extra: str = "", base: str = MINIMAL) -> Path:
    path = folder / "r.yaml"
    path.write_text(textwrap.dedent(base) + textwrap.dedent(extra))
    return path


@pytest.mark.parametrize("path", list(ready_recipes()), ids=lambda path: path.stem)
def test_ready_recipes_load_under_their_own_name(path: Path):
    recipe = load_recipe(path.stem)
    assert recipe.name == path.stem
    assert recipe.stages()[-1].ratio == 0.0
    for method in recipe.methods:
        assert recipe.for_method(method.name).student == recipe.student


def test_the_papers_settings_are_the_defaults(tmp_path: Path):
    recipe = load_recipe(write(tmp_path))
    sampling = recipe.responses.sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.repetition_penalty) == (1.0, 0.9, 50, 1.05)
    assert (recipe.responses.teacher, recipe.responses.student) == (4, 4)
    assert (recipe.policy.kl, recipe.optimizer.lr, recipe.teachers[0].step) == (0.1, 1e-6, 0.05)
    assert [stage.ratio for stage in recipe.stages()] == [0.2, 0.15, 0.1, 0.05, 0.0]


def test_r_max_of_the_papers_teachers():
    stated = {"internvl3_5-8b": [0.4, 0.2], "internvl3-8b": [0.2] * 3, "qwen2_5-vl-7b": [0.2] * 2, "qwen3-vl-8b": [0.4]}
    for name, r_max in stated.items():
        assert [teacher.r_max for teacher in load_recipe(name).teachers] == r_max


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("responses:\n  student_refresh: per_stage\n  sampling: {temprature: 2}\n",
         r"r\.yaml:7: responses\.sampling\.temprature: unknown setting, did you mean 'temperature'\?"),
        ("optimiser: {lr: 1}\n", r"r\.yaml:5: optimiser: unknown setting, did you mean 'optimizer'\?"),
        ("policy: {kl: -1}\n", r"r\.yaml:5: policy\.kl: input should be greater than or equal to 0 \(is -1\)"),
        ("masking: {scope: everything}\n", r"masking\.scope: input should be 'lm_linear'"),
        ("name: again\n", r"r\.yaml:5: name is set twice"),
        ("masking: {fixed_ratio: 0.1}\n", r"masking\.fixed_ratio needs masking\.order: fixed"),
        ("responses: {teacher: 0, student: 0}\n", "no question has a response"),
        ("reward: {judge: {grade: paper}}\n", "LLM judge"),
        ("methods: [masters, masters]\n", "listed twice"),
        ("policy: {kl: [1\n", r"r\.yaml:\d+: not YAML"),
    ],
)  # fmt: skip
def test_mistakes_name_file_line_and_key(tmp_path: Path, extra: str, message: str):
    with pytest.raises(HarnessError, match=message):
        load_recipe(write(tmp_path, extra))


def test_a_missing_setting_is_named(tmp_path: Path):
    with pytest.raises(HarnessError, match=r"student: field required"):
        load_recipe(write(tmp_path, base="name: x\nteachers: [{model: t}]\ndata: {sources: [mini]}\n"))


def test_r_max_must_be_a_multiple_of_the_step(tmp_path: Path):
    base = MINIMAL.replace("{model: teacher}", "{model: teacher, r_max: 0.22}")
    with pytest.raises(HarnessError, match=r"teachers\.0: r_max 0\.22 is no multiple"):
        load_recipe(write(tmp_path, base=base))


def test_all_mistakes_are_told_at_once(tmp_path: Path):
    with pytest.raises(HarnessError) as caught:
        load_recipe(write(tmp_path, "policy: {kl: -1, weigth: 2}\noptimizer: {lr: 0}\n"))
    assert caught.value.message.count("r.yaml:") == 3


def test_a_method_has_settings_of_its_own(tmp_path: Path):
    recipe = load_recipe(write(tmp_path, "methods: [naive-kd, {name: masters, set: {optimizer.lr: 1e-4}}]\n"))
    assert recipe.for_method("masters").optimizer.lr == 1e-4
    assert recipe.for_method("naive-kd").optimizer.lr == 1e-6


@pytest.mark.parametrize("key", ["optimizer.rate", "nothing", "teachers.3.r_max", "optimizer.lr.more"])
def test_a_methods_unknown_key_is_refused(tmp_path: Path, key: str):
    recipe = load_recipe(write(tmp_path, f"methods: [{{name: masters, set: {{{key}: 1}}}}]\n"))
    with pytest.raises(HarnessError, match="is no setting"):
        recipe.for_method("masters")


def test_unknown_recipe_suggests_a_name():
    with pytest.raises(HarnessError, match="did you mean embedded"):
        load_recipe("embeded")


def test_the_schema_is_json_and_closed():
    schema = json_schema()
    assert json.loads(json.dumps(schema))["additionalProperties"] is False
    assert set(Recipe.model_fields) == set(schema["properties"])


def test_the_loss_of_the_default_recipe_is_the_default_objective(tmp_path: Path):
    from trainers.divergence import Divergence
    from trainers.objective import Objective, divergence_of, objective_of

    recipe = load_recipe(write(tmp_path))
    assert objective_of(recipe) == Objective()
    assert divergence_of(recipe) == Divergence()
