"""What is sent next: tables of what waits, what is under way and what lost workers had."""

from __future__ import annotations

import pytest

from nbsync.cluster.shared.batches import FILE_COST
from nbsync.cluster.shared.dispatch import TRIES, Batch, Dispatch
from nbsync.core.model import Action, Evidence, RemoteEntry, Status, Verb

SOON, LATER = 0.01, 0.06  # seconds after the first Action came: it waits 0.05 s for others


def action(path: str, size: int = 0) -> Action:
    remote = RemoteEntry(path, path, size, "e", 0)
    return Action(path, Verb.DOWNLOAD, Status.PLANNED, "r", Evidence.NONE, remote=remote)


def filled(count: int, size: int = 0) -> Dispatch:
    """So many Actions that came at 0 s."""
    made = Dispatch()
    for number in range(count):
        made.add(action(f"{number:04}", size), 0.0)
    return made


def sent(dispatch: Dispatch, now: float, *, workers: int = 2, is_last: bool = False) -> list[Batch]:
    """All batches that are sent at this moment."""
    found = []
    while (batch := dispatch.next(workers, now, is_last=is_last)) is not None:
        found.append(batch)
    return found


@pytest.mark.parametrize(("waiting", "now", "is_last", "batches", "why"), [
    (0, LATER, True, 0, "nothing waits"),
    (1, SOON, False, 0, "others may come"),
    (1, SOON, True, 1, "no others come"),
    (1, LATER, False, 1, "it has waited long enough for others"),
    (20, LATER, False, 2, "one for each idle worker, and not one more: it may grow"),
    (20, SOON, True, 4, "as small as that keeps both workers busy"),
    (2_000, SOON, False, 4, "whole ones go at once, two a worker"),
])  # fmt: skip
def test_how_many_batches_are_sent(waiting: int, now: float, is_last: bool, batches: int, why: str) -> None:
    found = sent(filled(waiting), now, is_last=is_last)
    assert len(found) == batches, why
    assert [batch.number for batch in found] == list(range(1, batches + 1))


def test_nothing_is_sent_twice_or_left_out() -> None:
    dispatch, paths = filled(1_000), []
    while batch := dispatch.next(2, LATER, is_last=True):
        paths += [one.path for one in batch.actions]
        assert dispatch.ended(batch.number) is batch
    assert paths == [f"{number:04}" for number in range(1_000)]
    assert dispatch.is_empty


@pytest.mark.parametrize(("count", "size", "workers", "full"), [
    (1, 1 << 40, 1, False),  # one that is large by itself
    (2, 1 << 40, 1, True), (256, 0, 1, False), (257, 0, 1, True), (257, 0, 2, False), (20_000, 0, 1_000, True),
])  # fmt: skip
def test_it_is_full_when_enough_waits_for_all(count: int, size: int, workers: int, full: bool) -> None:
    assert filled(count, size).full(workers) is full
    assert Dispatch().size.limit == 128 * FILE_COST  # what the table counts with


def test_what_a_lost_worker_had_is_sent_first_under_a_new_number_and_given_up_in_the_end() -> None:
    dispatch = filled(1)
    for tries in range(1, TRIES + 1):
        (batch,) = sent(dispatch, LATER)
        assert (batch.number, batch.tries, batch.is_repeated) == (tries, tries, tries > 1)
        dispatch.add(action(f"later {tries}"), LATER)
        assert dispatch.ended(batch.number) is batch
        assert dispatch.repeat(batch, batch.actions) is (tries < TRIES)
    assert [one.path for one in dispatch.drop()] == [f"later {tries}" for tries in range(1, TRIES + 1)]


def test_only_what_remains_is_sent_again() -> None:
    dispatch = filled(3)
    (batch,) = sent(dispatch, LATER, workers=1)
    dispatch.ended(batch.number)
    dispatch.repeat(batch, batch.actions[2:])
    (again,) = sent(dispatch, LATER)
    assert ([one.path for one in again.actions], again.is_repeated) == (["0002"], True)


def test_what_no_worker_has_begun_loses_no_try() -> None:
    dispatch = filled(1)
    for _ in range(2 * TRIES):
        (batch,) = sent(dispatch, LATER)
        assert not batch.is_repeated
        dispatch.take_back(batch)
    assert not dispatch.is_empty


def test_what_is_dropped_is_all_that_has_not_ended_and_nothing_of_it_ends_any_more() -> None:
    dispatch = filled(1_000)
    first, second, *_ = sent(dispatch, LATER)
    dispatch.ended(first.number)
    dispatch.ended(second.number)
    dispatch.keep(second, second.actions[1:])
    gone = {one.path for one in [*first.actions, second.actions[0]]}
    assert {one.path for one in dispatch.drop()} == {f"{number:04}" for number in range(1_000)} - gone
    assert dispatch.is_empty
    assert dispatch.ended(3) is None
    assert dispatch.numbers == ()
