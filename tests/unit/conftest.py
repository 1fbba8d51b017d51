"""Fixtures of the unit tests."""

from __future__ import annotations

import pytest

from nbsync.api import runs
from tests.unit.runs import Run


@pytest.fixture
def scripted_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pull is a `Run` of the test's."""
    monkeypatch.setitem(runs.RUNS, "pull", Run)  # type: ignore[arg-type]
