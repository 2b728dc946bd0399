"""The command line: what a user types and sees."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

import harness
from harness import cli, registry
from harness.api import HarnessError, Request, Response
from harness.cli import main
from harness.evaluation import evaluate

Invoke = Callable[..., Result]


@pytest.fixture
def invoke() -> Invoke:
    """Call `harness WORDS...` in this process."""
    return lambda *words: CliRunner().invoke(main, [str(word) for word in words])


class Scripted:
    """A model that says the same few sentences in turn."""

    def __init__(self, *says: str, name: str = "scripted") -> None:
        self.name, self._says = name, says

    def fingerprint(self) -> str:
        return f"{self.name}{self._says}"

    def generate(self, requests: Iterator[Request]) -> Iterator[tuple[int, Response]]:
        for index, _ in enumerate(requests):
            text = self._says[index % len(self._says)]
            yield index, Response("", "error", error="no luck") if text == "!" else Response(text)


HOSTILE = "\x1b[2J\x1b]0;owned\x07 \u202egnitset [bold red]"


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run: two models, two tasks, hostile and empty responses."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    for model in (Scripted("A", "B", HOSTILE, name="small"), Scripted("A", "", name="large[red]")):
        evaluate(model, ["ai2d", "mmmu_pro_standard"], out=folder, limit=24)
    return folder


def words_of(command: click.Command) -> list[str]:
    """Options and arguments of a command as they are typed."""
    return sorted(p.opts[-1] if isinstance(p, click.Option) else p.name.upper() for p in command.params)  # type: ignore[union-attr]


# ---------------------------------------------------------------- the list of verbs


def test_one_line_helps_are_those_of_the_commands() -> None:
    for name, verb in cli.VERBS.items():
        command = main.get_command(click.Context(main), name)
        assert command is not None
        assert command.name == name
        assert verb.help == (command.help or "").strip().partition("\n")[0], name


def test_verbs_and_options_are_those_of_the_golden_file() -> None:
    """A change of what users type is seen: write the golden file anew with `python tests/test_cli.py`."""
    assert golden() == json.loads(GOLDEN.read_text())


GOLDEN = Path(__file__).parent / "golden" / "cli.json"


def golden() -> dict[str, list[str]]:
    context = click.Context(main)
    found = {"harness": words_of(main)}
    for name in cli.VERBS:
        command = main.get_command(context, name)
        assert command is not None
        found[name] = words_of(command)
        for inner in getattr(command, "commands", {}).values():
            found[f"{name} {inner.name}"] = words_of(inner)
    return found


def test_help_and_tasks_import_neither_torch_nor_pandas() -> None:
    heavy = "torch", "pandas", "pyarrow", "transformers"
    calls = [["--help"], ["tasks"], ["models"], ["judges"], ["trainers"], ["run", "--help"]]
    code = (
        "import sys\nfrom harness.cli import main\n"
        f"for words in {calls!r}:\n    main(words, standalone_mode=False)\n"
        f"    print(words, [m for m in {heavy!r} if m in sys.modules], file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.stderr.splitlines() == [f"{words!r} []" for words in calls]


# ---------------------------------------------------------------- errors


def test_an_error_is_a_sentence_with_its_remedy(invoke: Invoke, tmp_path: Path) -> None:
    failed = invoke("show", tmp_path)
    assert failed.exit_code == 1
    assert failed.stdout == ""
    assert failed.stderr.startswith("error: ")
    assert "is not a run" in failed.stderr
    assert "\n  remedy: `harness run --out FOLDER` makes one" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_debug_shows_where_an_error_comes_from(invoke: Invoke, tmp_path: Path) -> None:
    assert isinstance(invoke("--debug", "show", tmp_path).exception, HarnessError)


def test_ctrl_c_says_how_to_go_on(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(kind: str, name: str) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(registry, "target", interrupted)
    stopped = invoke("judges")
    assert stopped.exit_code == 130
    assert "run the same command again to resume" in stopped.stderr


def test_a_closed_pipe_ends_quietly(run: Path) -> None:
    command = [sys.executable, "-m", "harness", "show", str(run), "--limit", "96"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""


# ---------------------------------------------------------------- plug-ins


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Commands that plug-ins register: name -> command."""
    found: dict[str, Any] = {}
    names, load = registry.names, registry.load

    def loaded(kind: str, name: str) -> Any:
        if kind != "commands":
            return load(kind, name)
        if isinstance(found[name], Exception):
            raise found[name]
        return found[name]

    monkeypatch.setattr(registry, "names", lambda kind: list(found) if kind == "commands" else names(kind))
    monkeypatch.setattr(registry, "load", loaded)
    return found


def test_a_plug_in_adds_a_verb(invoke: Invoke, plugins: dict[str, Any]) -> None:
    @click.command()
    def zoo() -> None:
        """Build the embedded models."""
        raise HarnessError("the cage is open", "close it")

    plugins["zoo"] = zoo
    assert "zoo  Build the embedded models." in invoke("--help").output
    failed = invoke("zoo")
    assert failed.exit_code == 1
    assert "error: the cage is open\n  remedy: close it" in failed.stderr


