"""Multipart upload: parts side by side, each checked by the server; all or nothing. Worker threads.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html.
"""

from __future__ import annotations

import base64
import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from nbsync.core.identity import Digest
from nbsync.core.model import LocalEntry
from nbsync.core.parts import MiB, Part, combine_etag, layout, parse_multipart_etag, part_size_for
from nbsync.storage.digest import PIECE_BYTES, FileChanged, md5
from nbsync.transfer.context import Context, Slot
from nbsync.wire.errors import ServiceError, SourceChanged, TransientError, WireError, error_in_body
from nbsync.wire.http1 import FileSlice

PART_BYTES = 16 * MiB
SIDE_BY_SIDE = 4


def upload_parts(
    ctx: Context, fd: int, local: LocalEntry, key: str, headers: dict[str, str], condition: dict[str, str], slot: Slot
) -> tuple[str, str, str, int]:
    """(etag, version_id, content name, tries) of the object made from the open file.

    Raises: as upload.store. Whatever happens, no unfinished upload of ours is left behind, if the
    service can still be reached.
    """
    part_size = part_size_for(local.size, PART_BYTES)
    answer = ctx.bucket.request("POST", key, query=[("uploads", "")], headers=headers)
    upload_id = _find(answer.body, "UploadId")
    try:
        parts = list(layout(local.size, part_size))
        sent = _side_by_side(lambda part: _put_part(ctx, fd, key, upload_id, part, slot), parts, ctx)
        etag, version_id = _complete(ctx, key, upload_id, [etag for etag, _ in sent], condition)
    except BaseException:
        _abort(ctx, key, upload_id)
        raise
    combined = combine_etag([digest for _, digest in sent])
    if not ctx.bucket.can.complete_tells_etag:  # RGW may leave it out; rclone tells another than it lists
        etag = ctx.bucket.request("HEAD", key).headers.get("etag", "").strip('"')
    if parse_multipart_etag(etag) and etag.lower() != combined:
        raise TransientError("the server says that it stored other bytes than it was sent")
    return etag, version_id, Digest(part_size).name(combined), 1


def _put_part(ctx: Context, fd: int, key: str, upload_id: str, part: Part, slot: Slot) -> tuple[str, bytes]:
    digest = md5()
    for offset in range(part.offset, part.offset + part.length, PIECE_BYTES):
        if ctx.cancelled():
            raise InterruptedError
        digest.update(os.pread(fd, min(PIECE_BYTES, part.offset + part.length - offset), offset))
    headers = {"content-md5": base64.b64encode(digest.digest()).decode()}
    query = [("partNumber", str(part.number)), ("uploadId", upload_id)]
    body = FileSlice(fd, part.offset, part.length)

    def attempt() -> str:
        ctx.limiter.take(part.length)
        answer = ctx.bucket.client.request("PUT", key, query=query, headers=headers, body=body, on_sent=slot.add)
        return answer.headers.get("etag", "").strip('"')

    try:
        return ctx.bucket.retrying(attempt), digest.digest()
    except SourceChanged:
        raise FileChanged from None


def _complete(
    ctx: Context, key: str, upload_id: str, etags: Sequence[str], condition: dict[str, str]
) -> tuple[str, str]:
    listed = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>&quot;{escape(etag)}&quot;</ETag></Part>"
        for number, etag in enumerate(etags, 1)
    )
    space = "http://s3.amazonaws.com/doc/2006-03-01/"
    body = f'<CompleteMultipartUpload xmlns="{space}">{listed}</CompleteMultipartUpload>'.encode()
    answer = ctx.bucket.request("POST", key, query=[("uploadId", upload_id)], headers=condition, body=body)
    failed = error_in_body(answer.body)
    if failed is not None:  # S3 answers 200 before it knows: the error stands in the body
        raise ServiceError(500, failed[0], failed[1], answer.headers)
    return _find(answer.body, "ETag").strip('"'), answer.headers.get("x-amz-version-id", "")


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
