"""`nbsync.lock`: what the files of a project's folders held when they were pinned, a line of JSON a file. Pure.

The lines are sorted by folder and path and hold no time, so that equal states give equal bytes, and a version control
system shows what changed. The file may have been edited by anybody: every value is checked.
"""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from nbsync.core import names
from nbsync.errors import UsageError

MAX_LINE = 1 << 16  # characters; a key has at most 1,024 bytes
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TEXT = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{0,1024}")
_MOST_BYTES = 1 << 50


class Pinned(NamedTuple):
    """One file of a folder: its size in bytes, its object's ETag and version id ("" without), its SHA-256 in hex."""

    folder: str
    path: str
    size: int
    etag: str
    version_id: str
    sha256: str

    @property
    def order(self) -> tuple[str, str]:
        """By which the lines are sorted."""
        return self.folder, self.path


def line_of(one: Pinned) -> str:
    """Its line, with the line break."""
    document = {name: value for name, value in one._asdict().items() if name != "version_id" or value}
    return json.dumps(document, ensure_ascii=False, separators=(", ", ": ")) + "\n"


def read_lock(lines: Iterable[str], file: str) -> Iterator[Pinned]:
    """What is pinned, in order.

    Args:
        lines: of the file.
        file: its name, for the error.

    Raises:
        UsageError: with file and line: a line is none of a lock, stands out of order or twice, or names no safe path.
    """
    before = ("", "")
    for number, line in enumerate(lines, 1):
        try:
            one = _read_line(line)
            if one.order <= before:
                raise ValueError("is out of order, or stands there twice")
        except (ValueError, RecursionError) as error:
            hint = "Take it back from version control, or write it anew: nbsync lock"
            raise UsageError(f"{file}, line {number}: {error}", hint) from None
        before = one.order
        yield one


def _read_line(line: str) -> Pinned:
    try:
        found = json.loads(line) if len(line) <= MAX_LINE else None
    except ValueError:
        raise ValueError("is not JSON") from None
    if not isinstance(found, dict) or set(found) - {"version_id"} != set(Pinned._fields) - {"version_id"}:
        raise ValueError("is not the line of a pinned file")
    one = Pinned(**{"version_id": "", **found})
    texts: dict[str, Callable[[str], Any]] = {
        "folder": _TEXT.fullmatch, "path": _is_path, "etag": _TEXT.fullmatch, "version_id": _TEXT.fullmatch,
        "sha256": _SHA256.fullmatch,
    }  # fmt: skip
    for name, is_right in texts.items():
        value = getattr(one, name)
        if not isinstance(value, str) or not is_right(value):
            raise ValueError(f"has no {name} that can be: {value!r:.80}")
    if not isinstance(one.size, int) or isinstance(one.size, bool) or not 0 <= one.size <= _MOST_BYTES:
        raise ValueError(f"has no size that can be: {one.size!r:.80}")
    return one


def _is_path(path: str) -> bool:
    return not names.refusal(path) and not any(map(names.is_own, path.split("/")))


def with_folders(old: Iterable[Pinned], new: Iterable[Pinned], folders: frozenset[str]) -> Iterator[Pinned]:
    """A lock in which those `folders` are as in `new`, and all others as in `old`. Both are in order, and stay so."""
    retained = (one for one in old if one.folder not in folders)
    return heapq.merge(retained, new, key=lambda one: one.order)
