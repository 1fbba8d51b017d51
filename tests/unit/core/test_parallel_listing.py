"""Several ranges of a listing at once: every key once and in order, and a bound on requests that always holds."""

from __future__ import annotations

import functools
import hashlib
import random
import uuid
from bisect import bisect_right
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbsync.core.parallel_listing import HELD
from tests.unit.core.listing_world import Answer, Server, Walk

Keys = list[str]
made_once = functools.lru_cache(maxsize=2)  # making them takes longer than listing them; no test changes them


@made_once
def folders(count: int) -> Keys:
    return [f"d{i // 1000:04d}/f{i % 1000:05d}.bin" for i in range(count)]


@made_once
def counters(count: int) -> Keys:
    """Two fields that grow together: each page begins far behind the last, by one and the same stride."""
    return [f"d{i // 1000:04d}/f{i:07d}.bin" for i in range(count)]


@made_once
def parts(count: int) -> Keys:
    chance = random.Random(1)
    return [f"part-{i:07d}-{uuid.UUID(int=chance.getrandbits(128))}.parquet" for i in range(count)]


@made_once
def hashes(count: int) -> Keys:
    return sorted(hashlib.md5(b"%d" % i, usedforsecurity=False).hexdigest() for i in range(count))


@made_once
def dates(count: int) -> Keys:
    days = [f"year={2021 + m // 12}/month={m % 12 + 1:02d}/day={d:02d}" for m in range(60) for d in range(1, 29)]
    each = -(-count // len(days))
    return [f"{day}/part-{i:05d}.parquet" for day in days for i in range(each)][:count]


@made_once
def huge(count: int) -> Keys:
    """One huge folder between small ones."""
    small = [f"{name}-{i}/{j}" for name in ("alpha", "mid", "zeta") for i in range(200) for j in range(4)]
    return sorted([*small, *(f"big/{i:08d}.jpg" for i in range(count - len(small)))])


@made_once
def letters(count: int) -> Keys:
    chance = random.Random(2)
    some = [*range(0x61, 0x7B), *range(0x3B1, 0x3C9), *range(0x4E00, 0x4E80), *range(0x1F300, 0x1F340)]
    return sorted({"".join(chr(chance.choice(some)) for _ in range(8)) for _ in range(count)})


ALL = [folders, counters, parts, hashes, dates, huge, letters]


@pytest.fixture(scope="module", autouse=True)
def _forgotten_after_it() -> Iterator[None]:
    yield
    for make in ALL:
        make.cache_clear()


def needed(count: int) -> int:
    return max(1, -(-count // 1000))


def ends(keys: Keys) -> Keys:
    """Each 1,000th, if another follows."""
    return [key for key in keys[999::1000] if key != keys[-1]]


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 9_999, 10_000])
def test_up_to_10_000_keys_the_count_is_exact(make: Callable[[int], Keys], count: int) -> None:
    keys = make(10_000)[:count]
    for recorded in ([], ends(keys), ends(make(50_000))):
        walk = Walk(Server(keys).list, recorded=recorded)
        assert (walk.keys, walk.lists) == (keys, needed(count))


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("count", [10_001, 11_000, 13_500, 20_000, 35_500])
def test_a_listing_is_never_more_than_a_quarter_dearer(make: Callable[[int], Keys], count: int) -> None:
    keys = make(count)
    walk = Walk(Server(keys).list)
    assert walk.keys == keys
    assert walk.lists <= 1.25 * needed(len(keys))


@pytest.mark.slow
@pytest.mark.parametrize(("make", "rounds"), [(folders, 23), (counters, 24), (parts, 23), (hashes, 24), (dates, 32),
                                              (huge, 25), (letters, 40)])  # fmt: skip
def test_100_000_keys_that_nobody_knows(make: Callable[[int], Keys], rounds: int) -> None:
    keys = make(100_000)
    walk = Walk(Server(keys).list)
    assert walk.keys == keys
    assert walk.lists <= 1.25 * needed(len(keys))
    assert walk.rounds <= rounds
    assert walk.held <= HELD


@pytest.mark.slow
@pytest.mark.parametrize("make", ALL)
def test_100_000_keys_that_are_known(make: Callable[[int], Keys]) -> None:
    keys, chance = make(100_000), random.Random(3)
    same = Walk(Server(keys).list, recorded=ends(keys))
    assert (same.keys, same.lists) == (keys, needed(len(keys)))
    fewer = [key for key in keys if chance.random() > 0.01]
    more = sorted([*keys, *(f"{key}x" for key in keys if chance.random() < 0.01)])
    for now in (keys, fewer, more):
        walk = Walk(Server(now).list, recorded=ends(keys))
        assert walk.keys == now
        assert walk.lists <= 1.1 * needed(len(now))
        assert walk.rounds <= 25


@pytest.mark.slow
@pytest.mark.parametrize("make", [folders, huge])
def test_a_million_keys(make: Callable[[int], Keys]) -> None:
    keys = make(1_000_000)
    cold = Walk(Server(keys).list)
    assert (len(cold.keys), cold.lists <= 1250, cold.rounds <= 125) == (len(keys), True, True)
    known = Walk(Server(keys).list, recorded=ends(keys))
    assert (len(known.keys), known.lists, known.rounds <= 110) == (len(keys), 1000, True)
    assert max(cold.held, known.held) <= HELD


KEY = st.text(st.sampled_from("01289afAF-/._zé中\U0001f300"), max_size=8)


@settings(max_examples=60, deadline=None)
@given(st.sets(KEY, max_size=60), st.integers(0, 2**32), st.booleans(), st.integers(1, 20))
def test_any_keys_at_any_pace(few: set[str], seed: int, recorded: bool, at_once: int) -> None:
    """Each of a few beginnings stands for many keys; answers come back in any order."""
    chance = random.Random(seed)
    keys = sorted({f"{one}{chance.randrange(10**6)}{one}" for one in few for _ in range(chance.choice([1, 30, 900]))})
    was = sorted(chance.sample(keys, len(keys) * 9 // 10) + [f"{chance.random()}" for _ in range(500)])
    walk = Walk(Server(keys).list, recorded=ends(was) if recorded else (), at_once=at_once, seconds=chance.random)
    assert walk.keys == keys
    if not recorded:
        assert walk.lists <= needed(len(keys)) * (1.25 if len(keys) > 10_000 else 1)


# ---- servers that do not do what they are told ------------------------------------------------------


def ignoring(server: Server) -> Callable[[str, str], Answer]:
    return lambda token, _after: server.list(token, "")


def including(server: Server) -> Callable[[str, str], Answer]:
    """Begins with the key that it should start after."""

    def answer(token: str, after: str) -> Answer:
        entries, token_then = server.list(token, after)
        if after in server.keys and not token:
            entries = [entries[0]._replace(path=after), *entries]
        return entries, token_then

    return answer


def empty(server: Server) -> Callable[[str, str], Answer]:
    return lambda token, after: ([], "") if after and not token else server.list(token, after)


def skipping(server: Server) -> Callable[[str, str], Answer]:
    """Leaves out the first keys after a place."""

    def answer(token: str, after: str) -> Answer:
        skipped = bisect_right(server.keys, after) + 5
        return server.list(str(skipped) if after and not token else token, after)

    return answer


@pytest.mark.parametrize("fault", [ignoring, including, empty, skipping])
@pytest.mark.parametrize("make", [folders, hashes])
@pytest.mark.parametrize("seed", range(4))
def test_a_server_that_does_not_start_where_it_is_told(
    fault: Callable[[Server], Callable[[str, str], Answer]], make: Callable[[int], Keys], seed: int
) -> None:
    keys, chance = make(40_000), random.Random(seed)
    recorded = ends(keys) if seed % 2 and fault is not skipping else ()
    walk = Walk(fault(Server(keys)), recorded=recorded, seconds=chance.random)
    assert walk.keys == keys
    assert walk.spans.obeyed == (fault is empty or (fault is including and not recorded))
