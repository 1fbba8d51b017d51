"""Actions set aside, in order, until the guards have answered: in memory, and on disk beyond a few megabytes."""

from __future__ import annotations

import pickle
import tempfile
import weakref
from collections.abc import Iterator

from nbsync.core.model import Action

_BATCH = 500
_MEMORY_BYTES = 8 << 20


class ActionSpool:
    """A queue of Actions that may be long. Write all, then read."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_MEMORY_BYTES)  # noqa: SIM115 (closed by close)
        self._close = weakref.finalize(self, self._file.close)  # the file stays open as long as the plan
        self._batch: list[Action] = []
        self.count = 0

    def add(self, action: Action) -> None:
        """Set one aside."""
        self._batch.append(action)
        self.count += 1
        if len(self._batch) >= _BATCH:
            self._write()

    def _write(self) -> None:
        pickle.dump(self._batch, self._file)
        self._batch = []

    def __iter__(self) -> Iterator[Action]:
        """All of them, in order; may be read again."""
        if self._batch:
            self._write()
        self._file.seek(0)
        while True:
            try:
                batch = pickle.load(self._file)
            except EOFError:
                return
            yield from batch

    def close(self) -> None:
        """Drop them."""
        self._close()
