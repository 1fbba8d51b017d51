"""Multipart upload: parts side by side, each checked by the server; all or nothing, over two runs if need be.

Runs in worker threads.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from nbsync.core.evidence import MD5, Digest
from nbsync.core.hashing import PIECE_BYTES, md5
from nbsync.core.model import LocalEntry
from nbsync.core.parts import (
    MiB,
    Part,
    bare_etag,
    combine_etag,
    layout,
    looks_like_md5,
    parse_multipart_etag,
    part_size_for,
    parts_taken,
)
from nbsync.local.digest import FileChanged, same_stat
from nbsync.local.journal import Upload
from nbsync.s3.capabilities import etag_is_opaque
from nbsync.s3.look import etag_in, look_at
from nbsync.s3.multipart import abort_upload, list_parts, text_in
from nbsync.transfer.context import Activity, Context
from nbsync.transfer.headers import is_made_of
from nbsync.transfer.part_pool import PartPool, Stopped
from nbsync.transfer.upload_outcome import Stored, StoredContentDiffers, conditionally, is_what_was_sent
from nbsync.wire.connection import FileSlice
from nbsync.wire.errors import ServiceError, SourceChanged, WireError
from nbsync.wire.response_reader import Response

PART_BYTES = 16 * MiB
_REFUSED_AS = (400, 413, 422)


def upload_parts(
    ctx: Context, fd: int, local: LocalEntry, key: str, headers: dict[str, str], condition: dict[str, str],
    activity: Activity, look: Callable[[], None] | None = None,
) -> Stored:  # fmt: skip
    """The object made from the open file; what an earlier run has sent of it is taken up.

    A service that takes fewer or larger parts than S3 gets larger ones; the run remembers that.

    Raises: as upload.store. An upload that fails is aborted, if the service can still be reached; one that
    fails for want of a connection is kept for the next run, if there is a journal to tell it.
    """
    while True:
        done, kept, part_size = activity.done, activity.kept, part_size_of(ctx, local)
        try:
            return _upload(ctx, fd, local, key, headers, condition, activity, look)
        except ServiceError as error:
            if not _learn_parts(ctx, local, part_size, error):
                raise
        activity.keep(kept - activity.kept)
        activity.add(done - activity.done)


def part_size_of(ctx: Context, local: LocalEntry) -> int:
    """Bytes of each part of this file but the last: whole MiB, and no more than asked for unless they must be."""
    can = ctx.bucket.can
    asked = ctx.options.part_size // MiB * MiB or PART_BYTES
    return part_size_for(local.size, max(asked, can.min_part_size), can.max_parts)


def _learn_parts(ctx: Context, local: LocalEntry, part_size: int, error: ServiceError) -> bool:
    """Was an upload refused for the number or the size of its parts, so that larger ones may do?"""
    can, count = ctx.bucket.can, -(-local.size // part_size)
    if error.code == "EntityTooSmall":
        can.min_part_size = max(can.min_part_size, 2 * part_size)
    elif error.status in _REFUSED_AS and (taken := parts_taken(error.code, error.message, count)):
        can.max_parts = min(can.max_parts, taken)
    return count > 1 and part_size_of(ctx, local) > part_size


def _upload(
    ctx: Context, fd: int, local: LocalEntry, key: str, headers: dict[str, str], condition: dict[str, str],
    activity: Activity, look: Callable[[], None] | None,
) -> Stored:  # fmt: skip
    """In parts of one size. Raises: as upload_parts."""
    sending = _Sending(ctx, fd, local, key, headers, activity)
    try:
        sent = sending.send()
        if not same_stat(os.fstat(fd), local):  # parts of two versions must not become an object
            raise FileChanged
        combined = combine_etag([digest for _, digest in sent])
        etags = [etag for etag, _ in sent]
        done = _complete(ctx, key, sending.upload.upload_id, etags, condition, combined, look)
    except BaseException as error:
        sending.give_up(error)
        raise
    ctx.journal.end_upload(sending.upload)
    with _Md5OfAll(ctx, fd, local.size) as md5_of_all:
        if not ctx.bucket.can.complete_tells_etag:  # RGW may leave it out; rclone tells another than it lists
            md5_of_all.begin()
            done = _seen(ctx, key, done)
            if is_made_of(done.headers, local.size, local.mtime_ns) is False:
                raise _replaced()
        try:
            return _checked(ctx, key, done, Digest(sending.part_size), combined, md5_of_all)
        except StoredContentDiffers:
            if ctx.bucket.can.complete_tells_etag or is_made_of(done.headers, local.size, local.mtime_ns):
                raise
            raise _replaced() from None


def _replaced() -> ServiceError:
    """What a HEAD shows after the completion is somebody else's."""
    return ServiceError(412, "PreconditionFailed", "the object was replaced as soon as it was made")


