"""The guards' predicates."""

from __future__ import annotations

import pytest

from nbsync.core import guard


@pytest.mark.parametrize(("seen", "delete", "allowed", "refused"), [
    (0, True, False, True), (1, True, False, False), (0, False, False, False), (0, True, True, False)])  # fmt: skip
@pytest.mark.parametrize("direction", ["pull", "push"])
def test_empty_source(direction: str, seen: int, delete: bool, allowed: bool, refused: bool) -> None:
    refusal = guard.empty_source(direction, "PLACE", seen, delete=delete, allowed=allowed)
    assert (refusal is not None) is refused
    if refusal is not None:
        assert refusal.exit_code == 3
        assert "PLACE" in str(refusal)
        assert "--allow-empty-source" in str(refusal)


@pytest.mark.parametrize(("deletes", "limit", "refused"), [
    (6, 5, True), (5, 5, False), (0, 0, False), (1, 0, True), (10**6, None, False)])  # fmt: skip
def test_too_many_deletes(deletes: int, limit: int | None, refused: bool) -> None:
    refusal = guard.too_many_deletes(deletes, limit)
    assert (refusal is not None) is refused
    if refusal is not None:
        assert f"{deletes} files, more than --max-delete {limit}" in str(refusal)


def test_no_room() -> None:
    assert guard.no_room(10, 10, "/x") is None
    refusal = guard.no_room(11_000, 10_000, "/x")
    assert refusal is not None
    assert "10,000 bytes, and this pull needs 11,000" in str(refusal)


@pytest.mark.parametrize(
    ("files", "size", "limits", "refused"),
    [
        (5, 50, guard.NO_LIMITS, ""), (5, 50, guard.Limits(5, 50), ""), (0, 0, guard.Limits(0, 0), ""),
        (6, 50, guard.Limits(5, 50), "5 files"), (5, 51, guard.Limits(5, 50), "50 bytes"),
        (1, 0, guard.Limits(0), "0 files"),
    ],
)  # fmt: skip
def test_more_than_the_owner_allows_is_refused(files: int, size: int, limits: guard.Limits, refused: str) -> None:
    refusal = guard.too_much(files, size, limits)

    assert (refused in str(refusal)) if refused else (refusal is None)
