"""The gate catches what breaks a nightly, stays quiet on noise, and says what it cannot know."""

import hashlib
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from harness import registry
from harness.api import HarnessError, Response
from harness.cli import main
from harness.data import open_dataset
from harness.evaluation import evaluate
from harness.gate import Check, Decision, Gate, Scores, Status, couples, decide, judge
from harness.policy import Policy, read_policy
from harness.reference import read_measured, write_reference
from harness.report.gate import markdown
from harness.stats.paired import Pairs
from harness.stats.sequential import boundaries, estimate

TASKS = ["seedbench", "ai2d", "chartqa"]
POLICY = {
    "alpha": 0.05,
    "false_alarm": 0.005,
    "looks": 5,
    "must": {"tasks": ["*"], "margin": 15, "max_drop": 2, "parse_drop": 0.05, "error_rise": 0},
    "overall": {"tier": "must", "margin": 8, "max_drop": 1},
}
SHIPPED = Path(__file__).resolve().parents[1] / "results" / "policy.yaml"


@pytest.fixture(scope="module")
def gold():
    """(prompt, image) -> gold answer of every mini item."""
    found = {}
    for name in TASKS:
        task = registry.task(name)
        for sample in open_dataset(task, "mini"):
            request = registry.rules(task, "official").request(sample)
            found[request.text, request.images[0].sha256] = sample.answer
    return found


class Knows:
    """Answers right with a chance of `skill`; `noise` is the share of items that the seed decides anew."""

    def __init__(self, gold, skill=0.8, seed=0, noise=0.0, prefix="", prompt=""):
        self.name, self.gold, self.skill, self.seed, self.noise = "student", gold, skill, seed, noise
        self.prefix, self.prompt = prefix, prompt

    def fingerprint(self):
        return f"{self.skill} {self.seed} {self.noise} {self.prefix} {self.prompt}"

    def _draw(self, *words):
        return int.from_bytes(hashlib.sha256(repr(words).encode()).digest()[:4], "big") / 2**32

    def generate(self, requests):
        for index, request in enumerate(requests):
            key = request.text, request.images[0].sha256
            seed = self.seed if self._draw(key, "noisy", self.seed) < self.noise else 0
            right = self._draw(key, seed) < self.skill
            answer = self.gold[key] if right else ("A" if self.gold[key] != "A" else "B")
            if self.prompt and self._draw(key, "lost") < 0.4:  # the other prompt lets the model talk, without an answer
                answer = "Let me describe the picture first. " + self.prompt
            yield index, Response(self.prefix + answer, token_ids=(1,))


