"""Does `harness view` stay fluid with 20,000 items? `python benchmarks/view_speed.py [OUT.md]` (needs Chromium)

A run of two models on one benchmark of 20,000 items with images, answered by a hash. Each action is timed from the
page's own event to the moment its result is drawn.
"""

import base64
import hashlib
import io
import shutil
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image
from selenium import webdriver

from harness.api import Response
from harness.evaluation import Evaluator, finish_run
from harness.report.csv_file import write_text
from harness.report.server import PageServer
from harness.store import Store

ITEMS, ROUNDS = 20_000, 5
FLAGS = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --window-size=1300,1000"
COUNTED = r"/^[\d,]+ of [\d,]+ items$/.test(document.getElementById('samples-count').textContent)"
SELECT = """
const label = [...document.querySelectorAll('#samples-controls label')].find((one) =>
  one.firstChild.data === arguments[0]);
const select = label.querySelector('select'); select.value = arguments[1]; select.dispatchEvent(new Event('change'));
"""
SEARCH = """
const search = document.getElementById('samples-search');
search.value = arguments[0]; search.dispatchEvent(new Event('input'));
"""
KEY = "document.dispatchEvent(new KeyboardEvent('keydown', { key: arguments[0], bubbles: true }));"


class Hashed:
    """Answers with a letter by a hash of its name and the question."""

    def __init__(self, name):
        self.name = name

    def fingerprint(self):
        """Its name."""
        return self.name

    def generate(self, requests):
        """A letter and a sentence."""
        for index, request in enumerate(requests):
            digest = hashlib.sha256((self.name + request.text).encode()).digest()
            yield index, Response("ABCD"[digest[0] % 4] + ". It is the one with the number " + digest.hex()[:12])


def write_data(folder):
    """SEEDBench_IMG.tsv of 20,000 rows, each with an image of its own."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    with (folder / "SEEDBench_IMG.tsv").open("w") as file:
        file.write("index\timage\tquestion\tA\tB\tC\tD\tanswer\tcategory\n")
        for number in range(ITEMS):
            buffer = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).resize((96, 96)).save(buffer, "JPEG")
            image = base64.b64encode(buffer.getvalue()).decode()
            file.write(f"{number}\t{image}\tWhich is number {number} of all?\tred\tgreen\tblue\tgrey\tA\tscene\n")


def timed(chrome, script, words, done):
    """Median milliseconds from the action to `done`; each of `words` is one round."""
    found = []
    for word in words:
        begun = time.perf_counter()
        chrome.execute_script(script, *word)
        while not chrome.execute_script(f"return {done}"):
            time.sleep(0.002)
        found.append(1000 * (time.perf_counter() - begun))
    return statistics.median(found), max(found)


def actions(chrome):
    """Name, median and slowest of every action."""
    flips = [("items", value) for _ in range(ROUNDS) for value in ("flipped", "")]
    yield "filter by flip, and back", timed(chrome, SELECT, flips, COUNTED)
    states = [("state", value) for _ in range(ROUNDS) for value in ("scored", "")]
    yield "filter by state, and back", timed(chrome, SELECT, states, COUNTED)
    place = "document.querySelector('#samples-detail bdi')?.textContent"
    for name, key in (("next item", "j"), ("previous item", "k")):
        before = [(key,)] * ROUNDS
        found = []
        for word in before:
            old = chrome.execute_script(f"return {place}")
            found.append(timed(chrome, KEY, [word], f"{place} !== {old!r}")[0])
        yield name, (statistics.median(found), max(found))
    turn = "[...document.querySelectorAll('#samples-pages button')].at(-1).click()"
    pages = []
    for page in range(2, 2 + ROUNDS):
        shown = f"document.querySelector('#samples-pages span').textContent.startsWith('page {page} ')"
        pages.append(timed(chrome, turn, [()], shown)[0])
    yield "next page", (statistics.median(pages), max(pages))
    for name, words in (("first search (all texts loaded)", ["number 12345"]),
                        ("search", ["number 777", "of all", "red", "no such text", "number 1999"])):  # fmt: skip
        found = []
        for word in words:
            chrome.execute_script("document.getElementById('samples-count').textContent = '';")
            found.append(timed(chrome, SEARCH, [(word,)], COUNTED)[0])
        yield name, (statistics.median(found), max(found))


def main(out):
    """Write the table."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome")
    for flag in FLAGS.split():
        options.add_argument(flag)
    with tempfile.TemporaryDirectory() as work:
        write_data(Path(work) / "data")
        with Store(Path(work) / "run") as store:
            store.set_meta(data=str(Path(work) / "data"))
            for name in ("one", "two"):
                Evaluator(store, data=str(Path(work) / "data")).evaluate(Hashed(name), ["seedbench"])
            finish_run(store, {})
        begun = time.perf_counter()
        with PageServer(Path(work) / "run") as server:
            started = 1000 * (time.perf_counter() - begun)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
            try:
                opened = timed(chrome, "location.href = arguments[0]", [(server.url,)],
                               "document.documentElement.dataset.ready === 'yes'")  # fmt: skip
                rows = [("server ready", (started, started)), ("page ready", opened), *actions(chrome)]
            finally:
                chrome.quit()
                server.shutdown()
    lines = [
        "# Speed of the item browser", "",
        f"`python benchmarks/view_speed.py`: `harness view` of a run of {ITEMS:,} items with images under two models,",
        "in headless Chromium on the same machine; milliseconds until the result is drawn, median and slowest of",
        f"{ROUNDS} or more (a search waits 250 ms for the next key).", "",
        "| action | median ms | slowest ms |", "|---|---:|---:|",
        *(f"| {name} | {median:,.0f} | {slowest:,.0f} |" for name, (median, slowest) in rows),
    ]  # fmt: skip
    write_text(Path(out), "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "benchmarks/results/view_speed.md")
