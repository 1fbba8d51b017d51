"""The names of runs, which their trash bears: they sort by time. Pure.

A name that is met may have been planted: whatever it is, the next run has a later one, or the user is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from nbsync.errors import LocalError

# No clock of ours was ever in another millennium, no process has more digits: such names are nobody's.
_RUN = re.compile(r"([12]\d{3}-\d\d-\d\dT\d{6}Z-\d{9})-(\d{1,10})(?:\+(\d{6}))?", re.ASCII)
_LAST_COUNT = 999_999


def is_run(name: str) -> bool:
    """Has it the form of a run's name?"""
    return _RUN.fullmatch(name) is not None


def order(name: str) -> tuple[str, int, int]:
    """What runs sort by: the time they began, then the process, then the count; see `later_than`."""
    found = _RUN.fullmatch(name)
    return (found[1], int(found[2]), int(found[3] or 0)) if found else (name, 0, 0)


def newest_first(names: Iterable[str]) -> list[str]:
    """Those that are names of runs, each once."""
    return sorted({name for name in names if is_run(name)}, key=order, reverse=True)


def later_than(run: str, others: Iterable[str]) -> str:
    """`run`, or, if the clock was put back, a name that still sorts after the `others`, which are names of runs.

    Raises:
        LocalError: one of them is the last name that there is.
    """
    newest = max(others, key=order, default="")
    if not newest or order(run) > order(newest):
        return run
    stamp, process, count = order(newest)
    later = f"{stamp}-{process}+{count + 1:06d}" if count < _LAST_COUNT else f"{_next(stamp)}-{process}"
    if not is_run(later):
        raise LocalError(f"the trash holds {newest!r}, and no name is later: nbsync made no such folder", "Remove it")
    return later


def _next(stamp: str) -> str:
    """The text that sorts next: its digits, as one number, counted on."""
    digits = iter(f"{int(re.sub('[^0-9]', '', stamp)) + 1:023d}")
    return re.sub("[0-9]", lambda _: next(digits), stamp)
