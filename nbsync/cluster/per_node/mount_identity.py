"""Where LOCAL is for a worker: workers for which it is one directory are one node. Runs on the worker.

A directory is known by device and inode on a machine, not by its name: workers in containers may see one directory
under several names, and two under the same. One that is not there yet is known by its nearest parent that is.
"""

from __future__ import annotations

import os
import socket
import uuid
from typing import NamedTuple

from nbsync.local.scan import absolute_root


class Ancestor(NamedTuple):
    """A directory that is there, and the way from it down to LOCAL; empty if it is LOCAL."""

    device: int
    inode: int
    below: str


class MountIdentity(NamedTuple):
    """LOCAL as one worker sees it. `ancestors`: from the nearest directory that is there up to the root."""

    machine: str
    ancestors: tuple[Ancestor, ...]
    host: str
    local: str

    @property
    def name(self) -> str:
        """As people read it: `HOST:/real/path`."""
        return f"{self.host}:{self.local}"

    def is_at(self, other: MountIdentity) -> bool:
        """Is this the directory that `other` was, when it was looked at (it may have been made since)?"""
        return self.machine == other.machine and other.ancestors[0] in self.ancestors


def find_mount_identity(local: str) -> MountIdentity:
    """Where `local` is in this process. Nothing is created.

    Raises:
        OSError: even the root cannot be looked at.
    """
    path = os.path.realpath(absolute_root(local))
    ancestors, at, below = [], path, ""
    while True:
        try:
            seen = os.stat(at)
            ancestors.append(Ancestor(seen.st_dev, seen.st_ino, below))
        except OSError:
            if at == os.path.dirname(at):
                raise
        if at == os.path.dirname(at):
            return MountIdentity(_machine(), tuple(ancestors), socket.gethostname(), path)
        at, below = os.path.dirname(at), os.path.join(os.path.basename(at), below) if below else os.path.basename(at)


def _machine() -> str:
    """The machine that runs, whatever its containers call themselves."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return f"{uuid.getnode():x}"
