"""Multipart upload: parts side by side, each checked by the server; all or nothing. Worker threads.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html.
"""

from __future__ import annotations

import base64
import contextlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from nbsync.core.identity import MD5, Digest
from nbsync.core.model import LocalEntry
from nbsync.core.parts import MiB, Part, combine_etag, layout, looks_like_md5, parse_multipart_etag, part_size_for
from nbsync.storage.digest import PIECE_BYTES, FileChanged, md5, same_stat
from nbsync.transfer.compare import opaque
from nbsync.transfer.context import Context, Slot
from nbsync.transfer.stored import NotStored, Stored, conditionally, is_what_was_sent
from nbsync.wire.errors import ServiceError, SourceChanged, TransientError, WireError, error_in_body
from nbsync.wire.http1 import FileSlice
from nbsync.wire.reader import Response

PART_BYTES = 16 * MiB
SIDE_BY_SIDE = 4
# An error in the body has no status of its own.
_STATUS_OF = {"NoSuchUpload": 404, "ConditionalRequestConflict": 409, "PreconditionFailed": 412}


def upload_parts(
    ctx: Context, fd: int, local: LocalEntry, key: str, headers: dict[str, str], condition: dict[str, str], slot: Slot
) -> Stored:
    """The object made from the open file.

    Raises: as upload.store. Whatever happens, no unfinished upload of ours is left behind, if the
    service can still be reached.
    """
    part_size = part_size_for(local.size, PART_BYTES)
    answer = ctx.bucket.request("POST", key, query=[("uploads", "")], headers=headers)
    upload_id = _find(answer.body, "UploadId")
    try:
        parts = list(layout(local.size, part_size))
        sent = _side_by_side(lambda part: _put_part(ctx, fd, key, upload_id, part, slot), parts, ctx)
        if not same_stat(os.fstat(fd), local):  # parts of two versions must not become an object
            raise FileChanged
        combined = combine_etag([digest for _, digest in sent])
        done = _complete(ctx, key, upload_id, [etag for etag, _ in sent], condition, combined)
    except BaseException:
        _abort(ctx, key, upload_id)
        raise
    if not ctx.bucket.can.complete_tells_etag:  # RGW may leave it out; rclone tells another than it lists
        done = _Done.by(ctx.bucket.request("HEAD", key))
    return _checked(ctx, fd, local, key, done, Digest(part_size), combined)


class _Done(NamedTuple):
    """The object that was made: its ETag, and what else the server said of it."""

    etag: str
    headers: Mapping[str, str]

    @classmethod
    def by(cls, head: Response) -> _Done:
        """As the answer to a HEAD shows it."""
        return cls(head.headers.get("etag", "").strip('"'), head.headers)


def _checked(
    ctx: Context, fd: int, local: LocalEntry, key: str, done: _Done, digest: Digest, sent: str
) -> Stored:  # fmt: skip
    """The object, if its ETag (where it means anything) is that of what was sent.

    Raises:
        NotStored: it is not.
    """
    meaningless = opaque(done.headers)
    if looks_like_md5(done.etag) and not meaningless:  # of the whole content, as rclone has it
        digest, sent = MD5, _md5_of(ctx, fd, 0, local.size).hexdigest()
    elif parse_multipart_etag(done.etag) is None:
        meaningless = True
    stored = Stored(done.etag, done.headers.get("x-amz-version-id", ""), digest.name(sent))
    if meaningless or done.etag.lower() == sent or is_what_was_sent(ctx, key, done.etag, digest, sent):
        return stored
    raise NotStored(stored._replace(content=""))


def _md5_of(ctx: Context, fd: int, offset: int, length: int) -> Any:
    """The MD5 hash object (of hashlib) of a piece of the open file."""
    digest = md5()
    for at in range(offset, offset + length, PIECE_BYTES):
        if ctx.cancelled():
            raise InterruptedError
        digest.update(os.pread(fd, min(PIECE_BYTES, offset + length - at), at))
    return digest


def _put_part(ctx: Context, fd: int, key: str, upload_id: str, part: Part, slot: Slot) -> tuple[str, bytes]:
    digest = _md5_of(ctx, fd, part.offset, part.length)
    headers = {"content-md5": base64.b64encode(digest.digest()).decode()}
    query = [("partNumber", str(part.number)), ("uploadId", upload_id)]
    body = FileSlice(fd, part.offset, part.length)

    def attempt() -> str:
        sent = ctx.on_sent(slot)
        answer = ctx.bucket.client.request("PUT", key, query=query, headers=headers, body=body, on_sent=sent)
        return answer.headers.get("etag", "").strip('"')

    try:
        return ctx.bucket.retrying(attempt), digest.digest()
    except SourceChanged:
        raise FileChanged from None


def _complete(
    ctx: Context, key: str, upload_id: str, etags: Sequence[str], condition: dict[str, str], combined: str
) -> _Done:
    """Make the object of the parts, or find that an earlier try, whose answer was lost, has made it."""
    listed = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>&quot;{escape(etag)}&quot;</ETag></Part>"
        for number, etag in enumerate(etags, 1)
    )
    space = "http://s3.amazonaws.com/doc/2006-03-01/"
    body = f'<CompleteMultipartUpload xmlns="{space}">{listed}</CompleteMultipartUpload>'.encode()

    def attempt(headers: dict[str, str]) -> _Done:
        answer = ctx.bucket.client.request("POST", key, query=[("uploadId", upload_id)], headers=headers, body=body)
        failed = error_in_body(answer.body)
        if failed is not None:  # S3 answers 200 before it knows: the error stands in the body
            raise ServiceError(_STATUS_OF.get(failed[0], 500), failed[0], failed[1], answer.headers)
        ctx.bucket.can.completed = True
        return _Done(_find(answer.body, "ETag").strip('"'), answer.headers)

    try:
        return conditionally(ctx, key, condition, attempt, look=not ctx.bucket.can.conditional_complete)
    except ServiceError as error:
        if error.status in (404, 409, 412):
            with contextlib.suppress(ServiceError):
                there = _Done.by(ctx.bucket.request("HEAD", key))
                if there.etag.lower() == combined:
                    return there
        raise


def _abort(ctx: Context, key: str, upload_id: str) -> None:
    """Leave nothing behind. After a cancel the run's own client is closed, so this takes another."""
    cleaner = ctx.bucket.cleaner()
    with contextlib.suppress(WireError):
        cleaner.request("DELETE", key, query=[("uploadId", upload_id)], kind="other")
    cleaner.close()


def _find(body: bytes, name: str) -> str:
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError:
        raise TransientError("the server's answer is not readable XML") from None
    return next((node.text or "" for node in root.iter() if node.tag.rpartition("}")[2] == name), "")


def _side_by_side(
    send: Callable[[Part], tuple[str, bytes]], parts: Sequence[Part], ctx: Context
) -> list[tuple[str, bytes]]:
    """`send` for every part, a few at a time; the first error ends it."""
    todo = iter(parts)
    results: dict[int, tuple[str, bytes]] = {}
    errors: list[BaseException] = []
    lock = threading.Lock()

    def work() -> None:
        while not errors:
            with lock:
                part = next(todo, None)
            if part is None:
                return
            try:
                results[part.number] = send(part)
            except BaseException as error:
                errors.append(error)

    helpers = [threading.Thread(target=work, daemon=True) for _ in range(min(SIDE_BY_SIDE, len(parts)) - 1)]
    for helper in helpers:
        helper.start()
    work()
    for helper in helpers:
        helper.join()
    if errors:
        raise errors[0]
    return [results[part.number] for part in parts]
