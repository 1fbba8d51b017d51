"""Names that are one file where case and accents' form do not count."""

from __future__ import annotations

from pathlib import Path

from nbsync.storage.twins import folds_names, without_twins
from tests.unit.core.entries import there

PATHS = ["A", "a", "b", "caf\xe9", "cafe\u0301"]


def test_first_one_stays(tmp_path: Path) -> None:
    found = list(without_twins(iter(map(there, PATHS)), str(tmp_path), folding=True))
    assert [entry.path for entry in found if entry.refused] == ["a", "cafe\u0301"]
    assert "'A'" in found[1].refused


def test_refused_names_are_no_twins(tmp_path: Path) -> None:
    entries = iter([there("A", refused="excluded"), there("a")])
    assert [e.refused for e in without_twins(entries, str(tmp_path), folding=True)] == ["excluded", ""]


def test_nothing_is_remembered_where_names_are_told_apart(tmp_path: Path) -> None:
    entries = iter(map(there, PATHS))
    assert without_twins(entries, str(tmp_path), folding=False) is entries


def test_looking_creates_nothing(tmp_path: Path) -> None:
    (tmp_path / "Upper").mkdir()
    (tmp_path / "probe").write_bytes(b"")
    really = (tmp_path / "PROBE").exists()
    assert folds_names(str(tmp_path / "Upper")) is really
    assert folds_names(str(tmp_path / "Upper" / "not there")) is really
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Upper", "probe"]
