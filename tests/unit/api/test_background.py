"""Background jobs: who moves their progress, in which order they run, how they end."""

from __future__ import annotations

import asyncio
import threading

import pytest

from nbsync.api.background import Background
from nbsync.api.job import SyncJob
from nbsync.api.ticker import Ticker, ticker_here
from nbsync.errors import Interrupted, NbsyncError, SyncProblems, UsageError
from tests.unit.runs import Loop, call, end, run_of

pytestmark = pytest.mark.usefixtures("scripted_runs")


def test_numbers_are_short_and_stay() -> None:
    known = Background()
    jobs = [known.begin(SyncJob(call())) for _ in range(3)]
    assert [job.id for job in jobs] == [1, 2, 3]
    end(jobs[1])
    assert known.find("2") is jobs[1]
    assert known.begin(SyncJob(call())).id == 4
    assert [job.id for job in known.jobs()] == [1, 2, 3, 4]
    for wrong in ("5", "x", "", "-1", "1.0", "²", "9" * 5000):
        with pytest.raises(UsageError, match="no background sync"):
            known.find(wrong)
    for job in known.jobs():
        job.cancel()


def test_of_those_that_have_ended_the_last_are_kept() -> None:
    known = Background()
    first = known.begin(SyncJob(call()))
    for _ in range(60):
        end(known.begin(SyncJob(call())))
    kept = [job.id for job in known.jobs()]
    assert kept[0] == first.id == 1, "what is under way is never forgotten"
    assert len(kept) < 60
    assert kept[-1] == 61
    first.cancel()


def test_one_ticker_moves_all_until_each_has_ended() -> None:
    loop = Loop()
    ticker = Ticker(loop)
    one, two = SyncJob(call()), SyncJob(call())
    for job in (one, two):
        ticker.add(job)
        assert run_of(job).begun.wait(20)
    assert len(loop.due) == 1
    loop.turn()
    assert (one.progress.state, two.progress.state, len(loop.due)) == ("syncing", "syncing", 1)
    end(one, hits=3)
    loop.turn()
    assert (one.progress.state, one.progress.counts["hit"]) == ("done", 3)
    end(two)
    loop.turn()
    assert (two.progress.state, loop.due) == ("done", [])


def test_an_observer_that_fails_is_told_of_once_and_stops_nobody() -> None:
    def fail(_change: object) -> None:
        raise ValueError("mine")

    loop = Loop()
    ticker = Ticker(loop)
    bad, good = SyncJob(call()), SyncJob(call())
    bad.progress.observe(fail)
    seen: list[str] = []
    bad.watch(lambda: seen.append("bad"))
    for job in (bad, good):
        ticker.add(job)
        assert run_of(job).begun.wait(20)
    for _ in range(3):
        loop.turn()
    assert good.progress.state == "syncing"
    assert seen == ["bad"] * 3, "its table is drawn all the same"
    end(bad)
    end(good)
    loop.turn()
    assert loop.due == []
    assert [str(told["exception"]) for told in loop.complaints] == ["mine"]


def test_a_watcher_that_wants_more_is_called_on() -> None:
    loop = Loop()
    ticker = Ticker(loop)
    job = SyncJob(call())
    answers = [True, True, False]
    job.watch(lambda: answers.pop(0))
    ticker.add(job)
    end(job)
    for _ in range(3):
        assert len(loop.due) == 1
        loop.turn()
    assert (answers, loop.due, job.is_watched) == ([], [], False)


class Panel:
    """Something that is moved, and done after so many moves."""

    id = 0
    is_watched = False

    def __init__(self, moves: int) -> None:
        self.left = moves
        self.threads: list[threading.Thread] = []
        self.came = asyncio.Event()

    @property
    def done(self) -> bool:
        return self.left == 0

    def poll(self) -> bool:
        self.threads.append(threading.current_thread())
        self.left -= 1
        if self.done:
            self.came.set()
        return self.done


def test_what_is_woken_from_another_thread_is_moved_at_once_and_until_it_is_done() -> None:
    async def live() -> Panel:
        ticker, panel = ticker_here(), Panel(3)
        assert ticker is ticker_here() is not None, "one for each loop"
        await asyncio.to_thread(ticker.wake, panel)
        await asyncio.sleep(0)
        assert len(panel.threads) == 1
        await asyncio.wait_for(panel.came.wait(), 10)
        return panel

    assert ticker_here() is None
    assert asyncio.run(live()).threads == [threading.current_thread()] * 3


def test_a_loop_that_is_closed_wakes_nobody() -> None:
    loop, panel = Loop(), Panel(1)
    ticker = Ticker(loop)
    ticker.wake(panel)
    assert len(loop.due) == 1
    loop.running = False
    ticker.wake(panel)
    assert (len(loop.due), panel.threads) == (1, [])


