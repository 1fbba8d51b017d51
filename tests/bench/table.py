"""Outcomes as Markdown, to be pasted into the README, and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.bench.contest import Outcome, Verdict

_ANSWERS = {True: "yes", False: "**no**", None: ""}
_NOT_JUDGED = dict.fromkeys(_ANSWERS, "")


def markdown(outcomes: Sequence[Outcome], conditions: Sequence[str], *, judged: bool = True) -> str:
    """The conditions, the bars, and the figures of everybody; `judged`: whether the bars hold, too."""
    answers = _ANSWERS if judged else _NOT_JUDGED
    bars = [
        [outcome.title if first else "", verdict.what, figure(verdict.value), _bar(verdict), _aim(verdict),
         answers[verdict.holds]]
        for outcome in outcomes for first, verdict in _marked(outcome.verdicts)
    ]  # fmt: skip
    figures = []
    for outcome in outcomes:
        for first, name in _marked(list(outcome.runs)):
            median = outcome.medians(name)
            figures.append([outcome.title if first else "", name, figure(median.wall), figure(median.cpu),
                            f"{median.peak_mb:.0f}", outcome.requests.get(name, "")])  # fmt: skip
    return "\n".join([
        *(f"- {line}" for line in conditions), "",
        _table(["job", "compared", "measured", "bar", "aim", "holds"], bars), "",
        _table(["job", "tool", "wall s", "CPU s", "peak MB", "requests"], figures),
    ])  # fmt: skip


def document(outcomes: Sequence[Outcome], conditions: Sequence[str]) -> dict[str, Any]:
    """Everything, every run, for a file."""
    return {
        "conditions": list(conditions),
        "jobs": [
            {
                "title": outcome.title,
                "runs": {name: [run._asdict() for run in runs] for name, runs in outcome.runs.items()},
                "requests": outcome.requests,
                "verdicts": [{**verdict._asdict(), "holds": verdict.holds} for verdict in outcome.verdicts],
            }
            for outcome in outcomes
        ],
    }


def figure(value: float) -> str:
    """Three digits that count."""
    if value == int(value):
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _marked(items: Sequence[Any]) -> list[tuple[bool, Any]]:
    return [(number == 0, item) for number, item in enumerate(items)]


def _bar(verdict: Verdict) -> str:
    if verdict.limit is None:
        return ""
    return f"{'≤' if verdict.at_most else '≥'} {figure_of_bar(verdict.limit)}"


def _aim(verdict: Verdict) -> str:
    return "" if verdict.aim is None else f"≤ {figure_of_bar(verdict.aim)}"


def figure_of_bar(value: float) -> str:
    """A bar as it was set."""
    return f"{value:g}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
