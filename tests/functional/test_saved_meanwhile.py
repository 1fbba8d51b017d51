"""What is saved while a run is at work on the same file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nbsync.local.install import Installed, Installer
from tests.functional.plain_store import PlainStore, PlainWorld


def test_an_editor_who_is_quicker_than_our_look_is_seen(
    store: PlainStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It saves between the rename of what was pulled and the look at its stat."""
    world = PlainWorld(store, tmp_path, "p/")
    install = Installer._install

    def installed(self: Installer, staged: str, path: str, *words: Any, **more: Any) -> Installed:
        _, note = install(self, staged, path, *words, **more)
        return Installed(world.write(path, b"mine").stat(), note)

    world.put("f", b"them")
    with monkeypatch.context() as patched:
        patched.setattr(Installer, "_install", installed)
        assert world.run("pull").ok
    world.put("f", b"more")
    assert world.run("pull").ok
    assert [content for _, content in world.trash()] == [b"mine"]
