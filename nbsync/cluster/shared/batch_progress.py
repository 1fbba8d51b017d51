"""How far the batches under way are, as their workers tell in staging. Looked at about once a second; any thread."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from typing import Any

from nbsync.cluster.shared.worker import Ticket
from nbsync.core.model import Active, Verb
from nbsync.local import lease as permits

_LOOK_SECONDS = 1.0
_MOST_LOOKED_AT = 64  # batches: beyond that, a look would cost too much


class Beats:
    """What is known of the batches of one run."""

    def __init__(self, ticket: Ticket) -> None:
        self._stage, self._permit = os.path.join(ticket.place, "stage"), ticket.permit
        self._told: dict[int, dict[str, Any]] = {}
        self._looked_at = 0.0
        self._lock = threading.Lock()

    def moved(self, numbers: Sequence[int]) -> int:
        """Bytes that the batches of these numbers have moved, as far as was told."""
        told = self._look(numbers)
        return sum(moved for one in told if isinstance(moved := one.get("moved"), int) and moved > 0)

    def active(self, numbers: Sequence[int]) -> tuple[Active, ...]:
        """The files on their way."""
        return tuple(active for one in self._look(numbers) for active in _files(one))

    def begin(self, number: int) -> None:
        """This batch is about to be sent.

        Raises:
            OSError: staging cannot be written.
        """
        permits.begin_batch(self._stage, self._permit, number)

    def end(self, number: int) -> None:
        """This batch has ended, or is given up."""
        permits.end_batch(self._stage, self._permit, number)

    def _look(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        with self._lock:
            now = time.monotonic()
            if now - self._looked_at >= _LOOK_SECONDS:
                self._looked_at = now
                self._told = {number: permits.hear_of_batch(self._stage, self._permit, number)
                              for number in numbers[:_MOST_LOOKED_AT]}  # fmt: skip
            return [self._told[number] for number in numbers if number in self._told]


def _files(told: dict[str, Any]) -> list[Active]:
    try:
        return [Active(str(path), Verb(verb), int(done), int(size)) for path, verb, done, size in told["active"]]
    except (KeyError, TypeError, ValueError):
        return []
