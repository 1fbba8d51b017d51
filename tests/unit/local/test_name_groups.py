"""Names by what they fold to: each group once, in an order in which a folder comes before what is in it."""

from __future__ import annotations

from contextlib import closing

import pytest

from nbsync.core.names import twin_key
from nbsync.errors import ListingError
from nbsync.local.name_groups import Groups
from tests.unit.core.entries import here, row, there


def test_groups_come_in_the_order_of_what_they_fold_to() -> None:
    with closing(Groups(twin_key)) as groups:
        groups.add(map(here, ["A", "a/b", "z\udcff"]), map(there, ["B", "a", "a-b"]), map(row, ["A/B", "a"]))
        found = [(name, *([one.path for one in side] for side in group)) for name, group in groups]
    assert found == [
        ("a", ["A"], ["a"], ["a"]),
        ("a-b", [], ["a-b"], []),
        ("a/b", ["a/b"], [], ["A/B"]),
        ("b", [], ["B"], []),
        ("z\udcff", ["z\udcff"], [], []),
    ]


def test_a_stream_out_of_order_is_refused() -> None:
    with closing(Groups(twin_key)) as groups, pytest.raises(ListingError):
        groups.add((), map(there, ["b", "a"]), ())


def test_objects_below_exactly_this_folder() -> None:
    with closing(Groups(twin_key)) as groups:
        groups.add([here("DIR/x")], map(there, ["Dir", "Dir.x", "dir/x", "dir0"]), [row("Dir/x")])
        assert groups.has_object_below("dir")
        assert not groups.has_object_below("Dir")
        assert not groups.has_object_below("DIR")
