"""Checkpoints and training states that attack: pickles, code of their own, templates that reach for the system."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch

from harness import registry
from harness.api import HarnessError, Request
from harness.models.hf import open_model


class Touch:
    """Unpickled, this makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.fixture
def checkpoint(tmp_path):
    return Path(shutil.copytree(registry.load("checkpoints", "student")(), tmp_path / "model"))


def changed(file: Path, **values) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def test_pickled_weights_are_refused_even_beside_a_config_that_fits(checkpoint, tmp_path):
    (checkpoint / "model.safetensors").unlink()
    torch.save({"weight": Touch(tmp_path / "touched")}, checkpoint / "pytorch_model.bin")
    with pytest.raises(HarnessError, match="only as pickle"):
        open_model(str(checkpoint))
    assert not (tmp_path / "touched").exists()


def test_code_of_a_checkpoint_is_never_run(checkpoint, tmp_path):
    (checkpoint / "evil.py").write_text(f"open({str(tmp_path / 'touched')!r}, 'w')\nclass Evil: pass\n")
    code = {name: "evil.Evil" for name in ("AutoConfig", "AutoModelForImageTextToText", "AutoProcessor", "AutoModel")}
    changed(checkpoint / "config.json", auto_map=code)
    for name in ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json"):
        if (checkpoint / name).exists():
            changed(checkpoint / name, auto_map=code)
    try:
        list(open_model(str(checkpoint)).generate([Request(("?",))]))
    except HarnessError as error:
        assert error.remedy  # noqa: PT017  (opened without the code, or refused: both are right)
    assert not (tmp_path / "touched").exists()
    changed(checkpoint / "config.json", model_type="evil")
    with pytest.raises(HarnessError, match="code from the checkpoint is never run"):
        list(open_model(str(checkpoint)).generate([Request(("?",))]))
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("head", [b"\xff" * 8, (2**40).to_bytes(8, "little"), (8).to_bytes(8, "little") + b"[[[[[[[["])
def test_a_header_that_lies_about_its_size_is_a_sentence(checkpoint, head):
    (checkpoint / "model.safetensors").write_bytes(head + bytes(100))
    with pytest.raises(HarnessError, match="its weights cannot be loaded"):
        list(open_model(str(checkpoint)).generate([Request(("?",))]))


def test_a_chat_template_cannot_reach_the_system(checkpoint, tmp_path):
    evil = "{{ ''.__class__.__mro__[1].__subclasses__() }}{{ cycler.__init__.__globals__.os.system('touch X') }}"
    for file in checkpoint.glob("*.jinja"):
        file.write_text(evil.replace("X", str(tmp_path / "touched")))
    for name in ("processor_config.json", "tokenizer_config.json", "chat_template.json"):
        if (checkpoint / name).exists() and "chat_template" in (checkpoint / name).read_text():
            changed(checkpoint / name, chat_template=evil.replace("X", str(tmp_path / "touched")))
    ((_, response),) = open_model(str(checkpoint)).generate([Request(("?",))])
    assert response.finish == "error"
    assert not (tmp_path / "touched").exists()


def test_a_training_state_is_read_without_unpickling(tmp_path):
    from accelerate.utils import load

    for name in ("pytorch_model.bin", "optimizer.bin", "random_states_0.pkl"):
        torch.save({"state": Touch(tmp_path / "touched")}, tmp_path / name)
        with pytest.raises(pickle.UnpicklingError):
            load(str(tmp_path / name))
    assert not (tmp_path / "touched").exists()
