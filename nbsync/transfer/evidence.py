"""Does an open file hold what the object holds? One ladder: what was digested already, what the service says, parts.

    rung                                   equal            different
    1 a digest at hand is the ETag         proven           -
    2 a checksum of the whole object       proven           refuted
    3 an ETag in the form of an MD5        -                refuted where ETags here are known to be MD5s
    4 an ETag of parts: told, or guessed   proven           refuted where the size of every part is told
      (if the ETag is no digest: a checksum of parts, whose size is guessed; it refutes nothing)
    5 the MD5 that the uploader recorded   the uploader's word

`compare` climbs it for a file and an object that may differ, `prove` for what arrived. Core.evidence says which
digests can tell; here they are computed. Runs in worker threads.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property

from nbsync.core.evidence import (
    MD5,
    Digest,
    Verdict,
    believed_digest,
    content_name,
    digests_to_try,
    judge,
    recorded_digest,
)
from nbsync.core.model import Action, Evidence, LocalEntry, RemoteEntry
from nbsync.core.parts import MiB, bare_etag, candidate_part_sizes, looks_like_md5, parse_multipart_etag
from nbsync.local.digest import FileChanged, digest_open, same_stat
from nbsync.s3.capabilities import etag_is_opaque
from nbsync.s3.errors import is_denied
from nbsync.transfer import checksums
from nbsync.transfer.context import Context
from nbsync.transfer.headers import recorded_md5
from nbsync.transfer.part_layout import ToldLayout, etag_of_parts
from nbsync.wire.errors import ServiceError, TransientError
from nbsync.wire.misdirected import coding

CHECKSUM_BYTES = 8 * MiB  # from here on, a HEAD costs less than the MD5 that a CRC may make needless
_FEW = 4  # candidates for a part size that are tried before the service is asked
_OPEN = Verdict(None, Evidence.NONE)
CHECKSUM_MODE = {"x-amz-checksum-mode": "ENABLED"}


class Corrupted(TransientError):
    """What arrived is not what the service says it holds."""


def coded(headers: Mapping[str, str]) -> str:
    """What to add to the news that what arrived is wrong, if it came in a coding. (The object may be in one itself.)"""
    found = coding(headers)
    return f"; it came as {found}, which a proxy on the way may have made of it" if found else ""


class Content:
    """The bytes of an open file, and the digests of them that are known by now, in `values`."""

    def __init__(self, ctx: Context, fd: int, values: dict[Digest, str] | None = None) -> None:
        self._ctx, self.fd = ctx, fd
        self.values = {} if values is None else values

    def digest(self, digests: Sequence[Digest]) -> None:
        """Add these digests, in one reading of the file. Raises: InterruptedError: cancelled. OSError."""
        missing = [digest for digest in digests if digest not in self.values]
        if missing:
            self.values.update(digest_open(self.fd, missing, cancelled=self._ctx.cancelled))

    def md5(self) -> str:
        """In hexadecimal digits. Raises: as digest."""
        self.digest([MD5])
        return self.values[MD5]

    @cached_property
    def size(self) -> int:
        """In bytes."""
        return os.fstat(self.fd).st_size


def compare(ctx: Context, action: Action) -> tuple[Verdict, str]:
    """Whether the contents are the same, and the local content's name for the state (may be empty).

    `same` is None where the service has nothing that the file could be held against.

    Raises:
        FileChanged: the file did not stay as it was listed. OSError, ServiceError, TransientError.
    """
    local, remote = action.local, action.remote
    assert local is not None  # an Action with a check has both
    assert remote is not None
    ctx.settle(local)
    fd = os.open(ctx.local_path(local.path), os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check_stat(fd, local)
        content = Content(ctx, fd)
        verdict = _compare(ctx, action, remote, content)
        _check_stat(fd, local)
    finally:
        os.close(fd)
    return verdict, content_name(content.values, remote.etag)


def has_recorded_content(ctx: Context, action: Action) -> bool:
    """Does the file still have the content that was recorded? False where what was recorded cannot be computed anew.

    Raises:
        FileChanged: the file did not stay as it was listed. OSError.
    """
    local, row = action.local, action.recorded
    if local is None or row is None or local.size != row.size or not row.content:
        return False
    ctx.settle(local)
    fd = os.open(ctx.local_path(local.path), os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check_stat(fd, local)
        content = Content(ctx, fd)
        digest = recorded_digest(row)
        content.digest((digest,))
        same = bool(digest.name(content.values[digest]) == row.content)
        _check_stat(fd, local)
    except ValueError:  # no nbsync has named it so
        return False
    finally:
        os.close(fd)
    return same


def _check_stat(fd: int, local: LocalEntry) -> None:
    if not same_stat(os.fstat(fd), local):
        raise FileChanged


def _compare(ctx: Context, action: Action, remote: RemoteEntry, content: Content) -> Verdict:
    told: Mapping[str, str] | None = None
    if content.size >= CHECKSUM_BYTES and believed_digest(remote, action.recorded) is None:
        told = _told_checksum(ctx, remote)
        given = checksums.from_headers(told or {})
        if told is not None and given is not None and given.is_quick:
            return _climb(ctx, remote, told, content)
    content.digest(digests_to_try(remote, action.recorded)[:_FEW] or (MD5,))
    verdict = judge(content.values, remote, action.recorded)
    by_md5 = verdict.evidence is Evidence.ETAG_MD5
    if by_md5 and verdict.same:
        ctx.bucket.can.saw_md5_etag()
    if verdict.same is not None and not (by_md5 and not verdict.same):
        return verdict
    try:  # another ETag is another content only if it is a digest
        headers = told or _head(ctx, remote)
    except ServiceError as error:
        if not is_denied(error):
            raise
        return _by_parts(ctx, remote, content) if parse_multipart_etag(remote.etag) else _OPEN
    if not remote.etag:  # of what was listed; a HEAD may tell it all the same
        remote = remote._replace(etag=bare_etag(headers.get("etag", "")))
    verdict = _climb(ctx, remote, headers, content)
    if verdict == Verdict(None, Evidence.ETAG_MD5):  # in doubt, it differs: what is transferred for nothing is no loss
        return Verdict(False, Evidence.ETAG_MD5)
    return verdict if verdict.same is not None else _by_metadata(headers, content)


def _head(ctx: Context, remote: RemoteEntry) -> Mapping[str, str]:
    return ctx.bucket.request("HEAD", remote.key, query=remote.query, headers=CHECKSUM_MODE).headers


def _told_checksum(ctx: Context, remote: RemoteEntry) -> Mapping[str, str] | None:
    """A HEAD of the object that was listed, before its file is read; None where it is not to be had."""
    if not ctx.bucket.can.may_tell_checksums:
        return None
    try:
        headers = _head(ctx, remote)
    except ServiceError as error:
        if not is_denied(error):
            raise
        return None
    ctx.bucket.can.told_checksum(checksums.from_headers(headers) is not None)
    etag = bare_etag(headers.get("etag", ""))
    return headers if not (etag and remote.etag) or etag == remote.etag else None  # else it was replaced


def prove(ctx: Context, remote: RemoteEntry, headers: Mapping[str, str], content: Content) -> Evidence | None:
    """How what arrived is confirmed; None if nothing could confirm or refute it.

    Args:
        remote: the object as it was listed.
        headers: of the GET's answer, with checksum mode on.
        content: what arrived, with the digests computed on its way; the one that confirmed it may take their place.

    Raises:
        Corrupted: it is refuted. InterruptedError: cancelled. OSError.
    """
    verdict = _climb(ctx, remote, headers, content)
    if verdict.same is False:
        raise Corrupted(f"what arrived does not have the object's {verdict.evidence.says}{coded(headers)}")
    if verdict.same is None:  # an uploader may be wrong, so that nothing is refuted by it
        verdict = _by_metadata(headers, content)
    return verdict.evidence if verdict.same else None


def _climb(ctx: Context, remote: RemoteEntry, headers: Mapping[str, str], content: Content) -> Verdict:
    """By what the service knows of the object; its last rung but one, the uploader's word, is the caller's.

    An ETag in the form of an MD5 that is another, of which it is not known whether it is one, is told as open, by it.
    """
    etag, opaque, can = remote.etag.lower(), etag_is_opaque(headers), ctx.bucket.can
    like_md5 = looks_like_md5(etag)
    if etag and etag in content.values.values():
        if like_md5:
            can.saw_md5_etag()
        return Verdict(True, Evidence.ETAG_MD5 if like_md5 else Evidence.ETAG_MULTIPART)
    given = checksums.from_headers(headers)
    if given is not None:
        content.digest([given.digest])
        return Verdict(content.values[given.digest] == given.value, given.algorithm)
    if opaque:
        return _by_composite(ctx, headers, content)
    if like_md5 and can.etag_is_md5 is not False:
        return Verdict(False if can.etags_are_trusted else None, Evidence.ETAG_MD5)
    return _by_parts(ctx, remote, content) if parse_multipart_etag(etag) is not None else _OPEN


def _by_parts(ctx: Context, remote: RemoteEntry, content: Content) -> Verdict:
    """By the parts that the service tells of, else by all that could have been."""
    told = ToldLayout(ctx, remote)
    for digest in (told.equal,) if told.equal is not None else digests_to_try(remote, None):
        content.digest([digest])
        if content.values[digest] == remote.etag.lower():
            value = content.values[digest]
            content.values.clear()
            content.values[digest] = value
            return Verdict(True, Evidence.ETAG_MULTIPART)
    sizes = told.sizes()
    if sizes is None or ctx.bucket.can.etag_is_md5 is False:  # what was tried was guessed: nothing is proven
        return _OPEN
    return Verdict(etag_of_parts(ctx, content.fd, sizes) == remote.etag.lower(), Evidence.ETAG_MULTIPART)


def _by_composite(ctx: Context, headers: Mapping[str, str], content: Content) -> Verdict:
    """By a checksum over the parts' checksums. Their size is guessed, so that a difference proves nothing."""
    given = checksums.composite_from_headers(headers)
    if given is not None:
        for part_size in candidate_part_sizes(content.size, given.parts)[:_FEW]:
            value = checksums.of_parts(content.fd, content.size, part_size, given.algorithm, ctx.cancelled)
            if value == given.value:
                return Verdict(True, given.algorithm)
    return _OPEN


def _by_metadata(headers: Mapping[str, str], content: Content) -> Verdict:
    """By the MD5 that the uploader recorded, if there is one: better than nothing where nothing else tells."""
    recorded = recorded_md5(headers)
    return Verdict(content.md5() == recorded, Evidence.METADATA) if recorded else _OPEN
