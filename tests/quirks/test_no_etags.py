"""Servers that give no ETags, or only in some answers: what objects are is told by size and LastModified."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Iterator

import pytest

from tests.quirks.store import Request, StoredObject
from tests.quirks.world import World, world

BIG = 33 << 20
NOTE = "lists no ETags"


class Unlisted(Request):
    """ETags in answers, and none in listings."""

    def row(self, key: str, found: StoredObject) -> str:
        head, _, rest = super().row(key, found).partition("<ETag>")
        return head + rest.partition("</ETag>")[2]


class EmptyEtags(Request):
    """Every ETag is `""`."""

    def row(self, key: str, found: StoredObject) -> str:
        return super().row(key, found).replace("<Size>", "<ETag>&quot;&quot;</ETag><Size>")


class OnlyListed(Request):
    """ETags in listings, and none in answers."""

    def _about(self, found: StoredObject) -> list[tuple[str, str]]:
        return [(name, value) for name, value in super()._about(found) if name != "ETag"]

    def answer(self, status: int, body: str | bytes = b"", headers: list[tuple[str, str]] | None = None) -> bool:
        return super().answer(
            status, body, [one for one in headers or [] if self.command == "POST" or one[0] != "ETag"]
        )


class Weak(Request):
    """Every ETag is a weak one, by which no condition can be met."""

    def answer(self, status: int, body: str | bytes = b"", headers: list[tuple[str, str]] | None = None) -> bool:
        weak = [(name, f"W/{value}" if name == "ETag" else value) for name, value in headers or []]
        return super().answer(status, body, weak)

    def row(self, key: str, found: StoredObject) -> str:
        return super().row(key, found).replace("<ETag>", "<ETag>W/")


@contextlib.contextmanager
def odd(kind: type[Request], *, etags: bool) -> Iterator[World]:
    """A world on such a server, whose clock ticks at each PUT."""
    with world(kind=kind) as at:
        times = itertools.count(1)

        def made(found: StoredObject) -> None:
            found.modified = f"2024-05-06T07:08:{next(times):02}.123Z"
            found.etag = found.etag if etags else ""

        at.store.made = made
        yield at


KINDS = [(Request, False), (EmptyEtags, False), (Unlisted, True), (OnlyListed, True), (Weak, True)]


@pytest.mark.parametrize(("kind", "etags"), KINDS)
def test_what_was_pushed_is_known_again(kind: type[Request], etags: bool) -> None:
    with odd(kind, etags=etags) as at:
        at.write("a", b"one")
        at.write("b", b"b")
        assert at.push().counts == {"miss": 2}
        ran = at.push()
        assert (ran.code, ran.counts, at.store.sent("PUT")) == (0, {"hit": 2}, 0), ran
        assert at.push().requests["list"] == 1
        at.write("a", b"two")
        ran = at.push()
        assert (ran.code, ran.row("a")["status"], at.store.sent("PUT")) == (0, "miss", 1), ran
        at.write("a", b"longer")
        ran = at.push()
        assert (ran.code, ran.row("a")["status"]) == (0, "miss"), ran
        assert at.remote() == at.files()
        assert at.pull().counts == {"hit": 2}
        assert not any(at.store.sent(method) for method in ("GET", "PUT", "HEAD"))
        assert any(NOTE in note for note in ran.notes) == (kind not in (OnlyListed, Weak))


@pytest.mark.parametrize(
    ("kind", "etags", "edit"),
    [(Request, False, b"new"), (Request, False, b"longer"), (Unlisted, True, b"longer"), (OnlyListed, True, b"new"),
     (Weak, True, b"new")],
)  # fmt: skip
def test_an_edit_meets_what_another_has_pushed(kind: type[Request], etags: bool, edit: bytes) -> None:
    with odd(kind, etags=etags) as at:
        at.write("a", b"one")
        at.push()
        at.write("a", edit)
        at.put("a", b"two", modified="2024-06-06T00:00:00.000Z", etag=None if etags else "")
        ran = at.push("--delete")
        assert (ran.code, ran.row("a")["status"]) == (1, "conflict"), ran
        (at.local / "a").unlink()
        ran = at.push("--delete", "--allow-empty-source")
        assert (ran.code, ran.row("a")["status"]) == (1, "conflict"), ran
        assert at.remote() == {"a": b"two"}
        ran = at.pull()
        assert (ran.code, at.files()) == (0, {"a": b"two"})
        (at.local / "a").unlink()
        assert at.push("--delete", "--allow-empty-source").counts == {"deleted": 1}


@pytest.mark.parametrize(("kind", "etags"), KINDS)
@pytest.mark.parametrize("edit", [b"two", b"longer"])
def test_an_edit_of_one_side_goes_to_the_other_both_ways(kind: type[Request], etags: bool, edit: bytes) -> None:
    with odd(kind, etags=etags) as at:
        at.write("a", b"one")
        at.run("sync", at.local, "s3://b/p")
        at.write("a", edit)
        ran = at.run("sync", at.local, "s3://b/p")
        assert (ran.code, ran.row("a")["action"], ran.row("a")["status"]) == (0, "upload", "miss"), ran
        assert at.remote() == at.files() == {"a": edit}


@pytest.mark.parametrize("size", [3, BIG])
def test_a_change_after_the_listing_is_never_overwritten(size: int) -> None:
    with odd(Request, etags=False) as at:
        at.write("a", b"one")
        at.push()
        at.write("a", b"1" * size)
        listed = []

        def hook(request: Request) -> bool:
            if "list-type" in request.query:
                listed.append(request)
                if len(listed) == 2:
                    at.put("a", b"two", modified="2024-06-06T00:00:00.000Z", etag="")
            return False

        at.store.hook = hook
        ran = at.push()
        assert (ran.code, ran.row("a")["status"], at.remote()) == (1, "conflict", {"a": b"two"}), ran


def test_a_large_file_goes_up_and_is_known() -> None:
    with odd(Request, etags=False) as at:
        at.write("a", b"1" * BIG)
        assert at.push().counts == {"miss": 1}
        assert at.push().counts == {"hit": 1}
        assert at.pull().counts == {"hit": 1}


@pytest.mark.parametrize("later", ["2024-06-06T00:00:00.000Z", "2024-05-06T07:08:09.123Z"])
def test_a_large_object_that_is_replaced_while_it_comes_is_no_mixture(later: str) -> None:
    with odd(Request, etags=False) as at:
        at.put("a", b"1" * BIG, etag="")
        seen = []

        def hook(request: Request) -> bool:
            if "range" in request.low:
                seen.append(request)
                if len(seen) == 3:
                    at.put("a", b"2" * BIG, modified=later, etag="", headers={"Last-Modified-Of": "another"})
            return False

        at.store.hook = hook
        ran = at.pull()
        if later.startswith("2024-06"):
            assert ran.code == 0, ran
            assert hashlib.md5(at.files()["a"]).digest() == hashlib.md5(b"2" * BIG).digest()


def test_verify_says_that_nothing_is_known() -> None:
    with odd(Request, etags=False) as at:
        at.put("a", b"one", etag="")
        at.write("a", b"two")
        ran = at.run("verify", at.local, "s3://b/p")
        assert ran.row("a")["assurance"] == "unknown"
        assert at.run("verify", at.local, "s3://b/p", "--download").code == 1


def test_verify_by_the_etag_that_a_head_tells() -> None:
    with odd(Unlisted, etags=True) as at:
        at.put("a", b"one")
        at.write("a", b"one")
        ran = at.run("verify", at.local, "s3://b/p")
        assert (ran.code, ran.row("a")["evidence"]) == (0, "etag-md5")


def test_a_plan_is_held_against_size_and_time() -> None:
    with odd(Request, etags=False) as at:
        for path in "ab":
            at.put(path, b"one", etag="")
        plan = at.top / "plan"
        assert at.run("plan", "pull", "s3://b/p", at.local, "--save", plan).code == 0
        at.put("b", b"two", etag="", modified="2024-06-06T00:00:00.000Z")
        ran = at.run("apply", plan)
        assert (ran.code, ran.row("a")["status"], ran.row("b")["status"]) == (1, "miss", "conflict"), ran


@pytest.mark.parametrize("kind", [Unlisted, EmptyEtags])
@pytest.mark.parametrize("size", [2, 33 << 20])
def test_a_server_without_etags_where_no_head_is_allowed(kind: type[Request], size: int) -> None:
    """The listing names what was stored."""
    with odd(kind, etags=False) as at:
        at.store.hook = lambda request: request.command == "HEAD" and request.error(403, "AccessDenied")
        for body in (b"1" * size, b"2" * size):
            at.write("a", body)
            ran = at.push()
            assert (ran.code, ran.counts) == (0, {"miss": 1}), ran
            assert at.remote() == {"a": body}
        assert at.push().requests["put"] == 0
