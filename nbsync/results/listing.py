"""What `ls` gives back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from nbsync.core.model import RemoteEntry
from nbsync.results.answer import Found
from nbsync.results.frames import frame

if TYPE_CHECKING:
    import pandas


class ListedObject(NamedTuple):
    """One object: its key, its path below REMOTE, bytes, ns since the epoch."""

    key: str
    path: str
    size: int
    last_modified_ns: int
    etag: str
    storage_class: str

    @classmethod
    def of(cls, entry: RemoteEntry) -> ListedObject:
        """As a listing's entry shows it."""
        return cls(entry.key, entry.path, entry.size, entry.last_modified_ns, entry.etag, entry.storage_class)


class Listing(Found):
    """The objects under one REMOTE, in key order.

    Attributes:
        remote: `s3://bucket/prefix/`.
        entries: the objects.
        requests: what went over the wire, by kind.
        notes: remarks on the whole.
    """

    def __init__(
        self, remote: str, entries: list[ListedObject], requests: dict[str, int], notes: Sequence[str] = ()
    ) -> None:
        self.remote = remote
        self.entries = entries
        self.requests = requests
        self.notes = [*notes] if entries else [f"there is nothing under {remote}", *notes]

    def to_dict(self) -> dict[str, Any]:
        """The JSON document, in the contract's style."""
        return {
            "command": "ls", "remote": self.remote, "ok": self.ok, "objects": len(self.entries),
            "bytes": sum(entry.size for entry in self.entries), "requests": dict(self.requests),
            "files": [entry._asdict() for entry in self.entries], "notes": list(self.notes),
        }  # fmt: skip

    def to_pandas(self) -> pandas.DataFrame:
        """One row an object: key, path, size (int64), last_modified (UTC), etag, storage_class (a category).

        Raises:
            NbsyncError: pandas is not installed.
        """
        columns = ("key", "path", "size", "last_modified", "etag", "storage_class")
        return frame(columns, self.entries, time="last_modified")

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[ListedObject]:
        return iter(self.entries)

    def __repr__(self) -> str:
        size = sum(entry.size for entry in self.entries)
        return f"<Listing {self.remote}: {len(self.entries):,} objects, {size:,} bytes>"
