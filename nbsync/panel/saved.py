"""What a saved notebook shows of a panel, without a kernel, a script or its widget's state: the last table as HTML."""

from __future__ import annotations

import html
from typing import Any

from nbsync.panel.session import Session
from nbsync.ui import report, words

_NOTHING = "nothing planned yet"


def table_html(session: Session, name: str) -> str:
    """The last result's table, escaped, its first 200 changed rows; `name` is the class that the front end hides."""
    return f'<div class="nbsync-saved {name}">{_inner(session)}</div>'


def _inner(session: Session) -> str:
    if session.result is None:
        return html.escape(words.clean(session.message, 400)) if session.message and not session.busy else ""
    left = session.table.selected
    ticked = f"<div>{words.number(left, 'file')} ticked, not applied yet</div>" if left and session.plan else ""
    return report.result_html(session.result) + ticked


def table_text(session: Session) -> str:
    """The same as plain text."""
    return report.result_text(session.result) if session.result is not None else _NOTHING


def display(data: dict[str, Any]) -> None:
    """Show a bundle of MIME types as an output of the cell."""
    from nbsync.ui.live import ipython_display

    ipython_display(data, raw=True)


def show(table: str, text: str, name: str, *, update: bool) -> None:
    """Show the table as an output of its own, or change it wherever it is shown."""
    from nbsync.ui.live import ipython_display

    ipython_display({"text/html": table, "text/plain": text}, raw=True, display_id=name, update=update)