class _Sending:
    """The parts of one file on their way to one upload, which is an earlier run's or a new one."""

    def __init__(
        self, ctx: Context, fd: int, local: LocalEntry, key: str, headers: dict[str, str], activity: Activity
    ) -> None:
        self._ctx, self._fd, self._local, self._key, self._slot = ctx, fd, local, key, activity
        self._look_again = ctx.may_change_unseen(local)
        self.part_size = part_size_of(ctx, local)
        self._there: dict[int, tuple[str, bytes]] = {}
        self._sent: dict[int, tuple[str, bytes]] = {}
        self.upload = self._taken_up(headers) or self._begin(headers)

    def send(self) -> list[tuple[str, bytes]]:
        """The ETag and MD5 of every part in order, when the service has all of them.

        Raises:
            FileChanged: parts of two versions were sent. Others as PartPool.run.
        """
        parts = list(layout(self._local.size, self.part_size))
        # The last one first: where there are more than the service takes, nearly nothing was sent when it says so.
        self._team = PartPool(self._ctx.controller, self._put, [parts[-1], *parts[:-1]])
        self._team.run()
        if self._look_again:
            for part in parts:
                digest = _md5_of(self._fd, part.offset, part.length, self._ctx.cancelled)
                if digest.digest() != self._sent[part.number][1]:
                    raise FileChanged
        return [self._sent[part.number] for part in parts]

    def give_up(self, error: BaseException) -> None:
        """Leave nothing behind, or what the next run can take up."""
        journal = self._ctx.journal
        if journal.keeps(self.upload) and self._ctx.may_keep(error):
            return
        if _abort(self._ctx, self._key, self.upload.upload_id):
            journal.end_upload(self.upload)
        else:
            journal.release(self.upload)

    def _asked_with(self, headers: Mapping[str, str]) -> str:
        """A name for what an upload is asked for with, the customer's key too; none of it can be read back."""
        key = self._ctx.bucket.customer_key
        every = {**headers, **(key.headers if key is not None else {})}
        return hashlib.sha256(repr(sorted(every.items())).encode()).hexdigest()

    def _taken_up(self, headers: dict[str, str]) -> Upload | None:
        """An earlier run's upload of this very file. Its parts are those that the service and the journal agree on."""
        ctx, key = self._ctx, self._key
        upload = ctx.journal.unfinished_upload(self._local, key, self._asked_with(headers), self.part_size)
        if upload is None:
            return None
        try:
            held = list_parts(ctx.bucket.request, key, upload.upload_id)
        except ServiceError as error:  # it is gone, or the server cannot say what it holds
            ctx.journal.release(upload)
            if error.refuses_credentials:
                raise
            return None
        lengths = {part.number: part.length for part in layout(self._local.size, self.part_size)}
        for number, (etag, digest) in upload.parts.items():
            if held.get(number) == (etag, lengths.get(number)):
                self._there[number] = (etag, digest)
        return upload

    def _begin(self, headers: dict[str, str]) -> Upload:
        """A new upload. It is in the journal before the service is asked, lest a kill leave it where nobody looks."""
        ctx, asked = self._ctx, False
        upload = ctx.journal.intend_upload(self._local, self._key, self._asked_with(headers), self.part_size)

        def ask() -> Response:
            nonlocal asked
            if asked:
                ctx.journal.asked_again(upload)
            asked = True
            return ctx.bucket.client.request("POST", self._key, query=[("uploads", "")], headers=headers)

        try:
            answer = ctx.bucket.retrying(ask)
            upload_id = text_in(answer.body, "UploadId")
        except BaseException as error:
            if isinstance(error, ServiceError) and not error.retryable:
                ctx.journal.end_upload(upload)  # it was refused
            ctx.journal.release(upload)
            raise
        if ctx.bucket.customer_key is not None:
            ctx.bucket.can.stored_under_key(answer.headers)
        return ctx.journal.began(upload, upload_id)

    def _put(self, part: Part) -> None:
        """Send one part, unless the service has it."""
        digest = _md5_of(self._fd, part.offset, part.length, self._ctx.cancelled)
        there = self._there.get(part.number)
        if there is not None and there[1] == digest.digest():
            self._slot.keep(part.length)
        else:
            there = (self._send_part(part, digest), digest.digest())
            self._ctx.journal.sent(self.upload, part.number, *there)
            self._ctx.outage.passed()
        self._sent[part.number] = there

    def _send_part(self, part: Part, digest: Any) -> str:
        """The ETag that the service gives to the part."""
        ctx, body = self._ctx, FileSlice(self._fd, part.offset, part.length)
        headers = {"content-md5": base64.b64encode(digest.digest()).decode()}
        query = [("partNumber", str(part.number)), ("uploadId", self.upload.upload_id)]

        def attempt() -> str:
            if self._team.over:
                raise Stopped
            sent = ctx.on_sent(self._slot)
            answer = ctx.bucket.client.request("PUT", self._key, query=query, headers=headers, body=body, on_sent=sent)
            return answer.headers.get("etag", "").strip('"')

        try:
            return ctx.bucket.retrying(attempt)
        except SourceChanged:
            raise FileChanged from None


class _Done(NamedTuple):
    """The object that was made: its ETag, and what else the server said of it."""

    etag: str
    headers: Mapping[str, str]

    @classmethod
    def by(cls, head: Response) -> _Done:
        """As the answer to a HEAD shows it."""
        return cls(bare_etag(head.headers.get("etag", "")), head.headers)


