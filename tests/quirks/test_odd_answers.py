"""Answers that say in their body what their status does not: an `<Error>`, a page of a proxy, nothing at all."""

from __future__ import annotations

import pytest

from tests.quirks.store import Request
from tests.quirks.world import World, world

ERROR = "\n<?xml version='1.0'?>\n<Error><Code>{}</Code><Message>not now</Message></Error>"
BIG = bytes(33 << 20)


class Failing:
    """Answers the first `times` requests that `which` chooses with status 200 and a body."""

    def __init__(self, at: World, which: str, body: str, times: int) -> None:
        self.which, self.body, self.left, self.asked = which, body, times, 0
        at.store.hook = self

    def __call__(self, request: Request) -> bool:
        kind = "LIST" if request.command == "GET" and not request.key else request.command
        if "uploads" in request.query or "partNumber" in request.query:
            kind = ""
        if kind != self.which:
            return False
        self.asked += 1
        self.left -= 1
        return self.left >= 0 and request.answer(200, self.body)


@pytest.mark.parametrize("code", ["SlowDown", "InternalError"])
@pytest.mark.parametrize("which", ["LIST", "PUT", "POST", "DELETE"])
def test_an_error_under_a_status_of_200_is_tried_again(which: str, code: str) -> None:
    with world() as at:
        failing = Failing(at, which, ERROR.format(code), 1)
        at.put("gone")
        at.write("small", b"1")
        if which == "POST":
            at.write("big", BIG)
        ran = at.push("--delete")
        assert ran.code == 0, ran
        assert at.remote() == at.files()
        assert failing.asked == 2


@pytest.mark.parametrize(("which", "exit_code"), [("LIST", 2), ("PUT", 1), ("DELETE", 1)])
def test_an_error_that_stays_is_told_as_with_its_own_status(which: str, exit_code: int) -> None:
    with world() as at:
        failing = Failing(at, which, ERROR.format("AccessDenied"), 99)
        at.put("gone")
        at.write("small", b"1")
        ran = at.push("--delete")
        assert (ran.code, failing.asked <= 2, "AccessDenied" in ran.words) == (exit_code, True, True), ran
        assert "gone" in at.remote()


@pytest.mark.parametrize(
    ("body", "words"), [("", "an empty body"), ("<html><title>Log in</title></html>", "an HTML page ('Log in')")]
)
def test_what_is_no_listing_is_never_taken_for_an_empty_one(body: str, words: str) -> None:
    with world() as at:
        Failing(at, "LIST", body, 99)
        at.put("theirs")
        at.write("mine", b"1")
        for ran in (at.pull("--delete", "--allow-empty-source"), at.push("--delete")):
            assert ran.code == 2, ran
            assert words in ran.words
        assert (set(at.files()), set(at.remote())) == ({"mine"}, {"theirs"})


def test_an_object_that_is_an_error_document_is_a_file() -> None:
    with world() as at:
        at.put("small", ERROR.format("SlowDown").encode())
        at.put("large", ERROR.format("SlowDown").encode() + bytes(200_000))
        ran = at.pull()
        assert ran.code == 0, ran
        assert at.files() == at.remote()
