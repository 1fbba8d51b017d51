"""What may stand at the cursor of a command line: the words so far -> candidates. Pure but for the World it asks.

The commands are those of `core.commands`, the options those of `core.options`. Names from a bucket
or a disk are untrusted text: what is not printable is not offered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from nbsync.core.commands import COMMANDS, DOWNLOADS, UPLOADS, WHERE, directions, places_of
from nbsync.core.names import is_own
from nbsync.core.options import OPTIONS, Option
from nbsync.grammar import help as texts
from nbsync.grammar.parse import taken_by

_SCHEME = "s3://"

Where = Mapping[str, Any]  # the Where options that count, by field name


class Candidate(NamedTuple):
    """One word that fits: what it means (not how it is quoted), and of what kind it is."""

    text: str
    kind: str  # command, option, value, profile, bucket, folder, object, file, job


class World(Protocol):
    """What is looked up. Empty where nothing is found, or not in time; never raises."""

    def profiles(self) -> Iterable[str]:
        """Names of the profiles on this machine."""

    def jobs(self) -> Iterable[str]:
        """Numbers of the background syncs under way."""

    def buckets(self, where: Where) -> Iterable[str]:
        """Names of buckets."""

    def keys(self, bucket: str, prefix: str, where: Where) -> Iterable[str]:
        """Keys that begin with `prefix`, and folders that end in `/`."""

    def files(self, folder: str, *, home: bool) -> Iterable[str]:
        """Names in a local folder ("" is the current one), folders with a `/`; with `home`, `~` is expanded."""


class Typed(NamedTuple):
    """A command line with the cursor in it.

    Attributes:
        before: the words before the one at the cursor; None stands for a value that is not known.
        word: the beginning of the one at the cursor.
        after: those behind it.
        head: those of the `%%s3sync` line above it: options that hold where the line itself gives none.
        defaults: option values by field name that hold where neither does.
        only_options: this is the `%%s3sync` line itself.
    """

    before: Sequence[str | None]
    word: str
    after: Sequence[str | None] = ()
    head: Sequence[str | None] = ()
    defaults: Mapping[str, Any] = {}
    only_options: bool = False


def candidates(typed: Typed, world: World) -> list[Candidate]:
    """The words that fit at the cursor, best order first."""
    return [one for one in _Line(typed, world).candidates() if one.text.isprintable()]


class _Words:
    """Options and other words, as far as they are typed."""

    def __init__(self, words: Iterable[str | None], flags: Mapping[str, Option]) -> None:
        self.positional: list[str | None] = []
        self.given: dict[str, str | bool | None] = {}
        self.waiting: Option | None = None  # the option whose value comes next
        self.ended = False  # by `--`
        for word in words:
            self._take(word, flags)

    def _take(self, word: str | None, flags: Mapping[str, Option]) -> None:
        if self.waiting is not None:
            self.given[self.waiting.name] = word
            self.waiting = None
        elif self.ended or word is None or not word.startswith("-") or word == "-":
            self.positional.append(word)
        elif word == "--":
            self.ended = True
        else:
            flag, equals, value = word.partition("=")
            known = flags.get(flag)
            if known is not None and known.takes_value and not equals:
                self.waiting = known
            elif known is not None:
                self.given[known.name] = value if equals else True


class _Line:
    """One completion."""

    def __init__(self, typed: Typed, world: World) -> None:
        self._typed = typed
        self._world = world
        self._known = list(texts.options(notebook=True).values())
        self._flags = {flag: known for known in self._known for flag in known.flags}
        self._before = _Words(typed.before, self._flags)
        self._after = _Words(typed.after, self._flags)
        names = [*self._before.positional, ""]
        self._command = names[0] or ""
        self._row = COMMANDS.get(self._command)
        self._plans = self._row is not None and self._row.plans
        self._direction = (names[1] or "") if self._plans else ""

    def candidates(self) -> list[Candidate]:
        word, before = self._typed.word, self._before
        flag, equals, value = word.partition("=")
        if before.waiting is not None:
            return self._values(before.waiting, word)
        if not before.ended and word.startswith("-"):
            known = self._flags.get(flag)
            if equals and known is not None and known.takes_value:
                return [one._replace(text=f"{flag}={one.text}") for one in self._values(known, value)]
            return self._options(word)
        if self._typed.only_options:
            return self._options(word)
        if not before.positional:
            return _that_begin(word, texts.commands(notebook=True), "command")
        if self._plans and len(before.positional) == 1:
            return _that_begin(word, directions(), "command")
        return self._place(word)

    def _place(self, word: str) -> list[Candidate]:
        """The next of the words that the command takes; options where it takes no more."""
        taken = len(self._before.positional) - (2 if self._plans else 1)
        places = places_of(self._command, self._direction)
        place = places[taken] if taken < len(places) else ""
        if place == "REMOTE":
            return self._remote(word)
        if place == "ID":
            return _that_begin(word, self._world.jobs(), "job")
        if place in ("LOCAL", "FILE"):
            return self._files(word, only_folders=place == "LOCAL")
        return [] if place or word else self._options(word)

    def _options(self, word: str) -> list[Candidate]:
        given = {**self._before.given, **self._after.given}
        fits = self._fitting()
        flags = [flag for known in self._known if known.name in fits and (known.repeats or known.name not in given)
                 for flag in known.flags]  # fmt: skip
        return _that_begin(word, [*flags, "--help"], "option")

    def _fitting(self) -> set[str]:
        """Names of the options that the command takes; before there is one, those of any."""
        commands = texts.commands(notebook=True)
        if self._typed.only_options or not self._command:
            return set().union(*map(taken_by, commands)) - ({"output_name"} if self._typed.only_options else set())
        return taken_by(self._command, self._direction) if self._command in commands else set()

    def _values(self, known: Option, word: str) -> list[Candidate]:
        if known.choices:
            return _that_begin(word, known.choices, "value")
        if known.name == "profile":
            return _that_begin(word, self._world.profiles(), "profile")
        return self._files(word) if known.metavar == "FILE" else []

    # ---- places --------------------------------------------------------------------------------------

    def _remote(self, word: str) -> list[Candidate]:
        where = self._where()
        if where is None:
            return []
        scheme = _SCHEME if word.lower().startswith(_SCHEME) else ""
        bucket, slash, prefix = word[len(scheme) :].partition("/")
        if not slash or word == "s3:/":
            return self._buckets(word, scheme, where)
        row = COMMANDS.get(self._direction) or self._row
        folders_only = row is not None and UPLOADS in row.takes and DOWNLOADS not in row.takes
        marker = prefix if prefix.endswith("/") else None  # the folder itself
        found = [key for key in self._world.keys(bucket, prefix, where)
                 if key.startswith(prefix) and key != marker and not is_own(key)]  # fmt: skip
        begun = f"{word[: len(scheme)]}{bucket}/"
        return [Candidate(begun + key, "folder" if key.endswith("/") else "object") for key in found
                if key.endswith("/") or not folders_only]  # fmt: skip

    def _buckets(self, word: str, scheme: str, where: Where) -> list[Candidate]:
        """Buckets, written as the word begins: with `s3://` or without; both, where it may become either."""
        names = [f"{name}/" for name in self._world.buckets(where)]
        if scheme or _SCHEME.startswith(word):
            begun = word[: len(scheme)] or _SCHEME
            names = [begun + name for name in names] + (names if word and not scheme else [])
        return _that_begin(word, names, "bucket")

    def _where(self) -> dict[str, Any] | None:
        """The Where options that hold; None if one of them is not known."""
        head = _Words(self._typed.head, self._flags).given
        given = {**self._typed.defaults, **head, **self._before.given, **self._after.given}
        where = {name: value for name, value in given.items()
                 if name in OPTIONS and WHERE in OPTIONS[name].of}  # fmt: skip
        return None if None in where.values() else where

    def _files(self, word: str, *, only_folders: bool = False) -> list[Candidate]:
        if only_folders and word == "~":
            return [Candidate("~/", "folder")]
        folder, slash, name = word.rpartition("/")
        means_home = "~" if only_folders and not slash else ""  # a folder ~x would be read as the home of a user x
        found = [one for one in self._world.files(folder + slash, home=only_folders)
                 if one.startswith(name) and (name or one[0] not in ".-") and not is_own(one)
                 and one[0] != means_home]  # fmt: skip
        return [Candidate(folder + slash + one, "folder" if one.endswith("/") else "file") for one in found
                if one.endswith("/") or not only_folders]  # fmt: skip


def _that_begin(word: str, names: Iterable[str], kind: str) -> list[Candidate]:
    return [Candidate(name, kind) for name in names if name.startswith(word)]
