"""What a process that is forked finds: databases at rest, and none of the parent's locks. Any thread.

Data loaders and process pools fork while a sync runs in a thread, which the child does not have. If that thread was
within SQLite, the child would find SQLite's own mutexes taken for ever, and, when it dropped the connection, roll
back a transaction that is the parent's. And an flock lasts as long as any process has the open file.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Callable

AT_REST = threading.RLock()  # held by whoever must not be forked in the middle of what it does; a fork waits for it
_locks: set[Flock] = set()


class Flock:
    """An open file on which this process may lock. It is let go of when it is closed, or the process ends.

    Args:
        opened: opens the file; gives its descriptor.
    """

    def __init__(self, opened: Callable[[], int]) -> None:
        with AT_REST:
            self.fd = opened()
            _locks.add(self)

    def try_exclusive(self) -> bool:
        """Take it, if nobody has it.

        Raises:
            OSError: the file system has no locks.
        """
        return self._try(fcntl.LOCK_EX)

    def try_shared(self) -> bool:
        """As `try_exclusive`, together with others who share it."""
        return self._try(fcntl.LOCK_SH)

    def _try(self, how: int) -> bool:
        try:
            fcntl.flock(self.fd, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Unlock it for all who have the open file: a child may."""
        with AT_REST:
            if self.fd >= 0:
                with contextlib.suppress(OSError):  # a file system without locks
                    fcntl.flock(self.fd, fcntl.LOCK_UN)
                self.leave()

    def leave(self) -> None:
        """Close the file here alone; whoever else has it open keeps the lock."""
        os.close(self.fd)
        self.fd = -1
        _locks.discard(self)


def _begin_anew() -> None:
    """In the child: the locks are the parent's."""
    for lock in tuple(_locks):
        lock.leave()
    AT_REST.release()


os.register_at_fork(before=AT_REST.acquire, after_in_parent=AT_REST.release, after_in_child=_begin_anew)
