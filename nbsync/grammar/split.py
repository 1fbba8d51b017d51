"""From the text of a magic line to its words: quotes, braces, `{expr}` and `$name`. Pure but for `expand`.

IPython's own expansion is silent about undefined names, all or nothing, and eats the braces of a glob, so
the magic turns it off and does its own, argument by argument:

    'single'    nothing inside is expanded
    "double"    expanded; spaces stay in the argument; \\ escapes " \\ $ { }
    {expr}      a Python expression; it may hold quotes, spaces and braces: {d["raw data"]} is one argument
    $name       the same for a plain name
    {{ }} $$    one literal { } $
    \\x          outside quotes: x itself
    ;           at the end of the line: hide the table
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Mapping
from types import CodeType
from typing import Any, NamedTuple

from nbsync.errors import UsageError

Expand = Callable[[str, "CodeType | None"], str]


class Line(NamedTuple):
    """The words of one command, and whether a trailing `;` hides its table."""

    words: list[str]
    silent: bool


def split(line: str, expand: Expand) -> Line:
    """The words of `line`; `expand(source, code)` gives the text of each expression, left to right.

    Raises:
        UsageError: a quote or brace is not closed, braces hold no Python expression, or `expand` says so.
    """
    return _Splitter(line, expand).run()


class Unfinished(NamedTuple):
    """A command that is being typed, up to the cursor.

    Attributes:
        words: those before the word at the cursor; what `name` did not know is None.
        raw: the word at the cursor as it is written; empty between words.
        value: what it means; None if it holds something unknown.
        quote: the quotation mark that is open at the cursor, or empty.
    """

    words: list[str | None]
    raw: str
    value: str | None
    quote: str


def split_unfinished(line: str, name: Callable[[str], str | None]) -> Unfinished | None:
    """What has been typed of a command, by the rules of `split`; None inside an expression or behind a `;`.

    No expression is evaluated: `name(source)` says what a plain name means, if it knows.
    """
    return _UnfinishedSplitter(line, name).so_far()


def completed(typed: Unfinished, value: str, follows: str) -> str:
    """`value`, which begins as what was typed means, as the word that takes its place; quoted as the user began.

    Args:
        typed: whose value is known.
        value: what the word is to mean.
        follows: what stands behind the cursor: a closing quotation mark there is not written twice.
    """
    raw, before = typed.raw, typed.value or ""
    if raw == before:
        return _quoted(value)
    if typed.quote:
        closing = "" if follows.startswith(typed.quote) else typed.quote
        return raw + _within(typed.quote, value[len(before) :]) + closing
    for mark in ("'", '"'):
        if raw == mark + _within(mark, before) + mark:
            return mark + _within(mark, value) + mark
    return raw + _quoted(value[len(before) :])


_SPECIAL = re.compile(r"""[\s'"\\{}$;?]""")


def _quoted(text: str) -> str:
    """`text` as it is if it needs no quotation marks, else between those that leave it most readable."""
    if not _SPECIAL.search(text):
        return text
    mark = '"' if "'" in text else "'"
    return mark + _within(mark, text) + mark


def _within(mark: str, text: str) -> str:
    """`text` as it is written between two of the quotation mark."""
    if mark == "'":
        return text.replace("'", "'\\''")
    return re.sub(r'["\\${}]', lambda found: "\\" + found[0], text)


def quote(word: str) -> str:
    """`word` written so that `split` gives it back as it is."""
    return "'" + _within("'", word) + "'"


def commands(cell: str) -> list[tuple[int, str]]:
    """The commands of a cell with their line numbers: comments and blank lines out, `\\` lines joined."""
    found: list[tuple[int, str]] = []
    start, held = 0, ""
    for number, line in enumerate(cell.splitlines(), 1):
        if not held and (not line.strip() or line.lstrip().startswith("#")):
            continue
        start = start if held else number
        ending = len(line) - len(line.rstrip("\\"))
        if ending % 2:
            held += line[:-1] + " "
            continue
        found.append((start, held + line))
        held = ""
    if held.strip():
        found.append((start, held))
    return found


def expander(namespace: Mapping[str, Any]) -> Expand:
    """An `expand` that evaluates in `namespace`; what goes wrong there becomes a UsageError of one line."""

    def expand(source: str, code: CodeType | None) -> str:
        # A bare name means a variable: `$dir` without one is a slip, not the built-in function.
        plain = source.isidentifier() and source not in ("None", "True", "False")
        if code is None or (plain and source not in namespace):
            raise _undefined(source)
        try:
            # A plain dict of our own: the expression cannot bind a name in the notebook by accident.
            value = eval(code, dict(namespace))
            return os.fsdecode(value) if isinstance(value, os.PathLike) else str(value)
        except NameError as error:
            raise _undefined(error.name or source) from None
        except Exception as error:
            raise UsageError(f"{{{source}}} failed: {type(error).__name__}: {error}") from None

    return expand


def _undefined(name: str) -> UsageError:
    return UsageError(f"name {name!r} is not defined", "Inside single quotes, braces and $ are left alone.")


class _Splitter:
    """One pass over one line."""

    def __init__(self, line: str, expand: Expand) -> None:
        self._line = line
        self._expand = expand
        self._at = 0
        self._words: list[str] = []
        self._word: list[str] | None = None  # None between words; an empty list is the word ""
        self._began = 0  # where the word begins

    def run(self) -> Line:
        silent = self._scan()
        self._end_word()
        return Line(self._words, silent)

    def _scan(self) -> bool:
        """Read all of the line; the last word is still open. Returns whether a `;` ends it."""
        while self._at < len(self._line):
            char = self._line[self._at]
            if self._word is None:
                self._began = self._at
            if char == ";" and not self._line[self._at + 1 :].strip():
                return True
            if char.isspace():
                self._at += 1
                self._end_word()
            elif char == "'":
                self._single()
            elif char == '"':
                self._double()
            elif char == "\\":
                self._escape()
            else:
                self._plain()
        return False

    def _add(self, text: str) -> None:
        if self._word is None:
            self._word = []
        self._word.append(text)

    def _end_word(self) -> None:
        if self._word is not None:
            self._words.append("".join(self._word))
        self._word = None

    def _single(self) -> None:
        end = self._line.find("'", self._at + 1)
        if end < 0:
            end = self._left_open("'", self._at)
        self._add(self._line[self._at + 1 : end])
        self._at = end + 1

    def _double(self) -> None:
        start = self._at
        self._add("")
        self._at += 1
        while self._at < len(self._line):
            char = self._line[self._at]
            if char == '"':
                self._at += 1
                return
            if char == "\\" and self._line[self._at + 1 : self._at + 2] in tuple('"\\${}'):
                self._escape()
            else:
                self._plain()
        self._left_open('"', start)

    def _left_open(self, mark: str, start: int) -> int:
        """Where a quotation ends that begins at `start` and is not closed."""
        self._at = start
        raise UsageError(f"a {mark} is not closed", self._where())

    def _escape(self) -> None:
        if self._at + 1 >= len(self._line):
            raise UsageError("nothing stands after the last \\")
        self._add(self._line[self._at + 1])
        self._at += 2

    def _plain(self) -> None:
        """One character that is no quote: itself, a doubled one, or the start of an expansion."""
        char = self._line[self._at]
        if char in "{}$" and self._line.startswith(char, self._at + 1):
            self._add(char)
            self._at += 2
        elif char == "{":
            self._braces()
        elif char == "$" and (name := _name(self._line, self._at + 1)):
            self._at += 1 + len(name)
            self._add(self._expand(name, _compiled(name)))
        else:
            self._add(char)
            self._at += 1

    def _braces(self) -> None:
        """The shortest `{…}` that is a Python expression: a `}` in a string or an inner brace cannot end one."""
        end = self._line.find("}", self._at)
        if end < 0:
            raise UsageError("a { is not closed", "Write {{ for a brace, or use single quotes.")
        while end >= 0:
            source = self._line[self._at + 1 : end].strip()
            code = _compiled(source)
            if code is not None:
                self._add(self._expand(source, code))
                self._at = end + 1
                return
            end = self._line.find("}", end + 1)
        end = self._line.find("}", self._at) + 1
        raise UsageError(f"{self._line[self._at : end]} is not a Python expression",
                         "Write {{ for a brace, or use single quotes.")  # fmt: skip

    def _where(self) -> str:
        return f"It opens at: {self._line[self._at : self._at + 30]}"


class _UnfinishedSplitter(_Splitter):
    """One pass over a line that may end anywhere."""

    def __init__(self, line: str, name: Callable[[str], str | None]) -> None:
        super().__init__(line, lambda source, _code: _UNKNOWN if (known := name(source)) is None else known)
        self._quote = ""

    def so_far(self) -> Unfinished | None:
        try:
            silent = self._scan()
        except UsageError:
            return None
        raw = "" if self._word is None else self._line[self._began :]
        if silent or (self._quote != "'" and _AT_A_NAME.search(raw)):
            return None
        words = [None if _UNKNOWN in word else word for word in self._words]
        if self._word is None:
            return Unfinished(words, "", "", "")
        value = "".join(self._word)
        return Unfinished(words, raw, None if _UNKNOWN in value else value, self._quote)

    def _left_open(self, mark: str, start: int) -> int:
        self._quote = mark
        return len(self._line)


_AT_A_NAME = re.compile(r"\$\w*\Z|\\\Z")  # more letters would be another name; after a \, another character
_UNKNOWN = "\0"  # stands for a value that is not known; no word of a command holds it


def _name(line: str, start: int) -> str:
    end = start
    while end < len(line) and line[start : end + 1].isidentifier():
        end += 1
    return line[start:end]


def _compiled(source: str) -> CodeType | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        try:
            return compile(source, "<{expr}>", "eval", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
