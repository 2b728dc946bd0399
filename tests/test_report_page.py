"""`harness report` and `harness view` in a real browser: they open, filter, flip, and no response runs as a script."""

import html
import json
import re
import shutil
import threading
import urllib.error
import urllib.request

import pytest
from click.testing import CliRunner
from test_evaluate import HashModel

from harness.ablate import ablated
from harness.api import HarnessError
from harness.cli import main
from harness.evaluation import Evaluator, finish_run
from harness.report.html import write_report
from harness.report.samples import Items, media_type
from harness.report.server import PageServer
from harness.report.summary import summarise_run
from harness.store import Store

TASKS = ["ai2d", "chartqa", "mmmu"]
HOSTILE = "</script><script>window.ran = 1</script><img src=x onerror='window.ran = 2'><b>bold</b> \u202egnp"
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --window-size=1200,900"
)


class Hostile(HashModel):
    """Says markup that would run as a script on a careless page; its name is hostile, too."""

    def generate(self, requests):
        for index, response in super().generate(requests):
            yield index, type(response)(HOSTILE if index % 5 == 0 else response.text, token_ids=(1, 2))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "first"
    with Store(folder) as store:
        store.set_meta(data="mini")
        evaluator = Evaluator(store, limit=24)
        evaluator.evaluate(HashModel("student", "s"), TASKS)
        evaluator.evaluate(Hostile("<img src=x onerror='window.ran = 3'>", "h"), TASKS)
        for method in ("naive-kd", "masters"):
            for index in (0, 1):
                stage = {"method": method, "name": str(index), "seed": 0, "index": index, "teacher": "big", "r": 0.1}
                model = HashModel(f"{method}{index}", f"{method}{index}")
                evaluator.evaluate(model, TASKS, label=f"{method}/s0/{index}", stage=stage)
        evaluator.evaluate(ablated(HashModel("student", "s"), "blank", evaluator, TASKS), TASKS)
        finish_run(store, {})
    log = folder / "masters" / "seed0" / "train.jsonl"
    log.parent.mkdir(parents=True)
    steps = [{"step": step, "loss": 1 / (step + 1), "by_source": {"student": {"accuracy": 0.5}}} for step in range(700)]
    log.write_text("".join(json.dumps(step) + "\n" for step in steps) + '{"step": 700, "lo')
    return folder


