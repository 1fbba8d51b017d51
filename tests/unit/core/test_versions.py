"""Which version was the newest at a time: random histories against a replay of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nbsync.core.model import RemoteEntry
from nbsync.core.versions import Version, as_of
from tests.unit.core.entries import there

Change = tuple[str, int, bool]  # key, time, is it a delete?


@st.composite
def histories(draw: st.DrawFn) -> list[Change]:
    """What was done to a bucket, in the order in which it was done; several changes may fall into one tick."""
    steps = draw(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.booleans()), max_size=30))
    now, changes = 0, []
    for key, later, deleted in steps:
        now += later
        changes.append((key, now, deleted))
    return changes


def listed(changes: list[Change]) -> list[Version]:
    """As S3 lists them: keys ascending, the newest of a key first."""
    found: list[Version] = []
    for key in sorted({key for key, _, _ in changes}):
        own = [(number, change) for number, change in enumerate(changes) if change[0] == key]
        for number, (_, time, deleted) in reversed(own):
            entry = None if deleted else version(key, time, number)
            found.append(Version(key, time, number == own[-1][0], entry))
    return found


def version(key: str, time: int, number: int) -> RemoteEntry:
    return there(key, key=key, last_modified_ns=time, version_id=f"v{number}")


@given(histories(), st.integers(-1, 62))
def test_as_a_replay_has_it(changes: list[Change], moment: int) -> None:
    held: dict[str, str] = {}
    for number, (key, time, deleted) in enumerate(changes):
        if time <= moment:
            held.pop(key, None)
            if not deleted:
                held[key] = f"v{number}"

    found = list(as_of(listed(changes), moment))

    assert [(entry.key, entry.version_id) for entry in found] == sorted(held.items())


def test_the_latest_is_told_not_guessed() -> None:
    """An object made of parts is dated by the beginning of its upload, before one that was stored meanwhile."""
    versions = [
        Version("a", 10, True, version("a", 10, 2)),
        Version("a", 11, False, version("a", 11, 1)),
    ]
    assert [entry.version_id for entry in as_of(versions, 12)] == ["v2"]
    assert [entry.version_id for entry in as_of(versions, 9)] == []
