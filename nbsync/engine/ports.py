"""What the engine asks of others, and what a job asks of a run. Pure types."""

from __future__ import annotations

from typing import Protocol

from nbsync.core.model import Active, Outcome
from nbsync.core.options import Call
from nbsync.engine.status_board import Board
from nbsync.results.sync_result import SyncResult
from nbsync.transfer.context import Context
from nbsync.transfer.runner import AnyRunner, Runner


class Moving(Protocol):
    """What moves bytes now."""

    def bytes_moved(self) -> int: ...

    def active(self) -> tuple[Active, ...]: ...


class Run(Protocol):
    """A command under way: made in the caller's thread, executed in one of its own."""

    call: Call
    local: str
    result: SyncResult
    board: Board

    @property
    def runner(self) -> Moving | None: ...
    @property
    def endpoint(self) -> str: ...

    def requests(self) -> dict[str, int]: ...

    def execute(self) -> SyncResult: ...

    def stop(self) -> None: ...

    def abandon(self) -> None: ...


class Workforce(Protocol):
    """Workers of other processes or machines that do a run's Actions.

    Attributes:
        notes: what they found remarkable about the service.
    """

    notes: list[str]

    def look(self) -> None:
        """Find out who is there.

        Raises:
            ClusterError: nobody, or somebody who is not fit.
        """

    def runner(self, ctx: Context, own: Runner[Outcome]) -> AnyRunner[Outcome]:
        """What runs the Actions of one phase; `own` does what stays on this machine."""

    def dismiss(self) -> None:
        """The run is over: nobody works for it any more."""

    def close(self) -> None:
        """Close what was opened here."""
