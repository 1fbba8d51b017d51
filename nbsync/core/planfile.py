"""A plan <-> JSON Lines: a header, then one line for each thing to do, with both sides as they were seen. Pure.

A file is untrusted: its lines are taken apart to the last value, and what is not a plan is refused with its line.
Credentials are never in it: options have none, and the profile is a name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from nbsync.core import names
from nbsync.core.commands import directions
from nbsync.core.model import Action, Evidence, Kind, LocalEntry, RemoteEntry, Status, Verb
from nbsync.errors import UsageError

FORMAT = 1
MAX_LINE = 1 << 24  # characters; a key is at most 1,024 bytes, but filters may be many
_KIND = "nbsync-plan"
_MOST = 1 << 100  # times are nanoseconds of any year
_UNSAFE = re.compile("[\0\ud800-\udfff]")
_NEEDS = {  # the side that each verb works on
    Verb.DOWNLOAD: "remote", Verb.UPLOAD: "local", Verb.DELETE_LOCAL: "local", Verb.DELETE_REMOTE: "remote",
}  # fmt: skip


class Header(NamedTuple):
    """What a plan is for. `options` are those that were given, by name; `counts` the plan's rows by status."""

    direction: str  # pull, push or sync
    remote: str  # s3://bucket/prefix/
    local: str  # absolute
    endpoint: str  # scheme://host:port/path
    region: str
    profile: str  # its name
    options: Mapping[str, Any]
    listed: bool  # --files-from restricted it
    counts: Mapping[str, int]
    items: int  # lines that follow
    planned_at: str  # ISO 8601, UTC
    version: str  # of the nbsync that made it


class SavedPlan(NamedTuple):
    """A header and its items. `items` gives them from the first one at each call.

    `is_own`: this user made it, here, and nobody has edited it since.
    """

    header: Header
    items: Callable[[], Iterator[Action]]
    is_own: bool


class _Damaged(ValueError):
    """A line is not what it should be; the words say why."""


def lines(header: Header, items: Iterable[Action]) -> Iterator[str]:
    """The file's lines, each with its line break. Plain ASCII."""
    bucket, _, prefix = header.remote.removeprefix("s3://").partition("/")
    if bucket.startswith("arn:"):  # an access point's name is part of it
        name, _, prefix = prefix.partition("/")
        bucket = f"{bucket}/{name}"
    yield _line({"kind": _KIND, "format": FORMAT, **header._asdict(), "bucket": bucket, "prefix": prefix})
    for item in items:
        yield _line(_item_document(item))


def with_proof(header_line: str, proof: str) -> str:
    """A header's line that also bears the proof of who made the plan."""
    return _line({**json.loads(header_line), "proof": proof})


def without_proof(header_line: str) -> tuple[str, str]:
    """A header's line as it was before `with_proof`, and the proof; empty if it bears none."""
    document = json.loads(header_line)
    proof = document.pop("proof", "")
    return _line(document), proof if isinstance(proof, str) and proof.isascii() else ""


def _line(document: Mapping[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":")) + "\n"


def _item_document(item: Action) -> dict[str, Any]:
    local, remote = item.local, item.remote
    return {
        "path": item.path, "action": item.verb.value, "reason": item.reason, "evidence": item.evidence.value,
        "bytes": item.bytes,
        "local": local and {
            "size": local.size, "mtime_ns": local.mtime_ns, "ctime_ns": local.ctime_ns, "inode": local.inode,
        },
        "remote": remote and {
            "etag": remote.etag, "version_id": remote.version_id, "size": remote.size,
            "last_modified_ns": remote.last_modified_ns,
        },
        "in_the_way": item.in_the_way,
    }  # fmt: skip


def read_header(line: str, name: str) -> Header:
    """The header in a file's first line.

    Args:
        line: with or without its line break.
        name: of the file, for the error.

    Raises:
        UsageError: it is none, or of a newer format.
    """
    try:
        found = _Fields(line)
        if found.values.get("kind") != _KIND:
            raise _Damaged("is not a plan of nbsync")
        if found.integer("format", 1) > FORMAT:
            raise _Damaged(f"was written by a newer nbsync ({found.text('version')}): update nbsync to apply it")
        options, counts = found.mapping("options"), found.mapping("counts")
        header = Header(
            found.one_of("direction", directions()), found.text("remote"), found.text("local"),
            found.text("endpoint"), found.text("region"), found.text("profile"), options, found.flag("listed"),
            {status: _integer(count, 0) for status, count in counts.items()}, found.integer("items", 0),
            found.text("planned_at"), found.text("version"),
        )  # fmt: skip
        if not header.local.startswith("/") or _UNSAFE.search(header.local):
            raise _Damaged("has a LOCAL that is not an absolute path")
        return header
    except (ValueError, RecursionError) as error:
        raise _refused(name, 1, error) from None


