"""Tells what fails every file from a file that fails: then the run ends, instead of failing file by file."""

from __future__ import annotations

import threading

from nbsync.errors import EndpointUnreachable
from nbsync.wire.errors import ConnectionLost, ServiceError

IN_A_ROW = 4  # files that failed one after another, each after all its retries, and none that got through


class Outage:
    """Shared by the workers of one run. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_a_row = 0

    def passed(self) -> None:
        """A file got through."""
        self._in_a_row = 0

    def failed(self, error: Exception) -> None:
        """A file failed for good.

        Raises:
            EndpointUnreachable: and so did the ones before it, for want of a connection.
            ServiceError: it is `error`, and refuses the credentials.
        """
        if isinstance(error, ServiceError) and error.refuses_credentials:
            raise error
        if not isinstance(error, ConnectionLost):
            return
        with self._lock:
            self._in_a_row += 1
            if self._in_a_row >= IN_A_ROW:
                raise EndpointUnreachable(
                    f"the server stopped answering ({error}): the run was ended; every file that was finished is kept",
                    "Run it again to do the rest",
                )
