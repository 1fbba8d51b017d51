"""The life of a run: executed once in a thread of its own, stopped from any thread, ended with its result.

What a run does is its body, a function; here is what all of them have in common.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from nbsync.core.call import Call
from nbsync.core.location import Location
from nbsync.engine.ports import Moving
from nbsync.engine.status_board import StatusBoard
from nbsync.errors import Interrupted, NbsyncError
from nbsync.results.sync_result import SyncResult
from nbsync.s3.bucket import Bucket
from nbsync.wire.errors import Aborted, WireError


class Run:
    """One command under way; see `ports.Run`. It never prints.

    Args:
        call: the command with its words.
        local: LOCAL as the user wrote it.
        result: is filled.
        cancel: set to stop the body within a second.
        body: does the command, in the run's thread.
        explain: what an error means to the user: the `result.error`.
        kept: what a user who stopped the run is told of what was done.

    Attributes:
        board: what displays read.
        runner: what moves bytes now; None before there is anything to do.
        stopped: the user has stopped the run.
        requests: gives the requests so far, by kind; any thread may call it.
    """

    def __init__(
        self, call: Call, local: str, result: SyncResult, cancel: threading.Event, body: Callable[[Run], None], *,
        explain: Callable[[Exception], NbsyncError],
        kept: str = "every file that was finished is kept, and what came of large ones",
    ) -> None:  # fmt: skip
        self.call, self.local, self.result, self.cancel = call, local, result, cancel
        self.board = StatusBoard()
        self.runner: Moving | None = None
        self.stopped = False
        self._body, self._explain, self._kept = body, explain, kept
        self._bucket: Bucket | None = None
        self.asks(lambda: "", lambda: dict(result.requests))

    def execute(self) -> SyncResult:
        """Do it; what was refused or broke off is in the result's `error`."""
        started = time.monotonic()
        result = self.result
        try:
            self._body(self)
        except (NbsyncError, WireError, OSError) as error:
            result.error = self._explain(error)
        finally:
            if self._bucket is not None:
                result.requests = {**result.requests, **self._bucket.counts.snapshot()}
                self._bucket.client.close()
        if self.stopped:
            result.error = self._interrupted()
        result.files = sorted(result.files, key=lambda row: row.path)  # who follows the old list keeps his place in it
        result.seconds = time.monotonic() - started
        self.board.state = "cancelled" if self.stopped else "failed" if result.error else "done"
        return result

    def open_bucket(self, location: Location, on_slow_down: Callable[[], None]) -> Bucket:
        """The bucket that the run asks: its requests are counted, and end when the run is stopped.

        Raises:
            Aborted: the run was stopped before it began. ConfigError, UsageError: see Bucket.
        """
        bucket = self._bucket = Bucket(location, self.call.options, wait=self.wait, on_slow_down=on_slow_down)
        self.asks(lambda: bucket.endpoint, bucket.counts.snapshot)
        if self.cancel.is_set():
            raise Aborted("stopped before it began")
        return bucket

    def asks(self, endpoint: Callable[[], str], requests: Callable[[], dict[str, int]]) -> None:
        """From now on, these tell the service's address, and the requests so far by kind; any thread calls them."""
        self._endpoint, self.requests = endpoint, requests

    def show(self, runner: Moving) -> None:
        """Let displays see what moves bytes from now on."""
        self.runner = runner

    def stop(self) -> None:
        """From any thread: stop now. What is under way breaks off; staging is removed."""
        self.stopped = True
        self.cancel.set()
        if self._bucket is not None:
            self._bucket.client.abort()

    def abandon(self) -> None:
        """The run is stuck before its beginning, and will not be waited for: its result is that it was stopped."""
        self.result.error = self._interrupted()
        self.board.state = "cancelled"

    @property
    def endpoint(self) -> str:
        """The service's address, once it is known."""
        return self._endpoint()

    def wait(self, seconds: float) -> bool:
        """Sleep, or wake early; True when the run is to stop."""
        return self.cancel.wait(seconds)

    def _interrupted(self) -> Interrupted:
        return Interrupted(f"stopped by the user; {self._kept}", "Run it again to do the rest")
