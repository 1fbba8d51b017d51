"""The clocks of a LOCAL: whose time is read where, and what is recorded as true, later, or doubted."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbsync.core.clock import Stamp, is_doubted
from nbsync.core.model import RecordedEntry
from nbsync.local import clocks as module
from nbsync.local.clocks import Clocks
from nbsync.local.state_dir import StateDir

SECOND = 10**9


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[StateDir]:
    """The room of a LOCAL with the folder `below` in it."""
    root = tmp_path / "local"
    (root / "below").mkdir(parents=True)
    state_dir = StateDir(str(root), str(root / ".nbsync"), "run", wait=lambda _seconds: True)
    yield state_dir
    state_dir.close()


def row(path: str, ctime_ns: int) -> RecordedEntry:
    return RecordedEntry(path, "etag", "", 5, 7, ctime_ns, 3, "md5:x")


def written(state_dir: StateDir, path: str) -> RecordedEntry:
    file = Path(state_dir.root, path)
    file.write_bytes(b"12345")
    at = file.stat()
    return RecordedEntry(path, "etag", "", 5, at.st_mtime_ns, at.st_ctime_ns, at.st_ino, "md5:x")


def test_a_row_is_written_once_its_tick_is_over(state_dir: StateDir) -> None:
    clocks, naps = Clocks(state_dir), []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        time.sleep(seconds)

    made = written(state_dir, "f")
    assert clocks.judge_all([(made, True)], nap) == [made]
    assert sum(naps) < 0.1
    assert written(state_dir, "g").ctime_ns > made.ctime_ns
    assert os.listdir(state_dir.stage) == []


def test_the_end_of_a_long_tick_is_not_waited_for(state_dir: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_probe", lambda _stage: Stamp(100 * SECOND, 100 * SECOND))
    naps: list[float] = []
    clocks = Clocks(state_dir)
    read, old, installed = row("f", 100 * SECOND), row("g", 99 * SECOND), row("h", 100 * SECOND)

    assert clocks.judge([(old, False), (installed, True)]) == ([old], [(installed, True)])
    sure = clocks.judge_all([(read, False), (old, False), (installed, True)], naps.append)

    assert [(one.path, is_doubted(one)) for one in sure] == [("f", True), ("g", False), ("h", True)]
    assert naps == []


def test_a_tick_that_never_comes_is_not_waited_for_long(state_dir: StateDir) -> None:
    """The clock was put back since."""
    naps: list[float] = []
    [doubtful] = Clocks(state_dir).judge_all([(row("f", 2**62 + 1), True)], naps.append)
    assert is_doubted(doubtful)
    assert 0 < sum(naps) < 0.2


def test_where_no_time_can_be_read_all_is_doubted(state_dir: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_stage: object) -> Stamp:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(module, "_probe", full)
    rows = [(row("f", 99 * SECOND), False), (row("g", 99 * SECOND + 1), True)]
    assert all(map(is_doubted, Clocks(state_dir).judge_all(rows, lambda _seconds: None)))


@pytest.mark.parametrize("unnamed", [True, False])
def test_the_clock_is_that_of_the_file_system_that_holds_the_file(
    state_dir: StateDir, monkeypatch: pytest.MonkeyPatch, unnamed: bool
) -> None:
    """A mount is behind by a minute: what is long over by the clock of LOCAL is of this very second there."""
    mount = str(Path(state_dir.root, "below"))
    monkeypatch.setattr(os, "stat", _with_device(mount, os.stat, 4711))
    there = Stamp(40 * SECOND, 40 * SECOND)

    def probe(_folder: object) -> Stamp:
        if not unnamed:
            raise OSError(errno.EOPNOTSUPP, "not supported")
        return there

    monkeypatch.setattr(module, "_unnamed_probe", probe)
    monkeypatch.setattr(
        module, "_probe", lambda at: Stamp(100 * SECOND, 100 * SECOND) if at == state_dir.stage else there
    )
    monkeypatch.setattr(Clocks, "_stage_near", lambda *_: 0)
    rows = [
        (row("below/now", 40 * SECOND), False),
        (row("below/then", 30 * SECOND), False),
        (row("x", 40 * SECOND), False),
    ]

    sure, early = Clocks(state_dir).judge(rows)

    assert [(one.path, is_doubted(one)) for one in sure] == [("below/now", True), ("below/then", False), ("x", False)]
    assert early == []


def test_a_mount_where_nothing_can_be_made_has_this_machines_time(
    state_dir: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount = str(Path(state_dir.root, "below"))
    monkeypatch.setattr(os, "stat", _with_device(mount, os.stat, 4711))
    monkeypatch.setattr(module, "_unnamed_probe", _read_only)
    monkeypatch.setattr(state_dir, "stage_near", _read_only)
    now = time.time_ns() // SECOND * SECOND
    rows = [(row("below/now", now), False), (row("below/then", now - 60 * SECOND), False)]
    assert [is_doubted(one) for one in Clocks(state_dir).judge_all(rows)] == [True, False]


def _read_only(_folder: object) -> Stamp:
    raise OSError(errno.EROFS, "read-only")


def _with_device(place: str, stat: object, device: int) -> object:
    def changed(path: object, *words: object, **more: object) -> object:
        at = stat(path, *words, **more)  # type: ignore[operator]
        if path != place:
            return at
        return os.stat_result([*at[:2], device, *at[3:]])

    return changed
