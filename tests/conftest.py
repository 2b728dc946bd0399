"""Shared fixtures. Data that lies beside the project is used where it exists; a test without it is skipped."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

_SHARED = Path(os.environ.get("MASTERS_SHARED", Path(__file__).resolve().parents[1].parent / "shared"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest tests/test_prompts.py --update-snapshots` writes the prompt snapshots anew."""
    parser.addoption("--update-snapshots", action="store_true", help="Write the prompt snapshots anew.")


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """`shared("conformance/mmmu")` is that path beside the project, or skips the test."""

    def find(relative: str) -> Path:
        path = _SHARED / relative
        if not path.exists():
            pytest.skip(f"needs {relative} of the data beside the project (set MASTERS_SHARED to its folder)")
        return path

    return find
