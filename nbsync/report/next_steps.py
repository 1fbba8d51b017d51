"""What to type next, where there is something to: the exact command, quoted for the shell or the notebook. Pure."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from typing import NamedTuple

from nbsync.core.call import Call
from nbsync.core.commands import COMMANDS, places_of
from nbsync.core.decide import CHANGED_IN_REMOTE
from nbsync.core.model import Status
from nbsync.core.options import OPTIONS
from nbsync.core.saved_options import given_options, typed
from nbsync.errors import Interrupted
from nbsync.grammar.help import program
from nbsync.grammar.split import quote
from nbsync.results.sync_result import SyncResult

_LONGEST = 400  # of a command; a longer one is no help
_PLAIN = re.compile(r"[\w@%+=:,./*-]+")  # words that mean themselves in a magic line


class Step(NamedTuple):
    """A thing that can be done now, and the command that does it."""

    why: str
    command: str


def steps(result: SyncResult, *, notebook: bool) -> list[Step]:
    """What the user may want to do after `result`, in the words of the face."""
    call = result.call
    found: list[Step] = []
    # A plan that is in no file has no command, nor has an executor.
    if call is not None and call.executor is None and not (call.command == "apply" and not call.file):
        found = [*_overwrite(result, call, notebook), *_again(result, call, notebook), *_do(result, call, notebook)]
    if result.trashed:
        undo = Call(command="undo", local=result.local)
        found.append(Step("to put back what was replaced or deleted here", command_line(undo, notebook=notebook)))
    return [step for step in found if step.command.isprintable() and len(step.command) <= _LONGEST]


def _overwrite(result: SyncResult, call: Call, notebook: bool) -> list[Step]:
    if call.direction != "push" or not any(row.reason == CHANGED_IN_REMOTE for row in result.files):
        return []
    bold = replace(call, options=replace(call.options, overwrite_remote=True))
    return [Step("to replace what others changed", command_line(bold, notebook=notebook))]


def _again(result: SyncResult, call: Call, notebook: bool) -> list[Step]:
    left = result.counts.get(Status.FAILED.value, 0) + result.counts.get(Status.CANCELLED.value, 0)
    stopped = isinstance(result.error, Interrupted)
    if not stopped and (result.error is not None or not left):
        return []
    why = "to do the rest (or call retry() on this result)" if notebook and left else "to do the rest"
    return [Step(why, command_line(call, notebook=notebook))]


def _do(result: SyncResult, call: Call, notebook: bool) -> list[Step]:
    if result.error is not None or not result.counts.get(Status.PLANNED.value, 0):
        return []
    if call.command == "plan" and call.options.save:
        do = Call(command="apply", file=call.options.save)
    elif call.command == "plan":
        do = replace(call, command=call.direction)
    else:
        do = replace(call, options=replace(call.options, dry_run=False))
    return [Step("to do it", command_line(do, notebook=notebook))]


def command_line(call: Call, *, notebook: bool) -> str:
    """The line that makes `call`, each word quoted where it must be."""
    words = [call.command, call.direction] if COMMANDS[call.command].plans else [call.command]
    places = places_of(call.command, call.direction)
    given = [place for name in places if (place := getattr(call, name.lower(), ""))]
    words += _options(call)
    words += ["--"] if any(place.startswith("-") for place in given) else []
    words += given
    quoted = (_for_magic(word) if notebook else shlex.quote(word) for word in words)
    return " ".join([program(notebook), *quoted])


def _for_magic(word: str) -> str:
    return word if _PLAIN.fullmatch(word) else quote(word)


def _options(call: Call) -> list[str]:
    """The options that differ from their defaults, as words; how a run was shown is not what it did."""
    return typed(given_options(call.options, (name for name, row in OPTIONS.items() if not row.shows)))
