"""What the tests of storage do to a LOCAL, and how they look at it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nbsync.core.model import Kind, LocalEntry
from nbsync.local.state_dir import StateDir


def staged(state_dir: StateDir, content: bytes = b"new") -> str:
    path = Path(state_dir.stage) / "1-0"
    path.write_bytes(content)
    os.utime(path, ns=(1, 123_456_789))
    return str(path)


def entry(root: Path, path: str) -> LocalEntry:
    at = os.lstat(root / path)
    return LocalEntry(path, Kind.FILE, at.st_size, at.st_mtime_ns, at.st_ctime_ns, at.st_ino)


def trash(state_dir: StateDir) -> dict[str, bytes]:
    found = Path(state_dir.trash)
    return {path.relative_to(found).as_posix(): path.read_bytes() for path in found.rglob("*") if path.is_file()}


def every_trash(root: Path) -> dict[str, bytes]:
    home = root / ".nbsync/trash"
    return {path.relative_to(home).as_posix(): path.read_bytes() for path in home.rglob("*") if path.is_file()}


def before(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, do: Callable[[], object], *, times: int = 99
) -> None:
    """Do something at each of the first `times` calls of `module.name`, just before it."""
    real, calls = getattr(module, name), []

    def call(*words: Any, **more: Any) -> Any:
        calls.append(name)
        if len(calls) <= times:
            do()
        return real(*words, **more)

    monkeypatch.setattr(module, name, call)
