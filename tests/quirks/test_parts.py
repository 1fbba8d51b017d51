"""Services that take fewer, or only larger, parts than S3; and parts of the size that the user asks for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.quirks.store import Request
from tests.quirks.world import World, world

MiB = 1 << 20


@pytest.fixture
def here() -> Iterator[World]:
    """A world of its own."""
    with world() as made:
        yield made


class Limit:
    """A service that takes `most` parts, and says so in words of its own; how many bytes of parts it was sent."""

    def __init__(self, most: int, code: str, message: str, *, at_completion: bool = False) -> None:
        self.most, self.code, self.message, self.at_completion = most, code, message, at_completion
        self.sent = self.begun = 0

    def __call__(self, request: Request) -> bool:
        number = int(request.query.get("partNumber", 0))
        self.begun += "uploads" in request.query
        self.sent += len(request.data) if number else 0
        if self.at_completion and request.command == "POST" and "uploadId" in request.query:
            number = len(request.store.uploads[request.query["uploadId"]].parts)
        elif self.at_completion:
            return False
        return number > self.most and request.error(400, self.code, self.message)


def sparse(here: World, path: str, size: int) -> Path:
    """A file of zeros."""
    file = here.write(path, b"")
    with file.open("r+b") as opened:
        opened.truncate(size)
    return file


WORDS = [
    ("InvalidArgument", "Part number must be an integer between 1 and 4, inclusive"),
    ("InvalidRequest", "The maximum number of parts is 4"),
    ("TooManyParts", "no"),
]


@pytest.mark.parametrize(("code", "message"), WORDS)
def test_fewer_parts_are_found_once_before_much_is_sent(here: World, code: str, message: str) -> None:
    limit = here.store.hook = Limit(4, code, message)
    for path in ("one", "two"):
        sparse(here, path, 26 * MiB)

    ran = here.push("--jobs", "1", "--part-size", "5MiB")

    assert (ran.code, ran.counts) == (0, {"miss": 2}), ran
    assert {len(body) for body in here.remote().values()} == {26 * MiB}
    assert here.store.uploads == {}
    assert limit.sent < 2 * 26 * MiB + 5 * MiB
    assert limit.begun <= 2 + 2, "the second file asked again"
    assert here.push().requests == {"list": 1, "head": 0, "get": 0, "put": 0, "delete": 0, "other": 0}
    assert here.run("verify", here.local, "b/p").counts == {"hit": 2}


def test_a_refusal_at_the_completion(here: World) -> None:
    here.store.hook = Limit(3, "TooManyParts", "At most 3 parts", at_completion=True)
    sparse(here, "f", 21 * MiB)
    ran = here.push("--part-size", "5MiB")
    assert (ran.code, len(here.remote()["f"]), here.store.uploads) == (0, 21 * MiB, {}), ran


def test_parts_that_are_too_small(here: World) -> None:
    def refuse(request: Request) -> bool:
        small = "partNumber" in request.query and len(request.data) == 5 * MiB
        return small and request.error(400, "EntityTooSmall", "Your proposed upload is too small")

    here.store.hook = refuse
    sparse(here, "f", 21 * MiB)
    ran = here.push("--part-size", "5MiB")
    assert (ran.code, len(here.remote()["f"]), here.store.uploads) == (0, 21 * MiB, {}), ran


def test_a_refusal_about_something_else_ends_the_upload(here: World) -> None:
    limit = here.store.hook = Limit(0, "InvalidArgument", "Invalid storage class")
    sparse(here, "f", 21 * MiB)
    ran = here.push("--part-size", "5MiB")
    assert (ran.code, limit.begun, here.store.uploads) == (1, 1, {})
    assert "Invalid storage class" in ran.words


def numbers(here: World) -> list[int]:
    """Of the parts that were sent."""
    return sorted(int(asked.query["partNumber"]) for asked in here.store.log if "partNumber" in asked.query)


@pytest.mark.parametrize(("size", "count"), [("5MiB", 3), ("6.5MB", 3), ("64MiB", 0), ("15MiB", 0), ("8388608", 2)])
def test_parts_of_the_size_that_is_asked_for(here: World, size: str, count: int) -> None:
    sparse(here, "f", 15 * MiB)
    ran = here.push("--part-size", size)
    assert (ran.code, numbers(here)) == (0, list(range(1, count + 1))), ran
    assert here.push().counts == {"hit": 1}
    (here.local / ".nbsync" / "state.sqlite3").unlink()
    assert here.push().counts == {"hit": 1}


def test_the_size_is_repeated(here: World) -> None:
    here.write("f")
    here.push("--part-size", "5MiB")
    sparse(here, "f", 11 * MiB)
    ran = here.run("push", cwd=here.local)
    assert (ran.code, numbers(here)) == (0, [1, 2, 3]), ran


@pytest.mark.parametrize("size", ["0", "1", "5MB", "6GiB", "-1", "many", "1e9", "NaN", "64 MiB/s"])
def test_sizes_that_make_no_sense(here: World, size: str) -> None:
    here.write("f")
    ran = here.push(f"--part-size={size}")
    assert (ran.code, here.remote()) == (2, {})
    assert "--part-size takes a size from 5MiB to 5GiB" in ran.error
