"""Plan files on the disk: written whole or not at all, read by the line. Any thread."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator

from nbsync.core import planfile
from nbsync.core.model import Action
from nbsync.core.planfile import MAX_LINE, SavedPlan
from nbsync.errors import LocalError, UsageError

_BEGINNING = b'{"kind":"nbsync-plan"'


def check(path: str) -> None:
    """Make sure, before the plan is made, that it can be written to `path`.

    Raises:
        LocalError: it cannot.
    """
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise LocalError(f"--save {path}: there is no folder {folder}")
    if os.path.lexists(path) and not os.path.isfile(path):
        raise LocalError(f"--save {path}: something that is no regular file has this name")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise LocalError(f"--save {path}: {folder} cannot be written")
    if os.path.lexists(path) and not _is_plan(path):
        raise LocalError(f"--save {path}: a file that is no plan has this name", "Choose another FILE")


def _is_plan(path: str) -> bool:
    """Is the file empty, or begins as a plan does, so that nobody's work is lost when it is replaced?"""
    try:
        with open(path, "rb") as file:
            return file.read(len(_BEGINNING)) in (b"", _BEGINNING)
    except OSError:
        return False


def write(path: str, lines: Iterable[str]) -> None:
    """Write a plan file; an older one of its name is there until the new one is complete.

    Raises:
        LocalError: it cannot be written.
    """
    check(path)
    folder, name = os.path.split(os.path.abspath(path))
    half = os.path.join(folder, f".{name[:100]}.{os.getpid()}.half")
    try:
        with open(half, "x", encoding="ascii") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        os.replace(half, path)
    except OSError as error:
        raise LocalError(f"--save {path}: {error.strerror}", "Choose another FILE, or free some room") from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(half)


def load(path: str) -> SavedPlan:
    """The plan in a file: its header is read now, its items as they are asked for.

    Raises:
        LocalError: it cannot be read. UsageError: it is no plan, or a newer one; from `items`, a damaged line.
    """
    header = planfile.read_header(next(_lines(path), ""), path)

    def items() -> Iterator[Action]:
        lines = _lines(path)
        again = planfile.read_header(next(lines, ""), path)
        if again != header:
            raise UsageError(f"{path} was replaced while it was read", "Nothing was done; apply it again")
        return planfile.read_items(lines, header, path)

    return SavedPlan(header, items)


def _lines(path: str) -> Iterator[str]:
    """The file's lines; a line without end is cut, and bytes that are not UTF-8 are no text of a plan."""
    try:
        with open(path, "rb") as file:
            while line := file.readline(MAX_LINE + 2):
                yield line.decode("utf-8", "surrogateescape")
    except OSError as error:
        raise LocalError(
            f"{path}: {error.strerror}", "Write a plan with: nbsync plan pull|push ... --save FILE"
        ) from None
