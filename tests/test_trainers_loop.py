"""The training loop: resume after kill -9, live and cached teacher, budgets, checkpoints, bad input."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import tiny_models
import torch
import trainer_runs
import transformers
from safetensors.torch import load_file
from several import launched
from trainer_runs import die, killed, recipe, run

from harness import registry
from harness.api import Ask, HarnessError
from harness.models.hf import open_model
from trainers import loop, step
from trainers.divergence import Divergence, token_signals
from trainers.generate import TEACHER, Generated
from trainers.groups import Group, gold, usable
from trainers.packing import response_states, teacher_logits
from trainers.teacher_cache import TeacherCache


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def weights(stage) -> bytes:
    return (Path(stage.checkpoint) / "model.safetensors").read_bytes()


def rewards(folder: Path, method: str):
    parts = [pq.read_table(folder / method / "seed0" / f"stage{k}" / "rewards").to_pandas() for k in (0, 1)]
    return [part.drop(columns=[]).to_dict("records") for part in parts]


@pytest.fixture(scope="session")
def undisturbed(models: Path, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("undisturbed")
    return folder, run(recipe(models, "masters"), folder)


def test_a_stage_after_every_mask_ratio_with_what_is_known_of_it(undisturbed):
    _, stages = undisturbed
    assert [stage.name for stage in stages] == ["1-internvl-1-r0.20", "2-internvl-1-r0.00"]
    assert [stage.meta["r"] for stage in stages] == [0.2, 0.0]
    assert [stage.budget["steps"] for stage in stages] == [2, 4]
    assert [stage.budget["questions"] for stage in stages] == [6, 12]
    assert stages[1].budget["responses"] == 48
    assert weights(stages[0]) != weights(stages[1])


def test_every_part_of_every_reward_is_kept(undisturbed):
    folder, _ = undisturbed
    rows = [row for part in rewards(folder, "masters") for row in part]
    assert len(rows) == 48
    assert {row["source"] for row in rows} == {"student", "teacher"}
    for row in rows:
        assert row["reward"] == pytest.approx(row["accuracy"] + row["distillation"])
        assert row["state"]
        assert row["gold"]
    log = [json.loads(line) for line in (folder / "masters" / "seed0" / "train.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [0, 1, 2, 3]
    assert {"loss/policy", "loss/kl", "loss/divergence", "gradient", "by_source", "advantage"} <= log[0].keys()
    preflight = json.loads((folder / "masters" / "seed0" / "preflight.json").read_text())
    assert list(preflight) == ["image tokens", "log-probabilities", "mask", "loss", "gradient step"]


@pytest.mark.parametrize("at", [0, 1, 3])
def test_killed_training_ends_with_the_same_bits(models: Path, undisturbed, tmp_path: Path, at: int, monkeypatch):
    folder, expected = undisturbed
    real = step.Stepper.step

    def dies(self, groups, signals, number):
        return die() if number == at else real(self, groups, signals, number)

    with monkeypatch.context() as patch:
        patch.setattr(step.Stepper, "step", dies)
        killed(lambda: run(recipe(models, "masters"), tmp_path))
    stages = run(recipe(models, "masters"), tmp_path)
    assert [weights(stage) for stage in stages] == [weights(stage) for stage in expected]
    assert [(s.name, s.budget, s.meta) for s in stages] == [(s.name, s.budget, s.meta) for s in expected]
    assert [s.model.fingerprint() for s in stages] == [s.model.fingerprint() for s in expected]
    assert rewards(tmp_path, "masters") == rewards(folder, "masters")


def test_a_finished_training_is_not_done_again(models: Path, undisturbed, monkeypatch):
    folder, expected = undisturbed
    monkeypatch.setattr(step.Stepper, "step", lambda *_: pytest.fail("trained again"))
    stages = run(recipe(models, "masters"), folder)
    state = torch.cat([value.flatten() for value in stages[1].model.module.state_dict().values()])
    assert [s.budget for s in stages] == [s.budget for s in expected]
    assert torch.isfinite(state).all()


def test_another_recipe_does_not_go_on_from_the_state(models: Path, undisturbed):
    folder, _ = undisturbed
    with pytest.raises(HarnessError, match="holds a training by another recipe"):
        run(recipe(models, "masters", **{"policy.kl": 0.5}), folder)


def test_a_stage_is_loaded_by_plain_transformers_and_answers_alike(undisturbed):
    _, stages = undisturbed
    module = transformers.AutoModelForImageTextToText.from_pretrained(stages[1].checkpoint)
    transformers.AutoProcessor.from_pretrained(stages[1].checkpoint)
    live = stages[1].model.module.state_dict()
    assert all(torch.equal(value, live[name]) for name, value in module.state_dict().items())
    assert open_model(stages[1].checkpoint).fingerprint() == stages[1].model.fingerprint()


@pytest.mark.parametrize(
    "name", ["naive-kd", "mask-only", "mask-only-multi", "sft", "seqkd", "gkd", "reverse-kl", "masters-reversed",
             "masters-random-mask", "masters-accuracy-only", "masters-distillation-only"],
)  # fmt: skip
def test_every_method_spends_the_same_steps_on_the_same_questions(models: Path, undisturbed, name: str, tmp_path: Path):
    _, expected = undisturbed
    stages = run(recipe(models, name), tmp_path)
    for stage, other in zip(stages, expected, strict=True):
        assert (stage.budget["steps"], stage.budget["questions"]) == (other.budget["steps"], other.budget["questions"])
        assert stage.budget["student_tokens"] > 0


def test_all_registered_methods_can_be_resolved(models: Path):
    for name in registry.names("trainers"):
        asked = recipe(models, name)
        assert len(registry.load("trainers", name).resolved(asked, name).stages()) == 2


def test_methods_share_the_responses_of_the_same_model(models: Path, tmp_path: Path):
    first = trainer_runs.context(recipe(models, "masters"), tmp_path)
    list(registry.load("trainers", "masters").run(recipe(models, "masters"), first))
    second = trainer_runs.context(recipe(models, "mask-only-multi"), tmp_path)
    list(registry.load("trainers", "mask-only-multi").run(recipe(models, "mask-only-multi"), second))
    assert (first.generated.generated, second.generated.generated) == (48, 12)  # only its own student's second stage


# ---------------------------------------------------------------- teacher cache


@pytest.mark.parametrize(("top_k", "kind", "close"), [(None, torch.float32, 1e-7), (None, torch.float16, 2e-4)])
def test_an_exact_cache_gives_the_divergence_of_the_live_teacher(models, tmp_path: Path, top_k, kind, close):
    student, batch, groups, teacher, vocabulary = _batch(models)
    cache = TeacherCache(tmp_path, "teacher", vocabulary, top_k, kind)
    cache.add(teacher, batch, groups)
    again = TeacherCache(tmp_path, "teacher", vocabulary, top_k, kind)
    assert not again.missing(groups)
    found = again.measure(student.module, teacher, batch, groups, Divergence())
    assert found.largest < close
    assert found.bytes_per_token == vocabulary * (4 if kind is torch.float32 else 2)


def test_a_truncated_cache_keeps_the_whole_mass_and_grows_exact_with_k(models, tmp_path: Path):
    student, batch, groups, teacher, vocabulary = _batch(models)
    errors = []
    for top_k in (8, 64, vocabulary - 1):
        cache = TeacherCache(tmp_path, "teacher", vocabulary, top_k)
        cache.add(teacher, batch, groups)
        signal = cache.signal(groups)(slice(0, len(batch.targets)))
        assert signal.exp().sum(-1) == pytest.approx(1.0, abs=2e-2)
        errors.append(cache.measure(student.module, teacher, batch, groups, Divergence()).mean)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-3


@pytest.mark.parametrize("method", ["mask-only", "masters"])
def test_live_and_cached_teacher_train_to_the_same_loss(models: Path, tmp_path: Path, method: str):
    found = {}
    for teacher in ("live", "cached"):
        run(recipe(models, method, **{"train.teacher": teacher}), tmp_path / teacher)
        log = (tmp_path / teacher / method / "seed0" / "train.jsonl").read_text().splitlines()
        found[teacher] = [json.loads(line) for line in log]
    for part in ("loss", *(["loss/kl", "loss/policy"] if method == "masters" else [])):
        cached, live = ([line[part] for line in found[teacher]] for teacher in ("cached", "live"))
        assert cached == pytest.approx(live, abs=1e-4), part
    assert (tmp_path / "cached" / "reference").exists() == (method == "masters")
    cache = tmp_path / "cached" / method / "seed0" / "stage0" / "cache.json"
    assert json.loads(cache.read_text())["mean"] < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("method", ["naive-kd", "masters"])
def test_bf16_trains_as_fp32_does_and_keeps_float32_weights(models: Path, tmp_path: Path, method: str):
    found = {}
    for precision in ("fp32", "bf16"):  # each in a process of its own: Accelerate has one precision for all of it
        folder, settings = tmp_path / precision, {"train.precision": precision}
        done = launched(1, models=models, folder=folder, method=method, settings=settings)
        assert done.returncode == 0, done.stderr[-3000:]
        log = (folder / method / "seed0" / "train.jsonl").read_text().splitlines()
        found[precision] = [json.loads(line) for line in log]
        saved = load_file(folder / "checkpoints" / method / "seed0" / "stage1" / "model.safetensors")
        assert {value.dtype for value in saved.values()} == {torch.float32}
        checks = json.loads((folder / method / "seed0" / "preflight.json").read_text())
        assert all(check["ok"] for check in checks.values())
    low, full = ([line["loss"] for line in found[precision]] for precision in ("bf16", "fp32"))
    assert low != full
    if method == "naive-kd":  # the same responses: gold
        assert low == pytest.approx(full, rel=0.03)


def test_a_full_reference_cache_loads_no_reference(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked = recipe(models, "masters", **{"train.teacher": "cached", "responses.student_refresh": "none"})
    run(asked, tmp_path)
    shutil.rmtree(tmp_path / "masters")
    shutil.rmtree(tmp_path / "checkpoints")
    monkeypatch.setattr(loop, "load_frozen", None)
    assert len(run(asked, tmp_path)) == 2


def _batch(models: Path):
    asked = recipe(models, "masters")
    given = trainer_runs.context(asked, models / "unused")
    from trainers.models import load_student

    student = load_student(asked, torch.device("cpu"))
    teacher = given.teachers.at(asked.teachers[0].model, 0.2, asked.masking).module
    groups = [
        Group(q, (gold(q, student.preprocessor.tokenizer, student.end),))
        for q in (given.data.train[0], given.data.train[1])
    ]
    vocabulary = max(student.preprocessor.tokenizer.get_vocab().values()) + 1
    return student, step.Batches(student, asked).batch(groups), groups, teacher, vocabulary


def test_the_cache_stores_what_the_teacher_says(models: Path, tmp_path: Path):
    student, batch, groups, teacher, vocabulary = _batch(models)
    cache = TeacherCache(tmp_path, "teacher", vocabulary, None, torch.float32)
    cache.add(teacher, batch, groups)
    rows = slice(1, 4)
    expected = teacher_logits(teacher, batch)(rows)[:, :vocabulary].log_softmax(-1)
    assert torch.allclose(cache.signal(groups)(rows), expected, atol=1e-6)
    with torch.no_grad():
        states = response_states(student.module, batch)
        head = student.module.get_output_embeddings()
        assert token_signals(states, head, batch.targets, vocabulary).logp.shape == batch.targets.shape


# ---------------------------------------------------------------- bad input


def test_a_missing_gold_answer_names_the_question(models: Path, tmp_path: Path):
    import pyarrow as pa
    from PIL import Image

    picture = tmp_path / "p.png"
    Image.new("RGB", (32, 32)).save(picture)
    rows = [{"id": str(i), "question": f"What is {i}?", "answer": "" if i == 5 else "x", "image": picture.read_bytes()}
            for i in range(12)]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train.parquet")
    asked = recipe(models, "sft", **{"data.sources": [str(tmp_path / "train.parquet")]})
    with pytest.raises(HarnessError, match="5"):
        run(asked, tmp_path / "run")


def test_a_group_of_one_response_has_no_advantage_but_trains(models: Path, tmp_path: Path):
    asked = recipe(models, "masters", **{"responses.teacher": 1, "responses.student": 0})
    stages = run(asked, tmp_path)
    assert stages[-1].budget["responses"] == 12
    assert {row["advantage"] for part in rewards(tmp_path, "masters") for row in part} == {0.0}


def test_empty_responses_are_worth_nothing_and_train_without_nan(models: Path, tmp_path: Path, monkeypatch):
    from trainers import generate

    def empty(row, asked):
        return Generated(row["question"], row["index"], asked.source, asked.ratio, "", (2,), (-1.0,), "stop")

    monkeypatch.setattr(generate, "_generated", empty)
    stages = run(recipe(models, "masters", **{"reward.judge.grade": "judge"}), tmp_path)
    rows = [row for part in rewards(tmp_path, "masters") for row in part]
    assert {row["accuracy"] for row in rows} == {0.0}
    assert all(torch.isfinite(value).all() for value in stages[-1].model.module.state_dict().values())


class Failing:
    """A judge that fails after some answers."""

    name = "failing"

    def __init__(self, after: int) -> None:
        self.left, self.asked = after, 0

    def answer(self, asks: list[Ask]):
        self.asked += len(asks)
        said = [("1" if self.left > i else ConnectionError("no route")) for i, _ in enumerate(asks)]
        self.left -= len(asks)
        return said


def test_a_judge_that_fails_stops_the_run_and_its_answers_are_kept(models: Path, tmp_path: Path):
    asked = recipe(models, "masters", **{"reward.judge.grade": "judge"})
    with pytest.raises(HarnessError, match=r"could not be graded.*no route"):
        run(asked, tmp_path, judge=Failing(7))
    works = Failing(10**6)
    assert len(run(asked, tmp_path, judge=works)) == 2
    assert works.asked <= 48 - 7


def test_a_teacher_with_another_tokenizer_is_refused(models: Path, tmp_path: Path):
    other = str(tiny_models.checkpoint("qwen2_5_vl", models, 0))
    with pytest.raises(HarnessError, match="different tokenizers"):
        run(recipe(models, "naive-kd", **{"teachers.0.model": other}), tmp_path)


def test_a_loss_that_is_not_finite_stops_with_its_batch_saved(models: Path, tmp_path: Path, monkeypatch):
    real = step.Stepper.loss

    def breaks(self, model, batch, groups, signals, responses):
        loss = real(self, model, batch, groups, signals, responses)
        return loss._replace(total=loss.total * float("nan")) if signals.poisoned else loss

    monkeypatch.setattr(step.Stepper, "loss", breaks)
    monkeypatch.setattr(step.Signals, "poisoned", property(lambda self: (tmp_path / "poison").exists()), raising=False)
    real_step = step.Stepper.step

    def poisons(self, groups, signals, number):
        if number == 2:
            (tmp_path / "poison").touch()
        return real_step(self, groups, signals, number)

    monkeypatch.setattr(step.Stepper, "step", poisons)
    with pytest.raises(HarnessError, match=r"step 2: the loss is not finite .*faults/step-000002\.pt"):
        run(recipe(models, "masters"), tmp_path)
    saved = torch.load(tmp_path / "masters" / "seed0" / "faults" / "step-000002.pt")
    assert saved["step"] == 2
    assert saved["groups"][0]["responses"][0][0] == TEACHER


def test_a_state_holds_the_model_of_its_own_training_alone(models: Path, tmp_path: Path, monkeypatch):
    asked = recipe(models, "sft")
    shared = trainer_runs.context(asked, tmp_path / "first")
    list(registry.load("trainers", "sft").run(asked, shared))
    saved: set[str] = set()
    keep = shared.accelerator.save_state
    monkeypatch.setattr(
        shared.accelerator, "save_state", lambda *a, **k: saved.update(map(_name, _files(keep(*a, **k))))
    )
    list(registry.load("trainers", "sft").run(asked, replace(shared, folder=tmp_path / "second")))
    assert sorted(name for name in saved if "model" in name) == ["pytorch_model.bin"]


def _files(folder: str) -> list[Path]:
    return list(Path(folder).iterdir())


def _name(path: Path) -> str:
    return path.name


def test_a_response_with_a_token_that_pads_the_vocabulary_is_left_out():
    said = [Generated("q", 0, TEACHER, 0.4, "", ids, (), "stop") for ids in ((5, 976), (5, 975), (7, 8))]
    assert [response.token_ids for response in usable(said, {7}, 976, "keep")] == [(5, 975)]
