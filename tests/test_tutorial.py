"""Every command and code block of docs/tutorial is run, page by page, in an empty folder with the plug-in installed."""

import re
import shlex
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness import registry
from harness.cli import main

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs" / "tutorial").glob("*.md"))
PLUGIN = ROOT / "examples" / "plugin"
BLOCK = re.compile(r"^``` ?(?:\{\.)?(\w+)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INSTALL = "pip install --no-deps --no-build-isolation -e examples/plugin"
LIMIT = 4


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The plug-in installed, as pip does it: its backend builds a wheel, unpacked where Python looks."""
    hatchling = pytest.importorskip("hatchling.build", reason="needs hatchling, which builds the plug-in")
    place = tmp_path_factory.mktemp("installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(PLUGIN)
        zipfile.ZipFile(place / hatchling.build_wheel(str(place))).extractall(place)
        patch.syspath_prepend(str(place))
        registry._entries.cache_clear()
        yield place
    registry._entries.cache_clear()
    for name in [name for name in sys.modules if name.split(".")[0] == "squares_plugin"]:
        del sys.modules[name]


def harness(line: str) -> str:
    """Run `harness ...` in this process, a `run` on a few items only, and return what it printed."""
    words = shlex.split(line)[1:]
    if words[0] == "run":
        words += ["--limit", str(LIMIT)]
    done = CliRunner().invoke(main, words)
    allowed = (0, 1, 2) if words[0] == "gate" else (0,)
    assert done.exit_code in allowed, f"{line}\n{done.output}"
    assert done.exception is None or isinstance(done.exception, SystemExit), line
    return done.output


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page(page: Path, plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "policy.yaml").symlink_to(ROOT / "results" / "policy.yaml")
    names: dict[str, object] = {"__name__": "tutorial"}
    for language, body in BLOCK.findall(page.read_text(encoding="utf-8")):
        included = re.findall(r'^--8<-- "(.+)"$', body, re.MULTILINE)
        if included:  # a file of the project, which the commands of the page run
            assert all((ROOT / file).is_file() for file in included), body
        elif language == "python":
            exec(compile(body, page.name, "exec"), names)
        elif language == "sh":
            for line in body.splitlines():
                if line != INSTALL:  # the fixture has done it
                    harness(line)
        else:
            pytest.fail(f"a block of {language} is neither run nor included from a file:\n{body}")


def test_plugin_is_listed_like_ours(plugin: Path) -> None:
    assert "squares" in harness("harness tasks")
    assert "Squares" in harness("harness tasks show squares")
    assert "averaged-sft" in harness("harness trainers")
    assert "running average" in harness("harness trainers show averaged-sft")


def test_plugin_registers_what_it_says() -> None:
    stated = tomllib.loads((PLUGIN / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    assert stated == {
        "harness.tasks": {"squares": "squares_plugin.task:TASK"},
        "harness.trainers": {"averaged-sft": "squares_plugin.trainer:METHOD"},
    }


@pytest.mark.parametrize(("file", "lines"), [("task.py", 40), ("trainer.py", 60)])
def test_plugin_is_as_short_as_the_tutorial_says(file: str, lines: int) -> None:
    written = (PLUGIN / "squares_plugin" / file).read_text(encoding="utf-8").splitlines()
    assert sum(bool(line.strip()) for line in written) <= lines


def test_every_page_of_the_site_exists_and_is_listed() -> None:
    listed = set(re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8")))
    assert listed == {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
