"""Listings that break or lie: the run ends with an error, and nothing was deleted, on either side."""

from __future__ import annotations

import re

import pytest

from nbsync.errors import NbsyncError
from tests.faults.world import FaultyWorld
from tests.functional.world import snapshot
from tests.servers.faults import At, Bytes, Changed, Close, Refusal, Reset, Stall, Told, slow_down
from tests.servers.proxy import Fault

pytestmark = pytest.mark.usefixtures("waits")

PAGE, PAGES = 10, 3
OBJECTS = PAGE * PAGES - 2
TOKEN = re.compile(rb"<NextContinuationToken>(.*?)</NextContinuationToken>")
CONTENTS = re.compile(rb"<Contents>.*?</Contents>", re.DOTALL)


def without_token(body: bytes) -> bytes:
    return TOKEN.sub(b"", body)


def out_of_order(body: bytes) -> bytes:
    found = CONTENTS.findall(body)
    swapped = body.replace(found[3], b"@@").replace(found[7], found[3])
    return swapped.replace(b"@@", found[7])


def one_twice(body: bytes) -> bytes:
    found = CONTENTS.findall(body)
    return body.replace(found[5], found[5] * 2)


def without_size(body: bytes) -> bytes:
    return re.sub(rb"<Size>\d+</Size>", b"", body, count=1)


def elsewhere(body: bytes) -> bytes:
    return body.replace(b"<Key>p", b"<Key>q", 1)


def always(page: bytes) -> Bytes:
    return lambda _body: page


class Repeated:
    """The second page is the first once more; or only its token is, so that the listing goes in a circle."""

    def __init__(self, *, token_only: bool) -> None:
        self._token_only = token_only
        self._first = b""

    def __call__(self, body: bytes) -> bytes:
        first, self._first = self._first, self._first or body
        if not first:
            return body
        token = TOKEN.search(first)
        assert token is not None
        return TOKEN.sub(token[0], body) if self._token_only else first


def faults() -> dict[str, tuple[Fault, int, int]]:
    """Name -> (fault, pages that pass first, how often it is met)."""
    return {
        "page-3-fails": (Refusal(500, "InternalError"), 2, -1),
        "page-3-denied": (Refusal(403, "AccessDenied"), 2, -1),
        "page-2-slow-down": (slow_down(), 1, -1),
        "page-2-reset": (Reset(At.ANSWER_BODY, 500), 1, -1),
        "page-2-cut": (Close(At.ANSWER_BODY, 500), 1, -1),
        "page-2-silent": (Stall(At.ANSWER_BODY, 500), 1, -1),
        "no-token": (Changed(without_token), 1, 1),
        "circle": (Changed(Repeated(token_only=True)), 0, 2),
        "no-size": (Changed(without_size), 1, 1),
        "other-prefix": (Changed(elsewhere), 1, 1),
        "half-the-xml": (Changed(lambda body: body[: len(body) // 2]), 1, 1),
        "empty": (Changed(always(b"")), 1, 1),
        "html": (Told(200, b"<html><body>Welcome</body></html>"), 1, 1),
        "binary": (Told(200, bytes(range(256))), 0, 1),
        "error-under-200": (Told(200, b"<Error><Code>InternalError</Code></Error>"), 1, -1),
    }


def passing_faults() -> dict[str, tuple[Fault, int, int]]:
    """The same, of those that a run gets over: by another try, or by sorting what is listed."""
    return {
        "page-3-cut": (Close(At.ANSWER_BODY, 500), 2, 1),
        "error-under-200": (Told(200, b"<Error><Code>InternalError</Code></Error>"), 1, 1),
        "out-of-order": (Changed(out_of_order), 1, 1),
        "one-twice": (Changed(one_twice), 0, 1),
        "page-repeated": (Changed(Repeated(token_only=False)), 0, 2),
    }


@pytest.fixture
def in_step(world: FaultyWorld) -> FaultyWorld:
    """Three pages of objects. LOCAL has three of them, and one file more at either end."""
    world.proxy.max_keys = PAGE
    for number in range(OBJECTS):
        world.put(f"{number:02}", b"%d" % number)
    for number in (7, 15, 25):
        world.write(f"{number:02}", b"%d" % number)
    world.write("!only here", b"1")
    world.write("zz only here", b"2")
    return world


@pytest.mark.parametrize("name", faults())
def test_deletes_need_a_whole_listing(in_step: FaultyWorld, name: str) -> None:
    world = in_step
    for direction in ("pull", "push"):
        fault, skip, times = faults()[name]
        rule = world.proxy.on(fault, "ListObjectsV2", skip=skip, times=times)
        before, listed = snapshot(world.local, own=False), len(world.keys())

        result = world.run(direction, delete=True, retries=1, timeout=0.3 if "silent" in name else 20,
                           filters=[("exclude", "[01]?")])  # fmt: skip

        assert rule.hits >= min(1, abs(times))
        assert isinstance(result.error, NbsyncError), result.counts
        assert result.exit_code in (1, 2)
        assert "\n" not in str(result.error)
        assert not result.counts["deleted"]
        assert snapshot(world.local, own=False) == before
        assert len(world.keys()) == listed
        world.counted(result)
        world.tidy()
        world.proxy.clear()


@pytest.mark.parametrize("name", ["page-3-fails", "half-the-xml"])
def test_what_streamed_before_is_kept_and_whole(in_step: FaultyWorld, name: str) -> None:
    world = in_step
    fault, skip, times = faults()[name]
    world.proxy.on(fault, "ListObjectsV2", skip=skip, times=times)
    few = [("exclude", "*"), ("include", "*7")]
    result = world.run("pull", retries=1, filters=few)
    assert result.error is not None
    assert result.exit_code in (1, 2)
    arrived = {path: body for path, body in world.files().items() if path.endswith("7")}
    assert arrived == {path: b"%d" % int(path) for path in arrived}
    world.tidy()
    world.proxy.clear()
    assert world.run("pull", filters=few).ok
    assert len([path for path in world.files() if path.endswith("7")]) == 3


@pytest.mark.parametrize("name", passing_faults())
@pytest.mark.parametrize("direction", ["pull", "push"])
def test_a_listing_that_recovers_is_a_whole_one(in_step: FaultyWorld, direction: str, name: str) -> None:
    world = in_step
    fault, skip, times = passing_faults()[name]
    world.proxy.on(fault, "ListObjectsV2", skip=skip, times=times)
    plan = world.run(direction, dry_run=True, delete=True)
    assert plan.error is None
    assert sum(plan.counts.values()) == OBJECTS + 2
    assert PAGES < plan.requests["list"] <= 2 * PAGES + 1
