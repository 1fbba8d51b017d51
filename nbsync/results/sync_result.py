"""What a run gives back: SyncResult, SyncPlan, VerifyResult. Data and views; nothing here moves a byte."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from nbsync._version import __version__
from nbsync.core import planfile
from nbsync.core.call import Call
from nbsync.core.model import ASSURANCES, UNKNOWN, Action, NodeResult, Problem, Row, Status, Verb
from nbsync.core.options import build_options
from nbsync.core.planfile import Header, SavedPlan
from nbsync.core.saved_options import FILES, saved_options
from nbsync.errors import NbsyncError, SyncProblems, UsageError
from nbsync.local import plan_files
from nbsync.results.display import Displayed
from nbsync.results.frames import frame

if TYPE_CHECKING:
    import pandas

    from nbsync.local.action_spool import ActionSpool

MAX_HIT_ROWS = 20_000  # beyond that, hit rows are counted and left out: a million of them is 200 MB


class SyncResult(Displayed):
    """What one run did, file by file.

    Attributes:
        command: `pull`, `push`, `apply`, ...
        direction: `pull` or `push`, also of a plan.
        call: what `retry` does again; None where there is no run to do again.
        remote: `s3://bucket/prefix/`.
        local: the directory, as given.
        files: one Row a path; in path order once the run has ended.
        problems: what the user should look at.
        notes: remarks on the whole run.
        counts: rows by status; complete even when hit rows are left out.
        bytes: `moved` over the wire, and `saved` because the content was there already.
        requests: what went over the wire, by kind, retries included.
        seconds: from start to end.
        trashed: local files that the run moved to the trash; `undo` puts them back.
        on_workers: some of it was done on the workers of an engine, which the rows name.
        nodes: with `--spread each`, what each node came to.
        error: the refusal that ended the run, or None.
        perform: does a call, for `retry` and `SyncPlan.apply`; whoever made the run hands it in.
    """

    perform: Callable[[Call], SyncResult] | None = None
    _own_columns: tuple[str, ...] = Row._fields[:-2]  # beside the worker

    def __init__(
        self, *, command: str, remote: str, local: str, dry_run: bool = False, direction: str = "",
        call: Call | None = None,
    ) -> None:  # fmt: skip
        self.call = call
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
        self.trashed = 0
        self.on_workers = False
        self.nodes: list[NodeResult] = []
        self.error: NbsyncError | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of a row's cells, as `--json` and `to_pandas` give them: the worker only where there is one."""
        return (*self._own_columns, "worker") if self.on_workers else self._own_columns

    def cells(self, row: Row) -> tuple[Any, ...]:
        """The cells of a row, one for each of the `columns`."""
        own = row[: len(self._own_columns)]
        return (*own, row.worker) if self.on_workers else own

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
        if self.call is None:
            raise NbsyncError("there is no run to do again")
        statuses = {Status.FAILED.value, Status.CANCELLED.value}
        only = frozenset(row.path for row in self.files if row.status in statuses)
        return self._do(replace(self.call, only=only))

    def _do(self, call: Call) -> SyncResult:
        if self.perform is None:
            raise NbsyncError("there is no run to do again")
        return self.perform(call)

    def raise_for_problems(self) -> None:
        """Do nothing if the run is ok.

        Raises:
            SyncProblems: naming the first problem and their number. The refusal itself, if one ended the run.
        """
        if self.error is not None:
            raise self.error
        if self.ok:
            return
        raise SyncProblems(f"{self.command} {self.remote or self.local}: {self._trouble()}")

    def _trouble(self) -> str:
        first = next(iter(self.problems), None)
        rest = f"; {len(self.problems)} problems in all" if len(self.problems) > 1 else ""
        text = f"{first.path}: {first.message}" if first else "some files did not arrive"
        return f"{text}{rest}"

    def to_dict(self) -> dict[str, Any]:
        """The contract's JSON document, as a dict of plain values."""
        columns = self.columns
        document: dict[str, Any] = {
            "command": self.command, "remote": self.remote, "local": self.local, "ok": self.ok,
            "dry_run": self.dry_run, "counts": dict(self.counts), "bytes": dict(self.bytes),
            "requests": dict(self.requests), "seconds": round(self.seconds, 3),
            "files": [dict(zip(columns, self.cells(row), strict=True)) for row in self.files],
            "problems": [problem._asdict() for problem in self.problems], "notes": list(self.notes),
        }  # fmt: skip
        more = {"nodes": [node._asdict() for node in self.nodes], "hits_omitted": self.hits_omitted,
                "error": str(self.error) if self.error is not None else ""}  # fmt: skip
        return {**document, **{name: value for name, value in more.items() if value}}

    def to_pandas(self) -> pandas.DataFrame:
        """One row a file, columns as in `--json`; words as categories, bytes as int64.

        Raises:
            NbsyncError: pandas is not installed.
        """
        return frame(self.columns, map(self.cells, self.files))

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


