"""Results, listings and progress as HTML for a notebook's output. Pure functions of data.

It must stay readable where a notebook is not trusted: JupyterLab, GitHub and nbconvert then strip
`<style>`, `<svg>`, roles and scripts. So all meaning is in the text, bars are blocks with a width, and
colours are mid-tones and transparent tints that read on a white page and on a dark one. Everything that
comes from a bucket, a disk or a server is cleaned, escaped and, where it could be a formula, put into `<code>`
(`_untrusted`): JupyterLab reads `$…$` in other text of an output as one.
"""

from __future__ import annotations

import html
from collections.abc import Iterable

from nbsync.core.model import Active, Row, Snapshot
from nbsync.report import formats, text_page
from nbsync.report.folders import Share, Shares, by_folder
from nbsync.report.next_steps import steps
from nbsync.report.pages import Page
from nbsync.report.view import View, amount, sign, state, title, view, why, word
from nbsync.results.link import Link
from nbsync.results.listing import ListedObject, Listing
from nbsync.results.sync_result import SyncResult

_PATH, _TEXT, _WORKER = 140, 160, 40
_BOX = "max-width:980px;margin:2px 0;font-size:13px;line-height:1.45;text-align:left"
_TABLE = "border-collapse:collapse;width:100%;margin:4px 0 0 0;font-size:12px;color:inherit;overflow-wrap:anywhere"
_TR = "background:transparent;border-top:1px solid rgba(128,128,128,.22)"
# In each cell, because JupyterLab's own rules for cells would win over an inherited style.
_CELL = "padding:2px 12px 2px 0;text-align:left;vertical-align:top"
_RIGHT = "padding:2px 12px 2px 0;text-align:right;vertical-align:top;white-space:nowrap"
_MONO = "font-family:monospace"
_SOFT = "opacity:0.7"
# As the text around it, where notebooks give code a look of its own. No shorthands: JupyterLab takes `font` and
# `background` out of a notebook that is not trusted.
_CODE = "font-family:inherit;font-size:inherit;font-weight:inherit;color:inherit;background-color:transparent;padding:0"
_BAR = "background:rgba(128,128,128,0.22);border-radius:3px;overflow:hidden"
LIVE_HEIGHT = 264  # pixels; fixed, so that the page does not jump while a run goes on
ACTIVE_SHOWN = 6


def result_html(result: SyncResult, show: str = "changed") -> str:
    """The finished table of `result`."""
    seen = view(result, show)
    parts = [_header(seen), _counts(seen.counts), _picture(result), _table(seen)]
    parts += [_remark("!", formats.RED, f"{_untrusted(p.path, _PATH)}: {_untrusted(p.message, _TEXT)}")
              for p in seen.problems]  # fmt: skip
    if seen.more_problems:
        parts.append(_remark("…", formats.GREY, f"{formats.number(seen.more_problems, 'more problem')}: r.problems"))
    parts += [_remark("note", formats.GREY, _untrusted(note, _TEXT)) for note in seen.notes]
    if seen.error:
        parts.append(_remark(seen.verdict, formats.RED, _untrusted(seen.error, 400)))
    parts += [_remark("next", formats.BLUE, f"{html.escape(step.why)}: {_command(step.command)}")
              for step in steps(result, notebook=True)]  # fmt: skip
    return f'<div style="{_BOX}">{"".join(parts)}</div>'


def page_html(shown: Page) -> str:
    """A page: its verdict, and a table with a row for each line."""
    mark, tint = ("✓", formats.GREEN) if shown.good else ("✗", formats.RED)
    verdict = f'<b style="color:{tint}">{mark} {_untrusted(shown.verdict, _TEXT)}</b>'
    facts = " · ".join(_untrusted(fact, _TEXT) for fact in shown.facts)
    parts = [f"<div>{verdict} · {_strong(_untrusted(shown.title, 400))}</div>", f'<div style="{_SOFT}">{facts}</div>']
    rows = [_tr([_td(f'<b style="color:{line.tint}">{html.escape(line.sign)}</b> {html.escape(line.name)}',
                     "white-space:nowrap;width:16%"), _td(_untrusted(line.text, 400))])
            for line in shown.lines]  # fmt: skip
    parts += [f'<table style="{_TABLE}">{"".join(rows)}</table>'] if rows else []
    parts += [_remark("note", formats.GREY, _untrusted(note, _TEXT)) for note in shown.notes]
    return f'<div style="{_BOX}">{"".join(parts)}</div>'


def link_html(link: Link) -> str:
    """An address to click; a path alone, which leads to no page from here, only to be copied."""
    shown = _untrusted(link.url, len(link.url))
    if link.whole:
        shown = f'<a href="{html.escape(link.url)}" target="_blank" rel="noopener noreferrer">{shown}</a>'
    parts = [f"<div>{_strong(_untrusted(f'link {link.remote} → {link.local}', 400))}</div>",
             f'<div style="overflow-wrap:anywhere">{shown}</div>']  # fmt: skip
    parts += [_remark("note", formats.GREY, _untrusted(note, _TEXT)) for note in link.notes]
    return f'<div style="{_BOX}">{"".join(parts)}</div>'


