"""Renames that never overwrite what they did not expect: into nothing, or in exchange. Any thread.

Linux: renameat2(2), RENAME_NOREPLACE and RENAME_EXCHANGE. macOS: renameatx_np(2), RENAME_EXCL and RENAME_SWAP.
Where the system or the file system has neither, `into_nothing` goes by a hard link, and `exchange` says so.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from errno import EEXIST, EINVAL, EMLINK, ENOSYS, ENOTSUP, EOPNOTSUPP, EPERM
from typing import Any

NO_SUCH_CALL = (EINVAL, ENOSYS, ENOTSUP, EOPNOTSUPP)  # what a file system that cannot answers
NO_LINKS = (EPERM, EMLINK, *NO_SUCH_CALL)
_CALLS = {"linux": ("renameat2", 1, 2), "darwin": ("renameatx_np", 4, 2)}  # name, into nothing, exchange


class Unsupported(Exception):
    """This file system cannot exchange two names in one step."""


def _find() -> tuple[Any, int, int]:
    name, into_nothing, exchange = _CALLS.get(sys.platform, ("", 0, 0))
    call = None
    if name:
        with contextlib.suppress(OSError, AttributeError):
            call = getattr(ctypes.CDLL(None, use_errno=True), name)
            call.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
            call.restype = ctypes.c_int
    return call, into_nothing, exchange


_call, _INTO_NOTHING, _EXCHANGE = _find()


def _rename(name: str, fd: int, target: str, target_fd: int, flag: int) -> None:
    """One call of the system's. Raises: OSError, of errno ENOSYS where there is none."""
    if _call is None:
        raise OSError(ENOSYS, os.strerror(ENOSYS), target)
    if _call(fd, os.fsencode(name), target_fd, os.fsencode(target), flag):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def into_nothing(name: str, fd: int, target: str, target_fd: int) -> None:
    """Rename `name` in the open folder `fd` to `target` in `target_fd`, where nothing may be.

    Raises:
        FileExistsError: something is there; it was not touched. FileNotFoundError, OSError.
    """
    try:
        _rename(name, fd, target, target_fd, _INTO_NOTHING)
    except OSError as error:
        if error.errno not in (*NO_SUCH_CALL, EPERM):
            raise
        _link_or_rename(name, fd, target, target_fd)


def _link_or_rename(name: str, fd: int, target: str, target_fd: int) -> None:
    """The old way: a hard link does not overwrite either; only without links is there a moment between two calls."""
    try:
        os.link(name, target, src_dir_fd=fd, dst_dir_fd=target_fd, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
    else:
        os.unlink(name, dir_fd=fd)
        return
    with contextlib.suppress(FileNotFoundError):
        os.stat(target, dir_fd=target_fd, follow_symlinks=False)
        raise FileExistsError(EEXIST, os.strerror(EEXIST), target)
    os.rename(name, target, src_dir_fd=fd, dst_dir_fd=target_fd)


def exchange(name: str, fd: int, target: str, target_fd: int) -> None:
    """Let `name` and `target` change places in one step: there is something at both at every moment.

    Raises:
        Unsupported: this file system cannot. FileNotFoundError: one is not there. OSError.
    """
    try:
        _rename(name, fd, target, target_fd, _EXCHANGE)
    except OSError as error:
        if error.errno in (*NO_SUCH_CALL, EPERM):  # EPERM: a container's filter does not let the call through
            raise Unsupported from None
        raise
