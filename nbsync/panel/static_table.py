"""What a saved notebook shows of a panel, without a kernel, a script or its widget's state: the last table as HTML."""

from __future__ import annotations

import html

from nbsync.panel.controller import Session
from nbsync.report import formats, html_page, ipython, text_page
from nbsync.results.sync_result import SyncResult

_NOTHING = "nothing planned yet"


class SavedTable:
    """The last result's table, escaped, its first 200 changed rows.

    Args:
        session: what is shown.
        name: the class that the front end hides.
    """

    def __init__(self, session: Session, name: str) -> None:
        self._session, self._name = session, name
        self._of: SyncResult | None = None
        self._table = self._text = ""
        self._shown: str | None = None

    def html(self) -> str:
        """It as HTML."""
        return f'<div class="nbsync-saved {self._name}">{self._inner()}</div>'

    def text(self) -> str:
        """It as plain text."""
        self._draw()
        return self._text or _NOTHING

    def open(self) -> None:
        """Show it as an output of its own."""
        self._show(update=False)

    def bring_up_to_date(self) -> None:
        """Change it wherever it is shown; seldom, because it is the whole table."""
        if self._shown is None or self._session.busy or self.html() == self._shown:
            return
        self._show(update=True)

    def _show(self, *, update: bool) -> None:
        self._shown = self.html()
        ipython.ipython_display(
            ipython.bundle_of(self._shown, self.text()), raw=True, display_id=self._name, update=update
        )

    def _inner(self) -> str:
        session = self._session
        if session.result is None:
            return html.escape(formats.clean(session.message, 400)) if session.message and not session.busy else ""
        self._draw()
        left = session.table.selected
        ticked = f"<div>{formats.number(left, 'file')} ticked, not applied yet</div>" if left and session.plan else ""
        return self._table + ticked

    def _draw(self) -> None:
        """Once for each result, not for each tick: of a million rows it takes more than a second."""
        result = self._session.result
        if result is not self._of:
            self._of = result
            self._table = html_page.result_html(result) if result is not None else ""
            self._text = text_page.result_text(result) if result is not None else ""
