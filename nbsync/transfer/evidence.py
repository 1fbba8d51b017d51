"""Do this file and this object hold the same? The rungs of the ladder that need reading or a HEAD.

Runs in worker threads. core.identity says which digests could tell; here they are computed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial

from nbsync.core.evidence import MD5, Digest, Verdict, content_name, digests_to_try, judge
from nbsync.core.model import Action, Evidence, LocalEntry, RemoteEntry
from nbsync.core.parts import bare_etag, candidate_part_sizes, looks_like_md5, parse_multipart_etag
from nbsync.local.digest import FileChanged, digest_file, same_stat
from nbsync.s3.capabilities import etag_is_opaque
from nbsync.s3.errors import is_denied
from nbsync.transfer import checksums
from nbsync.transfer.context import Context
from nbsync.transfer.headers import recorded_md5
from nbsync.transfer.part_layout import ToldLayout, etag_of_parts
from nbsync.wire.errors import ServiceError

opaque = etag_is_opaque
_FEW = 4  # candidates for a part size that are tried before the service is asked


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
    values = _digests(ctx, local, remote, action)
    verdict = judge(values, remote, action.recorded)
    by_md5 = verdict.evidence is Evidence.ETAG_MD5
    if by_md5 and verdict.same:
        ctx.bucket.can.saw_md5_etag()
    elif by_md5 or verdict.same is None:  # another ETag is another content only if it is a digest
        verdict = _ask(ctx, local, remote, values)
    return verdict, content_name(values, remote.etag)


def _digests(ctx: Context, local: LocalEntry, remote: RemoteEntry, action: Action) -> dict[Digest, str]:
    digests = digests_to_try(remote, action.recorded)[:_FEW] or (MD5,)
    return digest_file(ctx.local_path(local.path), local, digests, cancelled=ctx.cancelled)


def _ask(ctx: Context, local: LocalEntry, remote: RemoteEntry, values: dict[Digest, str]) -> Verdict:
    """By one HEAD, which tells what the ETag is and what else is known; then, for an ETag of parts, by its parts."""
    asked = {"x-amz-checksum-mode": "ENABLED"}
    try:
        headers = ctx.bucket.request("HEAD", remote.key, query=remote.query, headers=asked).headers
    except ServiceError as error:
        if not is_denied(error):
            raise
        parts = parse_multipart_etag(remote.etag) is not None
        return _by_parts(ctx, local, remote, values) if parts else Verdict(None, Evidence.NONE)
    if not remote.etag:  # of what was listed; a HEAD may tell it all the same
        remote = remote._replace(etag=bare_etag(headers.get("etag", "")))
        if judge(values, remote, None).same and not opaque(headers):
            return judge(values, remote, None)
    differs = Verdict(False, Evidence.ETAG_MD5)
    like_md5 = looks_like_md5(remote.etag) and not opaque(headers) and ctx.bucket.can.etag_is_md5 is not False
    if like_md5 and ctx.bucket.can.etags_are_trusted:
        return differs
    given = checksums.from_headers(headers)
    if given is not None:
        value = _of_file(ctx, local, lambda fd: checksums.of_file(fd, given.algorithm, ctx.cancelled))
        return Verdict(value == given.value, given.algorithm)
    if like_md5:
        return differs
    if parse_multipart_etag(remote.etag) is not None:
        by_parts = _by_composite(ctx, local, headers) if opaque(headers) else _by_parts(ctx, local, remote, values)
        if by_parts.same is not None:
            return by_parts
    return _by_metadata(ctx, local, recorded_md5(headers), values)


def _by_parts(ctx: Context, local: LocalEntry, remote: RemoteEntry, values: dict[Digest, str]) -> Verdict:
    """By the parts that the service tells of, else by all that could have been."""
    told = ToldLayout(ctx, remote)
    rest = (told.equal,) if told.equal is not None else digests_to_try(remote, None)[_FEW:]
    more = [digest for digest in rest if digest not in values]
    if more:
        values.update(digest_file(ctx.local_path(local.path), local, more, cancelled=ctx.cancelled))
    if remote.etag.lower() in values.values():
        return Verdict(True, Evidence.ETAG_MULTIPART)
    sizes = told.sizes()
    if sizes is None or ctx.bucket.can.etag_is_md5 is False:  # what was tried was guessed: nothing is proven
        return Verdict(None, Evidence.NONE)
    value = _of_file(ctx, local, lambda fd: etag_of_parts(ctx, fd, sizes))
    return Verdict(value == remote.etag.lower(), Evidence.ETAG_MULTIPART)


def _by_composite(ctx: Context, local: LocalEntry, headers: Mapping[str, str]) -> Verdict:
    """By a checksum over the parts' checksums. Their size is guessed, so that a difference proves nothing."""
    given = checksums.composite_from_headers(headers)
    if given is None:
        return Verdict(None, Evidence.NONE)
    for part_size in candidate_part_sizes(local.size, given.parts)[:_FEW]:
        digest = partial(checksums.of_parts, size=local.size, part_size=part_size, algorithm=given.algorithm,
                         cancelled=ctx.cancelled)  # fmt: skip
        if _of_file(ctx, local, digest) == given.value:
            return Verdict(True, given.algorithm)
    return Verdict(None, Evidence.NONE)


def _by_metadata(ctx: Context, local: LocalEntry, recorded: str, values: dict[Digest, str]) -> Verdict:
    """By the MD5 that the uploader recorded, if there is one: better than nothing where nothing else tells."""
    if not recorded:
        return Verdict(None, Evidence.NONE)
    if MD5 not in values:
        values.update(digest_file(ctx.local_path(local.path), local, [MD5], cancelled=ctx.cancelled))
    return Verdict(values[MD5] == recorded, Evidence.METADATA)


def _of_file(ctx: Context, local: LocalEntry, digest: Callable[[int], str]) -> str:
    """What `digest` makes of the open file, which must be and stay as it was listed."""
    fd = os.open(ctx.local_path(local.path), os.O_RDONLY | os.O_CLOEXEC)
    try:
        value = digest(fd)
        if not same_stat(os.fstat(fd), local):
            raise FileChanged
    finally:
        os.close(fd)
    return value
