"""The run's controller and its gate, with a clock, a processor and a rate that the test sets."""

from __future__ import annotations

import threading

import pytest

from nbsync.transfer.concurrency import MAX_WORKERS, START_WORKERS, ConcurrencyLimit, Controller


class Fakes:
    """A controller whose surroundings are the test's."""

    def __init__(self, jobs: int = 0) -> None:
        self.now = self.cpu = 0.0
        self.moved = 0
        self.controller = Controller(jobs, now=lambda: self.now, cpu=lambda: self.cpu)

    @property
    def limit(self) -> int:
        return self.controller.concurrency.limit

    def interval(self, rate: float = 0, *, moved: int = 0, busy: float = 0.1, waiting: int = 1000) -> int:
        """A second at `rate` files and `moved` bytes; the limit after it."""
        self.now += 1.0
        self.cpu += busy
        self.controller.done += int(rate)
        self.moved += moved
        self.controller.tick(waiting, lambda: self.moved)
        return self.limit


def test_it_grows_while_that_helps() -> None:
    fakes = Fakes()
    assert [fakes.interval(rate) for rate in (100, 200, 400, 410, 400)] == [8, 16, 32, 32, 32]


def test_bytes_of_large_files_count_as_files_do() -> None:
    fakes = Fakes()
    assert [fakes.interval(moved=rate << 20) for rate in (100, 200, 400, 410, 400)] == [8, 16, 32, 32, 32]


def test_it_has_a_ceiling() -> None:
    fakes = Fakes()
    assert max(fakes.interval(100 * 2**n) for n in range(20)) == MAX_WORKERS


@pytest.mark.parametrize(("jobs", "files", "most", "width"), [(0, 10_000, 128, 256), (0, 200, 25, 50), (0, 3, 1, 1),
                                                              (9, 10_000, 9, 9), (100, 200, 50, 50)])  # fmt: skip
def test_it_opens_no_more_than_the_process_may(jobs: int, files: int, most: int, width: int) -> None:
    controller = Controller(jobs, files=files)
    assert (controller.most, controller.width) == (most, width)
    assert controller.concurrency.limit == min(jobs or START_WORKERS, most)


@pytest.mark.parametrize("why", [{"busy": 0.9}, {"waiting": 0}])
def test_it_does_not_grow_without_idle_processors_and_work(why: dict[str, float]) -> None:
    fakes = Fakes()
    assert [fakes.interval(rate, **why) for rate in (100, 200, 400)] == [START_WORKERS] * 3  # type: ignore[arg-type]


def test_a_part_that_waits_for_a_slot_is_work() -> None:
    fakes = Fakes()
    fakes.controller.concurrency.waiting = 1
    assert fakes.interval(100, waiting=0) == 2 * START_WORKERS


def test_it_looks_once_an_interval() -> None:
    fakes = Fakes()
    fakes.now += Controller.INTERVAL_SECONDS / 2
    fakes.controller.tick(1000, lambda: 0)
    assert fakes.limit == START_WORKERS


def test_another_phase_is_compared_with_no_earlier_rate() -> None:
    fakes = Fakes()
    assert [fakes.interval(rate) for rate in (1000, 1001)] == [8, 8]
    fakes.controller.begin()
    assert [fakes.interval(rate) for rate in (10, 20)] == [16, 32]


# ---- a service that asks for less -------------------------------------------------------------------


def test_one_burst_halves_once_the_next_again() -> None:
    fakes = Fakes(64)
    for _ in range(30):
        fakes.controller.slow_down()
    assert fakes.limit == 32
    fakes.now += 1.0
    for _ in range(30):
        fakes.controller.slow_down()
    assert fakes.limit == 16


def test_it_never_closes() -> None:
    fakes = Fakes(4)
    for _ in range(10):
        fakes.now += 1.0
        fakes.controller.slow_down()
    assert fakes.limit == 1
    assert [fakes.interval() for _ in range(5)] == [2, 3, 4, 4, 4]


def test_it_recovers_by_one_a_second_and_then_searches_on() -> None:
    fakes = Fakes()
    for rate in (100, 200):
        fakes.interval(rate)
    fakes.controller.slow_down()
    assert fakes.limit == 8
    assert [fakes.interval(1000) for _ in range(8)] == [9, 10, 11, 12, 13, 14, 15, 16]
    assert [fakes.interval(10_000) for _ in range(11)][-1] == 32


def test_with_jobs_it_recovers_to_all_of_them_and_no_further() -> None:
    fakes = Fakes(6)
    fakes.controller.slow_down()
    assert [fakes.interval(1000) for _ in range(6)] == [4, 5, 6, 6, 6, 6]


@pytest.mark.parametrize("jobs", [0, 6])
def test_a_refusal_while_it_recovers_halves_again(jobs: int) -> None:
    fakes = Fakes(jobs)
    fakes.controller.slow_down()
    half = fakes.limit
    fakes.interval(1000)
    fakes.controller.slow_down()
    assert fakes.limit == (half + 1) // 2
    assert [fakes.interval(1000) for _ in range(2)] == [(half + 1) // 2 + 1, (half + 1) // 2 + 2]


def test_nothing_grows_back_while_nothing_waits() -> None:
    fakes = Fakes(8)
    fakes.controller.slow_down()
    assert [fakes.interval(waiting=0) for _ in range(3)] == [4, 4, 4]


# ---- the gate ---------------------------------------------------------------------------------------


def test_gate_lets_no_more_through() -> None:
    concurrency, inside, entered = ConcurrencyLimit(1), [], threading.Event()

    def enter() -> None:
        with concurrency:
            inside.append(1)
            entered.set()

    with concurrency:
        thread = threading.Thread(target=enter, daemon=True)
        thread.start()
        assert not inside
        concurrency.set(2)
        assert entered.wait(20)
    thread.join(20)


def test_who_waits_at_the_gate_can_be_sent_away() -> None:
    concurrency, over, got = ConcurrencyLimit(1), threading.Event(), []
    with concurrency:
        thread = threading.Thread(target=lambda: got.append(concurrency.enter(unless=over.is_set)), daemon=True)
        thread.start()
        over.set()
        concurrency.wake()
        thread.join(20)
    assert got == [False]
    with concurrency:
        assert concurrency.waiting == 0
