"""What several commands give back: SyncResults, a list of what each came to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from nbsync.core.model import Status
from nbsync.results.answer import Answer
from nbsync.results.display import Displayed
from nbsync.results.frames import frame
from nbsync.results.sync_result import SyncResult

if TYPE_CHECKING:
    import pandas


class SyncResults(Displayed, list[Answer]):
    """The results of several commands, in order, with combined `ok` and `counts`.

    A sync in the background is its SyncJob: not ok before it has ended well, and its counts are those so far.

    Attributes:
        file: where the commands stood; empty for a cell.
        not_run: how many more there were, after the one that was refused.

    Args:
        results: of the commands.
        file: where they stood.
    """

    def __init__(self, results: Iterable[Answer] = (), *, file: str = "") -> None:
        super().__init__(results)
        self.file = file
        self.not_run = 0

    @property
    def ok(self) -> bool:
        """True when every one is ok."""
        return not self.not_run and all(result.ok for result in self)

    @property
    def exit_code(self) -> int:
        """The worst of all."""
        return max((result.exit_code for result in self), default=0)

    @property
    def counts(self) -> dict[str, int]:
        """Rows by status, over all."""
        return {status.value: sum(result.counts[status.value] for result in self) for status in Status}

    def to_dict(self) -> dict[str, Any]:
        """The JSON document of `run`: what all come to, and in `results` the document of each."""
        documents = [result.to_dict() for result in self]
        errors = [document["error"] for document in documents if "error" in document]
        document: dict[str, Any] = {
            "command": "run", "remote": "", "local": "", "file": self.file, "ok": self.ok, "counts": self.counts,
            "bytes": self._sums("bytes", ("moved", "saved"), documents),
            "requests": self._sums("requests", ("list", "head", "get", "put", "delete", "other"), documents),
            "seconds": round(sum(document.get("seconds", 0.0) for document in documents), 3),
            "not_run": self.not_run, "results": documents, "problems": [], "notes": [],
        }  # fmt: skip
        return {**document, "error": errors[-1]} if errors else document

    @staticmethod
    def _sums(name: str, keys: tuple[str, ...], documents: list[dict[str, Any]]) -> dict[str, int]:
        """One entry of each document, summed; `bytes` of a listing is no amount that moved."""
        entries = [document[name] for document in documents if isinstance(document.get(name), dict)]
        return {key: sum(entry.get(key, 0) for entry in entries) for key in keys}

    def to_pandas(self) -> pandas.DataFrame:
        """The rows of all results, each with its command, remote and local; listings are left out.

        Raises: as `SyncResult.to_pandas`.
        """
        several = [result for result in self if isinstance(result, SyncResult)]
        names = list(dict.fromkeys(name for result in several for name in result.columns))
        rows = []
        for result in several:
            head = (result.command, result.remote, result.local)
            missing = dict.fromkeys(names, "")  # such as the assurance, which only a verify has
            rows += [(*head, *{**missing, **dict(zip(result.columns, result.cells(row), strict=True))}.values())
                     for row in result.files]  # fmt: skip
        return frame(("command", "remote", "local", *names), rows)

    def __repr__(self) -> str:
        return "\n".join(repr(result) for result in self)
