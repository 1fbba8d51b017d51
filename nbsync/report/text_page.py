"""Results, listings and progress as plain text, for terminals and `text/plain`. Pure functions of data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nbsync.core.model import Row, Snapshot
from nbsync.report import formats
from nbsync.report.next_steps import steps
from nbsync.report.pages import Page
from nbsync.report.view import View, amount, sign, state, title, view, why, word
from nbsync.results.display import line
from nbsync.results.link import Link
from nbsync.results.listing import ListedObject, Listing
from nbsync.results.sync_result import SyncResult

MAX_LISTED = 200
_PATH, _TEXT, _WORKER = 400, 240, 40
_SCREEN_LINES = 22  # of a terminal: past them, the header has scrolled away
_ANSI = {"failed": "31", "conflict": "31", "skipped": "33", "cancelled": "33", "deleted": "33",
         "miss": "32", "planned": "34", "hit": "2"}  # fmt: skip


def result_text(result: SyncResult, show: str = "changed", *, colour: bool = False, unlimited: bool = False,
                error: bool = True, notebook: bool = True) -> str:  # fmt: skip
    """The table of `result`: header, counts, rows, problems, notes, next steps; no line break at the end.

    Args:
        result: what to show.
        show: which rows: summary, changed or all.
        colour: with ANSI colours.
        unlimited: every row, however many.
        error: with the line on what ended the run; not where that is printed beside the table anyway.
        notebook: next steps as magics; else as commands of a shell.
    """
    seen = view(result, show, unlimited=unlimited)
    lines = [
        formats.clean(seen.title, _PATH),
        f"  {'✓' if seen.good else '✗'} {seen.verdict} · {' · '.join(seen.facts)}",
    ]
    if seen.counts:
        lines.append("  " + " · ".join(f"{count:,} {status}" for status, count in seen.counts))
    lines += _rows(seen, colour)
    lines += [f"  ! {formats.clean(p.path, _PATH)}: {formats.clean(p.message, _TEXT)}" for p in seen.problems]
    if seen.more_problems:
        lines.append(
            f"  … and {formats.number(seen.more_problems, 'more problem')}: --json shows all, r.problems in Python"
        )
    lines += [f"  note: {formats.clean(note, _TEXT)}" for note in seen.notes]
    if seen.error and error:
        lines.append(f"  {seen.verdict}: {formats.clean(seen.error, _PATH)}")
    if len(lines) > _SCREEN_LINES and not notebook:
        lines.append(line(result))
    lines += [f"  next, {step.why}: {step.command}" for step in steps(result, notebook=notebook)]
    return "\n".join(lines)


def page_text(shown: Page) -> str:
    """A page as text; no line break at the end."""
    lines = [formats.clean(shown.title, _PATH),
             f"  {'✓' if shown.good else '✗'} {' · '.join([shown.verdict, *shown.facts])}"]  # fmt: skip
    wide = max((len(line.name) for line in shown.lines), default=0)
    gap = "  " if wide else ""
    lines += [
        f"  {line.sign} {line.name:<{wide}}{gap}{formats.clean(line.text, _PATH)}".rstrip() for line in shown.lines
    ]
    return "\n".join([*lines, *(f"  note: {formats.clean(note, _TEXT)}" for note in shown.notes)])


def link_text(link: Link) -> str:
    """The whole address of a link on a line of its own: it is copied from there."""
    return "\n".join([link.url, *(f"note: {formats.clean(note, _TEXT)}" for note in link.notes)])


def listing_text(listing: Listing) -> str:
    """The first keys of a listing with sizes and times, and how many there are."""
    lines = [formats.clean(listing.remote, _PATH), *listing_lines(listing.entries[:MAX_LISTED])]
    more = len(listing.entries) - MAX_LISTED
    if more > 0:
        lines.append(f"… and {more:,} more: --json shows all, r.entries in Python")
    return "\n".join(
        [*lines, listing_total(listing), *(f"note: {formats.clean(note, _TEXT)}" for note in listing.notes)]
    )


def listing_lines(entries: Iterable[ListedObject]) -> Iterator[str]:
    """One line an object, as `aws s3 ls --recursive` prints them: time (UTC), bytes, key."""
    for entry in entries:
        yield f"{formats.moment(entry.last_modified_ns)} {entry.size:>12} {formats.clean(entry.key, 2048)}"


def listing_total(listing: Listing) -> str:
    """How many objects, and their size."""
    total = sum(entry.size for entry in listing.entries)
    return f"{formats.number(len(listing.entries), 'object')}, {formats.size(total)}; times are UTC"


def snapshot_text(snapshot: Snapshot) -> str:
    """A run at one moment, in one line."""
    name = formats.clean(title(snapshot.command, snapshot.remote, snapshot.local, snapshot.direction), _PATH)
    return f"{name}: {state(snapshot)} · {' · '.join(progress_facts(snapshot))}"


def progress_facts(snapshot: Snapshot) -> list[str]:
    """Files, bytes, rate and what is left, in words; totals that still grow are marked so."""
    grows = "" if snapshot.listing_done else "+"
    facts = [f"{snapshot.files_done:,} of {snapshot.files_total:,}{grows} files",
             f"{formats.size(snapshot.bytes_done)} of {formats.size(snapshot.bytes_total)}{grows}"]  # fmt: skip
    if snapshot.rate > 0:
        facts.append(f"{formats.size(int(snapshot.rate))}/s")
    if snapshot.eta_seconds is not None and snapshot.listing_done:
        facts.append(f"{formats.duration(snapshot.eta_seconds)} left")
    return [*facts, f"{formats.duration(snapshot.seconds)} so far"]


def share(snapshot: Snapshot) -> float:
    """How much of the known work is done, from 0 to 1: bytes, or files where no bytes travel."""
    done, total = (snapshot.bytes_done, snapshot.bytes_total) if snapshot.bytes_total else (
        snapshot.files_done, snapshot.files_total)  # fmt: skip
    return min(max(done / total, 0.0), 1.0) if total else 0.0


def _rows(seen: View, colour: bool) -> list[str]:
    paths = [formats.clean(row.path, _PATH) for row in seen.rows]
    wide = min(max(map(len, paths), default=0), 48)
    label = max((len(word(row)) for row in seen.rows), default=0)
    # The worker stands before the path, where there is one: its names are about as long as each other.
    by = max((len(formats.clean(row.worker, _WORKER)) + 2 for row in seen.rows if row.worker), default=0)
    lines = [_row(row, sign(seen, row), f"{formats.clean(row.worker, _WORKER):<{by}}{path:<{wide}}", label, colour)
             for row, path in zip(seen.rows, paths, strict=True)]  # fmt: skip
    if seen.more:
        lines.append(f"  … and {seen.more:,} more: --json shows all, r.to_pandas() in Python")
    if seen.hits:
        lines.append(f"  = {seen.hits}")
    return lines


def _row(row: Row, mark: str, where: str, label: int, colour: bool) -> str:
    head = f"{mark} {word(row):<{label}}"
    if colour:
        head = f"\x1b[{_ANSI.get(row.status, '0')}m{head}\x1b[0m"
    return f"  {head}  {amount(row):>9}  {where}  {formats.clean(why(row), _TEXT)}".rstrip()
