"""`nbsync.run`: the lines of a `%%s3sync` cell, from a file, in Python. Runs in the caller's thread."""

from __future__ import annotations

import os
from typing import Any

from nbsync.api import functions
from nbsync.core.options import FIELDS, loose_filters
from nbsync.errors import UsageError
from nbsync.results.batch import SyncResults


def run(file: str | os.PathLike[str], **options: Any) -> SyncResults:
    """Do the commands in a file, one a line, in their order; the next begins when the one before has ended.

    The grammar is that of a `%%s3sync` cell, but nothing is expanded: `{expr}` and `$name` are refused, unless they
    stand in single quotes. Paths in it are relative to the current directory. A wrong line stops before any runs.

    Args:
        file: its path.
        **options: defaults for each line that takes them.

    Returns:
        The results, one for each command.

    Raises:
        NbsyncError: as `pull`, of the line that was refused; the lines after it are not done. Files that failed
            raise only with `strict=True`.
    """
    from nbsync.api.ports import ANSWERS
    from nbsync.grammar import script

    given = {name: value for name, value in options.items() if name not in ("include", "exclude")}
    filters = loose_filters(options)
    if filters:
        given["filters"] = [*given.get("filters", ()), *filters]
    unknown = next((name for name in given if name not in FIELDS), None)
    if unknown is not None:
        raise UsageError(f"run has no option {unknown!r}", "See: nbsync run --help")
    results = SyncResults(file=os.fspath(file))
    for step in script.steps_of(file, script.not_here, script.Given({}, given), notebook=False):
        call = step.invocation.call
        assert call is not None  # only the shell's `demo` has none, and it is no step
        results.append(functions.answer(call) if call.command in ANSWERS else functions.run(call))
    return results
