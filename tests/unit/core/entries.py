"""Entries for the tests of core: the same file and object, with what a test wants changed."""

from __future__ import annotations

from typing import Any

from nbsync.core.model import Kind, LocalEntry, RecordedEntry, RemoteEntry

ETAG = "0cc175b9c0f1b6a831c399e269772661"  # the MD5 of b"a"


def here(path: str = "f", **more: Any) -> LocalEntry:
    """A local file of one byte."""
    return LocalEntry(path, Kind.FILE, 1, 100, 200, 300)._replace(**more)


def there(path: str = "f", **more: Any) -> RemoteEntry:
    """An object of one byte."""
    return RemoteEntry(path, f"p/{path}", 1, ETAG, 1000)._replace(**more)


def row(path: str = "f", **more: Any) -> RecordedEntry:
    """The row of `here()` and `there()`, synced."""
    return RecordedEntry(path, ETAG, "", 1, 100, 200, 300, f"md5:{ETAG}")._replace(**more)
