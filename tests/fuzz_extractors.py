"""A fuzz run over every rule of every protocol: python tests/fuzz_extractors.py [SECONDS]

With atheris installed it is guided by coverage and runs until it is stopped; without it, texts are drawn from
hostile.py. A crash, a verdict out of range, or a response that takes longer than a second ends the run with the text.
"""

from __future__ import annotations

import importlib.util
import random
import sys
import time

from hostile import ATOMS, PIECES, long, mini_samples, scorers

from harness.api import Response, State
from harness.judge.rule import open_judge
from harness.registry import rules, task
from harness.scoring.score import score_all

SAMPLES, SCORERS, JUDGE = mini_samples(8), list(scorers()), open_judge()
LIMIT = 1.0  # CPU seconds for one response


def one(scorer: tuple[str, str], pick: int, text: str) -> None:
    """Score a text once; raises AssertionError with what went wrong."""
    name, protocol = scorer
    sample = SAMPLES[name][pick % len(SAMPLES[name])]
    start = time.process_time()
    ((_, verdict),) = score_all(rules(task(name), protocol), [(sample, Response(text))], JUDGE)
    spent = time.process_time() - start
    assert spent < LIMIT, f"{scorer} took {spent:.1f} s"
    assert 0 <= verdict.score <= 1, f"{scorer} scored {verdict.score}"
    assert verdict.state is State.SCORED or verdict.score == 0, f"{scorer}: {verdict}"


def drawn(generator: random.Random) -> str:
    """A text of atoms, sometimes around a long repetition."""
    text = "".join(generator.choices(ATOMS, k=generator.randrange(40)))
    if generator.random() < 0.05:
        text += long(generator.choice(list(PIECES.values())), generator.randrange(1, 200_000))
    return text


def run(seconds: float) -> int:
    """How many texts were scored in that time."""
    generator, count = random.Random(time.time_ns()), 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        text, scorer = drawn(generator), generator.choice(SCORERS)
        try:
            one(scorer, count, text)
        except BaseException:
            print(f"{scorer} item {count}: {text[:2000]!r}", file=sys.stderr)
            raise
        count += 1
    return count


def guided() -> None:
    """Hand the scorers to atheris."""
    import atheris

    def test(data: bytes) -> None:
        source = atheris.FuzzedDataProvider(data)
        scorer = SCORERS[source.ConsumeIntInRange(0, len(SCORERS) - 1)]
        one(scorer, source.ConsumeIntInRange(0, 7), source.ConsumeUnicode(1_000_000))

    atheris.instrument_all()
    atheris.Setup(sys.argv, test)
    atheris.Fuzz()


if __name__ == "__main__":
    if importlib.util.find_spec("atheris") and len(sys.argv) < 2:
        guided()
    else:
        print(f"{run(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0)} texts, none crashed or hung")
