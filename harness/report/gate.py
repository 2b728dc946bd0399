"""A gate's verdict for people (Markdown), for CI (JUnit XML) and for machines (JSON)."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ElementTree
from dataclasses import asdict

from harness.gate import Decision, Gate, Status
from harness.report.plain import plain

_ROWS = 150  # of the Markdown: a comment may have 65,536 characters
_MARKS = {Status.PASSED: "passed", Status.FAILED: "**FAILED**", Status.OPEN: "open"}
_MEANING = {
    Decision.GO: "no regression: the drops that the policy forbids are excluded",
    Decision.NO_GO: "a regression that is not chance",
    Decision.INCONCLUSIVE: "not enough evidence for either verdict, or a check of tier should failed",
    Decision.BROKEN: "run and baseline cannot be compared",
}


def markdown(gate: Gate) -> str:
    """The verdict, what is not passed first, as a comment for a pull request."""
    lines = [f"## {gate.decision}: {_cell(gate.run)} against {_cell(gate.baseline)}", "", f"{_MEANING[gate.decision]}."]
    if gate.problem:
        lines += ["", _cell(gate.problem)]
    if gate.share < 1:
        lines += ["", f"Decided after {gate.share:.0%} of the items."]
    if gate.checks:
        lines += ["", "| tier | model | task | check | status | finding |", "|---|---|---|---|---|---|"]
        order = {Status.FAILED: 0, Status.OPEN: 1, Status.PASSED: 2}
        tiers = {"must": 0, "should": 1, "watch": 2}
        checks = sorted(gate.checks, key=lambda c: (order[c.status], tiers[c.tier], c.task != "overall"))
        for c in checks[:_ROWS]:
            cells = (c.tier, c.model, c.task, c.kind, _MARKS[c.status], c.told)
            lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
        if len(checks) > _ROWS:
            rest = checks[_ROWS:]
            passed = sum(c.status is Status.PASSED for c in rest)
            told = "all passed" if passed == len(rest) else f"{passed} of them passed"
            lines += ["", f"{len(rest)} more checks, {told}: `--json` and `--junit` have them all."]
    return "\n".join(lines) + "\n"


def junit(gate: Gate) -> str:
    """JUnit XML, a test case a check: failed must and should are failures, open ones and watch are skipped."""
    suite = ElementTree.Element("testsuite", name=f"harness gate {_xml(gate.run)}", tests=str(len(gate.checks)))
    counts = {"failures": 0, "skipped": 0, "errors": int(gate.decision is Decision.BROKEN)}
    if gate.decision is Decision.BROKEN:
        case = ElementTree.SubElement(suite, "testcase", classname="gate", name="comparable")
        ElementTree.SubElement(case, "error", message=_xml(gate.problem))
        suite.set("tests", "1")
    for c in gate.checks:
        name = f"{c.task} {c.kind} [{c.tier}]"
        case = ElementTree.SubElement(suite, "testcase", classname=_xml(c.model), name=_xml(name))
        if c.status is Status.FAILED and c.tier != "watch":
            ElementTree.SubElement(case, "failure", message=_xml(c.told))
            counts["failures"] += 1
        elif c.status is not Status.PASSED:
            ElementTree.SubElement(case, "skipped", message=_xml(c.told))
            counts["skipped"] += 1
        else:
            ElementTree.SubElement(case, "system-out").text = _xml(c.told)
    for key, value in counts.items():
        suite.set(key, str(value))
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def as_json(gate: Gate) -> str:
    """Everything, with null where there is no number."""
    body = asdict(gate) | {"decision": str(gate.decision), "exit_code": int(gate.decision)}
    body["checks"] = [
        {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(check).items()}
        for check in gate.checks
    ]
    return json.dumps(body, indent=1, ensure_ascii=False) + "\n"


def _cell(text: str) -> str:
    """Text that stays one cell and starts no HTML or link."""
    safe = plain(" ".join(text.split())).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    return safe.replace("[", "\\[").replace("`", "\\`")


def _xml(text: str) -> str:
    return plain(text)
