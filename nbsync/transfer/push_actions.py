"""What a push does to one path: a conditional upload or a conditional delete. Runs in worker threads."""

from __future__ import annotations

import os
import stat

from nbsync.core import recheck
from nbsync.core.decide import CHANGED_IN_REMOTE
from nbsync.core.model import Action, Kind, LocalEntry, Outcome, RecordedEntry, RemoteEntry, Status
from nbsync.local.digest import FileChanged
from nbsync.s3.listing import find_object
from nbsync.transfer.context import Activity, Context
from nbsync.transfer.unnamed import check_unmoved, named
from nbsync.transfer.upload import store
from nbsync.transfer.upload_outcome import (
    FIRST_ATTEMPT,
    FailedAfterUpload,
    FileChangedAfterUpload,
    PriorAttempt,
    Stored,
    StoredContentDiffers,
    conditionally,
)
from nbsync.wire.errors import ServiceError

_REPLACED = "changed in REMOTE during this push: run again to decide"
_TRIES = 3  # how often a file or object that changes under us is taken up again


def upload(ctx: Context, action: Action, activity: Activity, earlier: PriorAttempt = FIRST_ATTEMPT) -> Outcome:
    """Upload if the object is still the one that was decided on.

    A file that changes meanwhile is taken up again; an object that changed is a conflict, or, with
    --overwrite-remote, decided again.

    Raises: as upload.store. FailedAfterUpload: so, after an object of ours was stored.
    """
    uploading = _Uploading(ctx, action, activity, earlier)
    try:
        return uploading.take_over() or uploading.run()
    except Exception as error:
        if uploading.ours is None:
            raise
        raise FailedAfterUpload(uploading.ours) from error


class _Uploading:
    """The tries to upload one file. `ours` is what to remember of the object that a failed try has left."""

    def __init__(self, ctx: Context, action: Action, activity: Activity, earlier: PriorAttempt) -> None:
        assert action.local is not None  # an upload has a file
        self._ctx, self._action, self._slot = ctx, action, activity
        self._local, self._remote = action.local, action.remote
        self._key = ctx.prefix + action.path
        self.ours: RecordedEntry | None = None
        self._earlier = earlier

    def take_over(self) -> Outcome | None:
        """The Outcome of an earlier try whose object has only to be named; None if there is more to do."""
        stored = self._earlier.stored
        if stored is None:
            return None
        if not stored.etag:
            try:
                stored = named(self._ctx, self._key, self._local, stored)
            except ServiceError as error:
                if error.status != 412:
                    raise
                return self._conflict(_REPLACED)
            if _now(self._ctx, self._local) == self._local:
                return outcome_of(self._action, self._local, stored)
        self._left(stored)
        return None

    def run(self) -> Outcome:
        """Try until it is done, or the tries are used up."""
        ctx = self._ctx
        for tries in range(1, _TRIES + 1):
            last = tries == _TRIES
            earlier, self._earlier = self._earlier, FIRST_ATTEMPT
            try:
                known = self._action.digest if self._local is self._action.local else ""
                wanted = condition(self._remote)
                stored = store(ctx, self._local, self._key, wanted, self._slot, known=known, earlier=earlier,
                               look=self._look)  # fmt: skip
                return outcome_of(self._action, self._local, stored)
            except (FileChanged, StoredContentDiffers) as error:
                if isinstance(error, FileChangedAfterUpload | StoredContentDiffers):
                    self._left(error.stored)
                now = _now(ctx, self._local)
                if ctx.as_planned and now != self._local:
                    return self._conflict(recheck.CHANGED_LOCALLY)
                if last or now is None:
                    raise
                self._local = now
            except FileNotFoundError:
                if not ctx.as_planned:
                    raise
                return self._conflict(recheck.CHANGED_LOCALLY)
            except ServiceError as error:
                if error.status not in (409, 412) and not (error.status == 404 and self._remote is not None):
                    raise
                if ctx.as_planned:
                    return self._conflict(recheck.CHANGED_IN_REMOTE)
                self._remote = find_object(ctx.bucket, self._key, ctx.prefix)
                if not ctx.options.overwrite_remote or last:
                    return self._conflict(_REPLACED)
        raise FileChanged

    def _look(self) -> None:
        """Where no condition can name the object that is replaced: is it still that?"""
        if self._remote is not None and not self._remote.etag:
            check_unmoved(self._ctx, self._remote)

    def _conflict(self, message: str) -> Outcome:
        return _conflict(self._action, message)._replace(record=self.ours)

    def _left(self, stored: Stored) -> None:
        """The object to replace now is the one that we have just made."""
        size = self._local.size
        self._remote = RemoteEntry(self._action.path, self._key, size, stored.etag, stored.modified_ns)
        self.ours = stored.unfinished(self._action.path, size)


def condition(remote: RemoteEntry | None) -> dict[str, str]:
    """The headers by which the server makes sure that nobody's change is overwritten unseen.

    The ETag without quotes, as in AWS's documentation of conditional writes: RGW takes no other.
    """
    if remote is None:
        return {"if-none-match": "*"}
    return {"if-match": remote.etag} if remote.etag else {}


def _now(ctx: Context, local: LocalEntry) -> LocalEntry | None:
    try:
        at = os.stat(ctx.local_path(local.path))
    except FileNotFoundError:
        return None
    return LocalEntry(local.path, Kind.FILE, at.st_size, at.st_mtime_ns, at.st_ctime_ns, at.st_ino)


def outcome_of(action: Action, local: LocalEntry, stored: Stored) -> Outcome:
    """The Outcome of an upload that was stored."""
    record = RecordedEntry(
        action.path, stored.mark, stored.version_id,
        local.size, local.mtime_ns, local.ctime_ns, local.inode, stored.content,
    )  # fmt: skip
    return Outcome(action.path, action.verb, Status.MISS, action.reason, action.evidence, local.size, record=record)


def _conflict(action: Action, message: str) -> Outcome:
    return Outcome(
        action.path, action.verb, Status.CONFLICT, message, action.evidence, error=message, problem="conflict"
    )


def _is_file(path: str) -> bool:
    """Does LOCAL have it after all? It came meanwhile, or its name is another one to whoever lists the folder."""
    try:
        return not stat.S_ISDIR(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False


def delete_remote(ctx: Context, action: Action) -> Outcome:
    """Delete the object if it is still the one that was decided on.

    Where the server is not known to honour If-Match on DELETE, it is looked at just before: best effort.

    Raises:
        ServiceError, TransientError.
    """
    remote = action.remote
    assert remote is not None  # there is an object to delete
    if not action.namesake and _is_file(ctx.local_path(action.path)):
        return _conflict(action, "LOCAL has a file that it takes for this one: not deleted")
    if action.namesake and find_object(ctx.bucket, ctx.prefix + action.namesake, ctx.prefix) is None:
        return _conflict(action, f"{action.namesake} is not in REMOTE: not deleted")
    changed = recheck.CHANGED_IN_REMOTE if ctx.as_planned else CHANGED_IN_REMOTE
    wanted = {"if-match": f'"{remote.etag}"'} if remote.etag else {}

    def attempt(condition: dict[str, str]) -> object:
        if not remote.etag:
            check_unmoved(ctx, remote)
        return ctx.bucket.client.request("DELETE", remote.key, headers=condition)

    try:
        conditionally(ctx, remote.key, wanted, attempt, look=not ctx.bucket.can.conditional_delete)
    except ServiceError as error:
        if error.status in (409, 412):
            return _conflict(action, changed)
        if error.status != 404:
            raise
    return Outcome(action.path, action.verb, Status.DELETED, action.reason, action.evidence, forget=True)
