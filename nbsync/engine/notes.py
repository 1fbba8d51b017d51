"""The remarks of a run for its user: what was found out comes in, sentences go out, always in the same order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

from nbsync.core.location import Location
from nbsync.core.model import Row, Status
from nbsync.engine.foreign import NOT_YOURS
from nbsync.engine.source import Scope, Seen
from nbsync.s3.capabilities import Capabilities

NO_RECORD = "protection: no record"
NO_RECORD_OF_REMOTE = f"{NO_RECORD} of an earlier sync with this REMOTE: others' changes could not be told"
RESUMED = "an undo that was not finished is gone on with"
NO_MD5_ETAG = "no ETag here was seen to be the MD5 of its content: --download proves what differs"


class Notes:
    """Sentences by topic; they are told in this order. A topic is set anew, and never appended to."""

    def __init__(self, *, words: Sequence[str] = (), remote: Sequence[str] = (), filters: Sequence[str] = ()) -> None:
        self.words = words  # how the command's words were understood
        self.remote = remote
        self.trash_before: Sequence[str] = ()
        self.place: Sequence[str] = ()  # LOCAL as the run found it
        self.files: Sequence[str] = ()  # what single files met that holds for all
        self.record: Sequence[str] = ()
        self.remains: Sequence[str] = ()  # where something unfinished may remain
        self.waited: Sequence[str] = ()
        self.service: Sequence[str] = ()
        self.workers: Sequence[str] = ()
        self.protection: Sequence[str] = ()
        self.filters = filters
        self.trash: Sequence[str] = ()
        self.key: Sequence[str] = ()  # the customer's, for SSE-C

    def told(self) -> list[str]:
        """All of them, none twice."""
        return list(dict.fromkeys(chain.from_iterable(vars(self).values())))


def not_yours(file: str) -> str:
    """The plan in `file` is not known to be the user's."""
    return f"{file} is {NOT_YOURS}"


def remote(location: Location, nothing: str = "") -> list[str]:
    """What is odd about REMOTE; `nothing`: says that there is nothing, if so."""
    odd = f"the empty segment in {location.uri} is taken as it is: it is part of its keys"
    return [*([odd] if location.has_empty_segment else []), *([nothing] if nothing else [])]


def waited(owner: str) -> list[str]:
    """Another run, of `owner`, was at work in LOCAL."""
    return [f"another nbsync run ({owner}) was at work here: this one waited for it"]


def unrecorded(why: Exception) -> str:
    """What was synced could not be recorded."""
    return f"what was synced could not be recorded: {why}; the next run compares again"


def saved(path: str, todo: int) -> str:
    """The plan was saved; `todo`: items to do."""
    return f"saved to {path}: {todo:,} to do"


def best_effort(rows: Sequence[Row], can: Capabilities) -> list[str]:
    """Which of the requests that the rows tell of were sent with conditions that the server may not honour."""
    if can.wrote_unconditionally:  # which is said instead
        return []
    verbs = {row.action for row in rows if row.status != Status.CANCELLED.value}
    unproven = [row.condition for row, holds in can.conditions() if row.verb and row.verb.value in verbs and not holds]
    return [f"conditional {condition} is unproven on this server: best effort" for condition in unproven]


def filtered(scope: Scope, seen: Seen, source_files: int, *, complete: bool, nothing_left: bool) -> list[str]:
    """What of the filters has not done what it may have been meant to do.

    Args:
        source_files: how many there were.
        complete: all of them were held against the filters.
        nothing_left: none took part.
    """
    notes = []
    if scope.filters.only_include:
        notes.append("--include alone filters nothing (as in aws s3 sync): put --exclude '*' before it")
    elif source_files and complete:
        unmatched = [(f"--{kind} {pattern!r}", pattern.startswith("/")) for kind, pattern in scope.filters.unmatched()]
        absolute = ", ".join(told for told, is_absolute in unmatched if is_absolute)
        other = ", ".join(told for told, is_absolute in unmatched if not is_absolute)
        if absolute:
            notes.append(f"nothing can match {absolute}: paths begin below REMOTE and LOCAL, without a '/'")
        if other:
            notes.append(f"nothing matched {other}")
    if scope.is_partial and nothing_left and source_files:
        notes.append(f"the filters left none of the {source_files:,} files of the source")
    if seen.missing:
        some = ", ".join(sorted(seen.missing)[:3])
        notes.append(f"{len(seen.missing):,} of the paths in --files-from are not in the source: {some}")
    return notes


def not_planned(counts: Mapping[str, int]) -> list[str]:
    """What a plan with these items by status leaves undone."""
    left = {status: counts[status] for status in ("conflict", "skipped", "failed") if counts.get(status)}
    told = ", ".join(f"{count:,} {status}" for status, count in left.items())
    return [f"not part of the plan, which said why: {told}"] if left else []


def purged(files: int, size: int, days: float) -> list[str]:
    """So many files, with so many bytes, have left the trash because they were there for more than `days`."""
    return [f"removed from the trash after {days:g} days: {_files(files)} ({size:,} bytes)"] if files else []


def trashed(moved: tuple[int, int], in_all: tuple[int, int], why: str, days: float, place: str) -> list[str]:
    """What the run moved to the trash.

    Args:
        moved: files and bytes.
        in_all: the same of all that is in the trash by now.
        why: what became of them, as a participle.
        days: how long they are kept.
        place: where.
    """
    more = f"; in the trash by now: {_files(in_all[0])} ({in_all[1]:,} bytes)" if in_all[0] > moved[0] else ""
    return [f"{_files(moved[0])} ({moved[1]:,} bytes), {why}, kept for {days:g} days in {place}{more}"]


def undone(local: str, stays: int, *, nothing: bool) -> list[str]:
    """What an undo in `local` did not put back; `stays`: files that stay in the trash."""
    notes = [f"nothing to undo: there is nothing in the trash of {local}"] if nothing else []
    if stays:
        what = "1 file stays" if stays == 1 else f"{stays:,} files stay"
        notes.append(f"{what} in the trash: what stood in the place later is back there")
    return notes


def hits_without_key(hits: int) -> list[str]:
    """So many objects were up to date, and were not sent under the customer's key."""
    what = "up to date, so not sent under your key (SSE-C), whatever they are encrypted with"
    return [f"{what}: {hits:,}"] if hits else []


def _files(count: int) -> str:
    return "1 local file" if count == 1 else f"{count:,} local files"
