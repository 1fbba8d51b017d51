"""Do this file and this object hold the same? The rungs of the ladder that need reading or a HEAD.

Runs in worker threads. core.identity says which digests could tell; here they are computed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from nbsync.core.identity import MD5, Digest, Verdict, content_name, digests_to_try, judge
from nbsync.core.model import Action, Evidence, LocalEntry, RemoteEntry
from nbsync.core.parts import parse_multipart_etag
from nbsync.storage.digest import FileChanged, digest_file, same_stat
from nbsync.transfer import checksums
from nbsync.transfer.context import Context
from nbsync.wire.errors import ServiceError

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
    doubtful = verdict.same is False and verdict.evidence is Evidence.ETAG_MD5 and action.conflict_if_different
    if verdict.same is None or doubtful:
        verdict = _ask(ctx, local, remote, values, verdict)
    return verdict, content_name(values, remote.etag)


def _digests(ctx: Context, local: LocalEntry, remote: RemoteEntry, action: Action) -> dict[Digest, str]:
    digests = digests_to_try(remote, action.recorded)[:_FEW] or (MD5,)
    return digest_file(ctx.local_path(local.path), local, digests, cancelled=ctx.cancelled)


def _ask(ctx: Context, local: LocalEntry, remote: RemoteEntry, values: dict[Digest, str], verdict: Verdict) -> Verdict:
    """One HEAD for the object's checksum; then, for a multipart ETag, one for its part size."""
    answer = ctx.bucket.request("HEAD", remote.key, headers={"x-amz-checksum-mode": "ENABLED"})
    given = checksums.from_headers(answer.headers)
    if given is not None:
        return Verdict(_checksum_of(ctx, local, given.algorithm) == given.value, given.algorithm)
    if opaque(answer.headers):
        return Verdict(None, Evidence.NONE)
    if verdict.same is not None or parse_multipart_etag(remote.etag) is None:
        return verdict
    told = told_part_size(ctx, remote)
    rest = (told,) if told is not None else digests_to_try(remote, None)[_FEW:]
    more = [digest for digest in rest if digest not in values]
    if more:
        values.update(digest_file(ctx.local_path(local.path), local, more, cancelled=ctx.cancelled))
    if remote.etag.lower() in values.values():
        return Verdict(True, Evidence.ETAG_MULTIPART)
    # With the part size told, another value is another content; without, nothing is proven.
    return Verdict(False, Evidence.ETAG_MULTIPART) if told is not None else Verdict(None, Evidence.NONE)


def _checksum_of(ctx: Context, local: LocalEntry, algorithm: Evidence) -> str:
    fd = os.open(ctx.local_path(local.path), os.O_RDONLY | os.O_CLOEXEC)
    try:
        value = checksums.of_file(fd, algorithm, ctx.cancelled)
        if not same_stat(os.fstat(fd), local):
            raise FileChanged
    finally:
        os.close(fd)
    return value


def told_part_size(ctx: Context, remote: RemoteEntry) -> Digest | None:
    """The digest by the object's own part size, as HEAD with PartNumber=1 tells it; None where it does not.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html (PartNumber, PartsCount).
    """
    multipart = parse_multipart_etag(remote.etag)
    try:
        answer = ctx.bucket.request("HEAD", remote.key, query=[("partNumber", "1")])
        parts = int(answer.headers.get("x-amz-mp-parts-count", "0"))
        size = int(answer.headers.get("content-length", "0"))
    except (ServiceError, ValueError):
        return None
    if multipart is None or parts != multipart[1] or not size or -(-remote.size // size) != parts:
        return None  # not told (RGW ignores PartNumber), or parts of several sizes
    return Digest(size)


def opaque(headers: Mapping[str, str]) -> bool:
    """Does the encryption make the ETag something else than a digest of the content?

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html (ETag).
    """
    by_kms = headers.get("x-amz-server-side-encryption", "").startswith("aws:kms")
    return by_kms or "x-amz-server-side-encryption-customer-algorithm" in headers
