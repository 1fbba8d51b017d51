"""A file's parts side by side: every part once, within the run's gate, and an end at the first error."""

from __future__ import annotations

import threading

import pytest

from nbsync.transfer.concurrency import Controller
from nbsync.transfer.part_pool import ALL_PART_WORKERS, PartPool, Stopped, _helpers


def run(controller: Controller, pool: PartPool[int]) -> None:
    """As a worker does: in a slot of its own."""
    with controller.concurrency:
        pool.run()


@pytest.mark.parametrize("jobs", [1, 2, 8])
def test_every_part_once_and_never_more_at_once_than_jobs(jobs: int) -> None:
    lock, done, state = threading.Lock(), [], {"now": 0, "most": 0}

    def work(part: int) -> None:
        with lock:
            state["now"] += 1
            state["most"] = max(state["most"], state["now"])
            done.append(part)
        with lock:
            state["now"] -= 1

    controller = Controller(jobs)
    run(controller, PartPool(controller, work, range(50)))
    assert sorted(done) == list(range(50))
    assert state["most"] <= jobs


def test_helpers_do_help() -> None:
    together = threading.Barrier(4, timeout=20)
    controller = Controller(4)
    run(controller, PartPool(controller, lambda _part: together.wait(), range(4)))


def test_a_system_that_starts_no_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    controller, done = Controller(4), []
    run(controller, PartPool(controller, done.append, range(10)))
    assert done == list(range(10))
    free = sum(_helpers.acquire(blocking=False) for _ in range(ALL_PART_WORKERS))
    _helpers.release(free)
    assert free == ALL_PART_WORKERS


def test_a_file_gets_on_where_no_slot_is_free() -> None:
    controller, done = Controller(1), []
    threads = [
        threading.Thread(target=run, args=(controller, PartPool(controller, done.append, range(5))), daemon=True)
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(done) == sorted([*range(5)] * 4)


def test_the_first_error_ends_it_and_nobody_is_left_at_work() -> None:
    controller, started = Controller(3), threading.Barrier(3, timeout=20)
    ended = []

    def work(part: int) -> None:
        if part < 3:
            started.wait()
        if part == 0:
            raise ValueError("broken")
        while not pool.over:
            pass
        ended.append(part)
        raise Stopped

    pool = PartPool(controller, work, range(100))
    with pytest.raises(ValueError, match="broken"):
        run(controller, pool)
    assert sorted(ended) == [1, 2]
    assert not [thread for thread in threading.enumerate() if thread.name == "nbsync-part"]
