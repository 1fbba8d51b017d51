"""The only call of IPython's `display`; and outputs that are changed in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def ipython_display(*args: Any, **kwargs: Any) -> Any:
    """IPython's `display`, imported when something is shown."""
    import IPython.display

    display: Any = IPython.display.display
    return display(*args, **kwargs)


class Output:
    """One output of a cell, by MIME type; each time it is drawn it changes in place.

    Args:
        display: IPython's `display`, or a fake of it.
    """

    def __init__(self, display: Callable[..., Any] | None = None) -> None:
        self._display = display or ipython_display
        self._handle: Any = None

    @property
    def is_open(self) -> bool:
        """Has it been drawn?"""
        return self._handle is not None

    def draw(self, bundle: dict[str, str]) -> None:
        """Show this from now on."""
        if self._handle is None:
            self._handle = self._display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)

    def draw_again(self, bundle: dict[str, str]) -> None:
        """Show it in this cell too; both change from now on."""
        self._handle.display(bundle, raw=True)


def bundle_of(html: str, text: str) -> dict[str, str]:
    """What an output shows, by MIME type."""
    return {"text/html": html, "text/plain": text}
