"""Modules that an evaluation never uses are loaded at their first use, and work as if they had been loaded before."""

import subprocess
import sys

import pytest


def run(code: str) -> str:
    """What a fresh process prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return done.stdout


def test_the_compiler_is_loaded_at_its_first_use_and_works() -> None:
    said = run(
        """
import sys
from harness import deferred
deferred.enable()
with deferred.importing():
    import torch
    import torchvision
    import transformers.modeling_utils
    import transformers.masking_utils
print("torch._dynamo.symbolic_convert" in sys.modules, "scipy.optimize._minimize" in sys.modules)
optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)])  # its methods are kept from the compiler
print("torch._dynamo.symbolic_convert" in sys.modules)
print(torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)).item())
print("torch._dynamo.symbolic_convert" in sys.modules, torch._dynamo.config.cache_size_limit > 0)
optimizer.add_param_group({"params": [torch.zeros(1, requires_grad=True)]})
print(len(optimizer.param_groups))
"""
    )
    assert said.split() == ["False", "False", "False", "2.0", "True", "True", "2"]


@pytest.mark.parametrize(
    "first",
    ["torch._dynamo.utils.counters", "torch._dynamo.config", "torch._dynamo.utils.is_compile_supported('cpu')"],
)
def test_any_part_may_be_used_first(first: str) -> None:
    said = run(
        f"""
import sys
from harness import deferred
deferred.enable()
import torch, torchvision, torch._dynamo.utils, torch._dynamo.config
{first}
print("torch._dynamo.symbolic_convert" in sys.modules, type(torch._dynamo.utils).__name__)
print(len(torch._dynamo.utils.counters))
"""
    )
    assert said.split() == ["True", "module", "0"]


def test_a_function_imported_by_name_loads_its_module_when_it_is_called() -> None:
    said = run(
        """
import gc, sys
from harness import deferred
deferred.enable()
from scipy.optimize import linear_sum_assignment
print("scipy.optimize._minimize" in sys.modules)
print(linear_sum_assignment([[1, 0], [0, 1]])[1].tolist())
import scipy.optimize, scipy.stats
print(scipy.optimize.minimize(lambda x: (x[0] - 3) ** 2, [0.0]).x.round(3).tolist(), gc.isenabled())
"""
    )
    assert said.split() == ["False", "[1,", "0]", "[3.0]", "True"]


def test_nothing_is_deferred_in_a_process_of_others() -> None:
    said = run(
        """
import gc, sys
from harness.deferred import importing
with importing():
    from scipy.optimize import linear_sum_assignment
    print(gc.isenabled(), "scipy.optimize._minimize" in sys.modules)
"""
    )
    assert said.split() == ["True", "True"]


def test_a_checkpoint_is_known_without_being_loaded() -> None:
    said = run(
        """
import sys
from harness.models.hf import open_model
model = open_model("embedded/student", dtype="float32")
print(len(model.fingerprint()), list(model.generate([])), "torch" in sys.modules)
"""
    )
    assert said.split() == ["64", "[]", "False"]


LEAVING = """
import atexit, sys
import harness.__main__ as command
from harness import deferred

class Noisy:
    def __del__(self):
        print("taken apart")

noisy = Noisy()

def main(prog_name):
    if {ours}:
        deferred.enable()
    atexit.register(print, "exit handler")
    print("said", flush=False)
    {end}

command.main = main
command.run()
"""


@pytest.mark.parametrize(
    ("ours", "end", "code", "words"),
    [
        (True, "sys.exit(3)", 3, "said exit handler"),
        (True, "sys.exit()", 0, "said exit handler"),
        (False, "sys.exit(3)", 3, "said exit handler taken apart"),
        (True, "sys.exit('a sentence')", 1, "said exit handler taken apart"),
        (True, "raise KeyError", 1, "said exit handler taken apart"),
    ],
)
def test_the_command_ends_after_all_exit_handlers_with_its_code(ours: bool, end: str, code: int, words: str) -> None:
    script = LEAVING.format(ours=ours, end=end)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, " ".join(done.stdout.split())) == (code, words), done.stderr


def test_output_that_cannot_be_written_is_still_an_error() -> None:
    """A full disk: Python says so in its own way."""
    script = LEAVING.format(ours=True, end="sys.exit(0)")
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", script], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode != 0
