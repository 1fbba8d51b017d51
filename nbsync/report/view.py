"""What a report shows of a result, chosen and ordered once for text and HTML. Pure.

Hits are folded into one line; rows that changed come by what matters; a run of a million files shows as
many rows as a run of a few hundred.
"""

from __future__ import annotations

from typing import NamedTuple

from nbsync.core.model import UNKNOWN, Problem, Row, Snapshot, Status, Verb
from nbsync.errors import GuardRefusal, Interrupted, LockedError
from nbsync.report import formats
from nbsync.results.sync_result import SyncResult, VerifyResult

MAX_CHANGED = 200
MAX_HITS = 300  # with show="all"
MAX_PROBLEMS = 20
MAX_NOTES = 20
_UNDONE_ROWS = 10
WAITING = "waiting for another nbsync run in this folder"

_QUIET_START_SECONDS = 0.5


class View(NamedTuple):
    """The parts of a finished report, in their order."""

    title: str  # pull s3://bucket/p/ → data
    good: bool
    verdict: str  # done, refused, 3 problems, ...
    facts: list[str]  # duration, moved, saved, requests
    counts: list[tuple[str, int]]  # (status, how many), only what happened
    rows: list[Row]
    more: int  # changed rows that are not in `rows`
    hits: str  # the folded line, or how many hit rows are not in `rows`; may be empty
    problems: list[Problem]  # those that no shown row tells
    more_problems: int
    notes: list[str]
    error: str
    troubled: frozenset[str]  # paths that a problem names


def view(result: SyncResult, show: str, *, unlimited: bool = False) -> View:
    """The View of `result`; `show` is summary, changed or all; `unlimited` shows every row."""
    changed = [row for row in result.files if row.status != Status.HIT.value]
    kept: list[Row] = []
    if show != "summary":
        order = _order(result)
        changed = changed if unlimited else _without_undone(result, changed)
        changed.sort(key=lambda row: (order.get(row.status, 0), row.path))
        kept = changed if unlimited else changed[:MAX_CHANGED]
    shown_hits: list[Row] = []
    if show == "all":
        shown_hits = result.hits if unlimited else result.hits[:MAX_HITS]
    told = {row.path: detail(row) for row in kept}
    problems = [p for p in result.problems if p.message not in told.get(p.path, "")]
    return View(
        title=title(result.command, result.remote, result.local, result.direction, dry_run=result.dry_run),
        good=result.ok,
        verdict=verdict(result),
        facts=_facts(result),
        counts=[(s, result.counts.get(s, 0)) for s in formats.IMPORTANCE if result.counts.get(s, 0)],
        rows=[*kept, *shown_hits],
        more=0 if show == "summary" else len(changed) - len(kept),
        hits=_folded(result, len(shown_hits)),
        problems=problems[:MAX_PROBLEMS],
        more_problems=max(0, len(problems) - MAX_PROBLEMS),
        notes=result.notes[:MAX_NOTES],
        error=str(result.error) if result.error else "",
        troubled=frozenset(problem.path for problem in result.problems),
    )


def too_early(snapshot: Snapshot) -> bool:
    """Is the run so young that it may still be refused? Then its error is shown, and no picture before it."""
    return snapshot.state == "starting" and snapshot.seconds < _QUIET_START_SECONDS


def state(snapshot: Snapshot) -> str:
    """What the run does at this moment."""
    return WAITING if snapshot.state == "waiting" else snapshot.state


def sign(seen: View, row: Row) -> str:
    """The one character that a row of `seen` begins with."""
    return formats.symbol(row, problem=bool(row.error) or row.path in seen.troubled)


def title(command: str, remote: str, local: str, direction: str, *, dry_run: bool = False) -> str:
    """`push data → s3://bucket/p/`; `sync data ↔ s3://bucket/p/`."""
    both = command == "verify" or direction == "sync"
    from_local = both or direction == "push"
    ends = (" ↔ " if both else " → ").join(filter(None, (local, remote) if from_local else (remote, local)))
    name = f"{command} {direction}".rstrip() if command in ("plan", "apply") else command
    return f"{name}{' (dry run)' if dry_run and command != 'plan' else ''} {ends}"


def detail(row: Row) -> str:
    """The reason, and the error where there is one."""
    if row.error and row.error != row.reason:
        return f"{row.reason}: {row.error}" if row.reason else row.error
    return row.reason


