"""A judgement as files: Markdown for a pull request, JUnit for a build server, JSON for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree

from sf2f_bench.gate.judgement import JudgedMetric, Judgement
from sf2f_bench.results.numbers import NOTHING, number
from sf2f_bench.results.texts import markdown as escape

HEADINGS = ("metric", "by", "reference", "new", "difference", "margin", "noticeable", "floor", "q", "verdict")
MARKS = {0: "✅", 1: "❌", 2: "❔"}


def cells(line: JudgedMetric) -> tuple[str, ...]:
    """One metric as tables print it, under `HEADINGS`; a positive difference is better, whatever the metric."""
    digits = 3 if line.format == "share" else 2

    def shown(value: float, digits: int = digits) -> str:
        return number(value, line.format, digits)

    change = f"{shown(line.difference)} [{shown(line.lower)}, {shown(line.upper)}]"
    return (
        line.metric,
        line.extractor_role,
        shown(line.reference, 3),
        shown(line.new, 3),
        "same numbers" if line.unchanged else f"{'+' if line.difference > 0 else ''}{change}",
        shown(line.margin),
        shown(line.noticeable),
        NOTHING if line.floor is None else shown(line.floor),
        NOTHING if line.q is None else "<.001" if line.q < 0.001 else f"{line.q:.3f}".removeprefix("0"),
        line.verdict if line.decides else f"({line.verdict})",
    )


def sentences(judgement: Judgement) -> list[str]:
    """The reasons for the verdict, then what it rests on."""
    found = [f"REGRESSION: {reason}" for reason in judgement.regressions]
    found += [f"NOT SHOWN: {reason}" for reason in judgement.not_shown]
    found += [f"CANNOT TELL: {reason}" for reason in judgement.unknowns]
    if not judgement.instrument.deviations:
        found.append(f"The instrument: {judgement.instrument.text}.")
    if not judgement.guard_cost:
        found += [f"warning: {excess}." for excess in judgement.cost]
    found += judgement.remarks
    if judgement.lines:
        verdicts = [line.verdict for line in judgement.deciding]
        counts = (
            f"{verdicts.count(verdict)} {verdict}" for verdict in ("passed", "inconclusive", "regressed")
        )
        found.append(f"Of {len(verdicts)} metrics that decide: {', '.join(counts)}.")
        found.append(
            "Differences are new minus reference, signed so that positive is better, with 95 % intervals for new "
            "training seeds and new identities. Regressed: the whole interval is beyond the margin, and q < .05; "
            "passed: its lower end is within the margin. Noticeable: the smallest fall of this metric alone that would "
            "have been called a regression: a true fall of that size is, in half of all checks. Floor: what hearing "
            "nothing scores. q: one-sided p against the margin, after Benjamini and Hochberg over the "
            f"{len(judgement.deciding)} metrics that decide; those in brackets do not."
        )
    if judgement.non_inferior:
        found.append(
            "Non-inferiority: every metric that decides must pass; what is not shown fails. If one has truly fallen by "
            "its margin or more, all pass in at most 2.5 % of checks."
        )
    return found


def markdown(judgement: Judgement) -> str:
    """A section for a pull request: verdict, a table for each system, reasons."""
    shown = escape(judgement.verdict), escape(judgement.title)
    parts = [f"### {MARKS[judgement.exit_code]} sf2f-bench check: {shown[0]} ({shown[1]})"]
    for system in dict.fromkeys(line.system for line in judgement.lines):
        rows = [tuple(map(escape, cells(line))) for line in judgement.lines if line.system == system]
        table = [HEADINGS, ("---", "---", *("---:",) * 7, "---"), *rows]
        lines = ("| " + " | ".join(row) + " |" for row in table)
        parts.append(f"**{escape(system)}**\n\n" + "\n".join(lines))
    parts.append("\n".join(f"- {escape(sentence)}" for sentence in sentences(judgement)))
    return "\n\n".join(parts) + "\n"


def facts(judgement: Judgement) -> dict[str, Any]:
    """All numbers, unrounded, with the reasons, for JSON."""
    return {
        "verdict": judgement.verdict,
        "exit_code": judgement.exit_code,
        "title": judgement.title,
        "regressions": list(judgement.regressions),
        "not_shown": list(judgement.not_shown),
        "unknowns": list(judgement.unknowns),
        "non_inferior": judgement.non_inferior,
        "lines": [_line_facts(line) for line in judgement.lines],
        "instrument": asdict(judgement.instrument),
        "cost": [asdict(excess) for excess in judgement.cost],
        "remarks": list(judgement.remarks),
    }


def _line_facts(line: JudgedMetric) -> dict[str, Any]:
    stated = {key: value for key, value in asdict(line).items() if key not in ("errors", "tail")}
    return {**stated, "noticeable": line.noticeable, "tells": line.tells, "verdict": line.verdict}


def junit(judgement: Judgement) -> str:
    """One suite a system, one case a deciding metric; the instrument, the cost and refused systems are cases too.

    A regression is a failure, a system that cannot be compared an error, an inconclusive metric a skipped case.
    """
    root = ElementTree.Element("testsuites", name=f"sf2f-bench check, {judgement.title}")
    whole = ElementTree.SubElement(root, "testsuite", name="sf2f-bench check")
    instrument = _case(whole, "instrument", "the anchors")
    if judgement.instrument.deviations:
        _outcome(instrument, "failure", judgement.instrument.text)
    elif judgement.instrument.missing:
        _outcome(instrument, "error", f"missing: {', '.join(judgement.instrument.missing)}")
    for system, reason in judgement.refused.items():
        _outcome(_case(whole, system, "comparable"), "error", reason)
    for system, families in judgement.families.items():
        case = _case(whole, system, "room to fall")
        if blind := judgement.blind(system, families):
            _outcome(case, "error", "; ".join(blind))
    for excess in judgement.cost:
        kind = "failure" if judgement.guard_cost else "skipped"
        _outcome(_case(whole, excess.system, excess.what), kind, str(excess))
    if not judgement.systems and not judgement.refused:
        _outcome(_case(whole, "systems", "judged"), "error", "nothing was judged")
    suites = {system: ElementTree.SubElement(root, "testsuite", name=system) for system in judgement.systems}
    for line in judgement.deciding:
        _metric_case(suites[line.system], line, judgement.non_inferior)
    counted = {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}
    for suite in (root, *root):
        for name, tag in counted.items():
            suite.set(name, str(len(list(suite.iter(tag)))))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _metric_case(suite: ElementTree.Element, line: JudgedMetric, non_inferior: bool) -> None:
    case = _case(suite, line.system, f"{line.metric} by the {line.extractor_role}")
    text = ", ".join(f"{name} {cell}" for name, cell in zip(HEADINGS[2:], cells(line)[2:], strict=True))
    if line.verdict != "passed":
        failed = line.verdict == "regressed" or non_inferior
        _outcome(case, "failure" if failed else "skipped", text)
    else:
        ElementTree.SubElement(case, "system-out").text = text


def _case(suite: ElementTree.Element, group: str, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", classname=group, name=name)


def _outcome(case: ElementTree.Element, kind: str, message: str) -> None:
    ElementTree.SubElement(case, kind, message=message)
