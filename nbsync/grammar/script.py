"""The lines of a `%%s3sync` cell, or of the file that holds them: each is parsed before any of them runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import CodeType
from typing import Any, NamedTuple, NoReturn

from nbsync.core.commands import COMMANDS, Kind
from nbsync.errors import LocalError, UsageError
from nbsync.grammar.parse import HelpRequested, Invocation, parse
from nbsync.grammar.split import Expand, commands, split

_MOST_BYTES = 1 << 20


class Step(NamedTuple):
    """One line: what it means, and whether its table is hidden."""

    invocation: Invocation
    silent: bool


class Given(NamedTuple):
    """What all lines are given: the defaults of the face, and what was asked for before the lines."""

    defaults: Mapping[str, Any]
    asked: Mapping[str, Any] = {}
    silent: bool = False


def steps(text: str, expand: Expand, given: Given, *, notebook: bool, first: int = 1) -> list[Step]:
    """The commands of `text`, one a line; comments, blank lines and a `\\` at the end of a line as in a cell.

    Args:
        text: the lines.
        expand: gives the text of `{expr}` and `$name`; `not_here` where there is no notebook.
        given: to all of them.
        notebook: take what only a notebook has.
        first: the number of the first line.

    Raises:
        UsageError: a line is wrong (its number is told), or there is none.
    """
    found = []
    for number, line in commands(text):
        try:
            words, silent = split(line, expand)
            defaults = {**given.defaults, **given.asked}
            invocation = parse(words, notebook=notebook, defaults=defaults, asked=given.asked)
            if COMMANDS[invocation.command].kind not in (Kind.RUN, Kind.ANSWER):
                raise UsageError(f"{invocation.command} does not stand among the lines of others")
            found.append(Step(invocation, silent or given.silent))
        except HelpRequested:
            raise UsageError(f"line {number + first - 1}: --help does not stand among commands") from None
        except UsageError as error:
            raise UsageError(f"line {number + first - 1}: {error.message}", error.hint) from None
    if not found:
        raise UsageError("there is no command", "Write one a line")
    return found


def steps_of(file: str | os.PathLike[str], expand: Expand, given: Given, *, notebook: bool) -> list[Step]:
    """As `steps`, of what is in a file.

    Raises: as `steps`, with the file's name. LocalError: it cannot be read.
    """
    name = os.fspath(file)
    try:
        return steps(_read(name), expand, given, notebook=notebook)
    except UsageError as error:
        raise UsageError(f"{name}, {error.message}", error.hint) from None


def not_here(source: str, _code: CodeType | None) -> NoReturn:
    """Expand nothing: there are no values outside a notebook.

    Raises:
        UsageError: always; a brace that is meant literally is written in another way.
    """
    hint = "For the characters themselves write {{ }} $$, or use single quotes"
    raise UsageError(f"{source!r} is to be expanded, and only a notebook has values", hint)


def _read(name: str) -> str:
    try:
        with open(os.path.expanduser(name), "rb") as file:
            text = file.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            raise UsageError("it is longer than 1 MiB: no file of commands")
        return text.decode("utf-8-sig")
    except OSError as error:
        raise LocalError(f"{name}: {error.strerror}", "run takes a file of commands, one a line") from None
    except UnicodeDecodeError:
        raise UsageError("it is not UTF-8 text") from None
