"""IPython's shell object in the tests' own process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config


@contextmanager
def new_shell(config: Mapping[str, Mapping[str, Any]] | None = None) -> Iterator[Any]:
    """A shell without a history, configured by class; it is `get_ipython()` until the block ends.

    A shell makes its namespace the process's `__main__`. The one that was there is put back: processes that a later
    test spawns ask it for its `__spec__`.
    """
    InteractiveShell.clear_instance()
    made = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}, **(config or {})}))
    try:
        yield made
    finally:
        made.restore_sys_module_state()
        InteractiveShell.clear_instance()
