"""What a file in LOCAL has besides its content: time, group, owner, permissions, ACL, extended attributes. Any thread.

A new file has what a file has that is made in its folder: its group where the folder hands it down, and its default
ACL. Staging is another folder, so what it hands down is corrected. A file that takes another's place has that one's.

Some file systems (FUSE, CIFS, containers) refuse to change any of it. The content comes all the same.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import struct
import sys
from collections.abc import Callable
from errno import EACCES, EPERM
from functools import partial
from typing import NamedTuple

from nbsync.local.rename import NO_SUCH_CALL

NOT_KEPT = "here, not every file could be given the group, permissions or attributes that belong there"
_REFUSED = (EPERM, EACCES, *NO_SUCH_CALL)
_MODE_BITS = 0o666  # what a new file asks for, before the umask or a default ACL
_ACCESS_ACL, _DEFAULT_ACL = "system.posix_acl_access", "system.posix_acl_default"
# Not what says something of the content (IMA, EVM), nor what lets new content run with more rights.
_KEPT = ("user.", "trusted.", _ACCESS_ACL, "security.selinux")
_ACL_HEAD, _ACL_ENTRY = struct.Struct("<I"), struct.Struct("<HHI")  # version; tag, permissions, id: see acl(5)
_OWNER, _GROUP, _MASK, _OTHER = 0x01, 0x04, 0x10, 0x20
_UMASK = re.compile(rb"^Umask:\s*([0-7]+)", re.MULTILINE)
_ALWAYS_BY_FOLDER = sys.platform == "darwin"  # as in BSD, a folder hands its group down whatever its mode


class Manner(NamedTuple):
    """What a folder hands down to files that are made in it: a group, and a default ACL if it has one."""

    group: int
    acl: bytes


def manner_of(folder: int) -> Manner:
    """Of an open folder."""
    at = os.fstat(folder)
    handed_down = at.st_mode & stat.S_ISGID or _ALWAYS_BY_FOLDER
    return Manner(at.st_gid if handed_down else os.getegid(), _read(folder, _DEFAULT_ACL))


def set_time(file: str | int, mtime_ns: int) -> None:
    """Give a file its time, where the file system lets it be given one.

    Raises:
        OSError: the disk is at fault.
    """
    try:
        os.utime(file, ns=(mtime_ns, mtime_ns))
    except OSError as error:
        if error.errno not in _REFUSED:
            raise


def as_new(name: str, fd: int, made_in: Manner, goes_to: Manner) -> str:
    """Give a file that was made in one folder what it would have if it had been made in another.

    Args:
        name: of the file, in the open folder `fd`, or its absolute path.
        made_in: what it has.
        goes_to: what it is to have.

    Returns: `NOT_KEPT` if not all could be given; else nothing.

    Raises:
        OSError: the disk is at fault.
    """
    note = ""
    if made_in.group != goes_to.group:
        note = _given(lambda: os.chown(name, -1, goes_to.group, dir_fd=fd, follow_symlinks=False))
    if made_in.acl != goes_to.acl:
        note = _given(lambda: _inherit(name, fd, goes_to.acl)) or note
    return note


def as_old(name: str, fd: int, old: os.stat_result, old_name: str, old_fd: int, *, may_have_acl: bool) -> str:
    """Give a file what the one has whose place it takes, but not the right to run as its owner.

    Args:
        name: of the file, in the open folder `fd`, or its absolute path.
        old: the stat of the other, which is `old_name` in the open folder `old_fd`.
        may_have_acl: the file may have been handed down an ACL.

    Returns: as `as_new`.

    Raises:
        OSError: the disk is at fault.
    """
    new, kept, path = (
        os.stat(name, dir_fd=fd, follow_symlinks=False),
        _kept_of(_path(old_name, old_fd)),
        _path(name, fd),
    )
    note, mode = "", old.st_mode & 0o777
    if os.geteuid() == 0 and new.st_uid != old.st_uid:
        note = _given(lambda: os.chown(name, old.st_uid, -1, dir_fd=fd, follow_symlinks=False))
    if new.st_gid != old.st_gid:
        note = _given(lambda: os.chown(name, -1, old.st_gid, dir_fd=fd, follow_symlinks=False)) or note
    if may_have_acl and _ACCESS_ACL not in kept:
        _drop_acl(path)
    if stat.S_IMODE(new.st_mode) != mode:
        note = _given(lambda: os.chmod(name, mode, dir_fd=fd)) or note
    for attribute, value in kept.items():  # an ACL last decides on the mode
        note = _given(partial(_write, path, attribute, value)) or note
    return note


def _given(give: Callable[[], object]) -> str:
    try:
        give()
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        return NOT_KEPT
    return ""


def _inherit(name: str, fd: int, acl: bytes) -> None:
    """Give a file the access that a default ACL stands for; without one, what the umask leaves."""
    if acl:
        _write(_path(name, fd), _ACCESS_ACL, handed_down(acl))
    else:
        _drop_acl(_path(name, fd))
        os.chmod(name, _MODE_BITS & ~_umask(), dir_fd=fd)


def handed_down(default: bytes) -> bytes:
    """The ACL of a new file in a folder with this default ACL (acl(5), object creation)."""
    entries = list(_ACL_ENTRY.iter_unpack(default[_ACL_HEAD.size :]))
    limited = (_OWNER, _OTHER, _MASK if any(tag == _MASK for tag, _, _ in entries) else _GROUP)
    asked = _MODE_BITS & 0o7  # the same for all three
    made = [_ACL_ENTRY.pack(tag, may & asked if tag in limited else may, who) for tag, may, who in entries]
    return default[: _ACL_HEAD.size] + b"".join(made)


def _umask() -> int:
    """The process's, without changing it where the system tells it: other threads make files meanwhile."""
    with contextlib.suppress(OSError), open("/proc/self/status", "rb") as file:
        found = _UMASK.search(file.read())
        if found:
            return int(found[1], 8)
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _path(name: str, fd: int) -> str:
    """A path for calls that take no open folder; it goes through no link but the system's own."""
    return name if os.path.isabs(name) else f"/proc/self/fd/{fd}/{name}"


if sys.platform == "linux":

    def _read(file: str | int, attribute: str) -> bytes:
        try:
            return os.getxattr(file, attribute)
        except OSError:  # it has none, or may have none
            return b""

    def _write(path: str, attribute: str, value: bytes) -> None:
        os.setxattr(path, attribute, value, follow_symlinks=False)

    def _drop_acl(path: str) -> None:
        with contextlib.suppress(OSError):
            os.removexattr(path, _ACCESS_ACL, follow_symlinks=False)

    def _kept_of(path: str) -> dict[str, bytes]:
        try:
            found = [name for name in os.listxattr(path, follow_symlinks=False) if name.startswith(_KEPT)]
            return {name: os.getxattr(path, name, follow_symlinks=False) for name in found}
        except OSError:  # it may have none
            return {}

else:  # Python has no calls for them

    def _read(file: str | int, attribute: str) -> bytes:
        return b""

    def _write(path: str, attribute: str, value: bytes) -> None:
        raise AssertionError(f"{attribute} was read nowhere")

    def _drop_acl(path: str) -> None:
        pass

    def _kept_of(path: str) -> dict[str, bytes]:
        return {}
