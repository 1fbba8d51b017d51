"""The join equals a naive join of dicts, for any paths, and refuses streams that are out of order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nbsync.core.join import join, known_again, nested
from nbsync.core.model import Joined, LocalEntry, RemoteEntry
from nbsync.errors import ListingError
from tests.unit.core.entries import here, row, there

# Few characters around `/` (0x2f), so that paths are often prefixes of each other and traps of order.
PATHS = st.lists(st.text("a!-/0\U0001f600", min_size=1, max_size=6), unique=True, max_size=12)
TRAPS = ["xyz", "xyz-1", "xyz/test", "xyz0", "xyz1/test", "xyz!", "xyz!/a"]


def is_below(path: str, above: str) -> bool:
    """Does `path` lie below `above`? A folder marker's own name ends in the slash."""
    return path != above and path.startswith(above if above.endswith("/") else f"{above}/")


def naive(local: set[str], remote: set[str], recorded: set[str], refused: set[str]) -> dict[str, Joined]:
    """What join should say, by looking at every pair of paths."""
    everything = local | remote | recorded
    staying = {p for p in local | remote if p not in recorded or (p in local and p in remote)}
    found = {}
    for path in everything:
        above = sorted((p for p in everything if is_below(path, p)), key=len)
        below = [p for p in everything if is_below(p, path)]
        found[path] = Joined(
            path,
            here(path) if path in local else None,
            object_at(path, refused) if path in remote else None,
            row(path) if path in recorded else None,
            local_below=any(p in local for p in below),
            remote_below=any(p in remote and p not in refused for p in below),
            local_above=next((here(p) for p in reversed(above) if p in local), None),
            remote_above=next((object_at(p, refused) for p in reversed(above) if p in remote), None),
            above_stays=any(p in staying for p in above),
            below_stays=any(p in staying for p in below),
        )
    return found


def object_at(path: str, refused: set[str]) -> RemoteEntry:
    return there(path, refused="refused" if path in refused else "")


@given(PATHS, PATHS, PATHS, st.sets(st.sampled_from(TRAPS)))
@example(TRAPS, TRAPS, TRAPS, set())
@example(TRAPS, [], TRAPS, {"xyz/test"})
@example([], TRAPS[1:], ["xyz"], {"xyz!"})
def test_join_is_the_naive_join(local: list[str], remote: list[str], recorded: list[str], refused: set[str]) -> None:
    joined = list(
        join(map(here, sorted(local)), [object_at(p, refused) for p in sorted(remote)], map(row, sorted(recorded)))
    )

    assert len(joined) == len({one.path for one in joined})
    assert {one.path: one for one in joined} == naive(set(local), set(remote), set(recorded), refused)


@given(PATHS)
def test_a_path_comes_after_what_lies_below_it(paths: list[str]) -> None:
    order = [one.path for one in join(map(here, sorted(paths)), (), ())]

    assert all(order.index(below) < order.index(path) for path in paths for below in paths if is_below(below, path))


def test_it_streams() -> None:
    """A path is told as soon as nothing can come below it any more."""
    taken = []

    def names() -> Iterator[LocalEntry]:
        for name in ("a", "a/b", "b", "c", "d"):
            taken.append(name)
            yield here(name)

    stream = join(names(), (), ())
    assert (next(stream).path, taken[-1]) == ("a/b", "b")
    assert (next(stream).path, taken[-1]) == ("a", "b")


@pytest.mark.parametrize("paths", [["b", "a"], ["a", "a"], ["a/b", "a-b"], ["\U0001f600", "\uffff"]])
@pytest.mark.parametrize("stream", [0, 1, 2])
def test_out_of_order_is_refused(paths: list[str], stream: int) -> None:
    make = (here, there, row)[stream]
    streams: list[list[object]] = [[], [], []]
    streams[stream] = [make(path) for path in paths]
    with pytest.raises(ListingError, match="out of order"):
        list(join(*streams))  # type: ignore[arg-type]


def test_order_is_that_of_utf8() -> None:
    paths = ["\uffff", "\U0001f600"]
    assert paths == sorted(paths, key=str.encode)
    assert [one.path for one in join(map(here, paths), map(there, paths), ())] == paths


LOWER, UPPER = Joined("a", None, there("a"), None), Joined("A", None, there("A"), None)
BELOW, FILE = Joined("A/b", None, there("A/b"), None), Joined("a", here("a"), None, None)
FILE_BELOW = Joined("A/b", here("A/b"), None, None)
RENAMED = [Joined("A", here("A"), None, None), LOWER._replace(namesake="A")]


@pytest.mark.parametrize(
    ("above", "below", "pushed", "expected"),
    [
        ([LOWER], BELOW, False, {"a": "A/b"}),
        ([UPPER], BELOW, False, {}),
        ([LOWER._replace(local=here("a"))], BELOW, False, {"A/b": "a"}),
        ([FILE], BELOW, False, {}),  # no object: what is done with it is decided as elsewhere
        ([FILE], BELOW, True, {"A/b": "a"}),
        ([LOWER], FILE_BELOW, False, {}),
        ([LOWER], FILE_BELOW, True, {"a": "A/b"}),
        ([LOWER._replace(namesake="A")], BELOW, False, {"a": "A/b"}),
        (RENAMED, BELOW, True, {}),
        (RENAMED, BELOW._replace(path="a/b"), True, {"a/b": "A"}),
        ([FILE], FILE_BELOW, True, {}),
        ([LOWER._replace(local=here("a"))], BELOW._replace(local=here("A/b")), False, {}),
    ],
)
def test_clashes_with_what_is_above(above: list[Joined], below: Joined, pushed: bool, expected: dict[str, str]) -> None:
    found = list(nested([*above, below], str.lower, pushed=pushed))
    assert {one.path: one.clash for one in found if one.clash} == expected
    if expected == {} and below.local is not None and above[0].local is not None:
        assert not any(one.local_above or one.local_below for one in found)  # told apart


def test_an_object_of_ours_is_known_again_in_place_of_what_was_recorded() -> None:
    old, new, other = row("a"), row("a")._replace(etag="new"), row("a")._replace(etag="new", size=9)
    now = there("a")._replace(etag="new", size=new.size)
    seen = Joined("a", here("a"), now, old)
    assert list(known_again([seen], {"a": [other, new]})) == [seen._replace(recorded=new)]
    for same, ours in ((seen, {"b": [new]}), (seen, {"a": [other]}), (seen._replace(remote=None), {"a": [new]}),
                       (seen._replace(recorded=new._replace(mtime_ns=5)), {"a": [new]})):  # fmt: skip
        assert list(known_again([same], ours)) == [same]
