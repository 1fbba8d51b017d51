"""A project: the folders that `nbsync.toml` names, each with its REMOTE, its way and its options. Pure.

The file is untrusted, for it comes with a clone: `read_project` takes every value apart, and an error tells its line.
What a folder may do before its user has accepted it is the business of the caller: see `needs_trust`.
"""

from __future__ import annotations

import difflib
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any, NamedTuple

from nbsync.core import names
from nbsync.core.commands import COMMANDS, UPLOADS
from nbsync.core.location import parse_location
from nbsync.core.options import OPTIONS, build_options, is_taken, loose_filters, read_value
from nbsync.errors import NbsyncError, UsageError

FILE_NAME = "nbsync.toml"
LOCK_NAME = "nbsync.lock"
WAYS = {"pull": "pull", "push": "push", "both": "sync"}  # way -> the command that does it
_ON_WORKERS = ("on", "spread")
_LOOSE = ("include", "exclude")
_OWN_KEYS = ("remote", "local", "way", "groups")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


class Folder(NamedTuple):
    """One folder of a project, as it takes effect: `[defaults]` are merged into its options.

    Attributes:
        name: by which `@NAME` means it.
        remote: `s3://bucket/prefix/`, or as it was written where that means one object.
        local: relative to the project, `/` between names; `.` is the project itself.
        way: `pull`, `push` or `both`.
        options: given ones by name, as `build_options` takes them.
        groups: names of the groups that it belongs to.
        line: of its table in the file, from 1.
    """

    name: str
    remote: str
    local: str
    way: str
    options: Mapping[str, Any]
    groups: tuple[str, ...]
    line: int

    @property
    def command(self) -> str:
        """What `sync` does for it."""
        return WAYS[self.way]

    def given_to(self, command: str) -> dict[str, Any]:
        """Those of its options that `command` takes."""
        return {name: value for name, value in self.options.items() if is_taken(name, command)}


class Project(NamedTuple):
    """The folders of one project file, in its order. `file` is how messages name it."""

    file: str
    folders: tuple[Folder, ...]

    def chosen(self, wanted: Collection[str] = (), group: str = "") -> list[Folder]:
        """The folders of these names, or of a group; without either, all. In the order of the file.

        Raises:
            UsageError: there is no such name or group.
        """
        known = [folder.name for folder in self.folders]
        for name in wanted:
            if name not in known:
                raise UsageError(f"{self.file} has no folder {name!r}", _nearest(name, known))
        groups = sorted({one for folder in self.folders for one in folder.groups})
        if group and group not in groups:
            raise UsageError(f"{self.file} has no group {group!r}", _nearest(group, groups))
        return [
            folder for folder in self.folders
            if (not wanted or folder.name in wanted) and (not group or group in folder.groups)
        ]  # fmt: skip


def needs_trust(folder: Folder, command: str) -> bool:
    """Must the user have accepted the folder before `command` runs it?

    What sends or writes there does, whatever the folder's way, and what asks another endpoint, uses a profile or pays.
    """
    asks_elsewhere = any(OPTIONS[name].configured or name == "request_payer" for name in folder.options)
    return UPLOADS in COMMANDS[command].takes or asks_elsewhere


def identity(folder: Folder, root: str) -> list[Any]:
    """What the user accepts of a folder, as JSON has it: any change of it asks anew.

    Args:
        folder: as it takes effect.
        root: the project's directory, its real path.
    """
    options = {name: value for name, value in folder.options.items() if not OPTIONS[name].pace}
    return [root, folder.name, folder.remote, folder.local, folder.way, options]


# ---- reading ------------------------------------------------------------------------------------------


def read_project(document: Mapping[str, Any], text: str, file: str) -> Project:
    """The Project that a TOML document tells.

    Args:
        document: as a TOML parser gives it.
        text: of the file, for the lines of its errors.
        file: its name, for the same.

    Raises:
        UsageError: with file and line: a key, an option, a value or a path is not allowed.
    """
    return _Reader(document, _Lines(text), file).project()