@pytest.fixture(scope="module")
def baseline(gold, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gate") / "baseline"
    evaluate(Knows(gold), TASKS, out=folder)
    return folder


def verdict(folder, baseline, policy=POLICY, **options):
    matched = couples(read_measured(folder), read_measured(baseline))
    return judge(Policy.model_validate(policy), matched, **options)


@pytest.mark.parametrize(
    "broken",
    [{"prefix": "answer options: A B C D\n\n"}, {"prompt": "There are shapes."}, {"skill": 0.6}],
    ids=["parser", "prompt", "worse model"],
)
def test_a_real_regression_is_no_go_at_once_or_in_blocks(gold, baseline, tmp_path, broken):
    evaluate(Knows(gold, **broken), TASKS, out=tmp_path)
    assert verdict(tmp_path, baseline).decision is Decision.NO_GO
    blocks = verdict(tmp_path, baseline, sequential=True)
    assert blocks.decision is Decision.NO_GO
    assert blocks.share < 1


def test_the_same_model_again_is_go_and_a_reference_serves_like_the_run(gold, baseline, tmp_path):
    evaluate(Knows(gold), TASKS, out=tmp_path / "again")
    write_reference(baseline, tmp_path / "reference")
    found = verdict(tmp_path / "again", tmp_path / "reference")
    assert found.decision is Decision.GO
    assert found.checks == verdict(tmp_path / "again", baseline).checks


def test_twenty_noisy_repeats_raise_no_alarm(gold, baseline, tmp_path):
    for seed in range(1, 21):
        evaluate(Knows(gold, seed=seed, noise=0.3), TASKS, out=tmp_path / str(seed), limit=60)
        assert verdict(tmp_path / str(seed), baseline).decision is not Decision.NO_GO
        assert verdict(tmp_path / str(seed), baseline, sequential=True).decision is not Decision.NO_GO


def test_fewer_items_than_the_baseline_are_paired_with_their_own(gold, baseline, tmp_path):
    evaluate(Knows(gold), TASKS, out=tmp_path, limit=12)
    found = verdict(tmp_path, baseline)
    assert found.decision is Decision.INCONCLUSIVE  # 12 items do not exclude a drop of 15 points
    assert all(check.drop == 0 for check in found.checks)


def test_other_items_are_broken_and_exit_with_3(gold, baseline, tmp_path):
    evaluate(Knows(gold), ["ai2d"], out=tmp_path / "one", limit=20)
    words = ["gate", str(tmp_path / "one"), "--baseline", str(baseline), "--policy", str(SHIPPED)]
    ended = CliRunner().invoke(main, [*words, "--junit", str(tmp_path / "gate.xml")])
    assert ended.exit_code == 3
    assert "the run has no number of student on" in ended.output
    assert ElementTree.parse(tmp_path / "gate.xml").getroot().get("errors") == "1"


def test_the_verb_writes_all_forms_and_exits_with_the_verdict(gold, baseline, tmp_path):
    evaluate(Knows(gold, skill=0.3), TASKS, out=tmp_path / "worse")
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(POLICY))
    words = ["gate", str(tmp_path / "worse"), "--baseline", str(baseline), "--policy", str(tmp_path / "policy.yaml")]
    files = {form: tmp_path / f"gate.{form}" for form in ("markdown", "junit", "json")}
    ended = CliRunner().invoke(
        main, words + [word for form, file in files.items() for word in (f"--{form}", str(file))]
    )
    assert ended.exit_code == 1
    assert ended.output == files["markdown"].read_text()
    assert ended.output.startswith("## NO-GO: worse against baseline")
    told = json.loads(files["json"].read_text())
    assert told["exit_code"] == 1
    assert int(ElementTree.parse(files["junit"]).getroot().get("failures")) == sum(
        check["status"] == "failed" for check in told["checks"]
    )


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"alhpa": 0.05}, "alhpa"),
        ({"alpha": None}, "alpha"),
        ({"must": None, "overall": None}, "nothing is in tier must"),
        ({"should": POLICY["must"]}, "more than one tier"),
        ({"must": {**POLICY["must"], "margin": 0}}, "must.margin"),
    ],
)
def test_a_policy_with_a_fault_is_refused_by_name(tmp_path, change, word):
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump({**POLICY, **change}))
    with pytest.raises(HarnessError, match=word):
        read_policy(path)


def test_the_shipped_policy_is_sound():
    assert read_policy(SHIPPED).must is not None


def test_a_policy_that_names_an_unknown_task_is_broken(gold, baseline):
    with pytest.raises(HarnessError, match="names 'docvqa'"):
        verdict(baseline, baseline, {**POLICY, "watch": {**POLICY["must"], "tasks": ["docvqa"]}})


def test_where_no_proof_is_demanded_a_task_passes_unless_it_fails(gold, baseline, tmp_path):
    policy = {**POLICY, "must": {**POLICY["must"], "margin": None}}
    evaluate(Knows(gold), TASKS, out=tmp_path / "few", limit=16)
    few = verdict(tmp_path / "few", baseline, policy)
    assert {check.status for check in few.checks if check.kind == "score" and check.task in TASKS} == {"passed"}
    evaluate(Knows(gold, skill=0.3), TASKS, out=tmp_path / "worse")
    assert verdict(tmp_path / "worse", baseline, policy).decision is Decision.NO_GO


