"""The lines of a `%%s3sync` cell or of a file, one after the other; `nbsync.run`. Runs in the caller's thread."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from nbsync.core.call import Call
from nbsync.core.commands import is_answer
from nbsync.core.options import OPTIONS, loose_filters
from nbsync.errors import NbsyncError, UsageError
from nbsync.grammar.parse import Invocation
from nbsync.grammar.script import Given, Step, not_here, steps_of
from nbsync.report.json import refusal
from nbsync.results.answer import Answer
from nbsync.results.batch import SyncResults


def call_of(invocation: Invocation) -> Call:
    """What a line asks for."""
    assert invocation.call is not None  # only the shell's `demo` has none, and it is no line among others
    return invocation.call


def run_steps(
    todo: Sequence[Step], do: Callable[[Step], Answer], *, file: str = "",
    failure: Callable[[Step, Any], NbsyncError | None] = lambda _step, _value: None,
    ended: Callable[[Step, SyncResults], None] = lambda _step, _results: None,
) -> tuple[SyncResults, NbsyncError | None]:  # fmt: skip
    """What the commands came to, one after the other until one fails, and how that one failed.

    Args:
        todo: the commands.
        do: what a command comes to. Raises NbsyncError if it is refused.
        file: where the commands stand; empty for a cell.
        failure: the error because of which no further command is done; None goes on.
        ended: called with a command that has ended, but for the failed one, and with the results so far.
    """
    results = SyncResults(file=file)
    stopped_by: NbsyncError | None = None
    for step in todo:
        try:
            results.append(do(step))
            stopped_by = failure(step, results[-1])
        except NbsyncError as error:
            results.append(refusal(call_of(step.invocation), error))
            stopped_by = error
        if stopped_by is not None:
            break
        ended(step, results)
    results.not_run = len(todo) - len(results)
    return results, stopped_by


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
    given = {name: value for name, value in options.items() if name not in ("include", "exclude")}
    filters = loose_filters(options)
    if filters:
        given["filters"] = [*given.get("filters", ()), *filters]
    unknown = next((name for name in given if name not in OPTIONS), None)
    if unknown is not None:
        raise UsageError(f"run has no option {unknown!r}", "See: nbsync run --help")
    todo = steps_of(file, not_here, Given({}, given), notebook=False)
    results, failure = run_steps(todo, _done, file=os.fspath(file))
    if failure is not None:
        raise failure
    return results


def _done(step: Step) -> Answer:
    from nbsync.api import functions  # it brings the S3 library

    call = call_of(step.invocation)
    return functions.answer(call) if is_answer(call.command) else functions.run(call)
