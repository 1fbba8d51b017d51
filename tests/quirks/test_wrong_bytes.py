"""A server, or something on the way, that changes a byte of some objects each time, in a way that no checksum shows.

What does not fit its ETag three times alike is kept only where no object of the endpoint has fitted its own.
"""

from __future__ import annotations

import pytest

from tests.quirks.store import Request
from tests.quirks.world import World, world

NO_DIGESTS = "this server's ETags are not digests of the content"


def damage(at: World, *paths: str) -> None:
    """Let each GET of these paths bring another first byte than the object's, always the same."""
    keys = {f"p/{path}" for path in paths}

    def hook(request: Request) -> bool:
        found = request.store.keys.get(request.key)
        if request.command != "GET" or request.key not in keys or found is None:
            return False
        return request.answer(200, b"#" + found.body[1:], [("ETag", f'"{found.etag}"')])

    at.store.hook = hook


@pytest.mark.parametrize(("bad", "size"), [("a", 3), ("z", 3), ("a", 200_000), ("m", 200_000)])
def test_one_wrong_object_among_right_ones_is_a_failure_wherever_it_comes(bad: str, size: int) -> None:
    with world() as at:
        for path in "abmyz":
            at.put(path, path.encode() * size)
        at.write(bad, b"as it was")
        damage(at, bad)
        for _ in range(2):
            ran = at.pull("--retries", 0)
            assert (ran.code, ran.row(bad)["status"], ran.counts["failed"]) == (1, "failed", 1), ran
            assert NO_DIGESTS not in ran.notes
            assert at.files() == {**at.remote(), bad: b"as it was"}
        at.store.hook = lambda _request: False
        assert at.pull().code == 0
        assert at.files() == at.remote()


def test_where_no_object_fits_its_etag_all_are_kept_with_a_note() -> None:
    with world() as at:
        for number in range(30):
            at.put(f"{number:02}", b"x%d" % number, etag=f"{number:032x}")
        ran = at.pull()
        assert (ran.code, ran.counts) == (0, {"miss": 30}), ran
        assert NO_DIGESTS in ran.notes
        assert at.files() == at.remote()
        assert at.pull().counts == {"hit": 30}
        assert at.store.sent("GET") == 0


def test_what_an_earlier_run_has_shown_is_remembered() -> None:
    with world() as at:
        at.put("a", b"right")
        assert at.pull().code == 0
        at.put("b", b"wrong")
        damage(at, "b")
        ran = at.pull("--retries", 0)
        assert (ran.code, ran.row("b")["status"]) == (1, "failed"), ran
        assert at.files() == {"a": b"right"}


def test_more_wrong_ones_than_are_held_back_are_told_of_when_others_fit() -> None:
    wrong = [f"a{number:02}" for number in range(25)]
    with world() as at:
        for path in [*wrong, "z"]:
            at.put(path, path.encode())
        damage(at, *wrong)
        ran = at.pull("--jobs", 1, "--retries", 0)
        assert ran.code == 1, ran
        assert {one["path"] for one in ran.problems} == set(wrong)
        again = at.pull("--jobs", 1, "--retries", 0)
        assert (again.code, again.counts) == (1, {"hit": 1, "failed": 25}), again
