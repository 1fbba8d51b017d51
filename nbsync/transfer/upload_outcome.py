"""What the server made of an upload: is it ours, is it what was sent, may it be replaced? Worker threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from nbsync.core.evidence import Digest
from nbsync.core.hashing import Hasher
from nbsync.core.model import BY_TIME, RecordedEntry
from nbsync.local.digest import FileChanged
from nbsync.s3.capabilities import ANSWERED_WRONGLY, REFUSED
from nbsync.s3.errors import SentWithCondition
from nbsync.s3.listing import find_object
from nbsync.s3.look import etag_in, look_at
from nbsync.s3.versions import learn_conditions
from nbsync.transfer.context import Context
from nbsync.wire.errors import ServiceError, TransientError

T = TypeVar("T")


class Stored(NamedTuple):
    """An object that was made: as the service names it, and the content's name for the state."""

    etag: str
    version_id: str
    content: str
    modified_ns: int = 0  # as LIST gives it; only where there is no ETag

    @property
    def mark(self) -> str:
        """What later listings know it by; empty if that is not known."""
        return self.etag or (f"{BY_TIME}{self.modified_ns}" if self.modified_ns else "")

    def unfinished(self, path: str, size: int) -> RecordedEntry:
        """What to remember of an object that is ours although no local file is as it was sent.

        It is known again by its ETag; no file has this stat, so that its content is always looked at.
        """
        return RecordedEntry(path, self.mark, self.version_id, size, -1, -1, 0, self.content)


class PriorAttempt(NamedTuple):
    """What a try before this one has come to.

    Attributes:
        error: how it ended: it counts as the first of the tries that --retries allows. None if it does not count.
        lost: an upload may have been stored, and its answer lost.
        stored: the object that an upload has made, which is not what it should be.
    """

    error: Exception | None = None
    lost: bool = False
    stored: Stored | None = None

    def before(self, attempt: Callable[[], T]) -> Callable[[], T]:
        """`attempt`, whose first call ends as the earlier try did."""
        error = self.error

        def again() -> T:
            nonlocal error
            if error is not None:
                first, error = error, None
                raise first
            return attempt()

        return again if error is not None else attempt


FIRST_ATTEMPT = PriorAttempt()


class StoredContentDiffers(TransientError):
    """The server stored something else than what was sent; `stored` is what it made of it, its content unknown."""

    def __init__(self, stored: Stored) -> None:
        super().__init__("the server says that it stored other bytes than it was sent")
        self.stored = stored

    def __reduce__(self) -> tuple[type[StoredContentDiffers], tuple[Stored]]:
        return StoredContentDiffers, (self.stored,)


class Unnamed(TransientError):
    """The server stored what was sent, and its answer does not name it."""

    def __init__(self, stored: Stored) -> None:
        super().__init__("the server's answer to an upload has no ETag")
        self.stored = stored

    def __reduce__(self) -> tuple[type[Unnamed], tuple[Stored]]:
        return Unnamed, (self.stored,)


class FileChangedAfterUpload(FileChanged):
    """The file did not stay as listed while it was sent; `stored` was made of it before that was noticed."""

    def __init__(self, stored: Stored) -> None:
        super().__init__(stored.etag)
        self.stored = stored


class FailedAfterUpload(Exception):
    """An upload failed (`__cause__` says how) after an object of ours was stored.

    Args:
        record: what to remember of that object, so that nobody takes it for somebody else's.
    """

    def __init__(self, record: RecordedEntry) -> None:
        super().__init__(record.path)
        self.record = record


class Moved(ServiceError):
    """A look just before a write has shown that the object is not the one that was decided on."""


def conditionally(
    ctx: Context, key: str, condition: dict[str, str], attempt: Callable[[dict[str, str]], T],
    *, look: bool, earlier: PriorAttempt = FIRST_ATTEMPT,
) -> T:  # fmt: skip
    """What `attempt` returns, tried again as the policy says; it is given the condition's headers.

    With `look`, and where conditions fail, the object is looked at just before: best effort. That they fail is shown
    by a 501, or a 412 that comes twice although the object is as the condition says, if it goes well without.

    Raises:
        Moved: the object is not as `condition` says: 404 if it is gone, else 412. ServiceError: as the service says.
    """
    learn_conditions(ctx.bucket)
    can, pending, refusals, why = ctx.bucket.can, earlier.error, 0, ""

    def once() -> T:
        nonlocal pending, refusals, why
        while True:
            error, pending = pending, None
            sent = {} if (can.unconditional or why) and error is None else condition
            if condition and error is None and (look or not sent):
                _check(ctx, key, condition)
            can.wrote_unconditionally |= bool(condition and can.unconditional) and not sent
            try:
                if error is not None:  # it is the answer to this condition
                    raise error
                made = attempt(sent)
            except ServiceError as refusal:
                if not sent:
                    raise
                if not _may_be_wrong(ctx, key, sent, refusal):
                    raise SentWithCondition.of(refusal) from None
                refusals += 1
                if refusal.status == 501 or refusals > 1:  # a single 412 may be another's doing, who was there since
                    why = REFUSED if refusal.status == 501 else ANSWERED_WRONGLY
            else:
                can.blame_conditions(why)
                return made

    return ctx.bucket.retrying(once)


def _may_be_wrong(ctx: Context, key: str, condition: dict[str, str], error: ServiceError) -> bool:
    """Was a condition refused that holds, as far as a look can tell?"""
    return error.status == 501 or (error.status == 412 and _holds(ctx, key, condition) is True)


def _check(ctx: Context, key: str, condition: dict[str, str]) -> None:
    """Return if the object is as the condition says, or may not be looked at: then the run's listing has decided."""
    holds = _holds(ctx, key, condition)
    if holds is None:
        ctx.bucket.can.may_not_look = True
    elif not holds:
        raise Moved(412, "PreconditionFailed", "the object is not the one that was decided on")


def _holds(ctx: Context, key: str, condition: dict[str, str]) -> bool | None:
    """Is the object as the condition says? None if it may not be looked at.

    Raises:
        Moved: there is none although there should be.
    """
    try:
        there = look_at(ctx.bucket, key)
    except ServiceError as error:
        if error.status != 403:
            raise
        return None
    if "if-match" not in condition:
        return there is None
    if there is None:
        raise Moved(404, "NoSuchKey", "the object is gone")
    seen = etag_in(there)
    if not seen:  # a service that tells ETags in its listings alone
        listed = find_object(ctx.bucket, key, "")
        seen = listed.etag if listed is not None else ""
    return seen == condition["if-match"].strip('"')


def is_what_was_sent(ctx: Context, key: str, etag: str, digest: Digest, sent: str) -> bool:
    """Is the object what was sent although its ETag is not the digest of it? One GET for a whole run.

    That proves that the ETags of this endpoint are no digests, and nothing has to be read again; where
    they are known to be, the object is wrong.
    """
    can = ctx.bucket.can
    if can.etag_is_md5 is not None:
        return not can.etag_is_md5
    headers = {"if-match": f'"{etag}"'}

    def attempt() -> str:
        hasher = Hasher(digest)
        ctx.bucket.client.request("GET", key, headers=headers, sink=hasher.update)
        return hasher.value()

    return ctx.bucket.retrying(attempt) == sent and can.saw_other_etag()
