"""`apply`: a pull or push that does what a plan says, and nothing else.

It lists and scans and decides as a run that was not planned, so that all its rules and guards hold, and holds each
decision against the plan's item.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from nbsync.core import recheck
from nbsync.core.filters import Filters
from nbsync.core.model import Action, Joined
from nbsync.core.options import FIELDS, Call
from nbsync.core.planfile import SavedPlan
from nbsync.core.saved_options import ELSEWHERE, over_saved
from nbsync.engine import foreign
from nbsync.engine.plan_items import Expected
from nbsync.engine.sync import Hire, Run, alone
from nbsync.errors import UsageError
from nbsync.local.plan_files import load
from nbsync.results.sync_result import SyncResult
from nbsync.s3.bucket import Bucket


class Apply(Run):
    """The run of a plan.

    Args:
        call: with `plan`, or `file` to read it from.

    Raises:
        UsageError: the file is no plan. LocalError: it cannot be read. GuardRefusal: see foreign.admitted.
    """

    as_planned = True

    def __init__(
        self, call: Call, cancel: threading.Event, *, now_ns: Callable[[], int] = time.time_ns, hire: Hire = alone,
    ) -> None:  # fmt: skip
        self._plan: SavedPlan = call.plan or load(call.file)
        self._given = call
        super().__init__(_as_planned(call, self._plan), cancel, now_ns=now_ns, hire=hire)
        self._expected: Expected | None = None
        self._listed = None  # what is in scope is the plan's; `only` picks among its items
        self._admits = self._scope()
        self._unseen.clear()

    def _empty_result(self) -> SyncResult:
        result = super()._empty_result()
        result.call = self._given
        return result

    def _scope(self) -> Callable[[str], bool]:
        admits = Filters(self.options.filters).admits
        if not self._plan.header.listed:
            return admits
        return lambda path: self._expected is not None and path in self._expected and admits(path)

    def _run(self, bucket: Bucket) -> None:
        self._check_place(bucket)
        self._expected = Expected(self._plan, self._given.only)
        try:
            super()._run(bucket)
        finally:
            self._expected.close()
            self._expected = None

    def _begin_again(self) -> None:
        assert self._expected is not None  # _run made it
        self._expected.begin()

    def _began(self, bucket: Bucket) -> None:
        assert self._expected is not None  # _run made it
        self._expected.begin()

    def _check_place(self, bucket: Bucket) -> None:
        """Is this where the plan was made for? Asked before the first request.

        Raises:
            UsageError: it is not, and nobody asked for another place. GuardRefusal: see foreign.check_place.
        """
        if not self._plan.is_own:
            foreign.check_place(self._given, self._plan.header, bucket)
            self.result.notes.append(f"{self._given.file} is {foreign.NOT_YOURS}")
        there = self._plan.header.endpoint
        if bucket.endpoint != there and not self._given.asked & ELSEWHERE:
            hint = "To apply it elsewhere, say where: --endpoint-url, --region or --profile"
            raise UsageError(f"the plan was made for {there}, and this would go to {bucket.endpoint}", hint)

    def _held(self, one: Joined, action: Action | None) -> Action | None:
        assert self._expected is not None  # _run made it
        item = self._expected.take(one.path)
        return None if item is None else recheck.hold(item, one, action)

    def _rest(self) -> Iterator[Action]:
        """Items whose path is on neither side any more."""
        assert self._expected is not None  # _run made it
        for item in self._expected.left():
            yield recheck.hold(item, Joined(item.path, None, None, None), None)

    def _note_filters(self) -> None:
        counts = self._plan.header.counts
        left = {status: counts[status] for status in ("conflict", "skipped", "failed") if counts.get(status)}
        if left:
            told = ", ".join(f"{count:,} {status}" for status, count in left.items())
            self.result.notes.append(f"not part of the plan, which said why: {told}")


def _as_planned(call: Call, plan: SavedPlan) -> Call:
    """The call that was planned; what was asked of the apply itself goes before what the plan says."""
    header = plan.header
    # The region that the bucket was found to be in: another one would be another endpoint.
    known = {**header.options, "region": header.region}
    unknown = sorted(set(known) - set(FIELDS))
    if not plan.is_own:
        known = foreign.admitted(call, header.direction, known)
    if unknown:
        raise UsageError(f"{call.file}, line 1: {unknown[0]!r} is no option of a plan", "Plan again with --save")
    try:
        options = over_saved(call, header.direction, known)
    except UsageError as error:
        raise UsageError(f"{call.file}, line 1: {error}") from None
    return replace(
        call, remote=header.remote, local=header.local, direction=header.direction, options=options, only=None
    )  # fmt: skip
