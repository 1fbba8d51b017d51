"""The panel's rows: windows, order, filters, ticks, outcomes; and a hundred thousand of them."""

from __future__ import annotations

import json
import time
import tracemalloc

import pytest

from nbsync.core.model import Row
from nbsync.panel.table import Query, Table
from tests.unit.panel.fakes import planned
from tests.unit.samples import HOSTILE, row


def table(*rows: Row) -> Table:
    made = Table()
    made.load(rows)
    return made


def paths(shown: Table) -> list[str]:
    return [cells[3] for cells in shown.window(0, 1000)]


MIXED = (
    row("same.csv", "hit"),
    planned("new.csv", bytes=10),
    planned("Big.parquet", bytes=5000),
    planned("old.csv", "delete-local", bytes=0, reason="not in the source"),
    row("both.txt", "conflict", action="upload", bytes=7),
)


def test_hits_are_folded_out_until_they_are_asked_for() -> None:
    made = table(*MIXED)
    assert paths(made) == ["both.txt", "old.csv", "new.csv", "Big.parquet"]
    assert made.counts == {"hit": 1, "download": 2, "delete-local": 1, "conflict": 1}
    made.select(Query(kinds=frozenset({"hit"})))
    assert paths(made) == ["same.csv"]
    assert (len(made), made.shown) == (5, 1)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(column="path"), ["Big.parquet", "both.txt", "new.csv", "old.csv"]),
        (Query(column="path", descending=True), ["old.csv", "new.csv", "both.txt", "Big.parquet"]),
        (Query(column="size", descending=True), ["Big.parquet", "new.csv", "both.txt", "old.csv"]),
        (Query(column="reason"), ["both.txt", "new.csv", "Big.parquet", "old.csv"]),
        (Query(text="CSV", column="path"), ["new.csv", "old.csv"]),
        (Query(text="csv", kinds=frozenset({"download"})), ["new.csv"]),
        (Query(text="nothing"), []),
    ],
)
def test_rows_are_filtered_and_sorted(query: Query, expected: list[str]) -> None:
    made = table(*MIXED)
    made.select(query)
    assert paths(made) == expected


def test_what_is_planned_is_ticked_and_nothing_else_can_be() -> None:
    made = table(*MIXED)
    assert made.ticked() == {"new.csv", "Big.parquet", "old.csv"}
    assert (made.selected, made.selected_bytes) == (3, 5010)
    made.tick(0, 1, True)  # a conflict
    assert made.selected == 3
    assert [cells[6] for cells in made.window(0, 9)] == [-1, 1, 1, 1]


def test_ticks_by_position_by_path_and_of_all_that_is_shown() -> None:
    made = table(*MIXED)
    made.select(Query(text="csv", column="path"))
    made.tick_shown(False)
    assert made.ticked() == {"Big.parquet"}
    assert (made.shown_selected, made.shown_tickable, made.selected_bytes) == (0, 2, 5000)
    made.tick(0, 1, True)
    assert (made.ticked(), made.shown_selected) == ({"Big.parquet", "new.csv"}, 1)
    made.tick_paths(["Big.parquet"], False)
    assert (made.ticked(), made.selected, made.shown_selected) == ({"new.csv"}, 1, 1)
    with pytest.raises(KeyError):
        made.tick_paths(["nope"], True)


def test_ticks_survive_another_order_which_is_told() -> None:
    made = table(*MIXED)
    made.tick_paths(["new.csv"], False)
    before = made.order
    made.select(Query(column="size"))
    assert made.order != before
    assert made.ticked() == {"Big.parquet", "old.csv"}


def test_outcomes_take_the_place_of_what_was_planned() -> None:
    made = table(*MIXED)
    made.take([row("new.csv", "miss", bytes=10), row("Big.parquet", "failed", error="no room", bytes=0)])
    assert [cells[:1] + cells[3:4] + cells[6:] for cells in made.window(0, 9)] == [
        ["conflict", "both.txt", -1], ["delete-local", "old.csv", 1], ["miss", "new.csv", -1],
        ["failed", "Big.parquet", 1],
    ]  # fmt: skip
    assert made.counts["miss"] == made.counts["failed"] == 1
    assert made.ticked() == {"Big.parquet", "old.csv"}, "what failed can be done again"
    assert made.selected_bytes == 5000
    made.take([row("unplanned.csv", "conflict")])
    made.select(made.query)
    assert paths(made)[:2] == ["Big.parquet", "both.txt"]
    assert "unplanned.csv" in paths(made)


def test_a_window_is_clean_text_that_json_takes() -> None:
    made = table(planned(HOSTILE * 30, reason=HOSTILE))
    (cells,) = made.window(-5, 10)
    assert len(json.dumps(cells)) < 2000
    assert all(text.isprintable() for text in cells[:6])
    assert len(cells[3]) <= 300
    assert made.window(7, 10) == []


@pytest.mark.slow
@pytest.mark.bench
def test_a_hundred_thousand_rows() -> None:
    rows = [planned(f"year={n % 30}/part-{n:06}.parquet", bytes=n * 37 % 1000) for n in range(100_000)]
    tracemalloc.start()
    began = time.perf_counter()
    made = table(*rows)
    loaded = time.perf_counter() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30 << 20, "a few bytes a row beside the rows"
    took = {}
    for name, act in {
        "filter": lambda: made.select(Query(text="part-0999")),
        "sort": lambda: made.select(Query(column="size", descending=True)),
        "untick all": lambda: made.tick_shown(False),
        "tick one": lambda: made.tick(99_000, 99_001, True),
        "window": lambda: made.window(50_000, 200),
    }.items():
        began = time.perf_counter()
        act()
        took[name] = time.perf_counter() - began
    assert loaded < 5
    assert max(took.values()) < 2, took
    assert took["tick one"] < 0.05
    assert took["window"] < 0.2
    assert len(made.ticked()) == 1
