"""The life of a run: however its body ends, its result says so, and what was opened is closed."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from nbsync.core.call import Call
from nbsync.core.location import parse_location
from nbsync.core.model import Row
from nbsync.core.options import Options
from nbsync.engine.run import Run
from nbsync.errors import GuardRefusal, Interrupted, LocalError, NbsyncError
from nbsync.results.sync_result import SyncResult
from nbsync.wire.errors import Aborted

CALL = Call(command="pull", remote="b/p", local="data", direction="pull",
            options=Options(endpoint_url="http://127.0.0.1:9", no_sign_request=True))  # fmt: skip


def run_of(body: Callable[[Run], None]) -> Run:
    result = SyncResult(command="pull", remote="s3://b/p/", local="data")

    def explain(error: Exception) -> NbsyncError:
        return error if isinstance(error, NbsyncError) else LocalError(f"explained: {error}")

    return Run(CALL, "data", result, threading.Event(), body, explain=explain)


def fails(error: BaseException) -> Callable[[Run], None]:
    def body(_run: Run) -> None:
        raise error

    return body


def stops(run: Run) -> None:
    run.stop()
    raise Aborted("in the middle")


def opens(run: Run) -> None:
    bucket = run.open_bucket(parse_location("b/p"), lambda: None)
    bucket.counts.add("list")
    assert run.requests()["list"] == 1


@pytest.mark.parametrize(
    ("body", "state", "error"),
    [
        (lambda _run: None, "done", None),
        (fails(GuardRefusal("no")), "failed", (GuardRefusal, "no")),
        (fails(OSError("disk")), "failed", (LocalError, "explained: disk")),
        (stops, "cancelled", (Interrupted, "stopped by the user; every file that was finished is kept")),
        (opens, "done", None),
    ],
)
def test_how_it_ends(body: Callable[[Run], None], state: str, error: tuple[type, str] | None) -> None:
    run = run_of(body)
    result = run.execute()

    assert run.board.state == state
    assert result is run.result
    if error is None:
        assert result.error is None
    else:
        assert isinstance(result.error, error[0])
        assert str(result.error).startswith(error[1])


def test_rows_are_sorted_in_a_new_list_and_requests_are_in_the_result() -> None:
    run = run_of(lambda run: (run.result.files.extend(rows), opens(run))[-1])
    rows = [Row(path, "none", "hit", "", "state", 0, 0.0, None) for path in "ba"]
    before = run.result.files
    result = run.execute()

    assert [row.path for row in result.files] == ["a", "b"]
    assert [row.path for row in before] == ["b", "a"]  # who follows the old list keeps his place
    assert result.requests["list"] == 1
    assert run.endpoint == "http://127.0.0.1:9"


def test_a_crash_is_not_hidden_and_closes_the_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []

    def body(run: Run) -> None:
        bucket = run.open_bucket(parse_location("b/p"), lambda: None)
        monkeypatch.setattr(bucket.client, "close", lambda: closed.append(True))
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        run_of(body).execute()
    assert closed == [True]


def test_what_was_stopped_before_it_began_sends_nothing() -> None:
    run = run_of(opens)
    run.stop()
    result = run.execute()

    assert isinstance(result.error, Interrupted)
    assert not any(result.requests.values())


def test_a_run_that_is_stuck_is_left_to_itself() -> None:
    run = run_of(lambda _run: None)
    run.abandon()

    assert run.board.state == "cancelled"
    assert isinstance(run.result.error, Interrupted)
