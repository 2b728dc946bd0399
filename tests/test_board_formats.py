"""Leaderboards for pages and papers: what is best, what was reported by others, what a hostile name can do."""

from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner
from test_leaderboard import result, save

from harness.api import HarnessError
from harness.cli import main
from harness.report import leaderboard
from harness.report.board_formats import html, latex

REFERENCE = Path(__file__).resolve().parents[1] / "results" / "reference"
HOSTILE = "<script>alert(1)</script> \\input{x} 50%_&#"


@pytest.fixture
def board(tmp_path):
    run = save(
        tmp_path / "run", result("best", scores=(1, 1, 1, 0)), result(HOSTILE, scores=(1, 1, 0, 0)),
        result("third", scores=(1, 0, 0, 0)),
    )  # fmt: skip
    return leaderboard.read([run], references=[REFERENCE / "paper_table1.csv"])


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_html_is_static_and_escapes_names(board):
    page = Tags()
    page.feed(html(board))
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in page.seen}
    assert HOSTILE in page.text
    assert "reported: arXiv:2512.22238v1, Table 1" in page.text
    assert sum(attrs.get("class") == "reported" for tag, attrs in page.seen if tag == "tr") == 16


def test_latex_marks_best_and_second_and_escapes_names(board):
    table = latex(board)
    lines = table.splitlines()
    assert r"\textbf{75.0}" in next(line for line in lines if line.startswith("best"))
    assert r"\underline{50.0}" in next(line for line in lines if "textless" in line)
    assert r"\textbackslash{}input\{x\} 50\%\_\&\#" in table
    assert next(line for line in lines if line.startswith("third")).count("textbf") == 0
    assert r"\toprule" in table
    assert "reported, not measured" in table


def test_reported_rows_say_so_in_csv_and_markdown(board):
    columns, rows = leaderboard.records(board)
    assert columns[-2:] == ["origin", "source"]
    assert [row["origin"] for row in rows[:4]] == ["measured"] * 3 + ["reported"]
    assert rows[3]["ai2d"] == "83.9000"
    assert rows[3]["ai2d_n"] == rows[3]["ai2d_se"] == ""
    assert rows[3]["average"] == "69.8000"
    assert rows[3]["average_n"] == "13"
    assert "(reported: arXiv:2512.22238v1, Table 1)" in leaderboard.markdown(board)


@pytest.mark.parametrize("form", ["csv", "md", "html", "latex"])
def test_the_papers_tables_need_no_run(form):
    files = [word for path in sorted(REFERENCE.glob("*.csv")) for word in ("--reference", str(path))]
    assert len(files) >= 6
    ended = CliRunner().invoke(main, ["leaderboard", *files, "--format", form])
    assert ended.exit_code == 0, ended.output
    assert "InternVL3.5-2B" in ended.output


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("model,source,ai2d\nx,y,103\n", "row 2: ai2d is '103'"),
        ("model,source,ai2d\nx,y,n/a\n", "row 2: ai2d is 'n/a'"),
        ("model,source,ai2d\nx,,50\n", "row 2"),
        ("model,source,AI2D\nx,y,50\n", "'AI2D'"),
        ("model,ai2d\nx,50\n", "'source'"),
        ("model,source,ai2d\nx,y\n", "row 2"),
    ],
)
def test_a_faulty_reference_is_refused_by_row(tmp_path, text, told):
    path = tmp_path / "rows.csv"
    path.write_text(text)
    with pytest.raises(HarnessError, match=told):
        leaderboard.read([], references=[path])
