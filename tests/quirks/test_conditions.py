"""Writes on conditions that a service refuses, answers wrongly or ignores: nothing of others is overwritten unseen."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.quirks.store import Request
from tests.quirks.world import World, world

LOOKED = "each object was looked at just before (best effort)"
MiB = 1 << 20

Hook = Callable[[Request], bool]


@pytest.fixture
def here() -> Iterator[World]:
    """A world of its own."""
    with world() as made:
        yield made


def conditional(request: Request) -> bool:
    """Is it a write with a condition?"""
    return request.command in ("PUT", "POST", "DELETE") and bool({"if-match", "if-none-match"} & request.low.keys())


def false_refusals(request: Request) -> bool:
    """As RGW 16 does in a bucket that keeps versions: each If-Match is refused, each If-None-Match ignored."""
    if not conditional(request) or request.command == "DELETE":
        return False
    if "if-match" in request.low:
        return request.error(412, "PreconditionFailed")
    del request.low["if-none-match"]
    return False


def refusing(status: int, code: str) -> Hook:
    """A service that refuses conditions so."""
    return lambda request: conditional(request) and request.error(status, code)


PARTS = ("--part-size", "5MiB")


@pytest.mark.parametrize("size", [2, 300_000, 6 * MiB])
def test_an_edit_goes_through_a_server_that_refuses_each_if_match(here: World, size: int) -> None:
    here.write("a", b"1")
    here.push()
    here.store.hook = false_refusals
    here.write("a", b"2" * size)

    ran = here.push(*PARTS)

    assert (ran.code, ran.counts) == (0, {"miss": 1}), ran
    assert here.remote()["a"] == b"2" * size
    assert f"this server answers conditional writes wrongly: {LOOKED}" in ran.notes
    assert here.store.uploads == {}
    assert here.push().requests == {"list": 1, "head": 0, "get": 0, "put": 0, "delete": 0, "other": 0}


def test_somebody_elses_change_is_a_conflict_there_too(here: World) -> None:
    here.write("a", b"1")
    here.write("b", b"1")
    here.push()

    def meanwhile(request: Request) -> bool:
        if request.command == "PUT":
            here.put("b", b"theirs")
        return false_refusals(request)

    here.store.hook = meanwhile
    here.write("a", b"2!")
    here.write("b", b"2!")
    ran = here.push("--jobs", "1")

    assert (ran.code, ran.row("a")["status"], ran.row("b")["status"]) == (1, "miss", "conflict")
    assert here.remote() == {"a": b"2!", "b": b"theirs"}


def test_one_refusal_that_another_writer_explains_is_no_proof(here: World) -> None:
    """The object was another when the condition was looked at, and is the recorded one again afterwards."""
    here.write("a", b"1")
    here.push()
    refusals: list[str] = []

    def once(request: Request) -> bool:
        if conditional(request) and not refusals:
            refusals.append(request.key)
            return request.error(412, "PreconditionFailed")
        return False

    here.store.hook = once
    here.write("a", b"2!")
    ran = here.push()

    assert (ran.code, here.remote()["a"]) == (0, b"2!")
    assert not [note for note in ran.notes if "wrongly" in note]


def test_a_server_that_cannot_do_conditions(here: World) -> None:
    here.store.hook = refusing(501, "NotImplemented")
    here.write("a", b"1")
    here.write("b", b"1")
    ran = here.push()
    assert (ran.code, ran.counts) == (0, {"miss": 2}), ran
    assert f"this server refuses conditional writes: {LOOKED}" in ran.notes


def test_deletes_go_without_conditions_too(here: World) -> None:
    here.write("a", b"1")
    here.write("keep", b"1")
    here.push()
    (here.local / "a").unlink()
    here.store.hook = lambda request: "if-match" in request.low and request.error(412, "PreconditionFailed")
    ran = here.push("--delete")
    assert (ran.code, ran.counts.get("deleted"), here.remote()) == (0, 1, {"keep": b"1"}), ran


@pytest.mark.parametrize(("status", "code"), [(400, "InvalidArgument"), (403, "AccessDenied"), (400, "InvalidRequest")])
def test_refusals_that_may_mean_the_condition_name_the_option(here: World, status: int, code: str) -> None:
    here.write("a", b"1")
    here.store.hook = refusing(status, code)

    refused = here.push()
    assert refused.code == 1
    assert "--no-conditions" in refused.words

    ran = here.push("--no-conditions")
    assert (ran.code, here.remote()) == (0, {"a": b"1"}), ran
    assert f"conditions were left out (--no-conditions): {LOOKED}" in ran.notes


def test_a_refusal_for_another_reason_does_not_name_it(here: World) -> None:
    here.write("a", b"1")
    here.store.hook = refusing(400, "InvalidStorageClass")
    assert "--no-conditions" not in here.push().words


def test_no_conditions_overwrites_nothing_unseen_and_is_not_repeated(here: World) -> None:
    here.write("a", b"1")
    here.push("--no-conditions")
    here.write("a", b"mine")

    def meanwhile(request: Request) -> bool:
        if request.command == "HEAD":
            here.put("a", b"theirs")
        return False

    here.store.hook = meanwhile
    assert here.push("--no-conditions").row("a")["status"] == "conflict"
    assert here.remote() == {"a": b"theirs"}

    here.store.hook = refusing(400, "InvalidArgument")
    here.write("new", b"1")
    again = here.run("push", cwd=here.local)
    assert "--no-conditions" in again.words, "it was repeated by a push without words"


@pytest.mark.parametrize("size", [2, 6 * MiB])
def test_what_may_not_be_looked_at_is_decided_by_the_listing(here: World, size: int) -> None:
    """PutObject and ListBucket alone, with and without conditions."""
    here.store.hook = lambda request: (
        request.command in ("GET", "HEAD") and bool(request.key) and request.error(403, "AccessDenied")
    )
    for body, words in ((b"1", ()), (b"2", ()), (b"3", ("--no-conditions",))):
        here.write("a", body * size)
        ran = here.push(*words, *PARTS)
        assert (ran.code, here.remote()["a"]) == (0, body * size), ran
    here.store.hook = lambda request: conditional(request) and request.error(501, "NotImplemented")
    here.put("a", b"theirs")
    here.write("a", b"mine")
    assert here.push().row("a")["status"] == "conflict"


@pytest.mark.parametrize("code", ["SecurityTokenExpired", "RequestTimeout", "AuthorizationHeaderMalformed"])
def test_a_400_that_says_what_it_is_about_does_not_name_it(here: World, code: str) -> None:
    here.write("a", b"1")
    here.store.hook = refusing(400, code)
    ran = here.push("--retries", "0")
    assert ran.code
    assert "--no-conditions" not in ran.words + ran.err


@pytest.mark.parametrize("status", [501, 412])
def test_a_refusal_that_stays_without_conditions_says_nothing_of_them(here: World, status: int) -> None:
    here.write("a", b"1")
    here.write("b", b"1")
    here.store.hook = lambda request: (
        request.command == "PUT" and request.key == "p/a" and request.error(status, "NotImplemented")
    )
    bare: list[str] = []
    here.push("--retries", "0", "--jobs", "1")
    inner = here.store.hook

    def watch(request: Request) -> bool:
        if request.command == "PUT" and not conditional(request):
            bare.append(request.key)
        return inner(request)

    here.store.hook = watch
    here.write("b", b"22")
    here.write("c", b"1")
    ran = here.push("--retries", "0", "--jobs", "1")
    assert (ran.code, here.remote()) == (1, {"b": b"22", "c": b"1"}), ran
    assert set(bare) <= {"p/a"}
    assert not [note for note in ran.notes if "conditional writes" in note or note.startswith(":")]
