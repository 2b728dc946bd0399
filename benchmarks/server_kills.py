"""A server that is killed at a random moment loses and doubles nothing: `python benchmarks/server_kills.py [OUT.md]`

Needs MASTERS_VLLM_PYTHON, the Python that has vllm. A real vLLM server answers `harness run --backend openai` on
`embedded/large`; it is killed (SIGKILL, engine included) at a random moment, five times in runs of their own, started
again, and the same command is given again. The table says what each kill left and what the second call did.
"""

import os
import random
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from click.testing import CliRunner
from vllm_server import VLLMServer, vllm_python

from harness import registry
from harness.api import HarnessError
from harness.cli import main as harness
from harness.store import Store, load_run

KILLS = 5
SEED = 0
TASKS = "ai2d,chartqa,mmstar,blink,realworldqa"
LIMIT = 40


@dataclass
class Run:
    """A run folder: its answered keys with their texts, its numbers, the requests it has made so far."""

    answers: dict[bytes, str]
    errors: int
    rows: int
    table: dict[str, tuple[float, str]]
    requests: int


def read(folder):
    """A run as it lies on disk."""
    with Store(folder, write=False) as store:
        frame = store.frame("SELECT key, text, finish FROM responses")
        requests = store.meta().get("usage", {}).get("large", {}).get("requests", 0)
    answered = frame[frame.finish != "error"]
    table = {r.cell.task: (r.metrics.score, str(dict(r.states))) for r in load_run(folder).results}
    errors = int((frame.finish == "error").sum())
    return Run(dict(zip(answered.key, answered.text, strict=True)), errors, len(frame), table, int(requests))


def call(folder):
    """`harness run` on the server; its exit code."""
    options = ["--backend-option", "attempts=2", "--backend-option", "pause=0.05", "--backend-option", "concurrency=8"]
    words = ["run", "--backend", "openai", "--model", "large", "--tasks", TASKS, "--limit", str(LIMIT), *options]
    done = CliRunner().invoke(harness, [*words, "--out", str(folder)])
    if done.exit_code:
        print(done.output.strip().splitlines()[-2:], file=sys.stderr)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code


def answered(folder):
    """How many responses a run that is under way holds; -1 while there is no run."""
    try:
        with Store(folder, write=False) as store:
            return len(store.frame("SELECT 1 FROM responses WHERE finish != 'error'"))
    except HarnessError:
        return -1


def kill_when(folder, server, stored, delay):
    """Kill the server `delay` seconds after so many responses are stored."""
    while answered(folder) < stored:
        time.sleep(0.05)
    time.sleep(delay)
    server.kill()


def killed_once(folder, server, stored, delay):
    """One run whose server is killed: what was left, what the second call did."""
    killer = threading.Thread(target=kill_when, args=(folder, server, stored, delay), daemon=True)
    killer.start()
    code = call(folder)
    killer.join()
    left = read(folder)
    server.start()
    code_again = call(folder)
    return code, left, code_again, read(folder)


def row(number, moment, whole, code, left, code_again, done):
    """A line of the table; AssertionError where a response was lost, doubled or changed."""
    assert done.answers.keys() == whole.answers.keys(), "a response was lost"
    assert done.rows == len(whole.answers), "a response was doubled"
    assert all(done.answers[key] == text for key, text in left.answers.items()), "a stored response was changed"
    asked = done.requests - left.requests
    assert asked == len(whole.answers) - len(left.answers), "what was stored was asked again"
    assert code_again == 0
    same = sum(whole.answers[key] == text for key, text in done.answers.items())
    assert done.table == whole.table, "the table is another"
    when = f"{moment[0]} + {moment[1]:.1f} s"
    doubled = done.rows - len(done.answers)
    cells = (number, when, code, len(left.answers), left.errors, asked, len(done.answers), doubled, same, "yes")
    return f"| {' | '.join(map(str, cells))} |"


def main(out="benchmarks/results/server_kills.md"):
    """Measure and write the table."""
    if not vllm_python():
        sys.exit("MASTERS_VLLM_PYTHON must name the Python that has vllm")
    draws = random.Random(SEED)
    checkpoint = Path(registry.load("checkpoints", "large")())
    with tempfile.TemporaryDirectory() as base:
        server = VLLMServer(checkpoint, "large", Path(base) / "server.log")
        os.environ["OPENAI_BASE_URL"] = server.url
        try:
            server.start()
            assert call(Path(base) / "whole") == 0
            whole = read(Path(base) / "whole")
            lines = []
            for number in range(1, KILLS + 1):
                moment = draws.randrange(int(0.8 * len(whole.answers))), 0.3 * draws.random()
                found = killed_once(Path(base) / f"killed-{number}", server, *moment)
                lines.append(row(number, moment, whole, *found))
                print(lines[-1], flush=True)
        finally:
            server.kill()
    Path(out).write_text(text(len(whole.answers), lines))


def text(items, lines):
    """The page."""
    head = (
        "kill", "after so many stored", "exit code", "answered", "errors", "asked again", "answered then", "doubled",
        "same text as never killed", "same table",
    )  # fmt: skip
    return "\n".join(
        [
            "# A vLLM server killed at a random moment, five times",
            "",
            f"`python benchmarks/server_kills.py`: {items} requests of {TASKS} (`--limit {LIMIT}`), `embedded/large`.",
            "The first exit code is that of the call whose server was killed; the second call ended with 0 each time.",
            "",
            f"| {' | '.join(head)} |",
            "|---" * len(head) + "|",
            *lines,
            "",
        ]
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
