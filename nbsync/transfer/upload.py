"""One file into one object: conditional, checked by the server, in parts when it is large. Worker threads.

Integrity: Content-MD5 on every request that carries content, which every S3 server checks (the newer
trailing checksums are refused by some); the answer's ETag is held against it as well.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

from nbsync.core.evidence import MD5
from nbsync.core.hashing import PIECE_BYTES, md5
from nbsync.core.model import LocalEntry
from nbsync.core.parts import MiB, bare_etag, looks_like_md5
from nbsync.local.digest import FileChanged, digest_open, same_stat
from nbsync.local.journal import Sent
from nbsync.s3.capabilities import etag_is_opaque
from nbsync.s3.look import etag_in, etag_now, look_at
from nbsync.transfer import checksums
from nbsync.transfer.context import Activity, Context
from nbsync.transfer.headers import (
    MD5_OF_WHOLE,
    base64_md5,
    common_put_headers,
    is_made_of,
    put_headers,
    recorded_md5,
)
from nbsync.transfer.multipart import upload_parts
from nbsync.transfer.unnamed import named
from nbsync.transfer.upload_outcome import (
    FIRST_ATTEMPT,
    FileChangedAfterUpload,
    PriorAttempt,
    Stored,
    StoredContentDiffers,
    Unnamed,
    conditionally,
    is_what_was_sent,
)
from nbsync.wire.connection import FileSlice
from nbsync.wire.errors import Aborted, ServiceError
from nbsync.wire.response_reader import Response

SMALL_BYTES = 128 * 1024  # read whole, sent from memory
MULTIPART_BYTES = 32 * MiB


class Prepared(NamedTuple):
    """An upload in one request: its headers, what is sent, and that one's MD5 in hexadecimal."""

    headers: dict[str, str]
    body: bytes | FileSlice
    md5: str


def store(
    ctx: Context, local: LocalEntry, key: str, condition: dict[str, str], activity: Activity,
    *, known: str = "", earlier: PriorAttempt = FIRST_ATTEMPT, look: Callable[[], None] | None = None,
) -> Stored:  # fmt: skip
    """Upload the file that was listed, and no other, on `condition` (If-Match or If-None-Match headers).

    Args:
        known: the content's name, if a comparison has found it out: a large object carries its MD5 then.
        earlier: what a try in one request has come to.
        look: called just before the object is made; what it raises is raised.

    Raises:
        FileChanged: the file is not, or did not stay, as listed. FileChangedAfterUpload: so, and it was stored before.
        StoredContentDiffers: the server stored something else, in all that it says.
        ServiceError: 412 or 409 if the object is not as the condition says. TransientError, OSError.
    """
    ctx.settle(local)
    fd = _open(ctx, local)
    try:
        if local.size > (ctx.options.part_size or MULTIPART_BYTES):
            headers = _headers(ctx, local)
            if known.startswith("md5:"):
                headers.setdefault(MD5_OF_WHOLE, base64_md5(known.removeprefix("md5:")))
            stored = upload_parts(ctx, fd, local, key, headers, condition, activity, look)
        else:
            stored = _put(ctx, fd, local, key, condition, activity, earlier, look)
        if not stored.etag or ctx.bucket.can.lists_without_etags:
            stored = named(ctx, key, local, stored)
        if not same_stat(os.fstat(fd), local):
            raise FileChangedAfterUpload(stored)
    finally:
        os.close(fd)
    return stored


def prepare(ctx: Context, local: LocalEntry) -> Prepared:
    """The one request that uploads a small file, read whole.

    Raises:
        FileChanged: it is not the file that was listed, or too young to be sure of it. OSError.
    """
    if ctx.is_young(local):
        raise FileChanged
    fd = _open(ctx, local)
    try:
        return _prepared(ctx, fd, local)
    finally:
        os.close(fd)


def _prepared(ctx: Context, fd: int, local: LocalEntry) -> Prepared:
    body, sent = _body(fd, local)
    headers = _headers(ctx, local)
    headers["content-md5"] = base64_md5(sent)
    if ctx.etags_tell_nothing():
        headers.setdefault(MD5_OF_WHOLE, headers["content-md5"])
    return Prepared(headers, body, sent)


def _headers(ctx: Context, local: LocalEntry) -> dict[str, str]:
    return put_headers(common_put_headers(ctx.options), ctx.options, local.path, local.mtime_ns)


