"""Places that refuse what most allow: times, permissions, hard links, whole writes."""

from __future__ import annotations

import pytest

from nbsync.transfer.pulling import TIMES_NOT_KEPT
from tests.quirks import mounts
from tests.quirks.world import world

SIZES = {"small": 100, "whole": 100_000, "streamed": 1 << 20, "empty": 0}


def test_times_that_cannot_be_set() -> None:
    """The files come, each fetched once; it is said once, and the next run finds all as it should be."""
    with mounts.quirk("eperm") as mount, world(mount.path) as here:
        for name, size in SIZES.items():
            here.put(f"d/{name}", name.encode()[:1] * size)
        first = here.pull()
        assert (first.code, first.counts) == (0, {"miss": 4}), first
        assert first.requests["get"] == 4
        assert first.notes.count(TIMES_NOT_KEPT) == 1
        assert here.files() == {f"d/{name}": name.encode()[:1] * size for name, size in SIZES.items()}

        here.put("d/small", b"edited")
        second = here.pull()
        assert (second.code, second.counts) == (0, {"hit": 3, "miss": 1}), second
        third = here.pull()
        assert (third.code, third.counts, third.requests["get"]) == (0, {"hit": 4}, 0), third
        assert TIMES_NOT_KEPT not in third.notes
        assert here.push().requests["put"] == 0


@pytest.mark.parametrize("quirk", ["nolink", "shortw"])
def test_pull_edit_undo_and_push(quirk: str) -> None:
    with mounts.quirk(quirk) as mount, world(mount.path) as here:
        for name, size in SIZES.items():
            here.put(f"d/{name}", name.encode()[:1] * size)
        here.put("no digest", b"whole" * 9_000, etag="opaque")  # not one of those that come by hundreds
        first = here.pull()
        assert (first.code, first.counts) == (0, {"miss": 5}), first
        assert here.files() == here.remote()

        here.write("d/small", b"mine")
        here.put("d/small", b"theirs!")
        second = here.pull("--delete")
        assert (second.code, here.files()["d/small"]) == (0, b"theirs!"), second
        assert here.undo().code == 0
        assert here.files()["d/small"] == b"mine"
        last = here.push("--delete")
        assert (last.code, here.remote()["d/small"]) == (0, b"mine"), last
