"""Local trees: made, compared byte for byte, and seen to be untouched."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.bench.measure import expect
from tests.servers import plenty

SMALL_BYTES = 4096
_BLOCK = 1 << 20
_OWN = ".nbsync"


def make_small(folder: Path, files: int) -> Path:
    """`files` of 4 KiB, of random bytes, in 50 folders."""
    return make(folder, ((f"d{number % 50:02d}/f{number:05d}.bin", SMALL_BYTES) for number in range(files)))


def make_mixed(folder: Path, total_bytes: int) -> Path:
    """Files of 1 to 64 MB, of random bytes, together `total_bytes`. The same sizes each time."""
    sizes = random.Random(4)

    def files() -> Iterator[tuple[str, int]]:
        left = total_bytes
        while left > 0:
            size = min(left, sizes.randint(1, 64) * 10**6 + sizes.randrange(1000))
            yield f"d{left % 7}/f{left:010d}.bin", size
            left -= size

    return make(folder, files())


def make(folder: Path, files: Iterable[tuple[str, int]]) -> Path:
    """Files of random bytes: (relative path, size)."""
    for name, size in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for at in range(0, size, _BLOCK):
                file.write(os.urandom(min(_BLOCK, size - at)))
    return folder


def make_plenty(folder: Path, files: int) -> Path:
    """The first `files` objects of tests.servers.plenty, with their times."""
    for first in range(0, files, plenty.FOLDER):
        inside = folder / plenty.key_of(first).partition("/")[0]
        inside.mkdir(parents=True)
        for number in range(first, min(files, first + plenty.FOLDER)):
            path = f"{folder}/{plenty.key_of(number)}"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            os.write(descriptor, plenty.content_of(number))
            os.utime(descriptor, ns=(plenty.MODIFIED_NS, plenty.MODIFIED_NS))
            os.close(descriptor)
    return folder


def files_in(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Everything below a folder that is no folder, without what is nbsync's own."""
    waiting = [str(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name != _OWN:
                        waiting.append(entry.path)
                else:
                    yield entry


def expect_same(source: Path, copy: Path, who: str) -> None:
    """
    Raises:
        BenchError: `copy` does not hold the same files with the same bytes.
    """
    wanted, found = (
        {os.path.relpath(entry.path, folder): entry.stat().st_size for entry in files_in(folder)}
        for folder in (source, copy)
    )
    differing = sorted(set(wanted.items()) ^ set(found.items()))
    expect(not differing, f"{who} left another tree: {differing[:3]}")
    for name in wanted:
        with (source / name).open("rb") as one, (copy / name).open("rb") as other:
            while block := one.read(_BLOCK):
                expect(block == other.read(_BLOCK), f"{who} left other bytes in {name}")


class Fingerprint(NamedTuple):
    """What a run that changes nothing leaves as it is: a file that was written has another ctime."""

    files: int
    size: int
    newest_ctime_ns: int


def fingerprint(folder: Path) -> Fingerprint:
    """That of the files below a folder."""
    files = size = newest = 0
    for entry in files_in(folder):
        at = entry.stat(follow_symlinks=False)
        files, size, newest = files + 1, size + at.st_size, max(newest, at.st_ctime_ns)
    return Fingerprint(files, size, newest)


def remove(folder: Path) -> None:
    """Remove a folder, if there is one."""
    if folder.exists():
        shutil.rmtree(folder)
