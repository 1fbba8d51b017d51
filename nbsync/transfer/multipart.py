"""Multipart upload: parts side by side, each checked by the server; all or nothing, over two runs if need be.

Runs in worker threads.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Mapping
from xml.sax.saxutils import escape

from nbsync.core.model import LocalEntry
from nbsync.core.parts import (
    MiB,
    Part,
    bare_etag,
    layout,
    part_size_for,
    parts_taken,
)
from nbsync.local.digest import FileChanged, same_stat
from nbsync.local.journal import Upload
from nbsync.s3.multipart import abort_upload, list_parts, text_in
from nbsync.transfer.context import Activity, Context
from nbsync.transfer.headers import is_made_of
from nbsync.transfer.part_check import BEGINNING, KIND, PartCheck, Unconfirmed, is_kept, may_be_refused
from nbsync.transfer.part_pool import PartPool, Stopped
from nbsync.transfer.upload_check import Made, Md5OfAll, checked, replaced, seen
from nbsync.transfer.upload_outcome import Stored, StoredContentDiffers, conditionally
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
        except Unconfirmed:
            ctx.bucket.can.keeps_part_checksums = False
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
        sending.send()
        if not same_stat(os.fstat(fd), local):  # parts of two versions must not become an object
            raise FileChanged
        done = _complete(ctx, key, sending, condition, look)
    except BaseException as error:
        sending.give_up(error)
        raise
    ctx.journal.end_upload(sending.upload)
    with Md5OfAll(ctx, fd, local.size) as md5_of_all:
        if not (ctx.bucket.can.complete_tells_etag or sending.check.by_crc):
            md5_of_all.begin()  # RGW may leave the ETag out; rclone tells another than it lists
        if not ctx.bucket.can.complete_tells_etag:
            done = seen(ctx, key, done)
            if is_made_of(done.headers, local.size, local.mtime_ns) is False:
                raise replaced()
        try:
            return sending.stored(done, md5_of_all)
        except StoredContentDiffers:
            if ctx.bucket.can.complete_tells_etag or is_made_of(done.headers, local.size, local.mtime_ns):
                raise
            raise replaced() from None


class _Sending:
    """The parts of one file on their way to one upload, which is an earlier run's or a new one."""

    def __init__(
        self, ctx: Context, fd: int, local: LocalEntry, key: str, headers: dict[str, str], activity: Activity
    ) -> None:
        self._ctx, self._fd, self._local, self._key, self._slot = ctx, fd, local, key, activity
        self._look_again = ctx.may_change_unseen(local)
        self.part_size = part_size_of(ctx, local)
        self.parts = list(layout(local.size, self.part_size))
        self.check = PartCheck(by_crc=False)
        self._there: dict[int, tuple[str, bytes]] = {}
        self._sent: dict[int, tuple[str, bytes]] = {}
        self.upload = self._taken_up(headers) or self._begin(headers)

    def send(self) -> None:
        """Return when the service has all parts.

        Raises:
            FileChanged: parts of two versions were sent. Unconfirmed: none was checked. Others as PartPool.run.
        """
        if self.check.by_crc and not self._ctx.bucket.can.confirms_part_checksums:
            self._run(self.parts[-1:])  # alone: nothing else is sent for nothing if the service does not confirm it
        # The last one first: where there are more than the service takes, nearly nothing was sent when it says so.
        self._run([part for part in [self.parts[-1], *self.parts[:-1]] if part.number not in self._sent])
        if self._look_again:
            for part in self.parts:
                if self._digest_of(part) != self._sent[part.number][1]:
                    raise FileChanged

    def _run(self, parts: list[Part]) -> None:
        self._team = PartPool(self._ctx.controller, self._put, parts)
        self._team.run()

    @property
    def etags(self) -> list[str]:
        """Of all parts, in order, when they are sent."""
        return [self._sent[part.number][0] for part in self.parts]

    @property
    def digests(self) -> list[bytes]:
        """Likewise."""
        return [self._sent[part.number][1] for part in self.parts]

    def stored(self, done: Made, md5_of_all: Md5OfAll) -> Stored:
        """The object, if it is of what was sent.

        By the CRC of the whole that the service tells; where it tells none, by its ETag, for which the file is read
        once more, and from then on parts go with their MD5s.

        Raises:
            StoredContentDiffers: it is something else.
        """
        if self.check.by_crc:
            digest, value = self.check.whole(self.parts, self.digests)
            told = done.headers.get(KIND.header, "")
            stored = Stored(done.etag, done.headers.get("x-amz-version-id", ""), digest.name(value))
            if told == value:
                return stored
            if told and "-" not in told:
                raise StoredContentDiffers(stored._replace(content=""))
            self._ctx.bucket.can.keeps_part_checksums = False
            self.check = PartCheck(by_crc=False)
            self._sent = {part.number: ("", self._digest_of(part)) for part in self.parts}
        return checked(self._ctx, self._key, done, *self.check.whole(self.parts, self.digests), md5_of_all)

    def _digest_of(self, part: Part) -> bytes:
        return self.check.of(self._fd, part.offset, part.length, self._ctx.cancelled)

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
        if not upload.parts and ctx.bucket.can.keeps_part_checksums:  # it is not known how they are to be checked
            self.upload = upload
            self.give_up(FileChanged())
            return None
        try:
            held = list_parts(ctx.bucket.request, key, upload.upload_id)
        except ServiceError as error:  # it is gone, or the server cannot say what it holds
            ctx.journal.release(upload)
            if error.refuses_credentials:
                raise
            return None
        lengths = {part.number: part.length for part in self.parts}
        self.check = PartCheck(by_crc=any(len(digest) != 16 for _, digest in upload.parts.values()))
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
            return self._ask(headers)

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
        self.check = PartCheck(by_crc=ctx.bucket.can.keeps_part_checksums and is_kept(answer.headers))
        ctx.bucket.can.keeps_part_checksums = self.check.by_crc
        return ctx.journal.began(upload, upload_id)

    def _ask(self, headers: dict[str, str]) -> Response:
        """Ask for an upload, whose CRC64NVME the service is to keep unless it is known not to."""
        can, client, query = self._ctx.bucket.can, self._ctx.bucket.client, [("uploads", "")]
        if can.keeps_part_checksums:
            try:
                return client.request("POST", self._key, query=query, headers={**headers, **BEGINNING})
            except ServiceError as error:
                if not may_be_refused(error.status):
                    raise
                can.keeps_part_checksums = False
        return client.request("POST", self._key, query=query, headers=headers)

    def _put(self, part: Part) -> None:
        """Send one part, unless the service has it."""
        digest = self._digest_of(part)
        there = self._there.get(part.number)
        if there is not None and there[1] == digest:
            self._slot.keep(part.length)
        else:
            there = (self._send_part(part, digest), digest)
            self._ctx.journal.sent(self.upload, part.number, *there)
            self._ctx.outage.passed()
        self._sent[part.number] = there

    def _send_part(self, part: Part, digest: bytes) -> str:
        """The ETag that the service gives to the part. Raises: Unconfirmed."""
        ctx, body = self._ctx, FileSlice(self._fd, part.offset, part.length)
        headers = self.check.headers(digest)
        query = [("partNumber", str(part.number)), ("uploadId", self.upload.upload_id)]

        def attempt() -> str:
            if self._team.over:
                raise Stopped
            sent = ctx.on_sent(self._slot)
            answer = ctx.bucket.client.request("PUT", self._key, query=query, headers=headers, body=body, on_sent=sent)
            self.check.confirm(digest, answer.headers)
            ctx.bucket.can.confirms_part_checksums = self.check.by_crc
            return answer.headers.get("etag", "").strip('"')

        try:
            return ctx.bucket.retrying(attempt)
        except SourceChanged:
            raise FileChanged from None


