"""What the engine asks of others, and what a job asks of a run. Pure types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from nbsync.core.call import Call
from nbsync.core.model import Action, Active, Outcome
from nbsync.engine.status_board import StatusBoard
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
    board: StatusBoard

    @property
    def runner(self) -> Moving | None: ...
    @property
    def endpoint(self) -> str: ...

    def requests(self) -> dict[str, int]: ...

    def execute(self) -> SyncResult: ...

    def stop(self) -> None: ...

    def abandon(self) -> None: ...


class Workers(Protocol):
    """The workers that do the Actions of one run.

    Attributes:
        dry_run: they compare, and change nothing.
    """

    dry_run: bool

    def cancelled(self) -> bool:
        """Was the run told to stop?"""

    def compare(self) -> AnyRunner[Action]:
        """What settles the questions that need reading; nothing is changed."""

    def change(self) -> AnyRunner[Outcome]:
        """What does the Actions of one phase. The first time, what a change needs is made ready."""

    def settle_doubts(self) -> Iterator[Outcome]:
        """The ends of downloads that were held back, after a phase: no more come that could show what ETags are."""

    @property
    def etags_are_md5(self) -> bool:
        """Was an ETag here seen to be the MD5 of its content?"""


class Workforce(Protocol):
    """Workers of other processes or machines that do a run's Actions.

    Attributes:
        notes: what they found remarkable about the service.
    """

    notes: list[str]

    def look(self) -> None:
        """Find the workers that are there.

        Raises:
            ClusterError: nobody, or somebody who is not fit.
        """

    def runner(self, ctx: Context, own: Runner[Outcome]) -> AnyRunner[Outcome]:
        """What runs the Actions of one phase; `own` does what stays on this machine."""

    def dismiss(self) -> None:
        """The run is over: nobody works for it any more."""

    def close(self) -> None:
        """Close what was opened here."""
