"""Waiting by polling: until it is done, at most for the time given, resting in between; and nowhere else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import nbsync
from nbsync.api.ticker import move

PACKAGE = Path(nbsync.__file__).parent


class Slow:
    """Is done at a moment of its own clock, which moves while one rests."""

    def __init__(self, done_at: float) -> None:
        self.now, self.done_at = 0.0, done_at
        self.rests: list[float] = []

    def poll(self) -> bool:
        return self.now >= self.done_at

    def rest(self, seconds: float) -> None:
        self.rests.append(seconds)
        self.now += seconds

    def wait(self, timeout: float | None) -> None:
        move(self.poll, self.rest, timeout=timeout, now=lambda: self.now, interval=0.25, late="it is not done yet")


@pytest.mark.parametrize(
    ("done_at", "timeout", "rests"),
    [(0.0, None, []), (0.0, 0.0, []), (0.5, None, [0.25, 0.25]), (0.6, 1.0, [0.25] * 3), (0.4, 0.4, [0.25, 0.15])],
)
def test_it_rests_until_it_is_done(done_at: float, timeout: float | None, rests: list[float]) -> None:
    slow = Slow(done_at)
    slow.wait(timeout)
    assert slow.rests == pytest.approx(rests)


@pytest.mark.parametrize(("timeout", "rests"), [(0.0, []), (0.1, [0.1]), (0.3, [0.25, 0.05])])
def test_it_gives_up_in_time(timeout: float, rests: list[float]) -> None:
    slow = Slow(9.0)
    with pytest.raises(TimeoutError, match="not done yet"):
        slow.wait(timeout)
    assert slow.rests == pytest.approx(rests)


@pytest.mark.parametrize("room", ["api", "cli", "notebook", "panel", "report", "results"])
def test_nobody_else_sleeps(room: str) -> None:
    files = [file for file in (PACKAGE / room).glob("*.py") if file.name != "ticker.py"]
    assert [file.name for file in files if re.search(r"\bsleep\(", file.read_text(encoding="utf-8"))] == []
