"""The bench's own arithmetic: paired medians, bars, and the tables they are shown in."""

from __future__ import annotations

import pytest

from tests.bench.contest import OURS, Contestant, Count, Peak, Ratio, Verdict, hold, paired_ratio
from tests.bench.measure import Measured
from tests.bench.table import document, figure, markdown


def runs(*walls: float) -> list[Measured]:
    return [Measured(wall, cpu=2 * wall, peak_mb=10 * wall) for wall in walls]


def test_ratios_are_paired_before_the_median_is_taken() -> None:
    # The machine was slow in the first round, for both: the medians' own ratio would be 3 / 4.
    assert paired_ratio([9, 3, 1], [10, 2, 4]) == 0.9


def test_unpaired_runs_are_an_error() -> None:
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        paired_ratio([1, 2], [1])


def test_of_several_peers_the_longer_of_each_round_counts() -> None:
    measured = {OURS: runs(2, 2, 2), "a": runs(4, 1, 1), "b": runs(1, 2, 8)}
    assert Ratio(("a", "b"), 1.15).judge(measured) == Verdict("nbsync / a or b", 0.5, 1.15)


def test_another_metric_is_named() -> None:
    assert Ratio("a", metric="cpu").judge({OURS: runs(1), "a": runs(2)}).what == "nbsync / a, cpu"


def test_the_largest_peak_counts() -> None:
    assert Peak(25).judge({OURS: runs(1, 3, 2)}) == Verdict("nbsync's peak MB", 30, 25)


@pytest.mark.parametrize(("value", "limit", "at_most", "holds"), [
    (1.05, 1.05, True, True), (1.06, 1.05, True, False), (4, 4, False, True), (3.9, 4, False, False),
    (9, None, True, None),
])  # fmt: skip
def test_a_bar_holds_or_not(value: float, limit: float | None, at_most: bool, holds: bool | None) -> None:
    assert Verdict("it", value, limit, at_most=at_most).holds is holds


def contestants(order: list[str]) -> list[Contestant]:
    def run(name: str) -> Measured:
        order.append(name)
        return Measured(float(len(order)), 1.0, 1.0)

    return [Contestant(name, lambda name=name: run(name)) for name in (OURS, "a", "b")]  # type: ignore[misc]


def test_everybody_runs_in_each_round_and_begins_in_turn() -> None:
    order: list[str] = []
    said: list[str] = []
    outcome = hold("job", contestants(order), 3, [], {}, say=said.append)
    assert order == [OURS, "a", "b", "a", "b", OURS, "b", OURS, "a"]
    assert [run.wall for run in outcome.runs[OURS]] == [1, 6, 8]
    assert (said[0].strip(), len(said)) == ("job", 4)


def test_a_bar_against_who_does_not_take_part_is_left_out() -> None:
    bars = [Ratio("a", 1), Ratio("aws-cli", 1), Ratio(("a", "aws-cli"), 1), Count("LISTs", lambda: 10, 10)]
    outcome = hold("job", contestants([]), 1, bars, {}, say=lambda _line: None)
    assert [verdict.what for verdict in outcome.verdicts] == ["nbsync / a", "LISTs"]


def test_figures_keep_three_digits() -> None:
    assert [figure(value) for value in (0.123, 12.34, 123.4, 1000.0, 7)] == ["0.12", "12.3", "123", "1,000", "7"]


def test_the_tables_are_markdown_and_the_document_has_every_run() -> None:
    outcome = hold("pull | cold", contestants([]), 1, [Ratio("a", 0.4, 0.3), Ratio("b")], {OURS: "10 GET"},
                   say=lambda _line: None)  # fmt: skip
    lines = markdown([outcome], ["two cores"]).split("\n")
    assert lines[0] == "- two cores"
    assert "| pull / cold | nbsync / a | 0.50 | ≤ 0.4 | ≤ 0.3 | **no** |" in lines
    assert "|  | nbsync / b | 0.33 |  |  |  |" in lines
    assert "| pull / cold | nbsync | 1 | 1 | 1 | 10 GET |" in lines
    assert "**no**" not in markdown([outcome], [], judged=False)
    (job,) = document([outcome], ["two cores"])["jobs"]
    assert job["runs"]["a"] == [{"wall": 2.0, "cpu": 1.0, "peak_mb": 1.0}]
    assert [verdict["holds"] for verdict in job["verdicts"]] == [False, None]
