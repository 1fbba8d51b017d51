"""Keys that are two to S3 and one file here: `A` and `a` on a file system that ignores case or accents' form."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

from nbsync.core import names
from nbsync.core.model import RemoteEntry


def without_twins(entries: Iterator[RemoteEntry], root: str, *, folding: bool | None = None) -> Iterator[RemoteEntry]:
    """The entries, with `refused` set on each that would be the same file as one before it.

    Names are only remembered where the file system at `root` folds them (`folding`; None: look).
    """
    if folding is None:
        folding = folds_names(root)
    return _refuse(entries) if folding else entries


def _refuse(entries: Iterator[RemoteEntry]) -> Iterator[RemoteEntry]:
    seen: dict[str, str] = {}
    for entry in entries:
        first = entry.path if entry.refused else seen.setdefault(names.twin_key(entry.path), entry.path)
        if first == entry.path:
            yield entry
        else:
            yield entry._replace(refused=f"is the same file as {first!r} on this file system")


def folds_names(root: str) -> bool:
    """Does the file system at `root` take two spellings for one name? Looks at what is there; creates nothing there."""
    place = root
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    name = os.path.basename(os.path.realpath(place))
    if name.swapcase() == name:  # no letters: ask where temporary files go, the likeliest same kind
        place = os.path.realpath(tempfile.gettempdir())
        name = os.path.basename(place)
    other = os.path.join(os.path.dirname(os.path.realpath(place)), name.swapcase())
    try:
        return name.swapcase() != name and os.path.samefile(place, other)
    except OSError:
        return False
