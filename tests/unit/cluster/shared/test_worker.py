"""When a worker may go on: as long as the run's permit is there, and its hold on the batch under way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nbsync.cluster.shared.worker import LeasePermission
from nbsync.local import lease
from nbsync.local.lease import Claim, Lease

LATER = 0.3  # seconds: longer than a look is old


def revoke(stage: str, run_lease: Lease) -> None:
    lease.revoke(stage, run_lease)


def end_batch(stage: str, run_lease: Lease) -> None:
    lease.end_batch(stage, run_lease, 1)


def another_worker_begins_it(stage: str, run_lease: Lease) -> None:
    Claim(stage, run_lease, 1).close()


def another_run_issues_its_own(stage: str, run_lease: Lease) -> None:
    (Path(stage) / run_lease.name).write_text("another token")


def nothing(stage: str, run_lease: Lease) -> None:
    """All is as it was."""


@pytest.mark.parametrize(("happens", "lasts"), [
    (nothing, True), (revoke, False), (end_batch, False), (another_worker_begins_it, False),
    (another_run_issues_its_own, False),
])  # fmt: skip
def test_a_worker_at_a_batch_goes_on_only_as_long_as_both_are_there(
    tmp_path: Path, happens: Callable[[str, Lease], None], lasts: bool
) -> None:
    now = [0.0]
    run_lease = lease.issue(str(tmp_path))
    lease.begin_batch(str(tmp_path), run_lease, 1)
    permission = LeasePermission(str(tmp_path), run_lease, lambda: now[0])
    permission.hold = Claim(str(tmp_path), run_lease, 1)
    assert permission.lasts()
    happens(str(tmp_path), run_lease)
    assert permission.lasts()  # it has just looked
    now[0] += LATER
    assert permission.lasts() is lasts
    permission.hold.close()


def test_what_is_lost_stays_lost(tmp_path: Path) -> None:
    now = [0.0]
    run_lease = lease.issue(str(tmp_path))
    permission = LeasePermission(str(tmp_path), run_lease, lambda: now[0])
    content = (tmp_path / run_lease.name).read_text()
    lease.revoke(str(tmp_path), run_lease)
    assert not permission.lasts()
    (tmp_path / run_lease.name).write_text(content)
    now[0] += LATER
    assert not permission.lasts()


def test_between_two_batches_the_permit_alone_counts(tmp_path: Path) -> None:
    run_lease = lease.issue(str(tmp_path))
    assert LeasePermission(str(tmp_path), run_lease).lasts()