def test_a_broken_plug_in_hides_no_other(invoke: Invoke, plugins: dict[str, Any]) -> None:
    plugins["broken"] = HarnessError("the command 'broken' cannot be loaded: No module named 'x'")
    plugins["odd"] = "no command"
    shown = invoke("--help")
    assert shown.exit_code == 0
    assert "No module named 'x'" in shown.output
    assert "not a click command" in shown.output
    assert invoke("broken").exit_code == 1
    assert invoke("tasks").exit_code == 0


# ---------------------------------------------------------------- listings


@pytest.mark.parametrize("verb", ["tasks", "suites", "models", "trainers", "judges", "protocols"])
def test_listings_for_people_and_machines(invoke: Invoke, verb: str) -> None:
    shown, machine = invoke(verb), invoke(verb, "--json")
    assert shown.exit_code == machine.exit_code == 0
    for record in json.loads(machine.stdout):
        assert record["name"] in shown.output
    unknown = invoke(verb, "show", "xyzzy")
    assert unknown.exit_code == 1
    assert "xyzzy" in unknown.stderr


def test_a_task_shows_where_its_items_and_rules_come_from(invoke: Invoke) -> None:
    record = json.loads(invoke("tasks", "show", "mmmu", "--json").stdout)
    assert record["items"] == 900
    assert record["tsv"]["md5"] == "585e8ad75e73f75dcad265dfd0417d64"
    assert record["hub"]["split"] == "validation"
    assert "MMMU-Benchmark/MMMU" in record["rules official"]
    assert record["settings official"]["max_new_tokens"] == 1024
    assert "Answer with the option's letter" in record["prompt (mini)"]
    assert "Answer with the option's letter" in invoke("tasks", "show", "mmmu").output


def test_suites_show_their_tasks(invoke: Invoke) -> None:
    assert json.loads(invoke("suites", "show", "paper", "--json").stdout)["tasks"][0] == "ai2d"


# ---------------------------------------------------------------- show


def items(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_show_filters(invoke: Invoke, run: Path) -> None:
    everything = items(invoke("show", run, "--limit", "999", "--json"))
    table = harness.load_run(run).items
    assert len(everything) == len(table)
    for words, kept in (
        (["--task", "ai2d"], lambda i: i["task"] == "ai2d"),
        (["--model", "small"], lambda i: i["model"] == "small"),
        (["--state", "unparsed"], lambda i: i["state"] == "unparsed"),
        (["--wrong"], lambda i: i["score"] < 1),
        (["--search", "OWNED"], lambda i: "owned" in i["response"]),
    ):
        expected = [item for item in everything if kept(item)]
        assert items(invoke("show", run, *words, "--limit", "999", "--json")) == expected
        assert 0 < len(expected) < len(everything), words
    shown = invoke("show", run, "--state", "unparsed", "--limit", "1")
    assert "1 of " in shown.output
    assert "shows all" in shown.output
    assert invoke("show", run, "--search", "xyzzy").output == "no item matches\n"


def test_show_names_what_the_run_has(invoke: Invoke, run: Path) -> None:
    failed = invoke("show", run, "--task", "mmmu")
    assert failed.exit_code == 1
    assert "it has: ai2d, mmmu_pro_standard" in failed.stderr


def test_model_output_cannot_drive_the_terminal(invoke: Invoke, run: Path) -> None:
    shown = invoke("show", run, "--search", "owned", "--limit", "999").output
    assert "\\x1b[2J\\x1b]0;owned\\x07 \\u202egnitset [bold red]" in shown
    assert not set(shown) & {"\x1b", "\x07", "\u202e"}


# ---------------------------------------------------------------- doctor


@pytest.mark.slow
def test_doctor_names_what_is_there_and_what_is_not(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = {f["what"]: f for f in json.loads(invoke("doctor", "--json").stdout)}
    assert findings["harness"]["detail"].startswith(harness.__version__)
    assert "click" in findings["core packages"]["detail"]
    assert findings["core packages"]["state"] == "ok"
    for extra in ("vllm", "deepspeed", "ray", "openai"):
        finding = findings[f"extra {extra}"]
        assert finding["state"] == "ok" or finding["remedy"] == f"pip install 'masters-harness[{extra}]'"
    assert "cache" in findings


@pytest.mark.slow
def test_doctor_fails_when_the_core_is_broken(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.cli.doctor.requires", lambda name: ["click>=999", "no-such-package-anywhere"])
    broken = invoke("doctor")
    assert broken.exit_code == 1
    assert "no-such-package-anywhere is not installed" in broken.output
    assert ">=999 is needed" in broken.output


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(json.dumps(golden(), indent=1) + "\n")
