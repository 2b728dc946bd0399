"""The names of transformers' models come from a cache, and are those that transformers finds itself."""

import os
import subprocess
import sys
from pathlib import Path

from harness import transformers_names

SCRIPT = """
from harness import deferred
deferred.enable()
import transformers
from pathlib import Path
from transformers.utils import import_utils
models = Path(transformers.__file__).parent / "models"
own = import_utils.spread_import_structure(import_utils.create_import_structure_from_path(str(models)))
for path in (models, str(models / "__init__.py")):
    assert import_utils.define_import_structure(path) == own
with_prefix = {needs: {f"models.{name}": found for name, found in part.items()} for needs, part in own.items()}
assert import_utils.define_import_structure(models, prefix="models") == with_prefix
assert import_utils.define_import_structure(str(models / "auto" / "__init__.py")) != own
print(transformers.AutoModelForImageTextToText.__name__, transformers.models.internvl.__name__)
"""


def test_the_names_are_those_that_transformers_finds(tmp_path):
    """In a process that fills the cache, and in one that reads it."""
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False,
            env={**os.environ, "MASTERS_HARNESS_CACHE": str(tmp_path)},
        )  # fmt: skip
        assert not done.returncode, done.stderr
        assert done.stdout.split() == ["AutoModelForImageTextToText", "transformers.models.internvl"]
        assert len(list((tmp_path / "transformers").iterdir())) == 1


NAMES = {frozenset(): {"albert.configuration_albert": {"AlbertConfig"}}, frozenset({"torch"}): {"x.y": {"A", "B"}}}


class Installed:
    """Stands in for transformers.utils.import_utils of an installation, and counts how often it looks."""

    def __init__(self, folder: Path) -> None:
        self.models = folder / "transformers" / "models"
        self.models.mkdir(parents=True)
        for name in ("__init__.py", "models/__init__.py"):
            (self.models.parent / name).touch()
        self.__file__ = str(self.models.parent / "utils" / "import_utils.py")
        self.looked = 0
        self.define_import_structure = self.look

    def look(self, path, prefix=None):
        self.looked += 1
        return NAMES

    def kept(self, path=None, prefix=None):
        """What a new process is told."""
        self.define_import_structure = self.look
        transformers_names.keep(self)
        return self.define_import_structure(path or self.models, prefix=prefix)


def test_a_damaged_cache_and_another_installation_are_read_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("MASTERS_HARNESS_CACHE", str(tmp_path / "cache"))
    installed = Installed(tmp_path / "site-packages")
    assert installed.kept() == installed.kept() == NAMES
    assert installed.kept(prefix="models")[frozenset({"torch"})] == {"models.x.y": {"A", "B"}}
    assert installed.looked == 1
    [file] = (tmp_path / "cache" / "transformers").iterdir()
    for count, damaged in enumerate((b"", b"{}", file.read_bytes()[:-4], b"\xff\n[]"), start=2):
        file.write_bytes(damaged)
        assert installed.kept() == installed.kept() == NAMES
        assert installed.looked == count
    (installed.models.parent / "__init__.py").write_text("# another version")
    assert installed.kept() == NAMES
    assert installed.looked == 6
    assert installed.kept(installed.models / "auto") == NAMES  # one model's own names are not kept
    assert installed.looked == 7


def test_without_a_cache_and_in_a_working_copy_files_are_read_every_time(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MASTERS_HARNESS_CACHE", str(tmp_path / "file"))
    for folder in ("site-packages", "src"):
        installed = Installed(tmp_path / folder)
        assert installed.kept() == installed.kept() == NAMES
        assert installed.looked == 2
