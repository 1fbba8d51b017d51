"""How long things are in the trash: by the earliest of the clocks of this machine, the file system and the service."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbsync.core.model import Direction
from nbsync.engine.local_session import LocalSession

DAY = 86_400.0


class _Place(LocalSession):
    ahead_days = 0.0

    def file_time_ns(self) -> int:
        return time.time_ns() + int(self.ahead_days * DAY * 1e9)


@pytest.fixture
def trash(tmp_path: Path) -> Iterator[Path]:
    """The trash of LOCAL, with a run of 8 days ago and one of 2 days ago."""
    trash = tmp_path / ".nbsync" / "trash"
    (tmp_path / ".nbsync" / "stage").mkdir(parents=True)
    for days in (8, 2):
        (trash / f"{days}" / "below").mkdir(parents=True)
        (trash / f"{days}" / "below" / "f").write_bytes(b"12345")
        os.utime(trash / f"{days}", (time.time() - days * DAY,) * 2)
    (trash / "8.absent").mkdir()
    (trash / "8.absent" / "g").write_bytes(b"")
    os.utime(trash / "8.absent", (time.time() - 8 * DAY,) * 2)
    return trash


@pytest.mark.parametrize(
    ("ours", "files", "service", "left"),
    [
        (0, 0, 0, ["2"]),
        (0, 0, None, ["2"]),
        (30, 0, None, ["2"]),  # faketime
        (30, 30, 0, ["2"]),  # this machine's clock
        (0, 0, 30, ["2"]),
        (0, 30, 30, ["2"]),
        (30, 30, 30, []),
        (30, 30, None, []),
        (-30, 0, 0, ["2", "8", "8.absent"]),
    ],
)
def test_the_earliest_clock_tells(
    trash: Path, tmp_path: Path, ours: float, files: float, service: float | None, left: list[str]
) -> None:
    place = _Place(
        str(tmp_path), "local", Direction.PULL, changes=True, wait=lambda _: True, on_wait=lambda _: None,
        now_ns=lambda: time.time_ns() + int(ours * DAY * 1e9),
    )  # fmt: skip
    place.ahead_days = files
    place.begin()
    notes = place.purge_trash(None if service is None else time.time() + service * DAY)

    assert sorted(os.listdir(trash)) == left
    gone = {1: "1 local file (5 bytes)", 0: "2 local files (10 bytes)"}.get(len(left))
    assert notes == ([f"removed from the trash after 7 days: {gone}"] if gone else [])
    place.close()
