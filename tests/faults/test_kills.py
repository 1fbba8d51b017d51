"""SIGKILL in the middle of a sync, a dozen times; `python -m tests.bench.kills` does the same two hundred times."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.kills import KINDS, MID, kill
from tests.servers import Server


def test_everything_is_wholly_old_or_wholly_new_and_the_next_run_ends_the_work(
    moto_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in moto_server.env().items():
        monkeypatch.setenv(name, value)
    hits = kill(moto_server, tmp_path, 12, 20261124, print, KINDS[:4])
    assert hits[MID] >= 4, f"hardly anything was there to tear: {hits}"
