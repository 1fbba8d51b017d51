"""The only call of IPython's `display`."""

from __future__ import annotations

from typing import Any


def ipython_display(*args: Any, **kwargs: Any) -> Any:
    """IPython's `display`, imported when something is shown."""
    import IPython.display

    display: Any = IPython.display.display
    return display(*args, **kwargs)