def listing_html(listing: Listing) -> str:
    """Keys, sizes and times; the first ones of a long listing."""
    shown = listing.entries[: text_page.MAX_LISTED]
    more = len(listing.entries) - len(shown)
    classes = any(entry.storage_class not in ("", "STANDARD") for entry in shown)
    head = [_th("key", "58%"), _th("size", "12%", _RIGHT), _th("last modified (UTC)", "18%")]
    rows = [_tr([*head, _th("storage class", "12%")] if classes else head)] if shown else []
    rows += [_listed(entry, classes) for entry in shown]
    parts = [f'<div>{_strong("ls " + _untrusted(listing.remote, 400))} · '
             f"{html.escape(text_page.listing_total(listing).partition(';')[0])}</div>"]  # fmt: skip
    parts += [f'<table style="{_TABLE}">{"".join(rows)}</table>'] if rows else []
    if more > 0:
        parts.append(_remark("…", formats.GREY, f"and {more:,} more: r.entries or --json"))
    parts += [_remark("note", formats.GREY, _untrusted(note, _TEXT)) for note in listing.notes]
    return f'<div style="{_BOX}">{"".join(parts)}</div>'


def snapshot_html(snapshot: Snapshot, hint: str = "") -> str:
    """A run at one moment: bar, totals, counts, the files on their way, the latest problems; below its name a hint."""
    name = title(snapshot.command, snapshot.remote, snapshot.local, snapshot.direction)
    facts = " · ".join(text_page.progress_facts(snapshot))
    counts = [(status, snapshot.counts[status]) for status in formats.IMPORTANCE if snapshot.counts.get(status)]
    parts = [f"<div>{_strong(_untrusted(name, 400))} · {html.escape(state(snapshot))}</div>",
             f'<div style="{_SOFT};font-size:12px">{html.escape(hint)}</div>' if hint else "",
             f'<div style="margin:5px 0">{_bar(text_page.share(snapshot), 8, formats.BLUE)}</div>',
             f"<div>{html.escape(facts)}</div>", _counts(counts)]  # fmt: skip
    active = "".join(_active(item) for item in snapshot.active[:ACTIVE_SHOWN])
    parts += [f'<table style="{_TABLE}">{active}</table>'] if active else []
    parts += [_remark("!", formats.RED, f"{_untrusted(p.path, 60)}: {_untrusted(p.message, 80)}")
              for p in snapshot.problems[-2:]]  # fmt: skip
    height = LIVE_HEIGHT + (18 if hint else 0)
    return f'<div style="{_BOX};height:{height}px;overflow:hidden">{"".join(parts)}</div>'


def _untrusted(text: str, limit: int) -> str:
    """The only way in for text that others chose: never markup, never a formula.

    MathJax passes over `<code>` (its option `skipHtmlTags`,
    https://docs.mathjax.org/en/latest/options/document.html), and so does KaTeX. A formula begins with `$` or a
    backslash: what holds neither needs no `<code>`, which would be a third of a large table.
    """
    escaped = html.escape(formats.clean(text, limit))
    return f'<code style="{_CODE}">{escaped}</code>' if "$" in escaped or "\\" in escaped else escaped


def _command(line: str) -> str:
    return f'<span style="{_MONO}">{_untrusted(line, len(line))}</span>'


def _strong(escaped: str) -> str:
    return f'<b style="font-weight:600">{escaped}</b>'


def _header(seen: View) -> str:
    mark, tint = ("✓", formats.GREEN) if seen.good else ("✗", formats.RED)
    facts = html.escape(" · ".join(seen.facts))
    line = f'<b style="color:{tint}">{mark} {html.escape(seen.verdict)}</b> · {_strong(_untrusted(seen.title, 400))}'
    return f'<div>{line}</div><div style="{_SOFT}">{facts}</div>'


def _counts(counts: Iterable[tuple[str, int]]) -> str:
    chips = [f'<span style="display:inline-block;margin:3px 6px 2px 0;padding:0 8px;border-radius:9px;'
             f'border:1px solid {formats.colour(status)}">{count:,} {html.escape(status)}</span>'
             for status, count in counts]  # fmt: skip
    return f"<div>{' '.join(chips)}</div>" if chips else ""


def _picture(result: SyncResult) -> str:
    """What moved, by folder: a bar for each, with its numbers in words; empty where it would say nothing."""
    shares = by_folder(result)
    if shares is None:
        return ""
    planned = result.dry_run or result.command == "plan"
    head = [_th("folder", "34%"), _th("to move" if planned else "moved", "11%", _RIGHT), _th("", "30%"),
            _th("files", "25%")]  # fmt: skip
    rows = [_folder(_untrusted(share.name, 80) if share.name else "beside the folders", share, shares, planned)
            for share in shares.shown]  # fmt: skip
    if shares.others:
        name = f"… {formats.number(shares.number_of_others, 'more folder')}"
        rows.append(_folder(name, shares.others, shares, planned))
    return f'<table style="{_TABLE}">{_tr(head)}{"".join(rows)}</table>'


