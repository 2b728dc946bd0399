"""Backend ray where ray is not installed."""

import sys

import pytest

from harness.api import HarnessError
from harness.models.ray import open_model


def test_without_ray_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(HarnessError, match="needs the package ray") as error:
        open_model("embedded/student")
    assert error.value.remedy == "pip install 'masters-harness[ray]'"
