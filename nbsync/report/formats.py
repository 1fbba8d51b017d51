"""Sizes, times and counts for people; symbols and colours for statuses. Pure."""

from __future__ import annotations

from datetime import datetime, timezone

from nbsync.core.model import Row, Status
from nbsync.errors import one_line

# What matters first stands first.
IMPORTANCE = ("failed", "conflict", "skipped", "cancelled", "deleted", "miss", "planned", "hit")
PROBLEM = (Status.FAILED.value, Status.CONFLICT.value, Status.CANCELLED.value)
# Mid-tones: they read on a white page and on a dark one.
GREEN, BLUE, AMBER, RED, GREY = "#2e9e5b", "#3b82d6", "#c07a12", "#dc4c4c", "#8a8a8a"
_COLOURS = {"failed": RED, "conflict": RED, "skipped": AMBER, "cancelled": AMBER, "deleted": AMBER,
            "miss": GREEN, "planned": BLUE, "hit": GREY}  # fmt: skip


def size(count: int) -> str:
    """`4100` -> `4.1 kB`; decimal units, as disks and bills count."""
    if count < 1000:
        return f"{count} B"
    value, unit = count / 1000, "kB"
    for larger in ("MB", "GB", "TB", "PB"):
        if value < 999.95:
            break
        value, unit = value / 1000, larger
    return f"{value:,.1f} {unit}"


def duration(seconds: float) -> str:
    """`125.2` -> `2 min 5 s`."""
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def number(count: int, noun: str = "") -> str:
    """`9998, "file"` -> `9,998 files`."""
    plural = "" if count == 1 or not noun else "s"
    return f"{count:,} {noun}{plural}".rstrip()


def moment(ns: int) -> str:
    """A time in ns since the epoch as UTC, to the second."""
    try:
        return datetime.fromtimestamp(ns // 10**9, tz=timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):  # a server may send any year
        return "?"


def clean(text: str, limit: int) -> str:
    """Untrusted `text` fit for one line, its middle left out when it is longer than `limit`."""
    # Cut before escaping: a hostile name is up to ten times longer afterwards.
    if len(text) > 2 * limit:
        text = f"{text[:limit]}…{text[-limit:]}"
    text = one_line(text)
    if len(text) <= limit:
        return text
    head = (limit - 1) * 2 // 3
    return f"{text[:head]}…{text[head + 1 - limit :]}"


def symbol(row: Row, *, problem: bool) -> str:
    """`=` up to date, `+` new, `*` changed, `-` deleted, `·` left out as it should be, `!` look here."""
    if row.status == Status.HIT.value:
        return "="
    if row.status in (Status.MISS.value, Status.PLANNED.value, Status.DELETED.value):
        if row.action.startswith("delete") or row.status == Status.DELETED.value:
            return "-"
        return "+" if row.reason.startswith("missing") else "*"
    return "·" if row.status == Status.SKIPPED.value and not problem else "!"


def colour(status: str) -> str:
    """The status's colour, as `#rrggbb`."""
    return _COLOURS.get(status, GREY)
