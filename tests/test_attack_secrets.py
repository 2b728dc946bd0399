"""Keys are neither stored nor shown: the run folder, the cache and everything printed are searched for them."""

import pytest
from click.testing import CliRunner

from harness.api import HarnessError
from harness.cli import main
from harness.judge.openai_server import open_judge
from harness.models.openai_server import OpenAIModel

SECRET = "sk-5ecre7-5ecre7-5ecre7"
FIXED = ["run", "--model", "embedded/student", "--tasks", "chartqa", "--limit", "3", "--out"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("OPENAI_API_KEY", "HF_TOKEN", "WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("MASTERS_HARNESS_CACHE", str(tmp_path / "cache"))
    return tmp_path


def holders(folder):
    """Files that hold the secret, in plain bytes."""
    return [path for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


def test_a_finished_run_and_its_report_hold_no_key(folder):
    done = CliRunner().invoke(main, [*FIXED, str(folder / "run")])
    assert done.exit_code == 0, done.output
    assert (folder / "run" / "report.html").exists()
    assert holders(folder) == []
    assert SECRET not in done.output


@pytest.mark.parametrize(
    "judge",
    [
        f"openai:m?api_key={SECRET}",
        f"openai:m?base_url=http://user:{SECRET}@localhost:9/v1",
        f"openai:m?base_url=http://localhost:9/v1%3Fkey={SECRET}",
    ],
)
def test_a_key_typed_where_none_belongs_is_refused_not_stored_and_not_repeated(folder, judge):
    done = CliRunner().invoke(main, [*FIXED, str(folder / "run"), "--judge", judge])
    assert done.exit_code == 1
    assert SECRET not in done.output
    assert holders(folder) == []


def test_a_key_among_the_backends_options_is_not_kept(folder):
    words = ["--backend-option", f"api_key={SECRET}", "--backend-option", f"token={SECRET}"]
    done = CliRunner().invoke(main, [*FIXED, str(folder / "run"), *words])
    assert done.exit_code != 0
    assert holders(folder) == []


def test_the_key_is_not_sent_to_a_server_that_a_recipe_or_judge_names(folder, monkeypatch):
    judge = open_judge("m?base_url=http://evil.example/v1")
    with pytest.raises(HarnessError, match=r"key of api\.openai\.com and is not sent to evil\.example") as caught:
        judge.model._client()
    assert SECRET not in str(caught.value)
    OpenAIModel("m", base_url="http://localhost:8000/v1")._client()
    monkeypatch.setenv("OPENAI_BASE_URL", "http://gpu7.cluster:8000/v1")
    OpenAIModel("m")._client()
    monkeypatch.delenv("OPENAI_API_KEY")
    assert OpenAIModel("m", base_url="http://evil.example/v1")._client().api_key == "none"


@pytest.mark.parametrize("verb", [["doctor"], ["models"], ["judges"]])
def test_no_verb_shows_the_environments_keys(folder, verb):
    assert SECRET not in CliRunner().invoke(main, verb).output
