"""Is this file that object? The ladder of evidence, as data. Pure.

Rungs, cheapest first: sizes; the recorded state (stat and ETag unmoved); and then, for whoever may
read the file, the digests that can be held against what the service knows of the object. ETags are
the MD5 of the content only for plain single-part objects; under SSE-KMS and SSE-C, and on some
servers, they are opaque: equality proves sameness, a difference proves nothing.
Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html (ETag).
"""

from __future__ import annotations

from typing import NamedTuple

from nbsync.core.clock import is_doubted
from nbsync.core.model import BY_TIME, Evidence, Joined, LocalEntry, RecordedEntry, RemoteEntry
from nbsync.core.parts import MAX_PARTS, candidate_part_sizes, looks_like_md5, parse_multipart_etag

_MOST_DIGITS = 15  # of a size in bytes
# Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/archived-objects.html
ARCHIVED = frozenset({"GLACIER", "DEEP_ARCHIVE"})


class Verdict(NamedTuple):
    """`same` is None where nothing is known without reading the content."""

    same: bool | None
    evidence: Evidence


class Digest(NamedTuple):
    """One way to digest a file: a checksum of the service, or its MD5, or the multipart ETag of such parts.

    Attributes:
        part_size: bytes of each part; 0 for what is of the whole.
        checksum: which checksum it is; None for MD5s.
    """

    part_size: int
    checksum: Evidence | None = None

    def name(self, value: str) -> str:
        """The content's name, as the state records it; empty where the digest is too short to know a content by it."""
        if self.checksum is not None:
            return f"{self.checksum}:{value}" if self.checksum.names_content else ""
        return f"etag:{value}:{self.part_size}" if self.part_size else f"md5:{value}"


MD5 = Digest(0)
_BY_CHECKSUM = {str(kind): Digest(0, kind) for kind in Evidence if kind.header and kind.names_content}


def as_recorded(local: LocalEntry, row: RecordedEntry) -> bool:
    """Is the file's stat as recorded? ctime and inode are in it: a restored mtime does not fool it.

    A row whose ticks are too coarse to tell has the ctime of no file: see core.clock.
    """
    return (
        local.mtime_ns == row.mtime_ns
        and local.size == row.size
        and local.ctime_ns == row.ctime_ns
        and local.inode == row.inode
    )


def still(remote: RemoteEntry, row: RecordedEntry) -> bool:
    """Is the object the one that was recorded? ETag and version say so; LastModified only where there was no ETag."""
    if not row.etag or remote.etag != row.etag:
        by_time = row.etag == f"{BY_TIME}{remote.last_modified_ns}" and row.size == remote.size
        if not by_time:
            return False
    # Listings without versions give none; then the ETag alone has to do.
    return not row.version_id or not remote.version_id or row.version_id == remote.version_id


def untold(remote: RemoteEntry, row: RecordedEntry | None) -> bool:
    """Does the listing not tell whether the object is the one that was recorded by its ETag? A HEAD may."""
    return row is not None and not remote.etag and bool(row.etag) and not row.etag.startswith(BY_TIME)


def stays(one: Joined) -> bool:
    """Is there something on a side that the other has not just deleted, while this side held it as it was recorded?"""
    local, remote, row = one.local, one.remote, one.recorded
    if local is None and remote is None:
        return False
    if row is None or (local is not None and remote is not None):
        return True
    return not (as_recorded(local, row) if local is not None else remote is not None and still(remote, row))


def compare_known(local: LocalEntry, remote: RemoteEntry, row: RecordedEntry | None, compare: str) -> Verdict:
    """What is known without reading content and without a request.

    `compare` is `content`, `size` or `size-mtime`; the last leaves the question open only where the record tells of
    a content without the time of its file, and `size` never does.
    """
    if local.size != remote.size:
        return Verdict(False, Evidence.SIZE)
    if compare == "size":
        return Verdict(True, Evidence.SIZE)
    if row is not None and as_recorded(local, row) and still(remote, row):
        return Verdict(True, Evidence.STATE)
    if compare == "size-mtime" and not (row is not None and is_doubted(row) and still(remote, row)):
        # Whole seconds: what LIST gives is no finer on most servers. As aws-cli's default rule, but both ways.
        return Verdict(local.mtime_ns // 10**9 == remote.last_modified_ns // 10**9, Evidence.METADATA)
    return Verdict(None, Evidence.NONE)


def digests_to_try(remote: RemoteEntry, row: RecordedEntry | None) -> tuple[Digest, ...]:
    """The digests of a file that could prove it equal to `remote`, in one reading of it.

    Empty when the ETag has no known form: then only a checksum of the service can tell.
    """
    recorded = believed_digest(remote, row)
    if recorded is not None:
        return (recorded,)
    if looks_like_md5(remote.etag):
        return (MD5,)
    multipart = parse_multipart_etag(remote.etag)
    if multipart is None:
        return ()
    return tuple(Digest(size) for size in candidate_part_sizes(remote.size, multipart[1]))


def recorded_digest(row: RecordedEntry) -> Digest:
    """How the recorded content was named, so that the file can be named so again.

    Raises:
        ValueError: no nbsync has named it so: a row may have been written by anybody.
    """
    kind, _, rest = row.content.partition(":")
    if kind == "md5":
        return MD5
    if kind in _BY_CHECKSUM:
        return _BY_CHECKSUM[kind]
    size = rest.rpartition(":")[2]
    if kind != "etag" or not size.isdecimal() or len(size) > _MOST_DIGITS or row.size > int(size) * MAX_PARTS:
        raise ValueError("no name of a content of this size")
    return Digest(int(size))


def believed_digest(remote: RemoteEntry, row: RecordedEntry | None) -> Digest | None:
    """How the content of this very object was recorded; None if it was not."""
    if row is None or not row.content or not still(remote, row):
        return None
    try:
        return recorded_digest(row._replace(size=remote.size))
    except ValueError:
        return None


def judge(values: dict[Digest, str], remote: RemoteEntry, row: RecordedEntry | None) -> Verdict:
    """The verdict on a file whose digests are `values`, from the ETag or the recorded content alone.

    A single-part ETag that differs is taken as a difference (the caller may know that it is opaque);
    a multipart ETag that no tried part size gives leaves the question open.
    """
    digest = believed_digest(remote, row)
    if row is not None and digest in values:
        return Verdict(digest.name(values[digest]) == row.content, Evidence.STATE)
    if MD5 in values and looks_like_md5(remote.etag):
        return Verdict(values[MD5] == remote.etag.lower(), Evidence.ETAG_MD5)
    if remote.etag.lower() in values.values():
        return Verdict(True, Evidence.ETAG_MULTIPART)
    return Verdict(None, Evidence.NONE)


def content_name(values: dict[Digest, str], etag: str = "") -> str:
    """How to record this content: by the digest that equals the ETag, else by the first that can name one."""
    for digest, value in values.items():
        if value == etag.lower():
            return digest.name(value)
    return next((name for digest, value in values.items() if (name := digest.name(value))), "")
