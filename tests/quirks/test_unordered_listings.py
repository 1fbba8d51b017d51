"""Servers that list in another order than by key, or name a key twice: nothing is missed, deleted or overwritten."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nbsync.core.model import RemoteEntry
from nbsync.errors import ListingError
from nbsync.s3.prefetch import Page
from nbsync.s3.sorted_listing import collected
from tests.quirks.store import Request
from tests.quirks.test_wrong_bytes import damage
from tests.quirks.world import world

NAMES = ["a-b", "a.txt", "b/1", "b/2", "b-1", "b.x", "Z", "é", "z/y/x", "z-", "z.y"]
MANY = [f"b/{number:04}" for number in range(700)]  # more than are looked at before anything is done
NOTE = "does not list in key order"


class Walk(Request):
    """As a walk through folders."""

    def list(self, order: Callable[[list[str]], list[str]] | None = None) -> bool:
        return super().list(lambda keys: sorted(keys, key=lambda key: key.split("/")))


class Folded(Request):
    """Regardless of case."""

    def list(self, order: Callable[[list[str]], list[str]] | None = None) -> bool:
        return super().list(lambda keys: sorted(keys, key=str.lower))


class Twice(Request):
    """The last key of each page is the first of the next."""

    def list(self, order: Callable[[list[str]], list[str]] | None = None) -> bool:
        size = self.store.page_keys

        def repeat(keys: list[str]) -> list[str]:
            return [key for at in range(0, len(keys), size - 1) for key in keys[at : at + size]]

        return super().list(repeat)


@pytest.mark.parametrize(("kind", "page"), [(Walk, 1000), (Walk, 4), (Folded, 1000), (Folded, 2), (Twice, 4)])
def test_every_verb_sees_all_of_it(kind: type[Request], page: int) -> None:
    with world(kind=kind) as at:
        at.store.page_keys = page
        for name in NAMES:
            at.put(name, name.encode())
        first = at.pull()
        assert (first.code, at.files()) == (0, at.remote()), first
        assert sum(NOTE in note for note in first.notes) == 1
        ran = at.pull("--delete")
        assert (ran.code, ran.counts) == (0, {"hit": len(NAMES)}), ran
        ran = at.push("--delete")
        assert (ran.code, ran.counts, at.store.sent("PUT")) == (0, {"hit": len(NAMES)}, 0), ran
        assert at.run("verify", at.local, "s3://b/p").counts == {"hit": len(NAMES)}


@pytest.mark.parametrize("conditional", [False, True])
def test_an_object_that_is_listed_late_is_not_taken_for_absent(conditional: bool) -> None:
    with world(kind=Walk) as at:
        at.store.page_keys, at.store.conditional = 300, conditional
        for name in MANY:
            at.put(name)
            at.write(name)
        at.put("b-1", b"theirs")
        at.write("b-1", b"mine")
        at.write("b.new", b"new")
        at.write(MANY[0], b"edited")
        ran = at.push("--ignore-existing")
        assert (ran.code, ran.counts) == (0, {"miss": 1}), ran
        assert (at.remote()["b-1"], at.remote()["b.new"]) == (b"theirs", b"new")
        ran = at.push()
        assert (ran.code, ran.row("b-1")["reason"]) == (0, "replaces an object never synced here"), ran
        assert ran.counts == {"hit": len(MANY), "miss": 2}
        assert len({row["path"] for row in ran.files}) == len(ran.files) == len(MANY) + 2
        assert at.remote() == at.files()


def test_a_pull_that_has_begun_takes_what_comes_late() -> None:
    with world(kind=Walk) as at:
        at.store.page_keys = 300
        for name in [*MANY, "b-1"]:
            at.put(name, name.encode())
        at.write("b-1", b"edited")
        for name in MANY[::7]:
            at.write(name, name.encode())
        ran = at.pull()
        assert (ran.code, sum(ran.counts.values())) == (0, len(MANY) + 1), ran
        assert (ran.counts["hit"], len(ran.files)) == (100, len(MANY) + 1)
        assert (at.files(), list(at.trash().values())) == (at.remote(), [b"edited"])
        ran = at.run("verify", at.local, "s3://b/p")
        assert (ran.counts, ran.json["assurance"]["strong"]) == ({"hit": len(MANY) + 1}, len(MANY) + 1)
        assert len(at.run("ls", "s3://b/p").json["files"]) == len(MANY) + 1


def test_one_object_among_others_that_begin_so() -> None:
    with world(kind=Folded) as at:
        at.store.put("b", b"one")
        at.store.put("B-other", b"other")
        ran = at.run("pull", "s3://b/b", at.local)
        assert (ran.code, at.files()) == (0, {"b": b"one"}), ran


# ---- collected --------------------------------------------------------------------------------------


def entries(*paths: str) -> list[RemoteEntry]:
    return [RemoteEntry(path, path, 1, "e", 0) for path in paths]


def test_any_key_once_in_the_order_of_code_points() -> None:
    pages = {"": Page(entries("b", "\udc80", "a/b", "\uffff"), "1"), "1": Page([], "2"),
             "2": Page(entries("a", "\U00010000", "b", "é"), "")}  # fmt: skip
    got = [entry.path for page in collected(pages.__getitem__) for entry in page]
    assert got == sorted(["a", "a/b", "b", "é", "\udc80", "\uffff", "\U00010000"])


@pytest.mark.parametrize("fetch", [
    lambda _token: Page(entries("a"), "1"),
    lambda token: Page(entries("a"), str(int(token or 0) + 1)),
    lambda token: Page([], str(int(token or 0) + 1)),
    lambda token: Page(entries("ab"[token == "1"]), {"": "1", "1": "2", "2": "1"}[token]),
])  # fmt: skip
def test_only_a_circle_ends_it(fetch: Callable[[str], Page]) -> None:
    with pytest.raises(ListingError, match="circle"):
        list(collected(fetch))


def test_a_download_that_was_held_back_is_disowned_if_what_is_listed_late_shows_what_etags_are() -> None:
    with world(kind=Walk) as at:
        at.store.page_keys = 300
        for name in MANY[1:400]:
            at.put(name, etag="opaque")
        at.put(MANY[0], b"right")
        at.put("b-1", b"right too")
        damage(at, MANY[0])
        ran = at.pull("--retries", 0)
        assert (ran.code, [one["path"] for one in ran.problems]) == (1, [MANY[0]]), ran
        again = at.pull("--retries", 0)
        assert (again.code, again.row(MANY[0])["status"]) == (1, "failed"), again
