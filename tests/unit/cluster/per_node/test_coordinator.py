"""`--spread each` from the coordinator's side: nodes, sums, workers that die, cancels, errors of one and of all."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from nbsync.cluster.per_node import coordinator
from nbsync.cluster.per_node.coordinator import each
from nbsync.core.call import Call
from nbsync.core.model import Problem
from nbsync.core.options import build_options
from nbsync.errors import AccessDenied, ClusterError, ConfigError, GuardRefusal, Interrupted, NbsyncError, UsageError
from nbsync.results.sync_result import SyncResult
from tests.unit.cluster.fakes import (
    DEAD,
    ENGINE_DEAD,
    SILENT,
    FakeBackend,
    FakeWorker,
    active,
    identity,
    paths,
    report,
    row,
)  # fmt: skip

DONE = report(row("a"), row("b"), ended=True)


def call(**options: Any) -> Call:
    given = {"on": "dask://localhost:1", "spread": "each", "endpoint_url": "http://localhost", "no_sign_request": True,
             **options}  # fmt: skip
    return Call(command="pull", direction="pull", remote="b/p", local="data", options=build_options("pull", given))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(coordinator, "ALONE_SECONDS", 0.0)
    monkeypatch.setattr(coordinator, "_STOP_SECONDS", 0.1)
    monkeypatch.setattr(coordinator, "_INTERVAL", 0.0)

    def run(backend: FakeBackend, given: Call | None = None) -> SyncResult:
        monkeypatch.setattr(coordinator, "open_backend", lambda *_: backend)
        result = each(given or call(), threading.Event()).execute()
        assert backend.closed
        return result

    return run


def test_every_node_pulls_once_and_all_of_it_adds_up(run: Any) -> None:
    one, same, other = FakeWorker(identity(1), [DONE]), FakeWorker(identity(1), [DONE]), FakeWorker(identity(2), [DONE])
    result = run(FakeBackend(w1=one, w2=same, w3=other))
    assert list(paths(result.files)) == [
        ("a", "miss", "w1"), ("a", "miss", "w3"), ("b", "miss", "w1"), ("b", "miss", "w3")
    ]  # fmt: skip
    assert [len(worker.begun) for worker in (one, same, other)] == [1, 0, 1]
    assert (result.counts["miss"], result.bytes["moved"], result.requests["list"]) == (4, 40, 2)
    assert [(node.host, node.worker, node.complete) for node in result.nodes] == [
        ("host1", "w1", True), ("host2", "w3", True)
    ]  # fmt: skip
    assert result.ok
    assert result.notes == ["2 of 2 nodes complete: host1:/d1/data, host2:/d2/data"]
    assert result.to_dict()["nodes"][1]["local"] == "/d2/data"


def test_workers_that_all_share_one_local_are_told_what_splits_the_work(run: Any) -> None:
    result = run(FakeBackend(w1=FakeWorker(identity(1), [DONE]), w2=FakeWorker(identity(1), [DONE])))
    assert result.notes[0].startswith("LOCAL is one directory for all 2 workers")
    assert len(run(FakeBackend(w1=FakeWorker(identity(1), [DONE]))).notes) == 1


def test_what_a_node_is_told_is_a_pull_of_its_own(run: Any, tmp_path: Any) -> None:
    listed = tmp_path / "list"
    listed.write_text("a\nb\n")
    one, other = FakeWorker(identity(1), [DONE]), FakeWorker(identity(2), [DONE])
    run(FakeBackend(w1=one, w2=other), call(bandwidth="30MB/s", delete=True, files_from=str(listed)))
    told = one.begun[0]
    assert (told.options.on, told.options.spread, told.options.files_from, told.executor) == ("", "", "", None)
    assert (told.only, told.options.delete, told.local) == (frozenset({"a", "b"}), True, "data")
    assert told.options.bandwidth == 15_000_000


def test_a_key_s_file_is_the_one_that_is_named_here(run: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    worker = FakeWorker(identity(1), [DONE], endpoint="https://localhost:443")
    (tmp_path / "key").write_bytes(bytes(32))
    run(FakeBackend(w1=worker), call(sse_c_key_file="key", endpoint_url="https://localhost"))
    assert worker.begun[0].options.sse_c_key_file == str(tmp_path / "key")


def test_rows_come_in_pieces_and_each_is_asked_for_once(run: Any) -> None:
    worker = FakeWorker(identity(1), [report(row("a"), total=3), report(row("b"), row("c")), DONE._replace(rows=[])])
    result = run(FakeBackend(w1=worker))
    assert worker.asked == [1, 3]
    assert [path for path, _, _ in paths(result.files)] == ["a", "b", "c"]


def test_another_worker_of_the_node_goes_on_where_one_died(run: Any) -> None:
    dies = FakeWorker(identity(1), [report(row("a"), row("h", "hit"), total=4), DEAD])
    goes_on = FakeWorker(identity(1), [report(row("a", "hit"), row("b"), row("c"), row("h", "hit"), ended=True)])
    result = run(FakeBackend(w1=dies, w2=goes_on))
    assert list(paths(result.files)) == [
        ("a", "miss", "w1"), ("a", "hit", "w2"), ("b", "miss", "w2"), ("c", "miss", "w2"), ("h", "hit", "w2")
    ]  # fmt: skip
    assert (result.counts["miss"], result.counts["hit"], result.bytes["moved"]) == (3, 2, 30)
    assert result.requests == {"list": 2, "head": 0, "get": 4, "put": 0, "delete": 0, "other": 0}
    assert result.ok
    assert "worker w1 is gone: the pull of host1:/d1/data was begun again by w2" in result.notes


def test_a_worker_that_is_started_anew_goes_on(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coordinator, "ALONE_SECONDS", 20.0)
    backend = FakeBackend(w1=FakeWorker(identity(1), [report(row("a"), total=4), DEAD]))
    made_since = replace_spots(identity(1))  # LOCAL is there now: it was made by the first
    backend.later = {"w9": FakeWorker(made_since, [DONE]), "x": FakeWorker(identity(3), [DONE])}
    result = run(backend)
    assert result.ok
    assert [(node.worker, node.complete) for node in result.nodes] == [("w9", True)]
    assert not backend.later["x"].begun  # a node that was not there at the beginning


def replace_spots(at: Any) -> Any:
    return at._replace(ancestors=(at.ancestors[0]._replace(inode=99), *at.ancestors))


def test_a_worker_that_was_out_of_sight_goes_on(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes back under its name, its run goes on, and nothing of it counts twice."""
    monkeypatch.setattr(coordinator, "ALONE_SECONDS", 20.0)
    rest = report(row("a"), row("b"), ended=True, resumed=True)
    worker = FakeWorker(identity(1), [report(row("a"), total=2), DEAD, rest])
    backend = FakeBackend(w1=worker)
    backend.later = {"w1": worker}
    result = run(backend)
    assert list(paths(result.files)) == [("a", "miss", "w1"), ("b", "miss", "w1")]
    assert (result.ok, result.counts["miss"], result.bytes["moved"], result.requests["get"]) == (True, 2, 20, 2)


