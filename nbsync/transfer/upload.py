"""One file into one object: conditional, checked by the server, in parts when it is large. Worker threads.

Integrity: Content-MD5 on every request that carries content, which every S3 server checks (the newer
trailing checksums are refused by some); the answer's ETag is held against it as well.
"""

from __future__ import annotations

import base64
import os
from typing import NamedTuple

from nbsync.core.identity import MD5
from nbsync.core.model import LocalEntry
from nbsync.core.parts import MiB, looks_like_md5
from nbsync.storage.digest import PIECE_BYTES, FileChanged, md5, same_stat
from nbsync.transfer import compare
from nbsync.transfer.context import Context, Slot
from nbsync.transfer.headers import common_put_headers, put_headers
from nbsync.transfer.multipart import upload_parts
from nbsync.wire.errors import ServiceError, TransientError
from nbsync.wire.http1 import FileSlice
from nbsync.wire.reader import Response

SMALL_BYTES = 128 * 1024  # read whole, sent from memory
MULTIPART_BYTES = 32 * MiB


class NotStored(TransientError):
    """The server stored something else than what was sent."""


class Stored(NamedTuple):
    """An object that was made: as the service names it, and the content's name for the state."""

    etag: str
    version_id: str
    content: str


def store(ctx: Context, local: LocalEntry, key: str, condition: dict[str, str], slot: Slot) -> Stored:
    """Upload the file that was listed, and no other, on `condition` (If-Match or If-None-Match headers).

    Raises:
        FileChanged: the file is not, or did not stay, as listed; what was sent is not to be recorded.
        ServiceError: 412 or 409 if the object is not as the condition says. TransientError, OSError.
    """
    ctx.settle(local)
    headers = put_headers(common_put_headers(ctx.options), ctx.options, local.path, local.mtime_ns)
    fd = _open(ctx, local)
    try:
        if local.size > MULTIPART_BYTES:
            stored = Stored(*upload_parts(ctx, fd, local, key, headers, condition, slot))
        else:
            stored = _put(ctx, fd, local, key, {**headers, **condition}, slot)
        if not same_stat(os.fstat(fd), local):
            raise FileChanged(stored.etag)
    finally:
        os.close(fd)
    return stored


def _open(ctx: Context, local: LocalEntry) -> int:
    nofollow = 0 if ctx.options.follow_symlinks else os.O_NOFOLLOW
    fd = os.open(ctx.local_path(local.path), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | nofollow)
    if not same_stat(os.fstat(fd), local):
        os.close(fd)
        raise FileChanged
    return fd


def _put(ctx: Context, fd: int, local: LocalEntry, key: str, headers: dict[str, str], slot: Slot) -> Stored:
    if local.size <= SMALL_BYTES:
        data = os.pread(fd, local.size + 1, 0)
        if len(data) != local.size:
            raise FileChanged
        digest = md5(data)
        body: bytes | FileSlice = data
    else:
        body = FileSlice(fd, 0, local.size)
        digest = md5()
        for offset in range(0, local.size, PIECE_BYTES):
            digest.update(os.pread(fd, min(PIECE_BYTES, local.size - offset), offset))
    headers["content-md5"] = base64.b64encode(digest.digest()).decode()

    def attempt() -> Response:
        ctx.limiter.take(local.size)
        before = slot.done
        answer = ctx.bucket.client.request("PUT", key, headers=headers, body=body, on_sent=slot.add)
        slot.add(local.size - (slot.done - before))
        ctx.bucket.can.observe(answer.headers)
        return answer

    try:
        answer = ctx.bucket.retrying(attempt)
    except ServiceError as error:
        if error.status in (409, 412) and _is_ours(ctx, key, digest.hexdigest()):
            # An earlier try was stored although its answer was lost; or somebody stored the very same.
            return Stored(digest.hexdigest(), "", MD5.name(digest.hexdigest()))
        raise
    etag = answer.headers.get("etag", "").strip('"') or etag_now(ctx, key)
    if looks_like_md5(etag) and not compare.opaque(answer.headers) and etag.lower() != digest.hexdigest():
        raise NotStored("the server says that it stored other bytes than it was sent")
    return Stored(etag, answer.headers.get("x-amz-version-id", ""), MD5.name(digest.hexdigest()))


def _is_ours(ctx: Context, key: str, digest: str) -> bool:
    return etag_now(ctx, key).lower() == digest


def etag_now(ctx: Context, key: str) -> str:
    """The object's ETag, by a HEAD; empty if there is no such object."""
    try:
        return ctx.bucket.request("HEAD", key).headers.get("etag", "").strip('"')
    except ServiceError as error:
        if error.status == 404:
            return ""
        raise