@pytest.fixture(scope="module")
def page(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "report.html"
    write_report(run, out)
    return out


@pytest.fixture(scope="module")
def server(run):
    with PageServer(run) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield serving
        serving.shutdown()


# ---------------------------------------------------------------- without a browser


def test_the_file_asks_nobody_and_holds_no_markup_of_a_model(page):
    head, body = page.read_text().split("<body>")
    assert not re.search(r"(?:src|href)=.?https?:", head)
    assert "onerror='" not in body
    assert "default-src 'none'; script-src 'sha256-" in html.unescape(head)
    assert "unsafe-eval" not in head
    assert page.stat().st_size < 4_000_000


def test_a_budget_leaves_whole_blocks_and_images_out_and_says_so(run, tmp_path):
    held = write_report(run, tmp_path / "small.html", text_mb=0.0, images_mb=0.0)
    assert (sum(held.items), held.images) == (0, 0)
    held = write_report(run, tmp_path / "text.html", images_mb=0.001)
    assert sum(held.items) == sum(Items(run).count(task) for task in range(3))
    assert held.images_left_out > 0


def test_parts_are_those_of_the_store(run):
    items = Items(run)
    index = items.part("index/0")
    assert len(index["states"]) == len(index["scores"]) == items.count(0)
    assert items.part("samples/0/0")[0][4]
    for name in ("index/99", "samples/0/9", "answers/0", "index/-1", "../x", "ids/²"):
        with pytest.raises(KeyError):
            items.part(name)


def test_seeds_of_a_method_are_one_row_and_masters_is_compared(tmp_path):
    with Store(tmp_path) as store:
        evaluator = Evaluator(store, limit=24)
        evaluator.evaluate(HashModel("student", "s"), TASKS)
        for method in ("naive-kd", "masters", "masters-reversed"):
            for seed in (0, 1):
                for index in (0, 1):
                    name, stage = f"{method}/s{seed}/{index}", {"method": method, "seed": seed, "index": index}
                    evaluator.evaluate(HashModel(name, name), TASKS, label=name, stage=stage)
    told = summarise_run(Items(tmp_path), None)
    rows = {row["shown"]: row for row in told["rows"]}
    assert [name for name, row in rows.items() if row["kind"] == "method"] == [
        "naive-kd, 2 seeds", "masters, 2 seeds", "masters-reversed, 2 seeds"
    ]  # fmt: skip
    ends = [rows[f"masters/s{seed}/1"] for seed in (0, 1)]
    assert {row["kind"] for row in ends} == {"final"}
    for task in TASKS:
        mean = sum(row["scores"][task][0] for row in ends) / 2
        assert rows["masters, 2 seeds"]["scores"][task][0] == pytest.approx(mean)
    first = told["comparisons"][0]
    assert (told["main"], first["a"]) == ("masters", "masters")


def test_a_vector_image_is_not_served_as_one():
    assert media_type(b"<svg onload=alert(1)>") == "application/octet-stream"


def test_only_the_token_on_this_machine_opens_the_page(server):
    def status(url, **headers):
        try:
            return urllib.request.urlopen(urllib.request.Request(url, headers=headers)).status
        except urllib.error.HTTPError as error:
            return error.code

    assert server.server_address[0] == "127.0.0.1"
    assert status(server.url) == 200
    assert status(server.url, Host="evil.example") == 403
    assert status(server.url.replace(server.token, "x" * 32) + "part/ids/0") == 403
    assert status(f"http://127.0.0.1:{server.server_port}/") == 403
    assert status(server.url + "part/ids/0") == 200
    assert status(server.url + "part/../../etc/passwd") == 404
    assert status(server.url + "compare?a=masters&b=nobody") == 200


def test_a_log_with_a_bad_line_is_named(run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    (copy / "masters" / "seed0" / "train.jsonl").write_text('{"loss": 1}\n')
    with pytest.raises(HarnessError, match=r"train.jsonl, line 1"):
        write_report(copy, tmp_path / "x.html")


def test_the_verb_says_what_it_wrote(run, tmp_path):
    done = CliRunner().invoke(
        main, ["report", str(run), "--out", str(tmp_path / "r.html"), "--compare", "masters", "x"]
    )
    assert done.exit_code == 0, done.output
    assert "MB" in done.output


# ---------------------------------------------------------------- in Chromium


@pytest.fixture(scope="module")
def chrome(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium (the extra `test`)")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("needs Chromium and its driver (Debian: apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('chrome')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    opened.set_script_timeout(60)
    yield opened
    opened.quit()


@pytest.fixture(params=["file", "served"])
def opened(request, chrome, page, server):
    """A browser on the ready page, in both of its forms; at the end its console must be empty."""
    chrome.get(page.as_uri() if request.param == "file" else server.url)
    until(chrome, "document.documentElement.dataset.ready === 'yes'")
    yield chrome
    assert [entry["message"] for entry in chrome.get_log("browser")] == []
    assert chrome.execute_script("return window.ran") is None


def until(chrome, condition):
    from selenium.webdriver.support.wait import WebDriverWait

    WebDriverWait(chrome, 60, 0.05).until(lambda driver: driver.execute_script(f"return {condition}"))


def choose(chrome, label, value):
    """Choose in the item browser, and wait for its answer."""
    chrome.execute_script(
        "const select = [...document.querySelectorAll('#samples-controls label')]"
        ".find((one) => one.firstChild.data === arguments[0]).querySelector('select');"
        "select.value = arguments[1]; select.dispatchEvent(new Event('change'));",
        label, value,
    )  # fmt: skip
    until(chrome, "/ items$/.test(document.getElementById('samples-count').textContent)")


def shown(chrome):
    return int(chrome.execute_script("return document.getElementById('samples-count').textContent").split()[0])


def test_every_figure_is_drawn_and_has_a_table(opened):
    names = opened.execute_script("return [...document.querySelectorAll('.canvas')].map((one) => one.dataset.figure)")
    assert set(names) == {
        "average", "difference", "stages", "suite", "ablation", "states",
        "training", "training-loss", "training-rewards",
    }  # fmt: skip
    for name in names:
        opened.execute_script("document.querySelector(`[data-figure=${arguments[0]}]`).scrollIntoView()", name)
        until(opened, f"document.querySelector('[data-figure={name}] .main-svg') !== null")
        assert opened.execute_script(f"return document.querySelectorAll('#figure-{name} td').length") > 0
        assert opened.execute_script(f"return document.querySelector('[data-figure={name}]').ariaLabel")


def test_a_window_of_another_size_leaves_the_figures_their_height(opened):
    opened.execute_script("document.querySelector('[data-figure=suite]').scrollIntoView()")
    until(opened, "document.querySelector('[data-figure=suite] .main-svg') !== null")
    height = "document.querySelector('[data-figure=suite] .main-svg').getBoundingClientRect().height"
    before = opened.execute_script(f"return {height}")
    for width in (900, 1200):
        opened.set_window_size(width, 900)
        drawn = "document.querySelector('[data-figure=suite] .main-svg').getBoundingClientRect().width"
        until(opened, f"Math.abs({drawn} - document.querySelector('[data-figure=suite]').clientWidth) < 2")
    assert opened.execute_script(f"return {height}") == before


def test_filters_flips_and_search_agree_with_the_store(opened, run):
    items = Items(run)
    first, second = (items.part(f"index/{cell}") for cell in items.cells(0)[:2])
    choose(opened, "model", "0")
    choose(opened, "beside", "1")
    assert shown(opened) == items.count(0)
    choose(opened, "items", "flipped")
    assert shown(opened) == sum(
        (a >= 1) != (b >= 1) for a, b in zip(first["scores"], second["scores"], strict=True)
    )  # fmt: skip
    choose(opened, "items", "")
    choose(opened, "model", "1")
    choose(opened, "state", "unparsed")
    assert shown(opened) == second["states"].count("u") > 0
    choose(opened, "state", "")
    opened.find_element("id", "samples-search").send_keys("<SCRIPT>window.ran")
    until(opened, f"document.getElementById('samples-count').textContent.startsWith('{len(hostile(items))} of')")
    assert opened.execute_script(
        "return document.querySelector('#samples-detail pre mark, #samples-detail mark').textContent"
    )


def hostile(items):
    answers = items.part(f"answers/{items.cells(0)[1]}/0")
    return [answer for answer in answers if answer[0] == HOSTILE]


def test_a_response_is_text_and_an_image_is_seen(opened):
    choose(opened, "model", "1")
    opened.find_element("id", "samples-search").send_keys("onerror")
    until(opened, "document.querySelector('#samples-detail mark') !== null")
    texts = opened.execute_script("return [...document.querySelectorAll('.answer pre')].map((one) => one.textContent)")
    assert HOSTILE in texts
    assert (
        opened.execute_script("return document.querySelectorAll('#samples-detail b, #samples-detail script').length")
        == 0
    )
    until(opened, "document.querySelector('#samples-detail img')?.naturalWidth > 0")


def test_the_keyboard_is_enough(opened):
    from selenium.webdriver.common.keys import Keys

    body = opened.find_element("tag name", "body")
    body.send_keys("j")
    until(opened, "document.activeElement.closest('#samples-list') !== null")
    place = "[...document.querySelectorAll('#samples-list button')].indexOf(document.querySelector('[aria-current]'))"
    assert opened.execute_script(f"return {place}") == 1
    opened.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    until(opened, f"{place} === 2")
    opened.switch_to.active_element.send_keys("k")
    until(opened, f"{place} === 1")
    opened.switch_to.active_element.send_keys("/")
    until(opened, "document.activeElement.id === 'samples-search'")


def test_a_phone_needs_no_sideways_scrolling_and_the_dark_is_dark(opened):
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    opened.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    )
    until(opened, "document.documentElement.scrollWidth <= 390")
    colour = opened.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", colour))) < 60
    opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
