"""Policies that allow less than nbsync likes to ask: what is allowed is enough, or the word that is missing is said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.quirks.store import Request
from tests.quirks.world import World, world

MiB = 1 << 20


@pytest.fixture
def here() -> Iterator[World]:
    """A world of its own."""
    with world() as made:
        yield made


class Policy(NamedTuple):
    """What is denied, as a hook of the store."""

    list: bool = False
    head: bool = False
    get: bool = False
    ranges_ignored: bool = False

    def __call__(self, request: Request) -> bool:
        what = "head" if request.command == "HEAD" else "get" if request.key else "list"
        if request.command in ("GET", "HEAD") and getattr(self, what):
            return request.error(403, "AccessDenied", "Access Denied")
        if self.ranges_ignored:
            request.low.pop("range", None)
        return False


NO_LIST, NO_HEAD, GET_ALONE = Policy(list=True), Policy(head=True), Policy(list=True, head=True)


@pytest.mark.parametrize(
    ("policy", "size"),
    [
        (NO_LIST, 5),
        (NO_HEAD, 5),
        (GET_ALONE, 0),
        (GET_ALONE, 5),
        (GET_ALONE._replace(ranges_ignored=True), 5),
        (GET_ALONE, 33 * MiB),  # in ranges
    ],
)
def test_one_object_that_may_be_read_is_fetched(here: World, policy: Policy, size: int) -> None:
    body = b"d" * size
    here.put("a b.csv", body)
    here.store.hook = policy

    ran = here.run("pull", "b/p/a b.csv", here.local)

    assert (ran.code, ran.counts, here.files()) == (0, {"miss": 1}, {"a b.csv": body}), ran
    assert (here.local / "a b.csv").stat().st_mtime_ns // 10**9 == 1714979289  # as Last-Modified has it
    again = here.run("pull", "b/p/a b.csv", here.local)
    assert (again.code, again.counts) == (0, {"hit": 1})
    assert here.run("verify", here.local, "b/p/a b.csv").code == 0
    assert here.run("ls", "b/p/a b.csv").files[0]["size"] == size


@pytest.mark.parametrize("words", [("pull", "b/p"), ("ls", "b/p"), ("plan", "pull", "b/p")])
@pytest.mark.parametrize("policy", [NO_LIST, GET_ALONE, Policy(list=True, head=True, get=True)])
def test_a_folder_that_may_not_be_listed_is_refused_in_these_words(
    here: World, policy: Policy, words: tuple[str, ...]
) -> None:
    here.put("a.csv")
    here.store.hook = policy
    target = () if "ls" in words else (here.local,)
    ran = here.run(*words, *target)
    assert (ran.code, here.local.exists()) == (2, False), ran
    assert "may not be listed" in ran.error
    assert "s3:ListBucket" in ran.error


def test_a_push_to_a_folder_that_may_not_be_listed_is_refused(here: World) -> None:
    here.write("a")
    here.store.hook = NO_LIST
    ran = here.push()
    assert (ran.code, here.remote()) == (2, {})
    assert "may not be listed" in ran.error


def test_credentials_that_are_refused_are_no_policy(here: World) -> None:
    here.store.hook = lambda request: request.error(403, "InvalidAccessKeyId", "no such key")
    ran = here.pull()
    assert ran.code == 2
    assert "access key" in ran.error
    assert len(here.store.log) == 1


@pytest.mark.parametrize("etag", [None, "0" * 32 + "-3"])
def test_what_can_not_be_compared_without_a_head_is_sent_again(here: World, etag: str | None) -> None:
    """An object of others, of the file's size."""
    here.put("a", b"them", etag=etag)
    here.write("a", b"mine")
    here.store.hook = Policy(head=True, get=True)
    ran = here.push()
    assert (ran.code, here.remote()) == (0, {"a": b"mine"}), ran
    assert here.push().counts == {"hit": 1}
