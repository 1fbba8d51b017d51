"""The rule by which a recorded row is believed, on clocks with ticks of all lengths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsync.core.clock import NO_TIME, Stamp, believed, doubted, is_coarse, is_doubted
from nbsync.core.evidence import as_recorded
from nbsync.core.model import Kind, LocalEntry, RecordedEntry

SECOND = 10**9
OLD = 7 * SECOND  # an object's LastModified
FINE = 4_000_001  # a tick, in ns


def row(ctime_ns: int, mtime_ns: int = OLD) -> RecordedEntry:
    return RecordedEntry("f", "etag", "", 5, mtime_ns, ctime_ns, 3, "md5:x")


def at(seconds: float) -> Stamp:
    return Stamp(int(seconds * SECOND), int(seconds * SECOND))


@pytest.mark.parametrize(
    ("seen", "installed", "began", "now", "verdict"),
    [
        # read, whole seconds: the tick must have been over before the run
        (row(99 * SECOND), False, 100, 100, True),
        (row(100 * SECOND), False, 100, 100, False),
        (row(100 * SECOND), False, 100, 105, False),
        (row(102 * SECOND), False, 100, 105, False),
        (row(99 * SECOND, 100 * SECOND), False, 100, 101, False),
        (row(99 * SECOND, 900 * SECOND), False, 100, 101, True),
        # read, two seconds
        (row(98 * SECOND), False, 100, 102, True),
        (row(100 * SECOND, 100 * SECOND), False, 100, 102, False),
        # installed: after the tick, unless its own mtime is of this time
        (row(100 * SECOND), True, 100, 100, None),
        (row(100 * SECOND), True, 100, 101, True),
        (row(100 * SECOND, 100 * SECOND), True, 100, 100, False),
        (row(101 * SECOND, 100 * SECOND), True, 100, 105, False),
        (row(101 * SECOND, 99 * SECOND), True, 100, 105, True),
        (row(101 * SECOND, 900 * SECOND), True, 100, 105, True),
        # no ctime: the mtime is shown in its place
        (row(OLD), True, 100, 100, True),
        # fine: whoever read it waited before; at the end one tick is waited for
        (row(99 * SECOND + 1), False, 100, 100, True),
        (row(100 * SECOND + 1), False, 100, 100, None),
        (row(100 * SECOND + 1), True, 100, 101, True),
        (row(101 * SECOND + 1, 100 * SECOND), True, 100, 102, True),
        # the clock was put back
        (row(5000 * SECOND + 1), False, 100, 101, None),
        (row(5000 * SECOND), False, 100, 101, False),
    ],
)
def test_rule(seen: RecordedEntry, installed: bool, began: float, now: float, verdict: bool | None) -> None:
    assert believed(seen, installed=installed, began=at(began), now=at(now)) is verdict


@given(
    tick=st.sampled_from([2 * SECOND, SECOND, SECOND // 10]),
    saved=st.integers(0, 9 * SECOND),
    began=st.integers(0, 9 * SECOND),
    read=st.integers(0, 9 * SECOND),
    edited=st.integers(0, 9 * SECOND),
    restored=st.booleans(),
    skew=st.integers(-5, 5),
)
def test_an_edit_after_the_reading_always_shows(
    tick: int, saved: int, began: int, read: int, edited: int, restored: bool, skew: int
) -> None:
    """On a clock of whole ticks that is off from ours, with the mtime put back or not."""
    saved, read = sorted((saved, read))
    began = min(began, read)
    edited = max(edited, read)

    def stamp(moment: int) -> int:
        return (1000 * SECOND + skew * SECOND + moment) // tick * tick

    known = row(stamp(saved), stamp(saved))
    mtime = stamp(saved) if restored else stamp(edited)
    after = LocalEntry("f", Kind.FILE, 5, mtime, stamp(edited), 3)
    clock = Stamp(stamp(began), stamp(began))
    later = Stamp(stamp(edited), stamp(edited))
    if believed(known, installed=False, began=clock, now=later):
        assert not as_recorded(after, known)


def test_no_file_is_as_a_doubted_row_says() -> None:
    doubtful = doubted(row(99 * SECOND))
    assert is_doubted(doubtful)
    assert doubtful.ctime_ns == NO_TIME
    assert doubtful.content == "md5:x"
    assert not as_recorded(LocalEntry("f", Kind.FILE, 5, OLD, 99 * SECOND, 3), doubtful)
    assert not is_doubted(row(99 * SECOND))


@pytest.mark.parametrize(("ctime_ns", "coarse"), [(SECOND, True), (2 * SECOND, True), (SECOND // 10, True),
                                                   (SECOND + FINE, False), (SECOND + 10_000_000, False)])  # fmt: skip
def test_long_ticks_show_in_the_stamps(ctime_ns: int, coarse: bool) -> None:
    assert is_coarse(ctime_ns) is coarse
