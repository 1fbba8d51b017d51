"""Which version of each key was the newest at a time. Pure; constant memory.

Source of the order: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html (keys
ascend; of one key the most recently stored comes first).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from nbsync.core.model import RemoteEntry


class Version(NamedTuple):
    """One version of a key, or a delete marker (`entry` is None then)."""

    key: str
    last_modified_ns: int
    is_latest: bool
    entry: RemoteEntry | None


def as_of(versions: Iterable[Version], moment_ns: int) -> Iterator[RemoteEntry]:
    """Of each key the object that it named at `moment_ns`, in the order of the keys; none for a deleted key.

    That is the newest version which is not younger than `moment_ns`. Of several that are equally old it
    is the one that was listed first.

    Args:
        versions: all versions of a key next to each other.
        moment_ns: ns since the epoch.
    """
    newest: Version | None = None
    for version in versions:
        if newest is not None and newest.key != version.key:
            if newest.entry is not None:
                yield newest.entry
            newest = None
        if version.last_modified_ns <= moment_ns and (newest is None or _is_newer(version, newest)):
            newest = version
    if newest is not None and newest.entry is not None:
        yield newest.entry


def _is_newer(one: Version, other: Version) -> bool:
    # The latest is told: an object made of parts is dated by their beginning, so that it may look older.
    if one.is_latest or other.is_latest:
        return one.is_latest and not other.is_latest
    return one.last_modified_ns > other.last_modified_ns
