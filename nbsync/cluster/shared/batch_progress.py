"""How far the batches under way are, as their workers note in staging. Read about once a second; any thread.

A batch may be one object of many GiB, so that its reply alone would show no progress for minutes.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from typing import Any

from nbsync.cluster.shared.worker import JobSpec
from nbsync.core.model import Active, Verb
from nbsync.local import lease

_LOOK_SECONDS = 1.0
_MOST_LOOKED_AT = 64  # batches: beyond that, a look would cost too much


class BatchProgress:
    """How far the batches of one run are."""

    def __init__(self, spec: JobSpec) -> None:
        self._stage, self._permit = os.path.join(spec.place, "stage"), spec.run_lease
        self._noted: dict[int, dict[str, Any]] = {}
        self._looked_at = 0.0
        self._lock = threading.Lock()

    def moved(self, numbers: Sequence[int]) -> int:
        """Bytes that the batches of these numbers have moved, as far as is known."""
        found = self._look(numbers)
        return sum(moved for one in found if isinstance(moved := one.get("moved"), int) and moved > 0)

    def active(self, numbers: Sequence[int]) -> tuple[Active, ...]:
        """The files that are being moved by the batches of these numbers."""
        return tuple(active for one in self._look(numbers) for active in _files(one))

    def begin(self, number: int) -> None:
        """This batch is about to be sent.

        Raises:
            OSError: staging cannot be written.
        """
        lease.begin_batch(self._stage, self._permit, number)

    def end(self, number: int) -> None:
        """This batch has ended, or is given up."""
        lease.end_batch(self._stage, self._permit, number)

    def _look(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        with self._lock:
            now = time.monotonic()
            if now - self._looked_at >= _LOOK_SECONDS:
                self._looked_at = now
                self._noted = {number: lease.hear_of_batch(self._stage, self._permit, number)
                              for number in numbers[:_MOST_LOOKED_AT]}  # fmt: skip
            return [self._noted[number] for number in numbers if number in self._noted]


def _files(noted: dict[str, Any]) -> list[Active]:
    try:
        return [Active(str(path), Verb(verb), int(done), int(size)) for path, verb, done, size in noted["active"]]
    except (KeyError, TypeError, ValueError):
        return []