def read_items(rest: Iterable[str], header: Header, name: str) -> Iterator[Action]:
    """The items in a file's lines after the first.

    Raises:
        UsageError: a line is damaged, leads out of LOCAL, or there are more or fewer than the header says.
    """
    number = 1
    for number, line in enumerate(rest, 2):
        try:
            yield _item(line)
        except (ValueError, RecursionError) as error:
            raise _refused(name, number, error) from None
    if number - 1 != header.items:
        raise UsageError(
            f"{name} has {number - 1:,} items, and its first line says {header.items:,}: it was cut short or edited",
            "Plan again with --save",
        )


def _refused(name: str, number: int, error: Exception) -> UsageError:
    why = str(error) if isinstance(error, _Damaged) else "is not the JSON of a plan"
    return UsageError(f"{name}, line {number:,}: {why}", "Nothing was done; plan again with --save")


def _item(line: str) -> Action:
    found = _Fields(line)
    path, way = found.text("path"), found.text("in_the_way")
    verb = Verb(found.one_of("action", [verb.value for verb in _NEEDS]))
    if _leaves(path):
        raise _Damaged("has a path that would leave LOCAL, or is nbsync's own")
    if way and way != path and not path.startswith(way + "/"):
        raise _Damaged("has something in the way that is not above its path")
    local, remote = found.part("local"), found.part("remote")
    if found.values[_NEEDS[verb]] is None:
        raise _Damaged(f"does not say what its action works on ({_NEEDS[verb]})")
    evidence = Evidence(found.one_of("evidence", [evidence.value for evidence in Evidence]))
    return Action(
        path, verb, Status.PLANNED, found.text("reason"), evidence, _local(path, local) if local else None,
        _remote(path, remote) if remote else None, in_the_way=way,
    )  # fmt: skip


def _local(path: str, found: _Fields) -> LocalEntry:
    times = found.integer("mtime_ns"), found.integer("ctime_ns")
    return LocalEntry(path, Kind.FILE, found.integer("size", 0), *times, found.integer("inode", 0))


def _remote(path: str, found: _Fields) -> RemoteEntry:
    return RemoteEntry(
        path, "", found.integer("size", 0), found.text("etag"), found.integer("last_modified_ns"),
        version_id=found.text("version_id"),
    )  # fmt: skip


def _leaves(path: str) -> bool:
    segments = path.split("/")
    return bool({"", ".", ".."} & set(segments)) or _UNSAFE.search(path) is not None or names.is_own(path)


def _integer(value: Any, least: int = -_MOST) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= _MOST:
        raise _Damaged("has something else where a number belongs")
    return value


class _Fields:
    """The fields of a JSON object, each of which must be there and of its type."""

    def __init__(self, source: str | Mapping[str, Any]) -> None:
        if isinstance(source, str) and len(source) > MAX_LINE:
            raise _Damaged("is too long")
        values = json.loads(source) if isinstance(source, str) else source
        if not isinstance(values, dict):
            raise _Damaged("is not a JSON object")
        self.values: dict[str, Any] = values

    def _get(self, name: str, kind: type) -> Any:
        if name not in self.values:
            raise _Damaged(f"has no {name!r}")
        if not isinstance(self.values[name], kind):
            raise _Damaged(f"has something odd in {name!r}")
        return self.values[name]

    def text(self, name: str) -> str:
        return str(self._get(name, str))

    def flag(self, name: str) -> bool:
        return bool(self._get(name, bool))

    def integer(self, name: str, least: int = -_MOST) -> int:
        return _integer(self._get(name, int), least)

    def mapping(self, name: str) -> dict[str, Any]:
        return dict(self._get(name, dict))

    def one_of(self, name: str, choices: Iterable[str]) -> str:
        value = self.text(name)
        if value not in choices:
            raise _Damaged(f"has something odd in {name!r}")
        return value

    def part(self, name: str) -> _Fields | None:
        return None if self._get(name, object) is None else _Fields(self.mapping(name))
