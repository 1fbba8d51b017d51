"""What each kind of answer looks like, registered by its type; and what several come to together. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from nbsync.errors import one_line
from nbsync.report import formats
from nbsync.report.html_page import link_html, listing_html, page_html, result_html
from nbsync.report.pages import Line, Page, page
from nbsync.report.text_page import link_text, listing_lines, listing_text, listing_total, page_text, result_text
from nbsync.report.view import view
from nbsync.results import display
from nbsync.results.batch import SyncResults
from nbsync.results.diagnosis import Diagnosis
from nbsync.results.display import Printed, Summary
from nbsync.results.folder_status import Status
from nbsync.results.link import Link
from nbsync.results.listing import Listing
from nbsync.results.sync_result import SyncResult

_PATH, _TEXT = 400, 240
_SIGNS = {True: ("✓", formats.GREEN), False: ("✗", formats.RED), None: ("…", formats.BLUE)}


@display.summary.register
def _(result: SyncResult) -> Summary:
    seen = view(result, "summary")
    told = [f"{count:,} {status}" for status, count in seen.counts] or ["no files"]
    told += [fact for fact in seen.facts[1:] if fact.endswith(("moved", "saved", "move"))] + seen.facts[:1]
    verdict = "" if seen.good else f"{seen.verdict}: "
    why = f"; {formats.clean(seen.error, _TEXT)}" if seen.error else ""
    return Summary(formats.clean(seen.title, _PATH), seen.good, f"{verdict}{', '.join(told)}{why}")


@display.summary.register
def _(link: Link) -> Summary:
    return Summary(f"link {formats.clean(link.remote, _PATH)}", True, link.url)


@display.summary.register
def _(listing: Listing) -> Summary:
    return Summary(f"ls {formats.clean(listing.remote, _PATH)}", listing.ok, listing_total(listing).partition(";")[0])


@display.summary.register(Status)
@display.summary.register(Diagnosis)
def _(found: Status | Diagnosis) -> Summary:
    shown = page(found)
    return Summary(formats.clean(shown.title, _PATH), found.ok, shown.verdict)


@display.text.register(Status)
@display.text.register(Diagnosis)
def _(found: Status | Diagnosis) -> str:
    return page_text(page(found))


@display.html.register(Status)
@display.html.register(Diagnosis)
def _(found: Status | Diagnosis) -> str:
    return page_html(page(found))


@display.text.register
def _(results: SyncResults) -> str:
    tables = [display.text(one) for one in results]
    return "\n\n".join([together_text(results), *tables] if len(tables) != 1 else tables)


@display.html.register
def _(results: SyncResults) -> str:
    tables = [display.html(one) for one in results]
    return "".join([together_html(results), *tables] if len(tables) != 1 else tables)


@display.printed.register
def _(link: Link) -> Printed:
    return Printed([link.url], _notes(link.notes), is_data=True)


@display.printed.register
def _(listing: Listing) -> Printed:
    remarks = [listing_total(listing), *_notes(listing.notes)]
    return Printed(listing_lines(listing.entries), remarks, is_data=True)


def _notes(notes: Iterable[str]) -> list[str]:
    return [f"note: {one_line(note)}" for note in notes]


display.text.register(SyncResult, result_text)
display.html.register(SyncResult, result_html)
display.text.register(Link, link_text)
display.html.register(Link, link_html)
display.text.register(Listing, listing_text)
display.html.register(Listing, listing_html)


def together_text(results: SyncResults, expected: int = 0) -> str:
    """What several commands came to: a line for each. `expected` is how many there will be."""
    return page_text(_together(results, expected))


def together_html(results: SyncResults, expected: int = 0) -> str:
    """As `together_text`."""
    return page_html(_together(results, expected))


def _together(results: SyncResults, expected: int) -> Page:
    told = [display.summary(one) for one in results]
    lines = [Line(*_SIGNS[one.good], "", f"{one.title}: {one.words}") for one in told]
    if results.not_run:
        left = f"{formats.number(results.not_run, 'more command')}, because the one above was refused"
        lines.append(Line("!", formats.AMBER, "", f"not done: {left}"))
    count = max(len(results) + results.not_run, expected)
    behind = sum(one.good is None for one in told)
    bad = sum(one.good is False for one in told) + results.not_run
    verdict = "all done" if count else "no commands"
    if count > len(results) + results.not_run:
        verdict = f"{len(results):,} of {count:,} done"
    elif behind:
        verdict = f"{behind:,} in the background"
    verdict = f"{bad:,} of {count:,} with problems" if bad else verdict
    counts = results.counts
    facts = [f"{counts[status]:,} {status}" for status in formats.IMPORTANCE if counts[status]]
    title = f"run {results.file}" if results.file else formats.number(count, "command")
    return Page(title, not bad, verdict, facts, lines, [])
