"""`apply`: a pull or push that does what a plan says, and nothing else.

It lists and scans and decides as a run that was not planned, so that all its rules and guards hold, and holds each
decision against the plan's item.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

from nbsync.core.call import Call
from nbsync.core.options import OPTIONS
from nbsync.core.planfile import SavedPlan
from nbsync.core.saved_options import PLACE, over_saved
from nbsync.engine import foreign, notes
from nbsync.engine.deciders import AsPlanned, Fresh, rules_of
from nbsync.engine.notes import Notes
from nbsync.engine.plan_items import PlanItems
from nbsync.engine.run import Run
from nbsync.engine.source import Scope
from nbsync.engine.sync import Hire, Job, alone
from nbsync.errors import UsageError
from nbsync.local.plan_files import load
from nbsync.s3.bucket import Bucket


def apply(call: Call, cancel: threading.Event, *, now_ns: Callable[[], int] = time.time_ns, hire: Hire = alone) -> Run:
    """The run of a plan. Arguments as those of sync.

    Args:
        call: with `plan`, or `file` to read it from.

    Raises:
        UsageError: the file is no plan. LocalError: it cannot be read. GuardRefusal: see foreign.admitted.
    """
    plan = call.plan or load(call.file)
    job = Job(_as_planned(call, plan), now_ns, hire)

    def body(run: Run) -> None:
        bucket = job.open(run)
        _check_place(call, plan, bucket)
        told = Notes(
            words=[] if plan.is_own else [notes.not_yours(call.file)], filters=notes.not_planned(plan.header.counts)
        )
        with closing(PlanItems(plan, call.only)) as items:
            fresh = Fresh(job.sides, _scope(plan, items, job.sides.scope), rules_of(job.sides, now_ns()))
            job.do(run, bucket, AsPlanned(items, fresh), told)

    run = job.run(cancel, body)
    run.result.call = call
    return run


def _scope(plan: SavedPlan, items: PlanItems, scope: Scope) -> Callable[[str], bool]:
    """Which paths take part: those that the plan's filters admit and, if it was made of a list, its own alone."""
    if not plan.header.listed:
        return scope.admits
    return lambda path: path in items and scope.admits(path)


def _check_place(call: Call, plan: SavedPlan, bucket: Bucket) -> None:
    """Is this where the plan was made for? Asked before the first request.

    Raises:
        UsageError: it is not, and nobody asked for another place. GuardRefusal: see foreign.check_place.
    """
    if not plan.is_own:
        foreign.check_place(call, plan.header, bucket)
    there = plan.header.endpoint
    if bucket.endpoint != there and not call.asked & PLACE:
        hint = "To apply it elsewhere, say where: --endpoint-url, --region or --profile"
        raise UsageError(f"the plan was made for {there}, and this would go to {bucket.endpoint}", hint)


def _as_planned(call: Call, plan: SavedPlan) -> Call:
    """The call that was planned; what was asked of the apply itself goes before what the plan says."""
    header = plan.header
    # The region that the bucket was found to be in: another one would be another endpoint.
    known = {**header.options, "region": header.region}
    unknown = sorted(set(known) - set(OPTIONS))
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