class Place(NamedTuple):
    """Where and when a plan was made. `local` is absolute; `profile` is a name."""

    local: str
    endpoint: str
    region: str
    profile: str
    planned_at: str


class SyncPlan(SyncResult):
    """What a pull or push would do. It can be saved, and done as it is.

    Attributes:
        trashing: local files that would go to the trash, because they hold what was never synced.
    """

    trashing = 0
    _place: Place | None = None
    _items: ActionSpool | None = None

    def begin(self, place: Place, items: ActionSpool) -> None:
        """Nothing is planned yet; what will be is kept in `items`."""
        self._place, self._items = place, items

    def add(self, item: Action) -> None:
        """Plan one more thing to do; the upload of a copy follows from the item that leaves it."""
        if self._items is not None and not (item.verb is Verb.UPLOAD and item.namesake):
            self._items.add(item)
            self.trashing += item.trash

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plan to a file, for `nbsync.apply` and `nbsync apply`: JSON Lines, no credentials.

        Raises:
            NbsyncError: the plan was refused or stopped, or the file cannot be written.
        """
        header, items, _ = self._as_saved()
        note = plan_files.write(os.fspath(path), planfile.lines(header, items()))
        self.notes += [note] if note and note not in self.notes else []

    def apply(self, **options: Any) -> SyncResult:
        """Do what the plan says, and nothing else; see `nbsync.apply`."""
        call = Call(command="apply", plan=self._as_saved(), options=build_options("apply", options),
                    asked=frozenset(options))  # fmt: skip
        return self._do(call)

    def call_for(self, only: frozenset[str]) -> Call:
        """The call that does what the plan says of these paths, and nothing else.

        Raises:
            NbsyncError: the plan was refused or stopped.
        """
        return Call(command="apply", plan=self._as_saved(), only=only)

    def _as_saved(self) -> SavedPlan:
        place, items = self._place, self._items
        if self.error is not None:
            raise self.error
        if place is None or items is None or self.call is None:
            raise UsageError("there is no plan yet", "Wait for it to be made")
        given = saved_options(self.call.options)
        # The plan may be applied in another folder.
        given.update({name: os.path.abspath(given[name]) for name in FILES if name in given})
        header = Header(
            self.direction, self.remote, place.local, place.endpoint, place.region, place.profile, given,
            bool(self.call.options.files_from or self.call.only is not None), dict(self.counts), items.count,
            place.planned_at, __version__,
        )  # fmt: skip
        return SavedPlan(header, lambda: iter(items), is_own=True)


class VerifyResult(SyncResult):
    """Whether each pair is equal, and how sure that is: `hit` equal, `miss` different, `skipped` unknown.

    Attributes:
        assurance: rows by assurance: `strong`, `weak`, `unknown`.
    """

    _own_columns = Row._fields[:-1]

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.assurance: dict[str, int] = dict.fromkeys(ASSURANCES, 0)

    @property
    def exit_code(self) -> int:
        """0 only if all is equal; with --strict, only if all is known to be, and there was something to compare."""
        if self.error is None and self._count(Status.MISS):
            return 1
        strict = self.call is not None and self.call.options.strict
        return super().exit_code or int(strict and (self.assurance[UNKNOWN] > 0 or not self.compared))

    @property
    def compared(self) -> bool:
        """Was there anything to compare? A mistyped filter or prefix may leave nothing."""
        return any(self.counts.values())

    @property
    def differing(self) -> list[Row]:
        """Rows of what differs or is missing on one side."""
        return [row for row in self.files if row.status == Status.MISS.value]

    def _trouble(self) -> str:
        if not self.compared:
            return "there was nothing to compare: check REMOTE, LOCAL and the filters"
        rows = self.differing or [row for row in self.files if row.assurance == UNKNOWN]
        if not rows or (self.problems and not self.differing):
            return super()._trouble()
        what = "not equal" if self.differing else "unknown"
        return f"{rows[0].path}: {rows[0].reason}" + (f"; {len(rows):,} {what} in all" if len(rows) > 1 else "")

    def to_dict(self) -> dict[str, Any]:
        """The contract's JSON document, with the rows by assurance."""
        return {**super().to_dict(), "assurance": dict(self.assurance)}