def _seen(ctx: Context, key: str, done: _Done) -> _Done:
    """The object as a look shows it; as its completion told of it where none is allowed."""
    try:
        there = look_at(ctx.bucket, key)
    except ServiceError as error:
        if error.status != 403:
            raise
        return done
    if there is None:
        raise ServiceError(404, "NoSuchKey", "the object was deleted as soon as it was made")
    return _Done(etag_in(there), there)


class _Md5OfAll:
    """The MD5 of the whole open file, which is needed only where the ETag of an object made of parts is one.

    rclone's is, and it reads the object for it: it is computed here meanwhile, and given up once it is not wanted.
    The thread is a daemon of ours: an executor's would be joined at exit.
    """

    def __init__(self, ctx: Context, fd: int, size: int) -> None:
        self._ctx, self._fd, self._size = ctx, fd, size
        self._thread = threading.Thread(target=self._compute, name="nbsync-md5", daemon=True)
        self._unwanted = False
        self._value = ""
        self._error: BaseException | None = None

    def begin(self) -> None:
        """Compute it in a thread of its own, if the system starts one."""
        with contextlib.suppress(RuntimeError):
            self._thread.start()

    def value(self) -> str:
        """In hexadecimal digits. Raises: InterruptedError: cancelled. OSError."""
        if self._thread.ident is None:
            self._compute()
        else:
            self._thread.join()
        if self._error is not None:
            raise self._error
        return self._value

    def _compute(self) -> None:
        try:
            digest = _md5_of(self._fd, 0, self._size, lambda: self._unwanted or self._ctx.cancelled())
            self._value = str(digest.hexdigest())
        except BaseException as error:  # for whoever asks for it
            self._error = error

    def __enter__(self) -> _Md5OfAll:
        return self

    def __exit__(self, *_: object) -> None:
        self._unwanted = True
        if self._thread.ident is not None:
            self._thread.join()


def _checked(ctx: Context, key: str, done: _Done, digest: Digest, sent: str, md5_of_all: _Md5OfAll) -> Stored:
    """The object, if its ETag (where it means anything) is that of what was sent.

    Its content is named by what was sent unless its ETag is the MD5 of the file: that may have changed since.

    Raises:
        StoredContentDiffers: it is not.
    """
    stored = Stored(done.etag, done.headers.get("x-amz-version-id", ""), digest.name(sent))
    like_md5 = looks_like_md5(done.etag)  # of the whole content, as rclone has it
    if etag_is_opaque(done.headers) or not (like_md5 or parse_multipart_etag(done.etag)):
        return stored
    if like_md5 and ctx.bucket.can.etag_is_md5 is not False:
        digest, sent = MD5, md5_of_all.value()
    if done.etag.lower() == sent:
        return stored._replace(content=digest.name(sent))
    if is_what_was_sent(ctx, key, done.etag, digest, sent):
        return stored
    raise StoredContentDiffers(stored._replace(content=""))


def _md5_of(fd: int, offset: int, length: int, cancelled: Callable[[], bool]) -> Any:
    """The MD5 hash object (of hashlib) of a piece of the open file. Raises: InterruptedError: cancelled. OSError."""
    digest = md5()
    for at in range(offset, offset + length, PIECE_BYTES):
        if cancelled():
            raise InterruptedError
        digest.update(os.pread(fd, min(PIECE_BYTES, offset + length - at), at))
    return digest


def _complete(
    ctx: Context, key: str, upload_id: str, etags: Sequence[str], condition: dict[str, str], combined: str,
    look: Callable[[], None] | None,
) -> _Done:  # fmt: skip
    """Make the object of the parts, or find that an earlier try, whose answer was lost, has made it."""
    listed = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>&quot;{escape(etag)}&quot;</ETag></Part>"
        for number, etag in enumerate(etags, 1)
    )
    space = "http://s3.amazonaws.com/doc/2006-03-01/"
    body = f'<CompleteMultipartUpload xmlns="{space}">{listed}</CompleteMultipartUpload>'.encode()

    def attempt(headers: dict[str, str]) -> _Done:
        if look is not None:
            look()
        answer = ctx.bucket.client.request("POST", key, query=[("uploadId", upload_id)], headers=headers, body=body)
        ctx.bucket.can.completed = True
        return _Done(bare_etag(text_in(answer.body, "ETag")), answer.headers)

    try:
        return conditionally(ctx, key, condition, attempt, look=not ctx.bucket.can.conditional_complete)
    except ServiceError as error:
        if error.status in (404, 409, 412):
            with contextlib.suppress(ServiceError):
                there = _seen(ctx, key, _Done("", {}))
                if there.etag.lower() == combined:
                    return there
        raise


def _abort(ctx: Context, key: str, upload_id: str) -> bool:
    """Leave nothing behind; False if it may remain. After a cancel the run's client is closed: this takes another."""
    cleaner = ctx.bucket.cleaner()
    try:
        abort_upload(cleaner.request, key, upload_id)
    except WireError:
        return False
    finally:
        cleaner.close()
    return True
