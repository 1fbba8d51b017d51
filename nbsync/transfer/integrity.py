"""Is what arrived the object that the service holds? Its ETag, its checksums and its parts tell. Worker threads."""

from __future__ import annotations

import os

from nbsync.core.evidence import MD5, Digest, digests_to_try
from nbsync.core.hashing import Hasher
from nbsync.core.model import RemoteEntry
from nbsync.core.parts import looks_like_md5, parse_multipart_etag
from nbsync.transfer import checksums, compare
from nbsync.transfer.context import Context
from nbsync.transfer.headers import recorded_md5
from nbsync.transfer.part_layout import ToldLayout, etag_of_parts
from nbsync.wire.errors import TransientError
from nbsync.wire.misdirected import coding


def coded(headers: dict[str, str]) -> str:
    """What to add to the news that what arrived is wrong, if it came in a coding. (The object may be in one itself.)"""
    found = coding(headers)
    return f"; it came as {found}, which a proxy on the way may have made of it" if found else ""


class Corrupted(TransientError):
    """What arrived is not what the service says it holds."""


def prove(
    ctx: Context, remote: RemoteEntry, headers: dict[str, str], values: dict[Digest, str], fd: int
) -> bool | None:
    """True: what arrived is confirmed. None: nothing could confirm or refute it.

    Args:
        remote: the object as it was listed.
        headers: of the GET's answer, with checksum mode on.
        values: digests of what arrived, computed on its way; may be replaced by the one that confirmed it.
        fd: what arrived, an open file.

    Raises:
        Corrupted: it is refuted. InterruptedError: cancelled. OSError.
    """
    proven = _by_service(ctx, remote, headers, values, fd)
    return _by_metadata(headers, values, fd) if proven is None else proven


def _by_service(
    ctx: Context, remote: RemoteEntry, headers: dict[str, str], values: dict[Digest, str], fd: int
) -> bool | None:
    """As prove, by what the service itself knows of the object."""
    if remote.etag.lower() in values.values():
        if looks_like_md5(remote.etag):
            ctx.bucket.can.saw_md5_etag()
        return True
    given = checksums.from_headers(headers)
    if given is not None:
        if checksums.of_file(fd, given.algorithm, ctx.cancelled) != given.value:
            raise Corrupted(f"what arrived does not have the object's {given.algorithm}{coded(headers)}")
        return True
    if compare.opaque(headers):
        return None
    if looks_like_md5(remote.etag) and ctx.bucket.can.etag_is_md5:
        raise Corrupted(f"what arrived does not have the object's MD5{coded(headers)}")
    if parse_multipart_etag(remote.etag) is None:
        return None
    return _verify_multipart(ctx, remote, values, fd)


def _by_metadata(headers: dict[str, str], values: dict[Digest, str], fd: int) -> bool | None:
    """True: it has the MD5 that the uploader recorded. An uploader may be wrong, so that nothing is refuted by it."""
    recorded = recorded_md5(headers)
    if not recorded:
        return None
    if MD5 not in values:
        hasher = Hasher(MD5)
        _feed(fd, hasher)
        values[MD5] = hasher.value()
    return True if values[MD5] == recorded else None


def _verify_multipart(ctx: Context, remote: RemoteEntry, values: dict[Digest, str], fd: int) -> bool | None:
    """By the parts that the service tells of, else by all that could have been."""
    told = ToldLayout(ctx, remote)
    digests = (told.equal,) if told.equal is not None else digests_to_try(remote, None)
    digests = tuple(digest for digest in digests if digest not in values)
    for digest in digests:
        hasher = Hasher(digest)
        _feed(fd, hasher)
        value = hasher.value()
        if value == remote.etag.lower():
            values.clear()
            values[digest] = value
            return True
    sizes = told.sizes()
    if sizes is None or ctx.bucket.can.etag_is_md5 is False:
        return None
    if etag_of_parts(ctx, fd, sizes) != remote.etag.lower():
        raise Corrupted("what arrived does not have the object's multipart ETag")
    return True


def _feed(fd: int, hasher: Hasher) -> None:
    offset = 0
    while piece := os.pread(fd, 1 << 20, offset):
        hasher.update(memoryview(piece))
        offset += len(piece)