class _Lines:
    """Where tables and keys stand in a text."""

    _TABLE = re.compile(r"\s*\[\s*(?P<table>[^\[\]]+?)\s*\]")
    _KEY = re.compile(r"\s*(?P<key>(?:[\w-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[\w-]+|\"[^\"]*\"|'[^']*'))*)\s*=")

    def __init__(self, text: str) -> None:
        self._at: dict[tuple[str, ...], int] = {}
        table: tuple[str, ...] = ()
        for number, line in enumerate(text.splitlines(), 1):
            head, key = self._TABLE.match(line), self._KEY.match(line)
            if head:
                table = self._parts(head["table"])
                self._at.setdefault(table, number)
            elif key:
                parts = (*table, *self._parts(key["key"]))
                for end in range(len(table) + 1, len(parts) + 1):
                    self._at.setdefault(parts[:end], number)

    def of(self, *path: str) -> int:
        """The line of a key, or of the nearest table that holds it."""
        return next((self._at[path[:end]] for end in range(len(path), 0, -1) if path[:end] in self._at), 1)

    @staticmethod
    def _parts(dotted: str) -> tuple[str, ...]:
        return tuple(part.strip().strip("\"'") for part in re.findall(r"\"[^\"]*\"|'[^']*'|[^.]+", dotted))


