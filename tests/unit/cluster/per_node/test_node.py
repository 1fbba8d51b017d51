"""A node's attempts: what those that were lost had moved is listed beside what the last one tells."""

from __future__ import annotations

from typing import Any

import pytest

from nbsync.cluster.per_node.node import LostAttempt, Node, add
from nbsync.cluster.per_node.totals import conclude
from nbsync.core.call import Call
from nbsync.core.model import Row
from nbsync.results.sync_result import SyncResult
from tests.unit.cluster.fakes import DEAD, SILENT, FakeBackend, FakeWorker, identity, report, row


def told(rows: list[Row], *lost: list[Row], ended: bool = True, omitted: int = 0, **counts: int) -> dict[str, Any]:
    """The result of one node."""
    one = Node(FakeBackend(), identity(1), Call(command="pull"), now=lambda: 0.0, interval=0.0)
    one.rows, one.lost = rows, [LostAttempt("w", earlier, {"get": len(earlier)}) for earlier in lost]
    one.report = report(*rows, ended=True, counts=counts)
    assert one.report.end is not None
    one.end = one.report.end._replace(hits_omitted=omitted) if ended else None
    result = SyncResult(command="pull", remote="s3://b/p/", local="data", direction="pull")
    conclude(result, [one])
    return {"rows": [(r.path, r.status) for r in result.files], "moved": result.bytes["moved"],
            "omitted": result.hits_omitted, "get": result.requests["get"],
            **{status: count for status, count in result.counts.items() if count}}  # fmt: skip


A, B = ("a", "miss"), ("b", "miss")


@pytest.mark.parametrize(("found", "expected"), [
    (told([row("a"), row("b", "hit")]), {"rows": [A, ("b", "hit")], "miss": 1, "hit": 1, "moved": 10, "get": 2}),
    (told([row("b")], [row("a")]), {"rows": [A, B], "miss": 2, "moved": 20, "get": 3}),
    (told([row("a", "hit"), row("b")], [row("a")]),
     {"rows": [A, ("a", "hit"), B], "miss": 2, "hit": 1, "moved": 20, "get": 3}),
    (told([], [row("a")], [row("b")]), {"rows": [A, B], "miss": 2, "moved": 20, "get": 4}),
    (told([], [row("a", "deleted", 0)]), {"rows": [("a", "deleted")], "deleted": 1, "moved": 0, "get": 3}),
    (told([row("a", "hit")], [row("b")], omitted=3, hit=4),
     {"rows": [("a", "hit"), B], "miss": 1, "hit": 4, "moved": 10, "get": 3, "omitted": 3}),
    (told([row("b")], [row("a")], ended=False), {"rows": [A, B], "miss": 2, "moved": 20, "get": 3}),
])  # fmt: skip
def test_what_attempts_come_to(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found == {"omitted": 0, **expected}


def test_of_a_lost_attempt_only_what_it_moved_or_deleted_is_kept() -> None:
    rows = [row("moved"), row("there", "hit"), row("gone", "deleted", 0), row("bad", "failed")]
    backend = FakeBackend(w1=FakeWorker(identity(1), [report(*rows), DEAD]))
    one = Node(backend, identity(1), Call(command="pull"), now=lambda: 0.0, interval=0.0)
    one.workers = ["w1"]
    while not one.lost:
        one.step()
    (lost,) = one.lost
    assert [kept.path for kept in lost.rows] == ["moved", "gone"]
    assert (lost.worker, lost.requests, lost.bytes, one.rows) == ("w1", {"list": 1, "get": 2}, 10, [])


def test_a_question_that_waits_is_followed_by_word_that_somebody_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    backend = FakeBackend(w1=FakeWorker(identity(1), [SILENT]))
    kept: list[float] = []
    monkeypatch.setattr(backend, "interrupt", lambda function, *_, worker: kept.append(now[0]))
    one = Node(backend, identity(1), Call(command="pull"), now=lambda: now[0], interval=0.0)
    one.workers = ["w1"]
    for now[0] in (0.0, 59.0, 61.0, 100.0, 122.0):
        assert one.step() == []
    assert kept == [61.0, 122.0]


@pytest.mark.parametrize(("counts", "sums"), [
    ([], {}), ([{"a": 1}], {"a": 1}), ([{}, {"a": 1}], {"a": 1}),
    ([{"a": 1, "b": 2}, {"a": 3}, {"c": 1}], {"a": 4, "b": 2, "c": 1}),
])  # fmt: skip
def test_sums(counts: list[dict[str, int]], sums: dict[str, int]) -> None:
    assert add(*counts) == sums
