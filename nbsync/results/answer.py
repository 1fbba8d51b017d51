"""What any command comes to: the members that results, listings, pages and jobs share."""

from __future__ import annotations

from typing import Any, Protocol

from nbsync.core.model import Status
from nbsync.errors import NbsyncError
from nbsync.results.display import Displayed


class Answer(Protocol):
    """What one command came to, or comes to: a result, a listing, a status, a diagnosis, a link, a job."""

    @property
    def ok(self) -> bool: ...
    @property
    def exit_code(self) -> int: ...
    @property
    def counts(self) -> dict[str, int]: ...

    def to_dict(self) -> dict[str, Any]: ...


class Found(Displayed):
    """What `ls`, `status`, `doctor` and `link` share: it is found at once, has no rows of a sync, and is mostly good.

    Attributes:
        error: what a sync would end with; None if nothing stands in its way.
    """

    error: NbsyncError | None = None

    @property
    def exit_code(self) -> int:
        """The exit code of the command."""
        return 0 if self.error is None else 2

    @property
    def ok(self) -> bool:
        """True without problems."""
        return self.exit_code == 0

    @property
    def counts(self) -> dict[str, int]:
        """No rows of a sync, by status: as a result among others it adds nothing."""
        return {status.value: 0 for status in Status}

    def raise_for_problems(self) -> None:
        """Do nothing if there are none.

        Raises:
            NbsyncError: the first problem.
        """
        if self.error is not None:
            raise self.error


def no_requests() -> dict[str, int]:
    """Requests by kind, of a command that sent none."""
    return dict.fromkeys(("list", "head", "get", "put", "delete", "other"), 0)
