"""What several attempts of one node come to together."""

from __future__ import annotations

from typing import Any

import pytest

from nbsync.cluster.per_node.node import Node, add, whole
from nbsync.core.model import Row
from nbsync.core.options import Call
from tests.unit.cluster.fakes import SILENT, FakeEngine, FakeWorker, report, row, site


def node(rows: list[Row], earlier: list[Row], *, omitted: int = 0, saved: int = 0, **counts: int) -> Node:
    one = Node(FakeEngine(), site(1), Call(command="pull"), now=lambda: 0.0, interval=0.0)
    one.rows, one.earlier = rows, {before.path: before for before in earlier}
    one.bytes_before = sum(before.bytes for before in earlier)
    one.report = report(*rows, ended=True, counts=counts)
    assert one.report.end is not None
    one.end = one.report.end._replace(hits_omitted=omitted, bytes={**one.report.end.bytes, "saved": saved})
    return one


def told(one: Node) -> dict[str, Any]:
    found = whole(one)
    counts = {status: count for status, count in found.counts.items() if count}
    return {"rows": sorted((r.path, r.status) for r in found.rows), **counts, "omitted": found.hits_omitted,
            **found.bytes}  # fmt: skip


def test_one_attempt_is_told_as_it_is() -> None:
    one = node([row("a"), row("b", "hit")], [], saved=5)
    assert told(one) == {"rows": [("a", "miss"), ("b", "hit")], "miss": 1, "hit": 1, "omitted": 0,
                         "moved": 10, "saved": 5}  # fmt: skip


def test_a_file_that_was_moved_and_is_found_has_moved_and_saves_nothing() -> None:
    one = node([row("a", "hit"), row("b")], [row("a")], saved=10)
    assert told(one) == {"rows": [("a", "miss"), ("b", "miss")], "miss": 2, "omitted": 0, "moved": 20, "saved": 0}


def test_what_was_moved_twice_has_one_row_and_both_amounts() -> None:
    assert told(node([row("a")], [row("a")])) == {"rows": [("a", "miss")], "miss": 1, "omitted": 0, "moved": 20,
                                                  "saved": 0}  # fmt: skip


def test_what_fails_the_second_time_has_failed() -> None:
    assert told(node([row("a", "failed")], [row("a")]))["rows"] == [("a", "failed")]


def test_hits_without_rows_are_counted_once() -> None:
    one = node([row("a", "hit"), row("b", "hit")], [row("c"), row("d")], omitted=3, saved=50, hit=5)
    assert told(one) == {"rows": [("a", "hit"), ("b", "hit"), ("c", "miss"), ("d", "miss")], "miss": 2, "hit": 3,
                         "omitted": 1, "moved": 20, "saved": 30}  # fmt: skip


def test_a_delete_stays_one() -> None:
    found = told(node([], [row("gone", "deleted")]))
    assert (found["rows"], found["deleted"], found["moved"]) == ([("gone", "deleted")], 1, 0)


def test_an_attempt_that_is_not_known_to_have_ended_counts_what_was_told() -> None:
    one = node([row("b")], [row("a")])
    one.end = None
    assert (told(one)["miss"], told(one)["moved"]) == (2, 20)


def test_a_question_that_waits_is_followed_by_word_that_somebody_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    engine = FakeEngine(w1=FakeWorker(site(1), [SILENT]))
    kept: list[float] = []
    monkeypatch.setattr(engine, "interrupt", lambda function, *_, worker: kept.append(now[0]))
    one = Node(engine, site(1), Call(command="pull"), now=lambda: now[0], interval=0.0)
    one.workers = ["w1"]
    for now[0] in (0.0, 59.0, 61.0, 100.0, 122.0):
        assert one.step() == []
    assert kept == [61.0, 122.0]


@pytest.mark.parametrize(
    ("one", "other", "both"), [({}, {"a": 1}, {"a": 1}), ({"a": 1, "b": 2}, {"a": 3}, {"a": 4, "b": 2})]
)
def test_sums(one: dict[str, int], other: dict[str, int], both: dict[str, int]) -> None:
    assert add(one, other) == both
