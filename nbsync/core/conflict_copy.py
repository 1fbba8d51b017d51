"""The name that a local version keeps beside REMOTE's when a conflict ends with both. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from itertools import count

from nbsync.core.names import MAX_SEGMENT_BYTES


def conflict_copy(path: str, now_ns: int, is_taken: Callable[[str], bool], word: str = "conflict") -> str:
    """`dir/stem.conflict-YYYYMMDD-HHMMSS.ext`, in UTC; with `-2`, `-3`, ... after the time where a name is taken.

    The last suffix is the extension; a name that begins with its only dot has none. A stem too long for the file
    system loses characters at its end.

    Args:
        path: relative, `/` between names.
        now_ns: the time of the run in ns since the epoch.
        is_taken: is there something of this name?
        word: in the place of `conflict`.
    """
    folder, slash, name = path.rpartition("/")
    stem, dot, ending = name.rpartition(".")
    if not stem:
        stem, dot, ending = name, "", ""
    moment = datetime.fromtimestamp(now_ns // 10**9, timezone.utc).strftime("%Y%m%d-%H%M%S")
    for number in count(1):
        middle = f".{word}-{moment}{f'-{number}' if number > 1 else ''}{dot}{ending}"
        room = MAX_SEGMENT_BYTES - len(middle.encode())
        kept = stem.encode()[: max(room, 0)].decode(errors="ignore")
        found = f"{folder}{slash}{kept}{middle}"
        if not is_taken(found):
            return found
    raise AssertionError("count never ends")
