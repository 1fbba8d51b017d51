"""What every worker of one run shares: where from, where to, how, and whether to stop."""

from __future__ import annotations

import itertools
import os
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from nbsync.core.clock import COARSEST_NS, is_coarse
from nbsync.core.model import LocalEntry, Verb
from nbsync.core.options import Options
from nbsync.errors import ConfigError
from nbsync.local.journal import Journal, no_journal
from nbsync.local.state_dir import StateDir
from nbsync.s3.bucket import Bucket
from nbsync.transfer.concurrency import Controller
from nbsync.transfer.outage import Outage
from nbsync.transfer.rate_limiter import Limiter
from nbsync.wire.errors import Aborted, ConnectionLost, ServiceError

if TYPE_CHECKING:
    from nbsync.transfer.staged import Doubt

_YOUNG_NS = 20_000_000  # coarser than the clocks of the file systems we know (1 to 10 ms)
_MAX_DOUBTS = 16


class Permission(Protocol):
    """May this process still change anything for the run? A worker of another machine's run can lose that right."""

    def lasts(self) -> bool:
        """May it still? Any thread asks, often."""


class OwnRun:
    """The permission of the process that began the run: it lasts."""

    def lasts(self) -> bool:
        """Always."""
        return True


@dataclass
class Context:
    """Shared by the workers of one run. `state_dir` is None where nothing is written locally.

    `prefix` is put before a path to make its key: the prefix of REMOTE, or of the folder of a single object.
    `now_ns` is the time of LOCAL's file system, where it is known: a file server's clock may be off from ours.
    """

    bucket: Bucket
    root: str
    options: Options
    prefix: str
    state_dir: StateDir | None
    limiter: Limiter
    cancel: threading.Event
    dry_run: bool = False
    as_planned: bool = False  # what changes while the run goes on is not decided again: it is a conflict
    both_ways: bool = False  # what is edited here while the run goes on would go to REMOTE: it is not replaced
    now_ns: Callable[[], int] = time.time_ns
    sleep: Callable[[float], None] = time.sleep
    clearing: threading.Lock = field(default_factory=threading.Lock)  # held while a path is moved out of the way
    outage: Outage = field(default_factory=Outage)
    controller: Controller = field(default_factory=Controller)
    journal: Journal = field(default_factory=no_journal)
    permission: Permission = field(default_factory=OwnRun)
    stopped: Callable[[], bool] | None = None  # by the user; by default, whenever it was cancelled
    whole_only: bool = False  # the server answers no ranges: large objects come in one stream
    holds_doubts: bool = False  # whoever runs the workers settles `doubts` when no more downloads come
    doubts: list[Doubt] = field(default_factory=list)
    staged_as: str = field(default_factory=lambda: str(os.getpid()))  # how names in staging begin
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def cancelled(self) -> bool:
        """Was the run told to stop, or has this process lost the permission to go on? Any thread."""
        if self.cancel.is_set():
            return True
        if self.permission.lasts():
            return False
        self.cancel.set()
        self.bucket.client.abort()
        return True

    def may_keep(self, error: BaseException) -> bool:
        """May what `error` left unfinished be kept for the next run? Not if the user stopped this one."""
        stopped = self.cancelled() if self.stopped is None else self.stopped()
        return not stopped and is_passing(error)

    def local_path(self, path: str) -> str:
        """Where the relative `path` is on this machine."""
        return os.path.join(self.root, path)

    def staging(self) -> str:
        """A new name in staging. Only for runs that write."""
        assert self.state_dir is not None
        return os.path.join(self.state_dir.stage, f"{self.staged_as}-{next(self._numbers)}")

    def lasting_staging(self) -> str:
        """A new name in staging that no later run takes for its own."""
        return f"{self.staging()}-{secrets.token_hex(8)}"

    def on_sent(self, activity: Activity) -> Callable[[int], None]:
        """For each piece of a body that went out: shows it, and holds the next one back for --bandwidth."""

        def sent(count: int) -> None:
            activity.add(count)
            self.limiter.take(count)

        return sent

    def etags_tell_nothing(self) -> bool:
        """Will the ETag of an upload be opaque, as far as is known by now? Then its MD5 goes into its metadata."""
        can = self.bucket.can
        by_encryption = self.options.sse.startswith("aws:kms") or self.bucket.customer_key is not None
        by_server = can.lists_without_etags or can.encrypts_opaquely or can.etag_is_md5 is False
        return by_encryption or by_server

    def hold(self, doubt: Doubt) -> bool:
        """Claim a download back until it is known what ETags here are; False if it is, or many are held already."""
        unknown = self.bucket.can.etag_is_md5 is None
        if not (self.holds_doubts and unknown) or len(self.doubts) >= _MAX_DOUBTS:
            return False
        self.doubts.append(doubt)
        return True

    def settle(self, entry: LocalEntry) -> None:
        """Before a file is read: wait until its time stamps are older than the file system's clock is coarse.

        Otherwise a later edit within the same tick would leave the same stat (git's racy-clean problem). Where the
        ticks are too long for that, the row that is recorded is not believed: see core.clock.
        """
        age = self._age_ns(entry)
        if -_YOUNG_NS < age < _YOUNG_NS:
            self.sleep((_YOUNG_NS - max(age, 0)) / 1e9)

    def may_change_unseen(self, entry: LocalEntry) -> bool:
        """Might a write leave the file's stat as it is from now on, because the tick of its times is a long one?

        The file system's time that is known may be one tick old.
        """
        return is_coarse(entry.ctime_ns) and self._age_ns(entry) < 2 * COARSEST_NS

    def is_young(self, entry: LocalEntry) -> bool:
        """Would `settle` wait?"""
        return -_YOUNG_NS < self._age_ns(entry) < _YOUNG_NS

    def _age_ns(self, entry: LocalEntry) -> int:
        return self.now_ns() - max(entry.mtime_ns, entry.ctime_ns)


def is_passing(error: BaseException) -> bool:
    """Is what `error` broke off worth going on with later?"""
    if isinstance(error, ServiceError):
        return error.may_pass
    return isinstance(error, ConnectionLost | Aborted | InterruptedError | ConfigError)


class Activity:
    """What one worker is doing, for the progress display: written by it and who helps it, read by anyone."""

    __slots__ = ("_lock", "done", "kept", "moved", "path", "size", "verb")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.path = ""
        self.verb = Verb.NONE
        self.done = 0
        self.size = 0
        self.moved = 0  # bytes on the wire, in all
        self.kept = 0  # bytes that an earlier run had brought, in all

    def begin(self, path: str, verb: Verb, size: int) -> None:
        """A file starts."""
        self.verb, self.done, self.size = verb, 0, size
        self.path = path

    def add(self, count: int) -> None:
        """`count` more bytes of it travelled (negative: they have to travel again)."""
        with self._lock:
            self.done += count
            self.moved += count

    def keep(self, count: int) -> None:
        """`count` bytes of it need not travel: an earlier run had brought them (negative: they have to, after all)."""
        with self._lock:
            self.done += count
            self.kept += count

    def end(self) -> None:
        """The file is done."""
        self.path = ""