def _folder(escaped: str, share: Share, shares: Shares, planned: bool) -> str:
    """A bar as long as its bytes against the largest; below the files a thin one: those that moved against all."""
    tint = formats.BLUE if planned else formats.GREEN
    told = [f"{share.moved:,} {'to move' if planned else 'moved'}"] if share.moved else []
    told += [f"{share.kept:,} up to date"] if share.kept and shares.kept_is_known else []
    part = min(share.moved_bytes / shares.shown[0].moved_bytes, 1.0)
    bar = _bar(max(part, 0.01) if part else 0.0, 8, tint)
    files = html.escape(", ".join(told))
    if share.kept and shares.kept_is_known:
        files += _bar(share.moved / (share.moved + share.kept), 3, tint)
    moved = f'<td style="{_RIGHT}">{formats.size(share.moved_bytes)}</td>'
    return _tr([_td(escaped, _MONO if share.name else ""), moved, _td(bar, "vertical-align:middle"), _td(files)])


def _table(seen: View) -> str:
    workers = any(row.worker for row in seen.rows)
    rows = [_row(row, sign(seen, row), workers) for row in seen.rows]
    wide = 5 if workers else 4
    if seen.more:
        rows.append(_wide_row("…", f"and {seen.more:,} more: r.to_pandas() or --json", wide))
    if seen.hits:
        rows.append(_wide_row("=", seen.hits, wide))
    if seen.rows:
        by = [_th("worker", "14%")] if workers else []
        head = [_th("", "17%"), *by, _th("path", "31%" if workers else "38%"), _th("size", "9%", _RIGHT),
                _th("reason (evidence)", "29%" if workers else "36%")]  # fmt: skip
        rows.insert(0, _tr(head))
    return f'<table style="{_TABLE}">{"".join(rows)}</table>' if rows else ""


def _row(row: Row, mark: str, workers: bool) -> str:
    status = f'<b style="color:{formats.colour(row.status)}">{mark}</b> {html.escape(word(row))}'
    by = [_td(_untrusted(row.worker, _WORKER))] if workers else []
    return _tr([_td(status, "white-space:nowrap"), *by, _td(_untrusted(row.path, _PATH), _MONO),
                f'<td style="{_RIGHT}">{amount(row)}</td>', _td(_untrusted(why(row), _TEXT))])  # fmt: skip


def _wide_row(mark: str, text: str, columns: int) -> str:
    cell = (
        f'<td colspan="{columns}" style="{_CELL}"><b style="color:{formats.GREY}">{mark}</b> {html.escape(text)}</td>'
    )
    return _tr([cell])


def _listed(entry: ListedObject, classes: bool) -> str:
    cells = [_td(_untrusted(entry.key, _PATH), _MONO), f'<td style="{_RIGHT}">{formats.size(entry.size)}</td>',
             _td(formats.moment(entry.last_modified_ns), "white-space:nowrap")]  # fmt: skip
    return _tr([*cells, _td(_untrusted(entry.storage_class, 40))] if classes else cells)


def _active(item: Active) -> str:
    done = min(item.done / item.size, 1.0) if item.size > 0 else 0.0
    arrow = "↑" if item.verb.value.startswith("up") else "↓"
    amount = f"{formats.size(item.done)} of {formats.size(item.size)}"
    return _tr([_td(f"{arrow} {_untrusted(item.path, 64)}", f"{_MONO};width:54%;white-space:nowrap"),
                _td(_bar(done, 6, formats.GREEN), "width:24%;vertical-align:middle"),
                _td(amount, "width:22%;white-space:nowrap")])  # fmt: skip


def _bar(done: float, height: int, tint: str) -> str:
    """A block within a block; the number beside it says the same in words."""
    inner = f'<div style="width:{done * 100:.0f}%;height:{height}px;background:{tint}"></div>'
    return f'<div style="{_BAR};height:{height}px">{inner}</div>'


def _remark(mark: str, tint: str, escaped: str) -> str:
    style = "font-size:12px;margin:2px 0 0 0;overflow-wrap:anywhere"
    return f'<div style="{style}"><b style="color:{tint}">{html.escape(mark)}</b> {escaped}</div>'


def _tr(cells: Iterable[str]) -> str:
    return f'<tr style="{_TR}">{"".join(cells)}</tr>'


def _td(content: str, style: str = "") -> str:
    return f'<td style="{_CELL};{style}">{content}</td>' if style else f'<td style="{_CELL}">{content}</td>'


def _th(name: str, width: str, cell: str = _CELL) -> str:
    return f'<th style="{cell};{_SOFT};font-weight:500;width:{width}">{html.escape(name)}</th>'
