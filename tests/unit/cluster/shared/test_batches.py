"""Batches: nothing lost, nothing doubled, none larger than it may be; and their size follows how long they take."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nbsync.cluster.shared.batches import FILE_COST, MOST_FILES, Backlog, Size, cost
from nbsync.core.model import Action, Evidence, Kind, LocalEntry, RemoteEntry, Status, Verb

sizes = st.lists(st.integers(0, 50 * FILE_COST), max_size=60)
limits = st.integers(1, 40 * FILE_COST)


def download(path: str, size: int) -> Action:
    remote = RemoteEntry(path, path, size, "etag", 0)
    return Action(path, Verb.DOWNLOAD, Status.PLANNED, "", Evidence.NONE, remote=remote)


def filled(these: list[int]) -> Backlog:
    backlog = Backlog()
    for number, size in enumerate(these):
        backlog.add(download(f"{number}", size))
    return backlog


@given(sizes, limits)
def test_nothing_is_lost_doubled_or_out_of_order(these: list[int], limit: int) -> None:
    backlog = filled(these)
    cut = []
    while backlog:
        cut += backlog.cut(limit)
    assert [action.path for action in cut] == [f"{number}" for number in range(len(these))]
    assert backlog.cost == 0
    assert backlog.cut(limit) == []


@given(sizes, limits)
def test_a_batch_costs_no_more_than_it_may_unless_it_is_one_file(these: list[int], limit: int) -> None:
    backlog = filled(these)
    while backlog:
        batch = backlog.cut(limit)
        assert len(batch) == 1 or sum(map(cost, batch)) <= limit


@given(st.lists(st.integers(0, 50 * FILE_COST), min_size=1, max_size=60), st.integers(1, 10))
def test_what_is_left_is_shared_evenly(these: list[int], workers: int) -> None:
    backlog, size = filled(these), Size()
    size.limit = 1 << 60
    share = size.share(backlog.cost, workers)
    batches = []
    while backlog:
        batches.append(backlog.cut(share))
    largest = max(map(cost, (one for batch in batches for one in batch)))
    assert all(sum(map(cost, batch)) <= max(share, largest) for batch in batches)
    assert len(batches) <= 2 * workers + 1  # two that follow each other hold more than a share


def test_many_small_files_are_several_batches() -> None:
    backlog = filled([0] * (MOST_FILES + 1))
    assert len(backlog.cut(1 << 60)) == MOST_FILES
    assert len(backlog.drop()) == 1
    assert (len(backlog), backlog.cost) == (0, 0)


def test_what_is_compared_costs_what_is_read() -> None:
    local = LocalEntry("a", Kind.FILE, 10 * FILE_COST, 0, 0, 0)
    action = download("a", 5)._replace(local=local, check=True)
    assert cost(action) == 11 * FILE_COST
    assert cost(action._replace(check=False)) == 5 + FILE_COST


def test_batches_grow_while_they_are_quick() -> None:
    size = Size()
    first = size.limit
    size.took(size.limit, 0.01)
    assert size.limit == 2 * first
    for _ in range(40):
        size.took(size.limit, 0.01)
    assert size.limit == 4 << 30


def test_batches_shrink_when_they_are_slow_but_not_to_nothing() -> None:
    size = Size()
    for _ in range(40):
        size.took(size.limit, 60.0)
    assert size.limit == 32 * FILE_COST


def test_batches_settle_at_a_second_or_two() -> None:
    size, rate = Size(), 200 << 20  # bytes a second
    for _ in range(20):
        size.took(size.limit, size.limit / rate)
    assert 1.0 <= size.limit / rate <= 2.0


def test_a_small_batch_at_the_end_says_nothing_of_large_ones() -> None:
    size = Size()
    before = size.limit
    size.took(FILE_COST, 0.001)
    assert size.limit == before