def why(row: Row) -> str:
    """The reason with its evidence and assurance, as both tables show it; still to be cleaned."""
    known = [word for word in (row.evidence, row.assurance) if word not in ("", "none")]
    return f"{detail(row)} ({', '.join(known)})" if known else detail(row)


def amount(row: Row) -> str:
    """The size of what moved or would move; empty where nothing does."""
    moves = row.action in (Verb.DOWNLOAD.value, Verb.UPLOAD.value)
    done = row.status in (Status.MISS.value, Status.PLANNED.value)
    return formats.size(row.bytes) if row.bytes or (moves and done) else ""


def word(row: Row) -> str:
    """The status, and for a plan what would be done."""
    done = row.action if row.status == Status.PLANNED.value and row.action != Verb.NONE.value else ""
    return f"{row.status} {done}".rstrip()


def verdict(result: SyncResult) -> str:
    """How it ended, in a word or two."""
    if isinstance(result.error, Interrupted):
        return "interrupted"
    if isinstance(result.error, (GuardRefusal, LockedError)):
        return "refused"
    if result.error is not None:
        return "stopped"
    if isinstance(result, VerifyResult) and not result.problems:
        return _verified(result)
    if not result.ok:
        bad = {row.path for row in result.files if row.status in formats.PROBLEM}
        return formats.number(len(bad | {problem.path for problem in result.problems}), "problem")
    if result.command == "pull" and not any(result.counts.values()):
        return "done, nothing to pull"
    return "planned, nothing changed" if result.dry_run or result.command == "plan" else "done"


def _verified(result: VerifyResult) -> str:
    differ, unknown = result.counts[Status.MISS.value], result.assurance[UNKNOWN]
    told = [formats.number(differ, "difference")] if differ else []
    told += [f"{unknown:,} unknown"] if unknown else []
    return ", ".join(told) or ("all equal" if result.compared else "nothing to compare")


def _without_undone(result: SyncResult, changed: list[Row]) -> list[Row]:
    """After an interrupt, what was not begun is a number among the counts, and no long list above what to do next."""
    undone = [row for row in changed if row.status == Status.CANCELLED.value]
    if not isinstance(result.error, Interrupted) or len(undone) <= _UNDONE_ROWS:
        return changed
    return [row for row in changed if row.status != Status.CANCELLED.value]


def _order(result: SyncResult) -> dict[str, int]:
    """The rank of each status; after an interrupt, what was done stands before what was left undone."""
    order = {status: rank for rank, status in enumerate(formats.IMPORTANCE)}
    if isinstance(result.error, Interrupted):
        order[Status.CANCELLED.value] = len(order)
    return order


def _facts(result: SyncResult) -> list[str]:
    facts = [formats.duration(result.seconds)]
    if result.command == "undo":
        back = sum(row.bytes for row in result.files if row.action == Verb.NONE.value)
        return [*facts, f"{formats.size(back)} {'to put back' if result.dry_run else 'put back'}"]
    if isinstance(result, VerifyResult):
        facts += [f"{count:,} {assurance}" for assurance, count in result.assurance.items() if count]
    planned = sum(row.bytes for row in result.files if row.status == Status.PLANNED.value)
    if planned:
        facts.append(f"{formats.size(planned)} to move")
    moved = result.bytes.get("moved", 0)
    if moved if result.command == "verify" else not (result.dry_run or result.command == "plan"):
        facts.append(f"{formats.size(moved)} moved")
    if result.bytes.get("saved"):
        facts.append(f"{formats.size(result.bytes['saved'])} saved")
    sent = [f"{count:,} {kind.upper()}" for kind, count in result.requests.items() if count]
    return [*facts, " ".join(sent)] if sent else facts


def _folded(result: SyncResult, shown: int) -> str:
    """The line that stands for the hits that have no row of their own."""
    folded = result.counts.get(Status.HIT.value, 0) - shown
    if folded <= 0:
        return ""
    if isinstance(result, VerifyResult):
        return f"{formats.number(folded, 'more file' if shown else 'file')} equal"
    saved = result.bytes.get("saved", 0)
    kept = f", {formats.size(saved)} not moved" if saved and not shown else ""
    return f"{formats.number(folded, 'more file' if shown else 'file')} up to date{kept}"
