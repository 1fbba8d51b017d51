"""What a run gives back: SyncResult, SyncPlan's base, Listing. Data and views; nothing here moves a byte."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nbsync.core.model import Problem, Row, Status
from nbsync.errors import NbsyncError, SyncProblems

if TYPE_CHECKING:
    import pandas

    from nbsync.listing import Listing
    from nbsync.options import Call

MAX_HIT_ROWS = 20_000  # beyond that, hit rows are counted and left out: a million of them is 200 MB


class SyncResult:
    """What one pull, push or plan did, file by file.

    Attributes:
        command: `pull`, `push` or `plan`.
        direction: `pull` or `push`, also of a plan.
        remote: `s3://bucket/prefix/`.
        local: the directory, as given.
        files: one Row a path; in path order once the run has ended.
        problems: what the user should look at.
        notes: remarks on the whole run.
        counts: rows by status; complete even when hit rows are left out.
        bytes: `moved` over the wire, and `saved` because the content was there already.
        requests: what went over the wire, by kind, retries included.
        seconds: from start to end.
        error: the refusal that ended the run, or None.
    """

    def __init__(
        self,
        *,
        command: str,
        remote: str,
        local: str,
        dry_run: bool = False,
        direction: str = "",
        call: Call | None = None,
    ) -> None:
        self._call = call
        self.command = command
        self.direction = direction or command
        self.remote = remote
        self.local = local
        self.dry_run = dry_run
        self.files: list[Row] = []
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self.counts: dict[str, int] = {status.value: 0 for status in Status}
        self.bytes: dict[str, int] = {"moved": 0, "saved": 0}
        self.requests: dict[str, int] = dict.fromkeys(("list", "head", "get", "put", "delete", "other"), 0)
        self.seconds = 0.0
        self.hits_omitted = 0
        self.error: NbsyncError | None = None

    @property
    def ok(self) -> bool:
        """True when nothing failed, conflicted, was cancelled or could not be represented."""
        return self.exit_code == 0

    @property
    def exit_code(self) -> int:
        """The contract's exit code for this result."""
        if self.error is not None:
            return self.error.exit_code
        return 1 if self.problems or self._count(Status.FAILED, Status.CONFLICT, Status.CANCELLED) else 0

    def _count(self, *statuses: Status) -> int:
        return sum(self.counts[status.value] for status in statuses)

    @property
    def hits(self) -> list[Row]:
        """Rows that were up to date."""
        return [row for row in self.files if row.status == Status.HIT.value]

    @property
    def failed(self) -> list[Row]:
        """Rows that failed."""
        return [row for row in self.files if row.status == Status.FAILED.value]

    @property
    def changed(self) -> list[Row]:
        """Rows that moved or were deleted (or, in a plan, would be)."""
        changed = {Status.MISS.value, Status.DELETED.value, Status.PLANNED.value}
        return [row for row in self.files if row.status in changed]

    def retry(self) -> SyncResult:
        """Do again what failed or was stopped, and only that.

        Raises:
            NbsyncError: as the first time; also if this is not the result of a run.
        """
        from nbsync import api

        if self._call is None:
            raise NbsyncError("there is no run to do again")
        statuses = {Status.FAILED.value, Status.CANCELLED.value}
        only = frozenset(row.path for row in self.files if row.status in statuses)
        return api.run(replace(self._call, only=only))

    def raise_for_problems(self) -> None:
        """Do nothing if the run is ok.

        Raises:
            SyncProblems: naming the first problem and their number. The refusal itself, if one ended the run.
        """
        if self.error is not None:
            raise self.error
        if self.ok:
            return
        first = next(iter(self.problems), None)
        rest = f"; {len(self.problems)} problems in all" if len(self.problems) > 1 else ""
        text = f"{first.path}: {first.message}" if first else "some files did not arrive"
        raise SyncProblems(f"{self.command} {self.remote or self.local}: {text}{rest}")

    def to_dict(self) -> dict[str, Any]:
        """The contract's JSON document, as a dict of plain values."""
        document: dict[str, Any] = {
            "command": self.command, "remote": self.remote, "local": self.local, "ok": self.ok,
            "dry_run": self.dry_run, "counts": dict(self.counts), "bytes": dict(self.bytes),
            "requests": dict(self.requests), "seconds": round(self.seconds, 3),
            "files": [row._asdict() for row in self.files],
            "problems": [problem._asdict() for problem in self.problems], "notes": list(self.notes),
        }  # fmt: skip
        if self.hits_omitted:
            document["hits_omitted"] = self.hits_omitted
        if self.error is not None:
            document["error"] = str(self.error)
        return document

    def to_pandas(self) -> pandas.DataFrame:
        """One row a file, columns as in `--json`. Needs pandas."""
        try:
            import pandas
        except ImportError:
            raise NbsyncError("to_pandas needs pandas, which is not installed", "pip install pandas") from None
        return pandas.DataFrame(self.files, columns=list(Row._fields))

    def __getitem__(self, path: str) -> Row:
        for row in self.files:
            if row.path == path:
                return row
        raise KeyError(path)

    def __len__(self) -> int:
        return len(self.files)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Row]:
        return iter(self.files)

    def __repr__(self) -> str:
        from nbsync.ui import report

        return report.one_line_summary(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        from nbsync.ui import report

        return {"text/html": report.result_html(self), "text/plain": report.result_text(self)}


class SyncResults(list["SyncResult | Listing"]):
    """The results of several syncs, in order, with combined `ok` and `counts`."""

    @property
    def ok(self) -> bool:
        """True when every one is ok."""
        return all(result.ok for result in self)

    @property
    def counts(self) -> dict[str, int]:
        """Rows by status, over all."""
        return {status.value: sum(result.counts[status.value] for result in self) for status in Status}

    def __repr__(self) -> str:
        return "\n".join(repr(result) for result in self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        from nbsync.ui import report

        return {"text/html": report.results_html(self), "text/plain": report.results_text(self)}
