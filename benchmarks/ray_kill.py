"""A worker killed with SIGKILL at a random moment, again and again: `python benchmarks/ray_kill.py [MODEL] [OUT.md]`

1,000 mini items of five tasks: once in one process (backend hf), once undisturbed on two Ray workers of a cluster on
this machine, then on such workers while one of the two is killed when a random number of answers has come. The last
round kills the process that holds the store instead, and gives the same command again.
"""

import logging
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import psutil

from harness.evaluation import evaluate
from harness.models.hf import open_model as open_hf
from harness.models.ray import open_model as open_ray
from harness.store import load_run

KILLS, DRIVER_KILLS = 5, 1
TASKS = ("chartqa", "seedbench", "mmstar", "ai2d", "realworldqa")


class Counted:
    """A model whose answers are counted by request; when `last` have come, `act` is called once."""

    def __init__(self, model, last=None, act=None):
        self.model, self.name, self.fingerprint = model, model.name, model.fingerprint
        self.answers, self.last, self.act = Counter(), last, act

    def generate(self, requests):
        """The model's answers."""
        for index, response in self.model.generate(requests):
            self.answers[index] += 1
            if self.act and len(self.answers) > self.last:
                self.act()
                self.act = None
            yield index, response


class Dealt(logging.Handler):
    """Adds up how many requests were dealt again, from the backend's own warning."""

    count = 0

    def emit(self, record):
        """The warning's last argument is the number."""
        self.count += record.args[-1]


def workers():
    """Processes of Ray workers under this process."""
    return [p for p in psutil.Process().children(recursive=True) if p.name().startswith("ray::Worker")]


def kill_worker(model, reference, draw):
    """One round: the run and its line of the table."""
    dealt = Dealt()
    logging.getLogger("harness.models.ray").addHandler(dealt)
    moment = draw.randrange(len(reference.items))
    counted = Counted(model, moment, lambda: os.kill(draw.choice(workers()).pid, signal.SIGKILL))
    with tempfile.TemporaryDirectory() as folder:
        run = evaluate(counted, TASKS, out=folder)
    logging.getLogger("harness.models.ray").removeHandler(dealt)
    doubled = sum(count > 1 for count in counted.answers.values())
    return run, f"a worker | {moment} | {dealt.count} | {len(counted.answers)} | {doubled}"


def kill_driver(spec, reference, draw):
    """Kill the process that holds the store and the cluster, then give the same command again."""
    moment = draw.randrange(len(reference.items))
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "harness", "run", "--tasks", ",".join(TASKS), "--model", spec, "--out", folder]
        command += ["--backend", "ray", "--backend-option", "workers=2"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and stored(folder) < moment:
            time.sleep(0.01)
        process.kill()
        process.wait()
        before = stored(folder)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        run, after = load_run(Path(folder)), stored(folder)
    new = sum(result.inferred for result in run.results)
    return run, f"the driver | {before} | {new} | {after} | {before + new - after}"


def stored(folder):
    """Responses in a run folder, 0 before it is one."""
    try:
        with sqlite3.connect(f"file:{folder}/run.sqlite?mode=ro", uri=True) as connection:
            return connection.execute("SELECT count(*) FROM responses").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def compared(run, reference):
    """Whether the tables are equal, and how many items have another response."""
    table, wanted = ([(r.cell.task, r.metrics.score, r.metrics.stderr, r.items, r.states) for r in of.results]
                     for of in (run, reference))  # fmt: skip
    both = run.items.merge(reference.items, on=["task", "id"], how="outer")
    return f"{'yes' if table == wanted else 'NO'} | {(both.response_x != both.response_y).sum()}"


def main(spec="embedded/student", out="benchmarks/results/ray_kill.md"):
    """Measure and write the table."""
    lines = []

    def note(run, line):
        lines.append(f"| {line} | {compared(run, reference)} |")
        print(lines[-1], flush=True)

    with tempfile.TemporaryDirectory() as folder:
        reference = evaluate(open_hf(spec), TASKS, out=folder)
    model = open_ray(spec, workers=2)
    model.wait()
    with tempfile.TemporaryDirectory() as folder:
        counted = Counted(model)
        run = evaluate(counted, TASKS, out=folder)
    note(run, f"nothing | | 0 | {len(counted.answers)} | 0")
    for seed in range(KILLS):
        model.wait()
        note(*kill_worker(model, reference, random.Random(seed)))
    model.close()
    for seed in range(DRIVER_KILLS):
        note(*kill_driver(spec, reference, random.Random(KILLS + seed)))
    text = f"""# A worker killed at a random moment

`python benchmarks/ray_kill.py {spec}`: {len(reference.items):,} mini items of {len(TASKS)} tasks, two workers (backend
hf) of a Ray {version("ray")} cluster on one machine. SIGKILL when a number of answers drawn at random has come. A
killed driver (the process that holds the store) is started again with the same command. "Table equal": every score,
error, count and state is that of backend hf in one process; the last column counts items whose response differs.

| killed | answers by then | dealt again, or asked after the restart | responses | doubled | table equal | differing |
|---|---:|---:|---:|---:|---|---:|
{chr(10).join(lines)}

A worker that had nothing left to do when it was killed is noticed, and counted, in the round after.
"""
    Path(out).write_text(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
