"""Buckets that are in another region than requests are signed for, and services that send requests elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.quirks.store import Request
from tests.quirks.world import World, world

MALFORMED = "the region is wrong"


@pytest.fixture
def inside() -> Iterator[World]:
    """A world."""
    with world() as made:
        yield made


def region_of(request: Request) -> str:
    found = re.search(r"Credential=[^/]+/\d+/([^/]*)/", request.low.get("authorization", ""))
    return found[1] if found else ""


def in_garage(request: Request, *, by_header: bool) -> bool:
    """What Garage answers to what is signed for another region; a HEAD has no body."""
    if region_of(request) == "garage":
        return False
    headers = [("x-amz-bucket-region", "garage")] if by_header else []
    if request.command == "HEAD":
        return request.answer(400, headers=headers)
    region = "" if by_header else "<Region>garage</Region>"
    document = f"<Error><Code>AuthorizationHeaderMalformed</Code><Message>no</Message>{region}</Error>"
    return request.answer(400, document, headers)


@pytest.mark.parametrize("by_header", [True, False])
def test_an_endpoint_that_names_its_region_is_signed_for_it(inside: World, by_header: bool) -> None:
    inside.put("a")
    inside.store.hook = lambda request: in_garage(request, by_header=by_header)
    ran = inside.pull()
    assert ran.code == 0, ran
    inside.write("b")
    assert inside.push().code == 0
    assert inside.remote().keys() == inside.files().keys() == {"a", "b"}


@pytest.mark.parametrize("verb", ["pull", "push"])
def test_a_bucket_that_moves_while_files_are_on_their_way(inside: World, verb: str) -> None:
    for number in range(100):
        inside.put(str(number)) if verb == "pull" else inside.write(str(number))

    def hook(request: Request) -> bool:
        moved = bool(request.key) and inside.store.asked > 20
        return moved and in_garage(request, by_header=False)

    inside.store.hook = hook
    ran = inside.pull() if verb == "pull" else inside.push()
    assert ran.code == 0, ran
    assert len(inside.files()) == len(inside.remote()) == 100


def test_an_opt_in_region_is_asked_for_by_a_head(inside: World) -> None:
    inside.put("a")

    def hook(request: Request) -> bool:
        if region_of(request) == "me-south-1":
            return False
        if request.command == "HEAD":
            return request.answer(400, headers=[("x-amz-bucket-region", "me-south-1")])
        return request.error(400, "IllegalLocationConstraintException")

    inside.store.hook = hook
    ran = inside.pull()
    assert ran.code == 0, ran
    assert inside.files().keys() == {"a"}


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("keyed", [True, False])
def test_a_redirect_to_a_stranger_is_named_and_never_followed(inside: World, status: int, keyed: bool) -> None:
    with world() as stranger:
        inside.write("a", b"secret")
        there = f"{stranger.store.url}/b/p/a?x=y"
        inside.store.hook = lambda request: (
            bool(request.key) >= keyed and request.answer(status, headers=[("Location", there)])
        )
        ran = inside.push()
        assert ran.code in (1, 2), ran
        assert not ran.crashed
        assert stranger.store.url.removeprefix("http://") in ran.words
        assert not stranger.store.log
        assert not stranger.store.asked


@pytest.mark.parametrize("method", ["DELETE", "PUT"])
def test_a_bucket_that_moves_before_the_first_change(inside: World, method: str) -> None:
    """What listings are signed for is not asked: the change alone is refused."""
    inside.write("keep")
    inside.write("gone")
    inside.push()
    inside.store.hook = lambda request: request.command == method and in_garage(request, by_header=False)
    (inside.local / "gone").unlink()
    inside.write("keep", b"edited")
    ran = inside.push("--delete")
    assert (ran.code, inside.remote()) == (0, {"keep": b"edited"}), ran
