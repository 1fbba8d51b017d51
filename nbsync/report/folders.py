"""What moved, by folder: the numbers of the picture in a finished report. Pure."""

from __future__ import annotations

from typing import NamedTuple

from nbsync.core.model import Row, Status, Verb
from nbsync.results.sync_result import SyncResult

SHOWN = 6  # folders; the others are one line
_HANDFUL = 5  # files; the table itself is picture enough for no more

_MOVES = (Verb.DOWNLOAD.value, Verb.UPLOAD.value)
_DONE = (Status.MISS.value, Status.PLANNED.value)


class Share(NamedTuple):
    """One folder's part. `name` ends in `/`; it is empty for the files that lie beside the folders."""

    name: str
    moved_bytes: int  # of a plan: that would move
    moved: int  # files
    kept: int  # files that were up to date


class Shares(NamedTuple):
    """The folders in which most bytes moved, most first, and all others together."""

    shown: list[Share]
    others: Share | None
    number_of_others: int
    kept_is_known: bool  # in a very large run the hits have no rows


def by_folder(result: SyncResult) -> Shares | None:
    """The first level of folders at which the paths part; None where a picture would say nothing."""
    rows = [row for row in result.files if _moves(row) or row.status == Status.HIT.value]
    if sum(1 for row in rows if row.status in _DONE) <= _HANDFUL:
        return None
    cut = _common_folder(rows)
    tally: dict[str, tuple[int, int, int]] = {}
    for row in rows:
        head, slash, _ = row.path[cut:].partition("/")
        name = row.path[:cut] + head + slash if slash else ""
        size, moved, kept = tally.get(name, (0, 0, 0))
        hit = row.status == Status.HIT.value
        tally[name] = (size + (0 if hit else row.bytes), moved + (not hit), kept + hit)
    shares = sorted((Share(name, *sums) for name, sums in tally.items()), key=lambda one: (-one.moved_bytes, one.name))
    if len(shares) < 2 or not shares[0].moved_bytes:
        return None
    rest = shares[SHOWN:]
    return Shares(shares[:SHOWN], _together(rest) if rest else None, len(rest), not result.hits_omitted)


def _together(shares: list[Share]) -> Share:
    return Share("", sum(one.moved_bytes for one in shares), sum(one.moved for one in shares),
                 sum(one.kept for one in shares))  # fmt: skip


def _moves(row: Row) -> bool:
    return row.status in _DONE and row.action in _MOVES


def _common_folder(rows: list[Row]) -> int:
    """The length of the folder that all paths have in common."""
    first, last = min(row.path for row in rows), max(row.path for row in rows)
    length = 0
    for one, other in zip(first.split("/")[:-1], last.split("/")[:-1], strict=False):
        if one != other:
            break
        length += len(one) + 1
    return length
