"""Does LOCAL's file system take several names for one, and which? It is asked; nothing is created."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import struct
import sys
import unicodedata
from collections.abc import Callable, Iterator

from nbsync.core.model import LocalEntry
from nbsync.core.names import one_form, twin_key
from nbsync.local.openat import FOLDER
from nbsync.local.scan import STATE_DIR

Fold = Callable[[str], str]

PROBE = "names-\u00e9"  # in each state directory: the file system is told by how it takes a case and an accent
_PROBE_IN_CAPITALS = "NAMES-\u00e9"
_NAMES = 200  # that are looked at in LOCAL where there is no such file
_OCTAL = re.compile(rb"\\([0-7]{3})")
_GETFLAGS, _CASEFOLD = 0x80086601, 0x40000000  # FS_IOC_GETFLAGS, FS_CASEFOLD_FL: Linux, include/uapi/linux/fs.h
_BY_FOLDER = ("ext4", "f2fs")  # may fold the names in some folders
_MAY_FOLD = ("apfs", "hfs", "hfsplus", "zfs", "cifs", "smb3", "vboxsf", "9p", "virtiofs", "vfat", "msdos", "exfat",
             "ntfs", "ntfs3")  # fmt: skip


def folding_of(root: str) -> Fold | None:
    """Gives the same text for all names that a file system at or below `root` may take for one; None: there are none.

    The probe in the state directory tells, unless that is a mount of its own. Before there is one, the names that are
    there tell, if any has a case and any an accent; and where none has, the kind of the file system.
    """
    found = {_fold_at(place) for place in (root, *_mounts_below(root))}
    return next((fold for fold in (twin_key, one_form) if fold in found), None)


def _fold_at(root: str) -> Fold | None:
    state_dir = os.path.join(root, STATE_DIR)
    if os.path.lexists(os.path.join(state_dir, PROBE)) and not os.path.ismount(state_dir):
        if os.path.lexists(os.path.join(state_dir, _PROBE_IN_CAPITALS)):
            return twin_key
        return (
            one_form if any(os.path.lexists(os.path.join(state_dir, other)) for other in _other_forms(PROBE)) else None
        )
    place = os.path.realpath(root)
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    cases = forms = False  # was a name seen by which they are told apart?
    for folder, name in _names(place):
        swapped, others = name.swapcase(), _other_forms(name)
        if swapped != name and _is_same(folder, name, swapped):
            return twin_key
        if any(_is_same(folder, name, other) for other in others):
            return one_form if cases else twin_key
        cases, forms = cases or swapped != name, forms or bool(others)
        if cases and forms:
            return None
    return None if not _may_fold(place) else one_form if cases else twin_key


def file_named(root: str, path: str, among: list[LocalEntry]) -> LocalEntry | None:
    """Which of these files below `root` has the name `path`, by which none of them is listed? None: none has it."""
    try:
        at = os.lstat(os.path.join(root, path))
    except (OSError, ValueError):
        return None
    if len(among) == 1:
        return among[0]
    known = (at.st_ino, at.st_size, at.st_mtime_ns)
    return next((entry for entry in among if (entry.inode, entry.size, entry.mtime_ns) == known), None)


def decomposes(root: str) -> bool:
    """Does the file system store names decomposed, as HFS+ does? Told by the probe in the state directory."""
    try:
        return unicodedata.normalize("NFD", PROBE) in os.listdir(os.path.join(root, STATE_DIR))
    except OSError:
        return False


def _other_forms(name: str) -> list[str]:
    if name.isascii():
        return []
    return [other for form in ("NFC", "NFD") if (other := unicodedata.normalize(form, name)) != name]


def _names(place: str) -> Iterator[tuple[str, str]]:
    """Some names on the file system of a folder: (folder, name)."""
    if not os.path.ismount(place):
        yield os.path.split(place)
    with contextlib.suppress(OSError), os.scandir(place) as entries:
        for _, entry in zip(range(_NAMES), entries, strict=False):
            yield place, entry.name


def _is_same(folder: str, one: str, other: str) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return os.path.samestat(os.lstat(os.path.join(folder, one)), os.lstat(os.path.join(folder, other)))
    return False


def _may_fold(place: str) -> bool:
    """May a file system of this kind fold names?"""
    if sys.platform != "linux":
        return sys.platform in ("darwin", "win32")
    kind = _kind(place)
    if kind in _BY_FOLDER:
        return _has_flag(place)
    return kind.startswith("fuse") or kind in _MAY_FOLD


def _kind(place: str) -> str:
    """The type of the file system that holds a folder; empty if that is not told."""
    with contextlib.suppress(OSError):
        at = os.stat(place).st_dev
        device = f"{os.major(at)}:{os.minor(at)}"
        return next((kind for number, _, kind in _mounts() if number == device), "")
    return ""


def _mounts_below(root: str) -> list[str]:
    above = os.path.join(os.path.realpath(root), "")
    return [point for _, point, _ in _mounts() if point.startswith(above) and os.path.isdir(point)]


def _mounts() -> list[tuple[str, str, str]]:
    """(device, mount point, type) of each mounted file system, the latest first; empty where the system does not say.

    Source: proc_pid_mountinfo(5), which writes blanks in names as octal numbers.
    """
    try:
        with open("/proc/self/mountinfo", "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return []
    found = []
    for line in reversed(lines):
        head, _, tail = line.partition(b" - ")
        fields = head.split(b" ", 5)
        point = _OCTAL.sub(lambda match: bytes([int(match[1], 8)]), fields[4])
        found.append((fields[2].decode(), os.fsdecode(point), os.fsdecode(tail.partition(b" ")[0])))
    return found


def _has_flag(place: str) -> bool:
    with contextlib.suppress(OSError):
        fd = os.open(place, FOLDER)
        try:
            (flags,) = struct.unpack("i", fcntl.ioctl(fd, _GETFLAGS, struct.pack("i", 0)))
        finally:
            os.close(fd)
        return bool(flags & _CASEFOLD)
    return False
