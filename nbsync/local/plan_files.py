"""Plan files on the disk: written whole or not at all, read by the line. Any thread."""

from __future__ import annotations

import contextlib
import hmac
import os
from collections.abc import Iterator
from typing import BinaryIO

from nbsync.core import planfile
from nbsync.core.model import Action
from nbsync.core.planfile import MAX_LINE, SavedPlan
from nbsync.errors import LocalError, UsageError
from nbsync.local import own_secret
from nbsync.local.own_secret import NoSecret

_BEGINNING = b'{"kind":"nbsync-plan"'
_PURPOSE = "plan"
_PIECE_BYTES = 1 << 20


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


def write(path: str, lines: Iterator[str]) -> str:
    """Write a plan file; an older one of its name is there until the new one is complete.

    Its header bears a proof that this user made it. Returns a note where there is no secret to prove it with.

    Raises:
        LocalError: it cannot be written.
    """
    check(path)
    folder, name = os.path.split(os.path.abspath(path))
    half = os.path.join(folder, f".{name[:100]}.{os.getpid()}.half")
    try:
        with open(half, "xb") as file:
            note = _write_proved(file, lines)
            file.flush()
            os.fsync(file.fileno())
        os.replace(half, path)
        return note
    except OSError as error:
        raise LocalError(f"--save {path}: {error.strerror}", "Choose another FILE, or free some room") from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(half)


def _write_proved(file: BinaryIO, lines: Iterator[str]) -> str:
    """The lines; the first, the header, is written once more when the proof of all of them is known. As `write`."""
    header = next(lines)
    try:
        made = own_secret.begin(_PURPOSE)
    except NoSecret as error:
        file.write(header.encode())
        file.writelines(line.encode() for line in lines)
        return f"apply will not know this plan as yours: {error}"
    made.update(header.encode())
    file.write(planfile.with_proof(header, made.hexdigest()).encode())
    for line in lines:
        text = line.encode()
        made.update(text)
        file.write(text)
    file.seek(0)
    file.write(planfile.with_proof(header, made.hexdigest()).encode())
    return ""


def load(path: str) -> SavedPlan:
    """The plan in a file: its header is read now, its items as they are asked for.

    Raises:
        LocalError: it cannot be read. UsageError: it is no plan, or a newer one; from `items`, a damaged line.
    """
    with _opened(path) as file:
        first = _line_of(file)
        header = planfile.read_header(first, path)
        is_own = _is_proved(first, file)
        at = _stamp(file)

    def items() -> Iterator[Action]:
        with _opened(path) as file:
            if _stamp(file) != at:
                raise UsageError(f"{path} was replaced while it was read", "Nothing was done; apply it again")
            _line_of(file)
            yield from planfile.read_items(iter(lambda: _line_of(file), ""), header, path)

    return SavedPlan(header, items, is_own)


def _is_proved(first: str, file: BinaryIO) -> bool:
    """Did this user make the plan, whose first line was read from the file, and nobody edit it?"""
    header, told = planfile.without_proof(first)
    try:
        made = own_secret.begin(_PURPOSE) if told else None
    except NoSecret:
        return False
    if made is None:
        return False
    made.update(header.encode())
    while piece := file.read(_PIECE_BYTES):
        made.update(piece)
    return hmac.compare_digest(made.hexdigest(), told)


def _stamp(file: BinaryIO) -> tuple[int, ...]:
    at = os.fstat(file.fileno())
    return at.st_dev, at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns


def _line_of(file: BinaryIO) -> str:
    """The file's next line; one without end is cut, and bytes that are not UTF-8 are no text of a plan."""
    return file.readline(MAX_LINE + 2).decode("utf-8", "surrogateescape")


@contextlib.contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    try:
        with open(path, "rb") as file:
            yield file
    except OSError as error:
        raise LocalError(
            f"{path}: {error.strerror}", "Write a plan with: nbsync plan pull|push ... --save FILE"
        ) from None
