"""What the server has made of parts: is the object what was sent, by its ETag? Runs in worker threads."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from typing import NamedTuple

from nbsync.core.evidence import MD5, Digest
from nbsync.core.parts import looks_like_md5, parse_multipart_etag
from nbsync.s3.capabilities import etag_is_opaque
from nbsync.s3.look import etag_in, look_at
from nbsync.transfer.context import Context
from nbsync.transfer.part_check import KIND, PartCheck
from nbsync.transfer.upload_outcome import Stored, StoredContentDiffers, is_what_was_sent
from nbsync.wire.errors import ServiceError


class Made(NamedTuple):
    """The object that was made: its ETag, and what else the server said of it."""

    etag: str
    headers: Mapping[str, str]


def seen(ctx: Context, key: str, done: Made) -> Made:
    """The object as a look shows it; as its completion told of it where none is allowed."""
    try:
        there = look_at(ctx.bucket, key, checksum=True)
    except ServiceError as error:
        if error.status != 403:
            raise
        return done
    if there is None:
        raise ServiceError(404, "NoSuchKey", "the object was deleted as soon as it was made")
    return Made(etag_in(there), {**{KIND.header: done.headers.get(KIND.header, "")}, **there})


class Md5OfAll:
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
            stopped = lambda: self._unwanted or self._ctx.cancelled()  # noqa: E731
            self._value = PartCheck(by_crc=False).of(self._fd, 0, self._size, stopped).hex()
        except BaseException as error:  # for whoever asks for it
            self._error = error

    def __enter__(self) -> Md5OfAll:
        return self

    def __exit__(self, *_: object) -> None:
        self._unwanted = True
        if self._thread.ident is not None:
            self._thread.join()


def checked(ctx: Context, key: str, done: Made, digest: Digest, sent: str, md5_of_all: Md5OfAll) -> Stored:
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


def replaced() -> ServiceError:
    """What a HEAD shows after the completion is somebody else's."""
    return ServiceError(412, "PreconditionFailed", "the object was replaced as soon as it was made")