def _complete(
    ctx: Context, key: str, sending: _Sending, condition: dict[str, str], look: Callable[[], None] | None
) -> Made:
    """Make the object of the parts, or find that an earlier try, whose answer was lost, has made it."""
    listed = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>&quot;{escape(etag)}&quot;</ETag>"
        f"{sending.check.listed(digest)}</Part>"
        for number, (etag, digest) in enumerate(zip(sending.etags, sending.digests, strict=True), 1)
    )
    space = "http://s3.amazonaws.com/doc/2006-03-01/"
    body = f'<CompleteMultipartUpload xmlns="{space}">{listed}</CompleteMultipartUpload>'.encode()
    query, told = [("uploadId", sending.upload.upload_id)], sending.check.completing(sending.parts, sending.digests)

    def attempt(headers: dict[str, str]) -> Made:
        if look is not None:
            look()
        answer = ctx.bucket.client.request("POST", key, query=query, headers={**headers, **told}, body=body)
        ctx.bucket.can.completed = True
        crc = {KIND.header: text_in(answer.body, f"Checksum{KIND.value.upper()}")} if told else {}
        return Made(bare_etag(text_in(answer.body, "ETag")), {**answer.headers, **crc})

    try:
        return conditionally(ctx, key, condition, attempt, look=not ctx.bucket.can.conditional_complete)
    except ServiceError as error:
        if error.status in (404, 409, 412):
            with contextlib.suppress(ServiceError):
                there = seen(ctx, key, Made("", {}))
                made = sending.check.etag(sending.etags, sending.digests)
                if made and there.etag.lower() == made:
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
