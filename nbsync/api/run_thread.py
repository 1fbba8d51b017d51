"""The thread of one run: it begins once, after another run if it has to, and always comes to an end."""

from __future__ import annotations

import threading
from collections.abc import Callable

from nbsync.engine.elsewhere import elsewhere
from nbsync.engine.ports import Run
from nbsync.errors import NbsyncError

_PATIENCE = 0.5  # seconds that a run which was told to stop may go on asking for credentials


class RunThread:
    """Executes one run. Any thread may use it.

    Attributes:
        run: the run.
        began: when the run began, by `now`; until then, when it was made.
        ended: set when the run is over, or is left to itself.
        crash: an error that the run should not have raised: a bug.

    Args:
        run: the run.
        now: monotonic seconds.
        after: begin when this one has ended; not at all if it was stopped or refused.
        before_it: what messages call that one.
    """

    def __init__(
        self, run: Run, now: Callable[[], float], *, after: RunThread | None = None, before_it: str = ""
    ) -> None:
        self.run = run
        self.began = now()
        self.ended = threading.Event()
        self.crash: BaseException | None = None
        self._now = now
        self._after, self._before_it = after, before_it
        self._may_go_on = threading.Event()  # the one before has ended, or this one was stopped
        self._following: list[threading.Event] = []  # of those that begin after this one
        self._stopped_at = 0.0
        self._is_started = False
        self._works = threading.Lock()  # taken by the one thread that executes the run

    def begin(self) -> None:
        """Start the thread, once. Ctrl-C may break off the starting, with or without a thread: then call it again."""
        if not self._is_started:
            threading.Thread(target=self._work, name="nbsync-run", daemon=True).start()
            self._is_started = True

    def stop(self) -> None:
        """Have the run stop within a second."""
        self._stopped_at = self._stopped_at or self._now()
        self.run.stop()
        self._may_go_on.set()

    def abandon_if_stuck(self) -> None:
        """Leave a stopped run to itself that still asks for credentials, which nothing can interrupt.

        It has changed nothing yet, and ends by itself before it does.
        """
        waited = self._now() - self._stopped_at
        if self._stopped_at and self.run.board.state == "starting" and waited > _PATIENCE:
            self.run.abandon()
            self._end()

    def leave_to_parent(self) -> None:
        """In a forked process: a run under way goes on in the parent alone. Touches no lock that a thread may hold."""
        if not self.ended.is_set():
            run, self._after = self.run, None
            self.run = elsewhere(run.call, run.local, run.result.remote)
            self._is_started = True
        self.ended = threading.Event()
        self.ended.set()

    def _work(self) -> None:
        if not self._works.acquire(blocking=False):
            return  # another thread was started before
        try:
            if self._may_begin():
                self.run.execute()
        except MemoryError:
            self._give_up(
                NbsyncError("there is not enough memory; what was done is kept", "Free some, and run it again")
            )
        except BaseException as error:
            self.crash = error
            self._give_up(NbsyncError(f"internal error: {type(error).__name__}: {error}"))
        finally:
            self._after = None  # its result may go
            self._end()

    def _end(self) -> None:
        self.ended.set()
        for event in tuple(self._following):
            event.set()

    def _may_begin(self) -> bool:
        """Wait for the run before; True if it ended so that this one may begin, or if this one was stopped."""
        before = self._after
        if before is None:
            return True
        before._following.append(self._may_go_on)
        if not before.ended.is_set():
            self._may_go_on.wait()
        if not before.ended.is_set():
            return True  # stopped meanwhile, as it finds out
        self.began = self._now()
        if before.run.result.error is None:
            return True
        self._give_up(NbsyncError(f"not begun: {self._before_it} before it was stopped or refused", "Run it again"))
        return False

    def _give_up(self, error: NbsyncError) -> None:
        self.run.result.error = self.run.result.error or error
        self.run.board.state = "failed"