def test_a_process_that_knows_nothing_of_the_run_begins_it_again(run: Any) -> None:
    worker = FakeWorker(identity(1), [report(row("a"), total=2), None, report(row("a", "hit"), row("b"), ended=True)])
    result = run(FakeBackend(w1=worker))
    assert len(worker.begun) == 2
    assert list(paths(result.files)) == [("a", "miss", "w1"), ("a", "hit", "w1"), ("b", "miss", "w1")]


def test_a_node_without_workers_is_told_and_others_go_on(run: Any) -> None:
    dies = FakeWorker(identity(1), [report(row("a"), total=4), DEAD])
    result = run(FakeBackend(w1=dies, w2=FakeWorker(identity(2), [DONE])))
    assert list(paths(result.files)) == [("a", "miss", "w1"), ("a", "miss", "w2"), ("b", "miss", "w2")]
    (problem,) = result.problems
    assert problem.path == "host1:/d1/data"
    assert "w1 is gone, and no other worker is there for this node. Files known to have arrived: 1" in problem.message
    assert (result.exit_code, [node.complete for node in result.nodes]) == (1, [False, True])
    assert result.notes[0] == "1 of 2 nodes complete: host2:/d2/data"


def test_workers_that_keep_dying_are_not_tried_for_ever(run: Any) -> None:
    backend = FakeBackend(**{f"w{n}": FakeWorker(identity(1), [DEAD]) for n in range(9)})
    result = run(backend)
    assert isinstance(result.error, ClusterError)
    assert "4 workers died while they were at it" in str(result.error)
    assert len(backend.there) == 5