class _Reader:
    """Takes one document apart."""

    def __init__(self, document: Mapping[str, Any], lines: _Lines, file: str) -> None:
        self._document, self._lines, self._file = document, lines, file

    def project(self) -> Project:
        self._only(self._document, ("defaults", "folder"), ())
        defaults, tables = self._table("defaults"), self._table("folder")
        for name in defaults:
            self._check_option(name, tuple(WAYS.values()), ("defaults", name))
        folders = tuple(self._folder(name, table, defaults) for name, table in tables.items())
        self._check_apart(folders)
        return Project(self._file, folders)

    def _table(self, *path: str) -> Mapping[str, Any]:
        found: Any = self._document
        for part in path:
            found = found.get(part, {})
        if not isinstance(found, Mapping):
            raise self._wrong(f"{'.'.join(path)} is a table: [{'.'.join(path)}]", *path)
        return found

    def _folder(self, name: str, table: Any, defaults: Mapping[str, Any]) -> Folder:
        place = ("folder", name)
        if not isinstance(table, Mapping):
            raise self._wrong(f"a folder is a table: [folder.{name}]", *place)
        if not _NAME.fullmatch(name):
            raise self._wrong(f"{name!r} cannot name a folder", *place, hint="Use letters, digits, - _ and .")
        way = self._text(table, "way", "pull", place)
        if way not in WAYS:
            raise self._wrong(f"way is one of {', '.join(WAYS)}, not {way!r}", *place, "way")
        own = {key: value for key, value in table.items() if key not in _OWN_KEYS}
        for key in own:
            self._check_option(key, (WAYS[way],), (*place, key))
        return Folder(
            name, self._remote(table, place), self._local(table, name, place), way,
            self._options(own, defaults, way, place), self._groups(table, place), self._lines.of(*place),
        )  # fmt: skip

    def _remote(self, table: Mapping[str, Any], place: tuple[str, ...]) -> str:
        if "remote" not in table:
            raise self._wrong("a folder needs its remote", *place, hint='Write remote = "s3://bucket/prefix"')
        remote = self._text(table, "remote", "", place)
        with self._at(*place, "remote"):
            return parse_location(remote).uri

    def _local(self, table: Mapping[str, Any], name: str, place: tuple[str, ...]) -> str:
        local = self._text(table, "local", name, place)
        parts = local.split("/")
        if not local or local.startswith("/") or ".." in parts or "\0" in local or "\\" in local:
            hint = "Write a path relative to the project, inside it"
            raise self._wrong(f"local {local!r} leaves the project", *place, "local", hint=hint)
        if any(part.lower() == ".git" or names.is_own(part) for part in parts):
            raise self._wrong(f"local {local!r} is inside of .git or .nbsync", *place, "local")
        return posixpath.normpath(local)

    def _groups(self, table: Mapping[str, Any], place: tuple[str, ...]) -> tuple[str, ...]:
        groups = table.get("groups", [])
        if not isinstance(groups, list) or not all(isinstance(one, str) and _NAME.fullmatch(one) for one in groups):
            raise self._wrong('groups is a list of names: groups = ["small"]', *place, "groups")
        return tuple(groups)

    def _text(self, table: Mapping[str, Any], key: str, default: str, place: tuple[str, ...]) -> str:
        value = table.get(key, default)
        if not isinstance(value, str) or not value.isprintable():
            raise self._wrong(f"{key} is text in quotes", *place, key)
        return value

    def _options(
        self, own: Mapping[str, Any], defaults: Mapping[str, Any], way: str, place: tuple[str, ...]
    ) -> dict[str, Any]:
        """The folder's options over those defaults that its command takes; checked together, too."""
        merged, filters = dict[str, Any](), list[Any]()
        for table, at in ((defaults, ("defaults",)), (own, place)):
            given = {}
            for key, value in table.items():
                name = _field(key)
                if is_taken(_option(name), WAYS[way]):
                    given[name] = self._value(name, value, (*at, key))
            filters += [*given.pop("filters", ()), *loose_filters(given)]
            merged |= {name: value for name, value in given.items() if name not in _LOOSE}
        if filters:
            merged["filters"] = filters
        with self._at(*place):
            build_options(WAYS[way], merged)
        return merged

    def _value(self, name: str, value: Any, place: tuple[str, ...]) -> Any:
        """The value, checked, as JSON has it."""
        plain = value.isoformat() if isinstance(value, date) else value  # a datetime is a date
        with self._at(*place):
            if name in _LOOSE:
                loose_filters({name: plain})
            else:
                read_value(OPTIONS[name], plain)
        return plain

    def _check_option(self, key: str, commands: tuple[str, ...], place: tuple[str, ...]) -> None:
        """A project file may hold it, and one of the commands takes it."""
        name = _option(_field(key))
        if name not in OPTIONS:
            known = [*OPTIONS, "include", "exclude", *(() if place[0] == "defaults" else _OWN_KEYS)]
            raise self._wrong(f"there is no option {key!r}", *place, hint=_nearest(_field(key), known))
        row = OPTIONS[name]
        if row.shows or row.file or row.once or name in _ON_WORKERS:
            raise self._wrong(f"{key} cannot stand in a project file", *place, hint="Give it on the command line")
        if not any(is_taken(name, command) for command in commands):
            raise self._wrong(f"{' or '.join(commands)} takes no option {key!r}", *place)

    def _check_apart(self, folders: Sequence[Folder]) -> None:
        for one, other in _nested(folders):
            what = "is also" if one.local == other.local else "lies in"
            raise self._wrong(f"{other.local} of {other.name} {what} {one.local} of {one.name}", "folder", other.name,
                              hint="Each folder needs a directory of its own")  # fmt: skip

    def _only(self, table: Mapping[str, Any], allowed: Collection[str], place: tuple[str, ...]) -> None:
        for key in table:
            if key not in allowed:
                raise self._wrong(f"there is no {key!r} in a project file", *place, key, hint=_nearest(key, allowed))

    def _wrong(self, message: str, *place: str, hint: str = "") -> UsageError:
        return UsageError(f"{self._file}, line {self._lines.of(*place)}: {message}", hint)

    @contextmanager
    def _at(self, *place: str) -> Iterator[None]:
        """Tell an error of what is done inside with its place in the file."""
        try:
            yield
        except NbsyncError as error:
            raise self._wrong(error.message, *place, hint=error.hint) from None


def _field(key: str) -> str:
    """`dry-run`, as on the command line, or `dry_run` -> the option's name."""
    return key.replace("-", "_")


def _option(name: str) -> str:
    return "filters" if name in _LOOSE else name


def _nested(folders: Sequence[Folder]) -> Iterator[tuple[Folder, Folder]]:
    """Pairs of folders, the second of which is, or lies in, the directory of the first."""
    for one in folders:
        for other in folders:
            inside = one.local == "." or f"{other.local}/".startswith(f"{one.local}/")
            if other is not one and inside and (one.local != other.local or one.line < other.line):
                yield one, other


def _nearest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), 1)
    return f"Did you mean {near[0]}?" if near else ""
