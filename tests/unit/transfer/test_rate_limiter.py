"""--bandwidth, under a clock that only the limiter's own waiting moves."""

from __future__ import annotations

import pytest

from nbsync.transfer.rate_limiter import Limiter


class Clock:
    """Seconds, moved by hand and by `wait`."""

    def __init__(self) -> None:
        self.now, self.waited = 100.0, 0.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        self.waited += seconds
        return False


@pytest.mark.parametrize("count", [1, 1000, 65_536, 1_000_000])
def test_rate_is_kept_in_the_long_run(count: int) -> None:
    clock = Clock()
    limiter = Limiter(1_000_000, clock.wait, clock)
    for _ in range(10_000_000 // count if count > 1 else 1000):
        limiter.take(count)
    total = (10_000_000 // count if count > 1 else 1000) * count
    assert clock.waited == pytest.approx(total / 1_000_000, abs=0.26)


def test_short_rest_may_be_made_up_a_long_one_not() -> None:
    clock = Clock()
    limiter = Limiter(1000, clock.wait, clock)
    clock.now += 3600
    limiter.take(250)
    assert clock.waited == 0
    limiter.take(1000)
    assert clock.waited == pytest.approx(1.0)


def test_no_limit() -> None:
    clock = Clock()
    limiter = Limiter(0, clock.wait, clock)
    limiter.take(10**12)
    assert clock.waited == 0


def test_what_is_taken_back_costs_nothing() -> None:
    clock = Clock()
    limiter = Limiter(1000, clock.wait, clock)
    limiter.take(0)
    limiter.take(-500)
    assert clock.waited == 0


def test_a_new_rate_holds_for_what_comes_next() -> None:
    clock = Clock()
    limiter = Limiter(1000, clock.wait, clock)
    limiter.take(1250)
    before = clock.waited
    limiter.rate = 500
    limiter.take(1000)
    assert clock.waited - before == pytest.approx(2.0)
