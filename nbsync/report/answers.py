"""What a command came to, whichever it was, and what several came to: as text and as HTML. Pure."""

from __future__ import annotations

from nbsync.api.ports import Item
from nbsync.engine.link import Link
from nbsync.report import formats
from nbsync.report.html_page import link_html, listing_html, page_html, result_html
from nbsync.report.jobs import is_job, job_state, job_title
from nbsync.report.pages import Line, Page, page
from nbsync.report.text_page import link_text, listing_text, listing_total, one_line_summary, page_text, result_text
from nbsync.results.diagnosis import Diagnosis
from nbsync.results.folder_status import Status
from nbsync.results.sync_result import SyncResult, SyncResults

_PATH = 400


def item_text(item: Item) -> str:
    """The table of a result or of a listing, the page of another answer."""
    if isinstance(item, SyncResult):
        return result_text(item)
    if is_job(item):
        return item._repr_mimebundle_()["text/plain"]
    if isinstance(item, Link):
        return link_text(item)
    return page_text(page(item)) if isinstance(item, Status | Diagnosis) else listing_text(item)


def item_html(item: Item) -> str:
    """As `item_text`."""
    if isinstance(item, SyncResult):
        return result_html(item)
    if is_job(item):
        return item._repr_mimebundle_()["text/html"]
    if isinstance(item, Link):
        return link_html(item)
    return page_html(page(item)) if isinstance(item, Status | Diagnosis) else listing_html(item)


def item_line(item: Item, *, marked: bool = True) -> str:
    """What one command came to, in one line: `status data: ✓ nothing changed here since the last sync`."""
    if isinstance(item, SyncResult):
        return one_line_summary(item, marked=marked)
    if is_job(item):
        return " · ".join((f"background sync {item.id}", job_title(item), *job_state(item)))
    mark = ("✓ " if item.ok else "✗ ") * marked
    if isinstance(item, Link):
        return f"link {formats.clean(item.remote, _PATH)}: {mark}{item.url}"
    if not isinstance(item, Status | Diagnosis):
        return f"ls {formats.clean(item.remote, _PATH)}: {mark}{listing_total(item).partition(';')[0]}"
    shown = page(item)
    return f"{formats.clean(shown.title, _PATH)}: {mark}{shown.verdict}"


def results_text(results: SyncResults) -> str:
    """What several commands came to, and the table of each."""
    tables = [item_text(item) for item in results]
    return "\n\n".join([together_text(results), *tables] if len(tables) != 1 else tables)


def results_html(results: SyncResults) -> str:
    """As `results_text`."""
    tables = [item_html(item) for item in results]
    return "".join([together_html(results), *tables] if len(tables) != 1 else tables)


def together_text(results: SyncResults, expected: int = 0) -> str:
    """What several commands came to: a line for each. `expected` is how many there will be."""
    return page_text(_together(results, expected))


def together_html(results: SyncResults, expected: int = 0) -> str:
    """As `together_text`."""
    return page_html(_together(results, expected))


def _together(results: SyncResults, expected: int) -> Page:
    lines = []
    for item in results:
        mark, tint = ("✓", formats.GREEN) if item.ok else ("✗", formats.RED)
        if is_job(item) and not item.done:
            mark, tint = "…", formats.BLUE
        lines.append(Line(mark, tint, "", item_line(item, marked=False)))
    if results.not_run:
        left = f"{formats.number(results.not_run, 'more command')}, because the one above was refused"
        lines.append(Line("!", formats.AMBER, "", f"not done: {left}"))
    count = max(len(results) + results.not_run, expected)
    behind = sum(is_job(item) and not item.done for item in results)
    bad = sum(not item.ok for item in results) + results.not_run - behind
    verdict = "all done" if count else "no commands"
    if count > len(results) + results.not_run:
        verdict = f"{len(results):,} of {count:,} done"
    elif behind:
        verdict = f"{behind:,} in the background"
    verdict = f"{bad:,} of {count:,} with problems" if bad else verdict
    told = results.counts
    facts = [f"{told[status]:,} {status}" for status in formats.IMPORTANCE if told[status]]
    title = f"run {results.file}" if results.file else formats.number(count, "command")
    return Page(title, not bad, verdict, facts, lines, [])