def _open(ctx: Context, local: LocalEntry) -> int:
    nofollow = 0 if ctx.options.follow_symlinks else os.O_NOFOLLOW
    fd = os.open(ctx.local_path(local.path), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | nofollow)
    if not same_stat(os.fstat(fd), local):
        os.close(fd)
        raise FileChanged
    return fd


def _put(
    ctx: Context, fd: int, local: LocalEntry, key: str, condition: dict[str, str], activity: Activity,
    earlier: PriorAttempt, look: Callable[[], None] | None,
) -> Stored:  # fmt: skip
    prepared = _prepared(ctx, fd, local)
    tries = 0

    def attempt(guard: dict[str, str]) -> Response:
        nonlocal tries
        tries += 1
        if look is not None:
            look()
        before = activity.done
        answer = ctx.bucket.client.request(
            "PUT", key, headers={**prepared.headers, **guard}, body=prepared.body, on_sent=ctx.on_sent(activity)
        )
        activity.add(local.size - (activity.done - before))
        return answer

    try:
        answer = conditionally(ctx, key, condition, attempt, look=False, earlier=earlier)
    except Aborted:
        ctx.journal.unconfirmed_answer([Sent(local.path, prepared.md5, local.size)])  # it may be stored all the same
        raise
    except ServiceError as error:
        if error.status == 412:
            ctx.bucket.can.refused_a_condition()
        seen = earlier.lost or tries > 1
        ours = _ours(ctx, fd, local, key, prepared.md5, lost=seen) if error.status in (409, 412) else None
        if ours is None:
            raise
        return ours
    return accept(ctx, key, prepared.md5, answer)


def accept(ctx: Context, key: str, sent: str, answer: Response, *, asks: bool = True) -> Stored:
    """What was stored, by the answer to a PUT of content whose MD5 in hexadecimal is `sent`.

    Args:
        asks: the server, where its answer does not tell.

    Raises:
        StoredContentDiffers: it is something else, or, where nothing is asked, it may be. Unnamed: where nothing is
            asked, and the answer has no ETag; else the object may have none. ServiceError, TransientError.
    """
    can = ctx.bucket.can
    can.observe(answer.headers)
    if ctx.bucket.customer_key is not None:
        can.stored_under_key(answer.headers)
    etag = bare_etag(answer.headers.get("etag", ""))
    if not etag and asks:
        etag = etag_now(ctx.bucket, key)
    stored = Stored(etag, answer.headers.get("x-amz-version-id", ""), MD5.name(sent))
    if etag.lower() == sent:
        can.saw_md5_etag()
    elif not etag and not asks:
        raise Unnamed(stored)
    elif looks_like_md5(etag) and not etag_is_opaque(answer.headers):
        unknown = can.etag_is_md5 is None and not asks
        if unknown or not is_what_was_sent(ctx, key, etag, MD5, sent):
            raise StoredContentDiffers(stored._replace(content=""))
    return stored


def _body(fd: int, local: LocalEntry) -> tuple[bytes | FileSlice, str]:
    """What to send, and its MD5 in hexadecimal."""
    if local.size <= SMALL_BYTES:
        data = os.pread(fd, local.size + 1, 0)
        if len(data) != local.size:
            raise FileChanged
        return data, md5(data).hexdigest()
    digest = md5()
    for offset in range(0, local.size, PIECE_BYTES):
        digest.update(os.pread(fd, min(PIECE_BYTES, local.size - offset), offset))
    return FileSlice(fd, 0, local.size), digest.hexdigest()


def _ours(ctx: Context, fd: int, local: LocalEntry, key: str, sent: str, *, lost: bool) -> Stored | None:
    """The object that stands in the way if it is what was sent: an earlier try was stored, its answer lost.

    Or somebody stored the very same. Where the ETag cannot tell, the object's checksum does; and where there is
    none, after an answer that was `lost`, an object of our size that carries our very time is ours.
    """
    try:
        there = look_at(ctx.bucket, key, checksum=True)
    except ServiceError as error:
        if error.status != 403:
            raise
        return None
    if there is None:
        return None
    etag, given = etag_in(there), checksums.from_headers(there)
    stored = Stored(etag, there.get("x-amz-version-id", ""), MD5.name(sent))
    if etag.lower() == sent:
        return stored
    if given is None and recorded_md5(there) == sent:
        return stored
    if given is not None:
        return stored if digest_open(fd, [given.digest], cancelled=ctx.cancelled)[given.digest] == given.value else None
    tells = looks_like_md5(etag) and not etag_is_opaque(there) and ctx.bucket.can.etag_is_md5 is not False
    return stored if lost and not tells and is_made_of(there, local.size, local.mtime_ns) else None
