"""A node's pull in its worker: told piece by piece, stopped, forgotten once told, ended when nobody asks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from nbsync.cluster.per_node import node_run
from nbsync.cluster.per_node.node_run import NodeRun, Report
from nbsync.core.call import Call
from nbsync.core.model import Row
from nbsync.engine import sync as engine_run
from nbsync.engine.status_board import StatusBoard
from nbsync.results.sync_result import SyncResult
from tests.unit.cluster.fakes import row

CALL = Call(command="pull", direction="pull", remote="b/p", local="data")


class FakeRun:
    """A run that goes on until it is stopped."""

    runner = None
    crash: Exception | None = None

    def __init__(self, call: Call, cancel: threading.Event) -> None:
        self.result = SyncResult(command="pull", remote="s3://b/p/", local=call.local)
        self.board = StatusBoard()
        self.cancel = cancel

    def execute(self) -> None:
        self.cancel.wait(10)
        if self.crash is not None:
            raise self.crash
        self.result.files = sorted(self.result.files)  # as a run does at its end
        self.board.state = "cancelled"

    def stop(self) -> None:
        self.cancel.set()

    def requests(self) -> dict[str, int]:
        return {"list": 1}


@pytest.fixture(autouse=True)
def runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[FakeRun]]:
    made: list[FakeRun] = []

    def make(call: Call, cancel: threading.Event) -> FakeRun:
        made.append(FakeRun(call, cancel))
        return made[-1]

    monkeypatch.setattr(engine_run, "sync", make)
    monkeypatch.setattr(node_run, "ROWS", 2)
    monkeypatch.setattr(node_run, "_RUNS", {})
    monkeypatch.setattr(node_run, "_GLANCE_SECONDS", 0.0)
    yield made
    for one in made:
        one.stop()


def seen(report: Report | None) -> list[str]:
    assert report is not None
    return [one.path for one in report.rows]


def finish(job_id: str) -> None:
    running = node_run._RUNS[job_id]
    running.stop()
    assert running.ended.wait(5)


def test_rows_are_told_in_the_order_in_which_they_came_also_when_the_end_sorts_them(runs: list[FakeRun]) -> None:
    assert seen(node_run.begin("t", CALL)) == []
    runs[0].result.files += rows("cab")
    assert seen(node_run.ask("t", 0)) == ["c", "a"]
    finish("t")
    runs[0].result.notes.append("a note")
    last = node_run.ask("t", 2)
    assert seen(last) == ["b"]
    assert last is not None
    assert last.end is not None
    assert (last.state, last.end.notes, last.end.error) == ("cancelled", ["a note"], None)


def rows(names: str) -> list[Row]:
    return [row(name) for name in names]


def test_the_end_comes_with_the_last_rows_and_then_it_is_forgotten(runs: list[FakeRun]) -> None:
    node_run.begin("t", CALL)
    runs[0].result.files += rows("abcd")
    finish("t")
    ends = [one.end is not None for one in (node_run.ask("t", 0), node_run.ask("t", 2)) if one is not None]
    assert ends == [False, True]
    assert node_run.ask("t", 4) is None


def test_a_ticket_begins_one_run(runs: list[FakeRun]) -> None:
    assert [node_run.begin(job_id, CALL).resumed for job_id in "ttu"] == [False, True, False]
    assert len(runs) == 2
    node_run.stop("t")
    node_run.stop("unknown")
    assert [one.cancel.is_set() for one in runs] == [True, False]


def test_a_crash_is_told(runs: list[FakeRun], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeRun, "crash", RuntimeError("boom"))
    node_run.begin("t", CALL)
    finish("t")
    report = node_run.ask("t", 0)
    assert report is not None
    assert report.end is not None
    assert (report.state, str(report.end.error)) == ("failed", "internal error: RuntimeError: boom")


def test_a_run_whose_worker_is_busy_is_kept(runs: list[FakeRun], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    node_run._RUNS["t"] = one = NodeRun(CALL, now=lambda: clock[0])
    clock[0] = 299.0
    node_run.keep("t")
    node_run.keep("unknown")
    clock[0] = 301.0
    one.look()
    assert not runs[0].cancel.is_set()
    finish("t")


def test_a_run_that_nobody_asks_for_stops(runs: list[FakeRun]) -> None:
    clock = [0.0]
    one = NodeRun(CALL, now=lambda: clock[0])
    clock[0] = 50.0
    one.report(0)
    clock[0] = 350.0
    one.look()
    assert not runs[0].cancel.is_set()
    clock[0] = 350.1
    one.look()
    assert runs[0].cancel.is_set()
    assert one.ended.wait(5)
    end = one.report(0).end
    assert end is not None
    assert "stopped, since nobody had asked for it in 5 minutes" in str(end.error)


def test_ended_runs_that_nobody_asked_for_are_dropped(runs: list[FakeRun], monkeypatch: pytest.MonkeyPatch) -> None:
    node_run.begin("t", CALL)
    finish("t")
    monkeypatch.setattr(node_run, "PATIENCE_SECONDS", -1.0)
    node_run.begin("u", CALL)
    assert list(node_run._RUNS) == ["u"]


def test_a_call_that_makes_no_sense_begins_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise ValueError("no")

    monkeypatch.setattr(engine_run, "sync", refuse)
    with pytest.raises(ValueError, match="no"):
        node_run.begin("t", CALL)
    assert node_run._RUNS == {}