def test_hits_of_all_nodes_have_as_many_rows_as_those_of_one_run(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbsync.cluster.per_node.totals.MAX_HIT_ROWS", 3)
    found = report(row("a", "hit"), row("b", "hit"), row("c"), ended=True)
    result = run(FakeBackend(w1=FakeWorker(identity(1), [found]), w2=FakeWorker(identity(2), [found])))
    assert [path for path, _, _ in paths(result.files)] == ["a", "a", "b", "c", "c"]
    assert (result.counts["hit"], result.hits_omitted) == (4, 1)


def test_an_error_of_one_node_does_not_stop_the_others(run: Any) -> None:
    full = report(ended=True, error=GuardRefusal("there is no room", "Make some"))
    result = run(FakeBackend(w1=FakeWorker(identity(1), [full]), w2=FakeWorker(identity(2), [DONE])))
    assert result.error is None
    assert [(problem.path, problem.kind) for problem in result.problems] == [("host1:/d1/data", "node")]
    assert "there is no room. Make some" in result.problems[0].message
    assert [node.error for node in result.nodes] == ["there is no room. Make some", None]
    assert result.exit_code == 1


def test_what_every_node_meets_is_the_runs_own_error(run: Any) -> None:
    refused = report(ended=True, error=AccessDenied("s3://b/p/: access denied", "Ask"))
    result = run(FakeBackend(w1=FakeWorker(identity(1), [refused]), w2=FakeWorker(identity(2), [refused])))
    assert isinstance(result.error, AccessDenied)
    assert str(result.error) == "s3://b/p/: access denied (on every node). Ask"
    assert result.exit_code == 2


def test_of_different_errors_the_first_is_the_runs_and_the_others_are_problems(run: Any) -> None:
    refused, full = (report(ended=True, error=error) for error in (AccessDenied("no access"), GuardRefusal("no room")))
    workers = [FakeWorker(identity(number), [answer]) for number, answer in enumerate((refused, full, refused), 1)]
    result = run(FakeBackend(**{f"w{number}": worker for number, worker in enumerate(workers)}))
    assert str(result.error) == "no access (on host1:/d1/data)"
    assert [problem.path for problem in result.problems] == ["host2:/d2/data"]


def test_a_dry_run_makes_no_node_complete(run: Any) -> None:
    planned = report(row("a", "planned"), ended=True)
    result = run(FakeBackend(w1=FakeWorker(identity(1), [planned])), call(dry_run=True))
    assert (result.ok, result.dry_run, [node.complete for node in result.nodes]) == (True, True, [False])
    assert result.notes == ["1 node would have a copy each: host1:/d1/data"]


def test_problems_and_notes_name_the_node(run: Any) -> None:
    bad = report(row("x", "failed"), ended=True, problems=[Problem("x", "failed", "broke")], notes=["same", "own"])
    result = run(FakeBackend(w1=FakeWorker(identity(1), [bad]), w2=FakeWorker(identity(2), [DONE])))
    assert result.problems == [Problem("x", "failed", "broke (on host1:/d1/data)")]
    assert result.notes[1:] == ["same (host1:/d1/data)", "own (host1:/d1/data)"]
    assert [node.complete for node in result.nodes] == [False, True]


@pytest.mark.parametrize("raised", [UsageError("not here"), ValueError("odd")])
def test_what_a_worker_raises_is_its_nodes_error(run: Any, raised: Exception) -> None:
    result = run(FakeBackend(w1=FakeWorker(identity(1), [raised]), w2=FakeWorker(identity(2), [DONE])))
    assert str(raised) in result.problems[0].message
    assert result.nodes[1].complete


def test_a_lost_engine_ends_the_run_with_what_is_known(run: Any) -> None:
    result = run(FakeBackend(w1=FakeWorker(identity(1), [report(row("a"), total=4), ENGINE_DEAD])))
    assert isinstance(result.error, ClusterError)
    assert "fake://backend was lost: no heartbeat" in str(result.error)
    assert list(paths(result.files)) == [("a", "miss", "w1")]
    assert "stops by itself within minutes" in str(result.nodes[0].error)


def test_a_cancel_stops_every_node_and_shows_what_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    later = [0.0]
    stopped = report(row("c", "cancelled"), ended=True, error=Interrupted("stopped"))
    obeys = FakeWorker(
        identity(1), [report(row("a"), total=4, active=(active("b"),)), report(total=4)], on_stop=stopped
    )
    silent = FakeWorker(identity(2), [report(row("a"), total=4), SILENT])
    backend = FakeBackend(w1=obeys, w2=silent)
    monkeypatch.setattr(coordinator, "open_backend", lambda *_: backend)
    cancel = threading.Event()
    monkeypatch.setattr(coordinator, "_STOP_SECONDS", 60.0)
    one = each(call(), cancel, now=lambda: time.monotonic() + later[0])
    working = threading.Thread(target=one.execute)
    working.start()
    until(lambda: len(silent.asked) > 0 and one.runner.bytes_moved() == 20)
    one.stop()
    until(lambda: one.board.counts["cancelled"] == 1)  # who obeys is waited for
    later[0] = 60.1  # who does not is not
    working.join(5)
    assert (obeys.stopped, silent.stopped) == (1, 1)
    assert isinstance(one.result.error, Interrupted)
    assert (one.board.state, one.result.exit_code) == ("cancelled", 130)
    assert list(paths(one.result.files)) == [("a", "miss", "w1"), ("a", "miss", "w2"), ("c", "cancelled", "w1")]


def until(holds: Any) -> None:
    ended = threading.Event()
    for _ in range(500):
        if holds():
            return
        ended.wait(0.01)
    raise AssertionError("it never came to that")


def test_the_board_is_the_sum_while_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = report(row("a"), total=4, active=(active("b"),))
    backend = FakeBackend(w1=FakeWorker(identity(1), [waiting, SILENT]), w2=FakeWorker(identity(2), [waiting, SILENT]))
    monkeypatch.setattr(coordinator, "open_backend", lambda *_: backend)
    monkeypatch.setattr(coordinator, "_STOP_SECONDS", 0.0)
    one = each(call(), threading.Event())
    working = threading.Thread(target=one.execute)
    working.start()
    until(lambda: one.runner.bytes_moved() == 20)
    assert (one.board.files_done, one.board.files_total, one.board.bytes_total) == (2, 8, 80)
    assert [item.path for item in one.runner.active()] == ["b", "b"]
    assert (one.board.state, one.requests()["get"]) == ("syncing", 4)
    one.stop()
    working.join(5)


def test_a_worker_that_would_ask_elsewhere_is_not_fit(run: Any) -> None:
    good, bad = (
        FakeWorker(identity(1), [DONE]),
        FakeWorker(identity(2), [DONE], endpoint="https://s3.amazonaws.com:443"),
    )
    result = run(FakeBackend(w1=good, w2=bad))
    assert isinstance(result.error, ClusterError)
    assert "requests of w2 would go to https://s3.amazonaws.com:443, and this machine's to http://" in str(result.error)
    assert not good.begun


def test_a_worker_without_credentials_is_not_fit(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = FakeWorker(identity(1), [DONE]), FakeWorker(identity(2), [DONE])
    backend = FakeBackend(w1=good, w2=bad)
    monkeypatch.setattr(bad, "answer", lambda *_: ConfigError("no AWS credentials found", "Set them"))
    result = run(backend)
    assert isinstance(result.error, ClusterError)
    assert str(result.error) == "w2 of fake://backend: no AWS credentials found. Set them"
    assert not good.begun


def test_an_engine_that_chooses_for_itself_is_refused(run: Any) -> None:
    backend = FakeBackend(w1=FakeWorker(identity(1), [DONE]))
    backend.can_pin = False
    result = run(backend)
    assert isinstance(result.error, UsageError)
    assert "can send work to a certain worker" in str(result.error)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"command": "push", "direction": "push"}, "--spread each is for pull: a push has one source"),
        ({"again": True, "remote": ""}, "--spread each needs REMOTE"),
        ({"local": "s3://b/p"}, "LOCAL is on the workers' machines"),
    ],
)
def test_what_cannot_be_is_refused_at_once(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(NbsyncError, match=told):
        each(replace(call(), **changed), threading.Event())
