"""LOCAL that cannot be written: a push keeps its record elsewhere and heeds LOCAL's own; a pull says no."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import nbsync
from nbsync.errors import LocalError
from nbsync.local import place, state_dir
from tests.functional.world import World


@pytest.fixture
def _not_ours(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LOCAL was synced by a colleague, and may only be read (permissions do not bind root, who may run this)."""
    world.put("f", b"first")
    nbsync.pull(world.remote, world.local)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    may_write = place.may_write
    for module in (place, state_dir):
        monkeypatch.setattr(module, "may_write", lambda path: not path.startswith(str(world.local)) and may_write(path))


@pytest.mark.usefixtures("_not_ours")
@pytest.mark.parametrize("dry_run", [True, False])
def test_push_heeds_what_local_itself_records(world: World, dry_run: bool) -> None:
    (world.local / "f").write_bytes(b"local edit")
    world.put("f", b"a colleague's")

    result = nbsync.push(world.local, world.remote, dry_run=dry_run)

    assert (result["f"].status, world.get("f")) == ("conflict", b"a colleague's")


@pytest.mark.usefixtures("_not_ours")
def test_push_records_elsewhere(world: World, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in world.local.rglob("*")}
    (world.local / "f").write_bytes(b"local edit")
    assert nbsync.push(world.local, world.remote).counts["miss"] == 1
    assert nbsync.push(world.local, world.remote)["f"].evidence == "state"

    world.put("f", b"a colleague's")
    (world.local / "f").write_bytes(b"another local edit")
    assert nbsync.push(world.local, world.remote)["f"].status == "conflict"
    after = {path: path.stat().st_mtime_ns for path in world.local.rglob("*") if path.name != "f"}
    assert after == {path: at for path, at in before.items() if path.name != "f"}
    assert [one.name for one in (tmp_path / "state/nbsync").iterdir() if len(one.name) != 32] == [".nbsync"]
    assert len(list((tmp_path / "state/nbsync").iterdir())) == 2, "the record, and the user's secret"


@pytest.mark.usefixtures("_not_ours")
def test_pull_is_refused(world: World, tmp_path: Path) -> None:
    world.put("g", b"new")
    with pytest.raises(LocalError, match="cannot be written"):
        nbsync.pull(world.remote, world.local)
    assert not (world.local / "g").exists()
    assert not (tmp_path / "state").exists()


def test_a_room_that_cannot_be_read_is_not_taken_for_none(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.fill_both("f")
    world.put("f", b"theirs")
    world.write("f", b"mine")
    state_dir, may = str(world.local / ".nbsync"), os.access
    monkeypatch.setattr(os, "access", lambda path, mode, **more: path != state_dir and may(path, mode, **more))
    assert f"{state_dir} cannot be read" in str(world.refused("push"))
    with pytest.raises(LocalError, match="cannot be read"):
        nbsync.status(world.local)
    assert world.get("f") == b"theirs"
