"""The model's arithmetic, on figures that can be checked in the head."""

from __future__ import annotations

import math

import pytest

from tests.bench import model
from tests.bench.model import AWS, COSTS, M7G_LARGE, Costs, Data, Fleet, Prices, each, gets, lists, shared, unchanged

MiB = 1 << 20
PLAIN = Costs(coordinator_object=1e-3, coordinator_hit=1e-4, worker_object=1e-2, worker_byte=1e-6, relay_object=1e-4,
              row_bytes=100)  # fmt: skip
DEAR = Prices(list_request=2.0, get_request=1.0, gigabyte_out=10.0, worker_hour=3.0)
WIDE = Fleet(workers=5, cores=2, connections=10**6, wire=1e12, connection_rate=1e12, first_byte=1e-3)


@pytest.mark.parametrize(
    ("size", "count"), [(0, 1), (32 * MiB, 1), (32 * MiB + 1, 5), (64 * MiB, 8), (1024 * MiB, 64), (4096 * MiB, 256)]
)
def test_a_large_object_takes_a_get_a_range(size: int, count: int) -> None:
    assert gets(size) == count


@pytest.mark.parametrize(
    ("objects", "recorded", "count"),
    [(0, False, 1), (1_000, False, 1), (1_001, False, 2), (10_000, False, 10), (100_000, False, 125),
     (100_000, True, 110)],
)  # fmt: skip
def test_listings_are_within_the_contract(objects: int, recorded: bool, count: int) -> None:
    assert lists(objects, recorded=recorded) == count


@pytest.mark.parametrize(
    ("fleet", "rate", "least"),
    [
        (WIDE, 2 / 0.011, "cores"),  # 10 ms an object and 1 ms for its 1,000 bytes, on two cores
        (WIDE._replace(wire=50_000.0), 50.0, "network"),
        (WIDE._replace(connections=10, first_byte=0.4, connection_rate=10_000.0), 20.0, "connections"),  # 0.4 s + 0.1 s
    ],
)
def test_a_worker_is_as_fast_as_what_it_has_least_of(fleet: Fleet, rate: float, least: str) -> None:
    assert model.worker_rate(PLAIN, fleet, 1_000) == (pytest.approx(rate), f"workers' {least}")


def test_the_slowest_of_coordinator_workers_and_s3_is_the_limit() -> None:
    few = shared(PLAIN, DEAR, WIDE._replace(workers=1), Data(3_600_000, 1_000, prefixes=1_000))
    assert (few.limit, few.wall) == ("workers' cores", pytest.approx(5.5))
    many = shared(PLAIN, DEAR, WIDE._replace(workers=100), Data(3_600_000, 1_000, prefixes=1_000))
    assert (many.limit, many.wall) == ("coordinator", pytest.approx(1.0))
    assert many.knee == pytest.approx(1_000 / (2 / 0.011)) == few.knee  # 1,000 a second, of which a worker does 182
    throttled = shared(PLAIN, DEAR, WIDE, Data(5_500 * 3_600, 1_000, prefixes=1))
    assert throttled.hours["S3's rate"] == pytest.approx(1.0)


def test_dollars_are_requests_bytes_out_and_the_workers_time() -> None:
    one = shared(PLAIN, DEAR, WIDE, Data(3_600_000, 1_000, prefixes=1_000))
    assert one.requests == {"LIST": 4_500, "GET": 3_600_000}
    assert one.request_dollars == pytest.approx(4_500 * 2 + 3_600_000 + 3.6 * 10)
    assert one.worker_dollars == pytest.approx(one.wall * 5 * 3)
    assert one.memory == 360_000_000


def test_every_node_lists_and_fetches_for_itself() -> None:
    data = Data(3_600_000, 1_000, prefixes=1_000)
    one, all_of_them = shared(PLAIN, DEAR, WIDE, data), each(PLAIN, DEAR, WIDE, data)
    assert all_of_them.requests == {kind: 5 * count for kind, count in one.requests.items()}
    assert all_of_them.hours["workers' cores"] == pytest.approx(3_600_000 * 0.012 / 2 / 3_600)  # it decides too
    assert all_of_them.hours["coordinator"] == pytest.approx(5 * 3_600_000 * 1e-4 / 3_600)


def test_what_has_not_changed_costs_listings_alone() -> None:
    again = unchanged(PLAIN, DEAR, WIDE, Data(3_600_000, 0))
    assert again.requests == {"LIST": 3_960, "GET": 0}
    assert (again.wall, again.knee) == (pytest.approx(0.1), math.inf)


def test_the_list_prices_are_those_of_a_thousand_requests() -> None:
    million = shared(COSTS, AWS, M7G_LARGE, Data(1_000_000, 1))
    assert million.request_dollars == pytest.approx(0.4 + 1.25 * 0.005)


def test_the_table_has_a_row_a_job_and_says_what_it_rests_on() -> None:
    said = model.table(COSTS, AWS, M7G_LARGE, 10**8, 16, sizes=(4096, MiB)).splitlines()
    assert said[0] == "100,000,000 objects, 100 workers, 16 prefixes"
    assert len([line for line in said if line.startswith("| `--spread")]) == 4
    assert any("100,000,000 | 40.62" in line for line in said)
    assert [line for line in said if line.startswith("- S3: 5,500 GETs a second and prefix; $0.005 a thousand LISTs")]