# ---------------------------------------------------------------- statistics


def test_boundaries_are_those_published_for_five_looks():
    """Lan and DeMets with O'Brien-Fleming spending, two-sided 0.05 (Reboussin et al. 2000, program ld98)."""
    published = [4.8769, 3.3569, 2.6803, 2.2898, 2.0310]
    assert boundaries(0.025, 5) == pytest.approx(published, abs=5e-4)


def test_looking_five_times_keeps_the_error_rate():
    rng = np.random.default_rng(5)
    policy = Policy.model_validate(
        {**POLICY, "false_alarm": 0.05, "must": {**POLICY["must"], "max_drop": 0}, "overall": None}
    )
    worlds, alarms = 400, 0
    for _ in range(worlds):
        size = rng.integers(1, 4, 100)
        cluster = np.repeat(np.arange(100), size)
        chance = rng.beta(2, 1, 100)[cluster]
        a, b = (rng.random((2, len(cluster))) < chance).astype(float)
        scores = Scores(policy, [("m", "t")], 5)
        for look in range(1, 6):
            keep = cluster < 20 * look
            checks = scores.look({("m", "t"): Pairs(a[keep], b[keep], np.ones(keep.sum()), cluster[keep])})
        alarms += checks[0].status == "failed"
    assert alarms / worlds < 0.05 + 2 * (0.05 * 0.95 / worlds) ** 0.5


def test_agreement_on_few_items_proves_little():
    few = estimate(Pairs(np.ones(20), np.ones(20), np.ones(20), np.arange(20)))
    many = estimate(Pairs(np.ones(2000), np.ones(2000), np.ones(2000), np.arange(2000)))
    assert few.points == many.points == 0
    assert few.interval(0.05)[0] < -5
    assert many.interval(0.05)[0] > -0.5


def test_a_long_verdict_fits_a_comment_and_shows_what_failed():
    def check(number, status):
        return Check("must", "model", f"task{number}", "score", status, 0.0, -1.0, 1.0, "words " * 30)

    checks = [check(n, Status.PASSED) for n in range(800)] + [check(n, Status.FAILED) for n in range(800, 810)]
    told = markdown(Gate(Decision.NO_GO, "run", "baseline", checks))
    assert len(told) < 65536
    assert all(f"task{n}" in told for n in range(800, 810))
    assert "660 more checks, all passed" in told


@pytest.mark.parametrize("words", [["--alhpa", "1"], [], ["--policy", str(SHIPPED), "--baseline-model", "other"]])
def test_a_command_line_that_cannot_be_read_is_broken_not_inconclusive(baseline, words):
    assert CliRunner().invoke(main, ["gate", str(baseline), "--baseline", str(baseline), *words]).exit_code == 3


def test_a_fault_that_all_models_share_is_not_drowned_by_the_number_of_checks():
    """A parser that loses 6 of 16 answers on three of 18 tasks, for each of nine models: 171 score checks."""
    rng = np.random.default_rng(5)
    world = {}
    for model in range(9):
        for task in range(18):
            old = (rng.random(16) < 0.6).astype(float)
            lost = np.where(np.arange(16) < 6, 0.0, 1.0) if task < 3 else np.ones(16)
            world[f"model{model}", f"task{task}"] = Pairs(old * lost, old, np.full(16, 1 / 16), np.arange(16))
    scores = Scores(read_policy(SHIPPED), list(world), 1)
    assert decide(scores.look(world)) is Decision.NO_GO
    same = {key: Pairs(pairs.b, pairs.b, pairs.weight, pairs.cluster) for key, pairs in world.items()}
    assert decide(Scores(read_policy(SHIPPED), list(same), 1).look(same)) is Decision.GO