def test_what_an_event_loop_moves_no_other_thread_moves() -> None:
    loop = Loop()
    job = SyncJob(call())
    job.ticker = Ticker(loop)
    job.ticker.add(job)
    assert run_of(job).begun.wait(20)
    moved: list[threading.Thread] = []
    job.progress.observe(lambda _change: moved.append(threading.current_thread()))
    results = []
    waiting = threading.Thread(target=lambda: results.append(job.wait()))
    waiting.start()
    end(job)
    waiting.join(20)
    assert results == [job.result]
    assert set(moved) <= {threading.current_thread()}
    moved.clear()
    loop.running = False  # a loop that is closed moves nothing: then anybody may
    other = threading.Thread(target=job.poll)
    other.start()
    other.join()
    assert set(moved) == {other}


def test_waiting_in_the_loops_thread_moves_the_others_too() -> None:
    loop = Loop()
    ticker = Ticker(loop)
    waited, other = SyncJob(call()), SyncJob(call())
    for job in (waited, other):
        job.ticker = ticker
        ticker.add(job)
        assert run_of(job).begun.wait(20)
    end(waited)
    waited.wait()
    assert other.progress.state == "syncing"
    other.cancel()


def test_await_gives_what_wait_gives_and_lets_the_loop_turn() -> None:
    async def main() -> tuple[object, int]:
        job = Background().begin(SyncJob(call()))
        turns = 0

        async def count() -> None:
            nonlocal turns
            while not job.done:
                turns += 1
                await asyncio.sleep(0.001)

        counting = asyncio.create_task(count())
        asyncio.get_running_loop().call_later(0.02, run_of(job).may_end.set)
        result = await job
        await counting
        assert result is job.result
        return result, turns

    result, turns = asyncio.run(main())
    assert turns > 1
    assert result is not None


def test_cancelling_the_waiting_leaves_the_job() -> None:
    async def main() -> SyncJob:
        job = Background().begin(SyncJob(call()))

        async def wait_for_it() -> None:
            await job

        waiting = asyncio.create_task(wait_for_it())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return job

    job = asyncio.run(main())
    assert not job.done
    end(job)
    assert job.wait().error is None


def test_an_event_loop_that_runs_moves_the_progress_by_itself() -> None:
    async def main() -> str:
        job = Background().begin(SyncJob(call()))
        seen = asyncio.Event()
        job.progress.observe(lambda change: seen.set() if change.new == "syncing" else None, names=["state"])
        await asyncio.wait_for(seen.wait(), 10)
        job.cancel()
        return job.progress.state

    assert asyncio.run(main()) == "syncing"


def test_one_after_the_other() -> None:
    first = Background().begin(SyncJob(call("one")))
    second = SyncJob(call("two"), after=first)
    assert run_of(first).begun.wait(20)
    assert not run_of(second).begun.is_set()
    end(first)
    assert run_of(second).begun.wait(20)
    end(second)
    assert second.wait().error is None


def test_what_comes_after_a_refusal_does_not_begin() -> None:
    first = Background().begin(SyncJob(call("one")))
    second = SyncJob(call("two"), after=first)
    third = SyncJob(call("three"), after=second)
    first.cancel()
    assert isinstance(first.result.error, Interrupted)
    for job in (second, third):
        assert "not begun" in str(job.wait().error)
        assert (job.state, run_of(job).begun.is_set()) == ("failed", False)
    assert "background sync 1" in str(second.result.error)


def test_one_that_waits_for_another_can_be_cancelled() -> None:
    first = SyncJob(call("one"))
    second = SyncJob(call("two"), after=first)
    second.cancel()
    assert isinstance(second.wait(timeout=10).error, Interrupted)
    first.cancel()


def test_strict_raises_where_one_waits_for_a_background_job() -> None:
    job = Background().begin(SyncJob(call(strict=True)))
    run_of(job).result.counts["failed"] = 1
    end(job)
    with pytest.raises(SyncProblems):
        job.wait()
    assert not job.result.ok
    assert not job.ok


def test_a_crash_is_raised_where_one_waits_and_told_in_the_result() -> None:
    job = SyncJob(call())
    run_of(job).crash = ZeroDivisionError("a slip")
    end(job)
    with pytest.raises(ZeroDivisionError):
        job.wait()
    assert isinstance(job.result.error, NbsyncError)
    assert "internal error: ZeroDivisionError: a slip" in job._repr_mimebundle_()["text/plain"]
    assert job.progress.state == "failed"


def test_shown_it_tells_how_it_goes() -> None:
    job = Background().begin(SyncJob(call()))
    assert run_of(job).begun.wait(20)
    for form in ("text/html", "text/plain"):
        assert "background sync 1" in job._repr_mimebundle_()[form]
    assert repr(job) == "<SyncJob 1 pull s3://b/p/: syncing>"
    end(job, hits=2)
    assert job._repr_mimebundle_() == job.result._repr_mimebundle_()
    assert (job.ok, job.counts["hit"]) == (True, 2)
