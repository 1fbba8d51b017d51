"""File systems with quirks, as context managers that give the mount point; where one cannot be had, the test skips.

`quirk(*names)` is the file system of `fuse`; `coarse()` ext4 with 128-byte inodes, whose times are whole seconds, or
else `quirk("sec1")`; `exfat()`, `tmpfs(options)`. All need root, as CI is.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


class _Unavailable(Exception):
    """Why a file system cannot be had here."""


class Mount:
    """A mounted `quirk`.

    Attributes:
        path: the mount point.
        source: the folder behind it.
    """

    def __init__(self, path: Path, source: Path) -> None:
        self.path, self.source = path, source

    def fail(self, number: int, within: str, calls: Sequence[str] = ("lookup", "open", "opendir")) -> None:
        """Let the `number`-th of these calls below a folder named `within` fail once, with EIO (quirk `fail`)."""
        for end in (".fired", ".fail"):
            self._beside(end).unlink(missing_ok=True)
        order = {"number": number, "within": within, "calls": calls, "errno": errno.EIO, "at": time.time_ns()}
        self._beside(".fail-new").write_text(json.dumps(order))
        self._beside(".fail-new").rename(self._beside(".fail"))

    def fired(self) -> str:
        """The call that failed, and its path; empty if none did."""
        fired = self._beside(".fired")
        return fired.read_text() if fired.exists() else ""

    def heal(self) -> None:
        """Nothing fails any more."""
        self._beside(".fail").unlink(missing_ok=True)

    def _beside(self, end: str) -> Path:
        return self.source.with_name(self.source.name + end)


@contextmanager
def quirk(*names: str) -> Iterator[Mount]:
    """The FUSE file system of `fuse` with these quirks."""
    with _skipping(), _quirk(*names) as mount:
        yield mount


@contextmanager
def coarse() -> Iterator[Path]:
    """A file system whose time stamps are whole seconds."""
    with _skipping(), ExitStack() as stack:
        try:
            yield stack.enter_context(_image(["mkfs.ext4", "-q", "-I", "128"], ["mount"]))
        except _Unavailable:
            yield stack.enter_context(_quirk("sec1")).path


def exfat() -> AbstractContextManager[Path]:
    """A case-insensitive file system without links, whose time stamps are 10 ms (creation) or 2 s (FUSE)."""
    return _or_skip(lambda: _image(["mkfs.exfat"], ["mount.exfat-fuse"]))


def tmpfs(options: str = "size=50m") -> AbstractContextManager[Path]:
    """A new tmpfs with these mount options."""
    return _or_skip(lambda: _tmpfs(options))


@contextmanager
def _or_skip(made: Callable[[], AbstractContextManager[Path]]) -> Iterator[Path]:
    with _skipping(), made() as path:
        yield path


@contextmanager
def _skipping() -> Iterator[None]:
    """Without root or its tools a file system cannot be had: the test skips, and says why."""
    if os.geteuid():
        pytest.skip("mounting needs root")
    try:
        yield
    except _Unavailable as why:
        pytest.skip(str(why))


@contextmanager
def _place() -> Iterator[Path]:
    """A folder of its own, with the mount point `m`, which is unmounted in the end."""
    top = Path(tempfile.mkdtemp(prefix="nbsync-mount-"))
    (top / "m").mkdir()
    try:
        yield top
    finally:
        if os.path.ismount(top / "m"):
            subprocess.run(["umount", "-l", top / "m"], capture_output=True, check=False)
        shutil.rmtree(top, ignore_errors=True)


@contextmanager
def _quirk(*names: str) -> Iterator[Mount]:
    if not os.path.exists("/dev/fuse"):
        raise _Unavailable("there is no /dev/fuse")
    with _place() as top:
        source, point = top / "s", top / "m"
        source.mkdir()
        command = [sys.executable, "-X", "utf8", "-B", "-m", "tests.quirks.fuse", str(source), str(point), *names]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        process = subprocess.Popen(command, cwd=ROOT, text=True, **pipes)
        try:
            assert process.stdout is not None
            said = process.stdout.readline().strip()
            if said != "up":
                raise _Unavailable(f"FUSE: {said or 'no answer'}")
            yield Mount(point, source)
        finally:
            subprocess.run(["umount", "-l", point], capture_output=True, check=False)
            process.kill()
            process.communicate()


@contextmanager
def _image(make: list[str], mount: list[str], size_bytes: int = 100 << 20) -> Iterator[Path]:
    """A new file system on a loop device, which goes with its mount."""
    with _place() as top:
        image, point = top / "image", top / "m"
        with image.open("wb") as file:
            file.truncate(size_bytes)
        _run(*make, str(image))
        device = _run("losetup", "-f", "--show", str(image))
        try:
            _run(*mount, device, str(point))
        finally:  # the device is let go with the mount
            subprocess.run(["losetup", "-d", device], capture_output=True, check=False)
        if not os.path.ismount(point):
            raise _Unavailable(f"{mount[0]} mounted nothing")
        yield point


@contextmanager
def _tmpfs(options: str) -> Iterator[Path]:
    with _place() as top:
        _run("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(top / "m"))
        yield top / "m"


def _run(*command: str) -> str:
    if not shutil.which(command[0]):
        raise _Unavailable(f"there is no {command[0]}")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise _Unavailable(f"{command[0]}: {(done.stderr or done.stdout).strip()[-100:]}")
    return done.stdout.strip()
