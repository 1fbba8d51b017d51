"""What any command comes to: the members that results, listings, pages and jobs share."""

from __future__ import annotations

from typing import Any, Protocol


class Answer(Protocol):
    """What one command came to, or comes to: a result, a listing, a status, a diagnosis, a link, a job."""

    @property
    def ok(self) -> bool: ...
    @property
    def exit_code(self) -> int: ...
    @property
    def counts(self) -> dict[str, int]: ...

    def to_dict(self) -> dict[str, Any]: ...
