"""The speedometer of a run: the rate is that of the last seconds, and what remains is told once all is listed."""

from __future__ import annotations

import threading

import pytest

from nbsync.api.meter import Meter
from tests.unit.runs import Run, call


class Runner:
    """Has moved as many bytes as the test says."""

    moved = 0

    def bytes_moved(self) -> int:
        return self.moved

    def active(self) -> tuple[()]:
        return ()


@pytest.mark.parametrize(
    ("moments", "rate"),
    [
        ([], 0.0),
        ([(1.0, 100)], 100.0),
        ([(1.0, 100), (2.0, 100)], 50.0),
        ([(1.0, 100), (5.0, 100), (9.0, 100)], 0.0),  # what came before the last seconds counts no more
        ([(0.0, 100)], 0.0),  # no time has passed
        ([(1.0, 100), (2.0, 40)], 20.0),  # a transfer that is begun anew
    ],
)
def test_the_rate_is_that_of_the_last_seconds(moments: list[tuple[float, int]], rate: float) -> None:
    now = [0.0]
    meter = Meter(lambda: now[0])
    run = Run(call(), threading.Event())
    run.runner = Runner()  # type: ignore[assignment]
    seen = meter.look(run, 0.0)
    for now[0], run.runner.moved in moments:  # type: ignore[attr-defined]
        seen = meter.look(run, 0.0)
    assert (seen.rate, seen.seconds) == (rate, now[0])


def test_what_remains_is_told_once_all_is_listed() -> None:
    now = [0.0]
    meter = Meter(lambda: now[0])
    run = Run(call(), threading.Event())
    run.board.bytes_total = 400
    run.runner = Runner()  # type: ignore[assignment]
    now[0], run.runner.moved = 1.0, 100  # type: ignore[attr-defined]
    assert meter.look(run, 0.0).eta_seconds is None
    run.board.listing_done = True
    assert meter.look(run, 0.0).eta_seconds == 3.0
    run.runner.moved = 400  # type: ignore[attr-defined]
    assert meter.look(run, 0.0).eta_seconds is None
