"""Times upstream's own scoring of stored MMStar responses; runs in its environment: speed_worker.py FRAMEWORK.

Reads one request a line, {"mode", "cases": file of JSON lines as in worker.py}, and answers each with {"cpu", "wall"}
in seconds of the scoring alone and "accuracy": imports and the reading of our file are not counted. Only answers go to
standard output, whatever upstream prints.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

Case = dict[str, Any]
#: Scores what it was made for and returns the accuracy, 0 to 1.
Job = Callable[[], float]

os.environ.setdefault("HF_HUB_OFFLINE", "1")


def lmms_eval() -> dict[str, Callable[[list[Case]], Job]]:
    """process_results of each item, then every metric of the task's file: the categories and the average."""
    from lmms_eval.tasks.mmstar import utils as mmstar

    def prepare(cases: list[Case]) -> Job:
        docs = [
            {"index": case["sample"]["id"], "answer": case["sample"]["answer"], **case["sample"]["meta"]}
            for case in cases
        ]
        said = [case["response"] for case in cases]

        def job() -> float:
            found = defaultdict(list)
            for doc, response in zip(docs, said, strict=True):
                for metric, value in mmstar.mmstar_process_results(doc, [response.strip()]).items():
                    found[metric].append(value)
            for values in found.values():
                mmstar.mmstar_aggregate_results(values)
            return sum(value["score"] for value in found["average"]) / len(docs)

        return job

    return {"task": prepare}


def vlmeval() -> dict[str, Callable[[list[Case]], Job]]:
    """`evaluate` is ImageMCQDataset.evaluate on a TSV, one thread; `rows` only its eval_vanilla on each row."""
    import pandas as pd
    from vlmeval.dataset.image_mcq import ImageMCQDataset
    from vlmeval.dataset.utils.multiple_choice import eval_vanilla
    from vlmeval_worker import row

    def table(cases: list[Case]) -> pd.DataFrame:
        rows = [{**row(case), **case["sample"]["meta"], "index": int(case["sample"]["id"])} for case in cases]
        return pd.DataFrame(rows).drop(columns=["stated"])

    def evaluate(cases: list[Case]) -> Job:
        data = table(cases).drop(columns=["GT"])
        dataset = ImageMCQDataset.__new__(ImageMCQDataset)  # its constructor downloads the table that is given here
        dataset.dataset_name, dataset.data = "MMStar", data.drop(columns=["prediction"])

        def job() -> float:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "ours_MMStar.tsv"
                data.to_csv(file, sep="\t", index=False)
                start.restart()
                return float(dataset.evaluate(str(file), model="exact_matching", nproc=1)["Overall"].iloc[0])

        return job

    def rows(cases: list[Case]) -> Job:
        data = table(cases)

        def job() -> float:
            return sum(eval_vanilla(None, data.iloc[i], "MMStar")["hit"] for i in range(len(data))) / len(data)

        return job

    return {"evaluate": evaluate, "rows": rows}


class Clock:
    """CPU and wall seconds since the last restart."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.cpu, self.wall = time.process_time(), time.perf_counter()

    def read(self) -> dict[str, float]:
        return {"cpu": time.process_time() - self.cpu, "wall": time.perf_counter() - self.wall}


start = Clock()


def main() -> None:
    """Answer requests until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    modes = {"lmms-eval": lmms_eval, "vlmeval": vlmeval}[sys.argv[1]]()
    for line in sys.stdin:
        request = json.loads(line)
        with open(request["cases"], encoding="utf-8") as cases:
            job = modes[request["mode"]]([json.loads(case) for case in cases])
        start.restart()
        accuracy = job()
        print(json.dumps({**start.read(), "accuracy": accuracy}), file=answers, flush=True)


if __name__ == "__main__":
    main()
