"""`python -m tests.bench.model`: what 10^8 objects on 100 workers take: requests, dollars, hours, and what limits.

Pure arithmetic over what was measured for one object and one byte (`COSTS`, by `python -m tests.bench --only costs`
on a quiet machine) and over list prices. It knows nothing of stragglers, of throttling beyond the rates that S3
states, or of an engine's own ceilings: a lower bound, whose use is to tell what would be the first to give.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from nbsync.transfer.download import RANGED_BYTES
from nbsync.transfer.ranged import length_of_ranges

PAGE = 1_000  # keys in an answer to LIST
HOUR = 3_600.0


class Costs(NamedTuple):
    """Measured. CPU seconds on one core, but for `row_bytes`: the coordinator's memory for a file that moved."""

    coordinator_object: float  # list, decide, hand out, take back, record
    coordinator_hit: float  # list, decide, count
    worker_object: float
    worker_byte: float
    relay_object: float  # `--spread each`: what a file of a node costs the coordinator that shows it
    row_bytes: float


class Prices(NamedTuple):
    """US dollars, list prices."""

    list_request: float
    get_request: float
    gigabyte_out: float  # of 10**9 bytes, to where the workers are
    worker_hour: float


class Fleet(NamedTuple):
    """The workers, all alike. `wire` is the steady rate of one's network, bytes a second."""

    workers: int
    cores: float
    connections: int
    wire: float
    connection_rate: float  # bytes a second that S3 gives one connection
    first_byte: float  # seconds


class Data(NamedTuple):
    """Objects of one size, in so many prefixes that S3 serves apart from each other."""

    objects: int
    size: int
    prefixes: int = 1


# S3 Standard, us-east-1, https://aws.amazon.com/s3/pricing/: LIST $0.005 and GET $0.0004 a thousand; to EC2 in the same
# region $0, to the internet from $0.09 a GB. A worker: EC2 m7g.large on demand, Linux, us-east-1 $0.0816 an hour
# (https://aws.amazon.com/ec2/pricing/on-demand/), 2 cores, 0.937 Gb/s steady. As published in June 2026.
AWS = Prices(list_request=0.005 / 1000, get_request=0.0004 / 1000, gigabyte_out=0.0, worker_hour=0.0816)
INTERNET_GIGABYTE = 0.09
M7G_LARGE = Fleet(workers=100, cores=2, connections=64, wire=0.937e9 / 8, connection_rate=90e6, first_byte=0.03)
# GET a second and prefix, first byte and a connection's rate:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html
GETS_A_SECOND = 5_500

# `python -m tests.bench --only costs --rounds 3`, 2026-11-25: two cores for server, scheduler, workers and coordinator.
COSTS = Costs(coordinator_object=32.6e-6, coordinator_hit=17.4e-6, worker_object=111e-6, worker_byte=3.57e-9,
              relay_object=6.0e-6, row_bytes=228.0)  # fmt: skip
UNITS = {"coordinator_object": ("µs", 1e-6), "coordinator_hit": ("µs", 1e-6), "worker_object": ("µs", 1e-6),
         "worker_byte": ("ns", 1e-9), "relay_object": ("µs", 1e-6), "row_bytes": ("bytes", 1.0)}  # fmt: skip
SIZES = (4 << 10, 1 << 20, 100 << 20)


@dataclass(frozen=True)
class Prediction:
    """One job. `hours` by what could be the limit; the largest is the time it takes.

    Attributes:
        knee: so many workers keep the coordinator busy; more of them gain nothing.
        memory: bytes of the coordinator, for the rows of what moved.
    """

    requests: dict[str, int]
    hours: dict[str, float]
    request_dollars: float
    worker_dollars: float
    knee: float
    memory: float

    @property
    def limit(self) -> str:
        """What would have to be faster first."""
        return max(self.hours, key=self.hours.__getitem__)

    @property
    def wall(self) -> float:
        """Hours."""
        return self.hours[self.limit]


def gets(size: int) -> int:
    """GETs that fetch one object of `size` bytes: one, or one a range."""
    return 1 if size <= RANGED_BYTES else -(-size // length_of_ranges(size))


def lists(objects: int, *, recorded: bool) -> int:
    """LISTs of all keys: the contract's most, a tenth or (nothing recorded yet) a quarter above the pages."""
    pages = max(1, -(-objects // PAGE))
    return pages if objects <= 10 * PAGE else math.floor(pages * (1.10 if recorded else 1.25))


def worker_rate(costs: Costs, fleet: Fleet, size: int) -> tuple[float, str]:
    """Objects a second of one worker, and of what it has least: its cores, its network or its connections."""
    rates = {
        "workers' cores": fleet.cores / (costs.worker_object + costs.worker_byte * size),
        "workers' network": fleet.wire / size if size else math.inf,
        "workers' connections": fleet.connections / (gets(size) * fleet.first_byte + size / fleet.connection_rate),
    }
    least = min(rates, key=rates.__getitem__)
    return rates[least], least


def shared(costs: Costs, prices: Prices, fleet: Fleet, data: Data) -> Prediction:
    """A cold pull of all the data, once, by all the workers: `--spread shared`."""
    requests = {"LIST": lists(data.objects, recorded=False), "GET": data.objects * gets(data.size)}
    one, least = worker_rate(costs, fleet, data.size)
    coordinator = 1 / costs.coordinator_object
    hours = {
        "coordinator": data.objects / coordinator / HOUR,
        least: data.objects / (one * fleet.workers) / HOUR,
        "S3's rate": requests["GET"] / (GETS_A_SECOND * data.prefixes) / HOUR,
    }
    memory = costs.row_bytes * data.objects
    return _priced(requests, hours, prices, fleet, data.objects * data.size, coordinator / one, memory)


def each(costs: Costs, prices: Prices, fleet: Fleet, data: Data) -> Prediction:
    """A cold pull of all the data by every worker, which lists and decides itself: `--spread each`."""
    nodes = fleet.workers
    requests = {"LIST": nodes * lists(data.objects, recorded=False), "GET": nodes * data.objects * gets(data.size)}
    both = costs._replace(worker_object=costs.worker_object + costs.coordinator_object)
    one, least = worker_rate(both, fleet, data.size)
    relay = 1 / costs.relay_object
    hours = {
        "coordinator": nodes * data.objects / relay / HOUR,
        least: data.objects / one / HOUR,
        "S3's rate": requests["GET"] / (GETS_A_SECOND * data.prefixes) / HOUR,
    }
    memory = costs.row_bytes * nodes * data.objects
    return _priced(requests, hours, prices, fleet, nodes * data.objects * data.size, relay / one, memory)


def unchanged(costs: Costs, prices: Prices, fleet: Fleet, data: Data) -> Prediction:
    """The same pull again, nothing changed: the coordinator lists and decides, the workers have nothing to do."""
    requests = {"LIST": lists(data.objects, recorded=True), "GET": 0}
    hours = {"coordinator": data.objects * costs.coordinator_hit / HOUR}
    return _priced(requests, hours, prices, fleet._replace(workers=1), 0, math.inf, 0.0)


def _priced(requests: dict[str, int], hours: dict[str, float], prices: Prices, fleet: Fleet, moved: int,
            knee: float, memory: float) -> Prediction:  # fmt: skip
    asked = requests["LIST"] * prices.list_request + requests["GET"] * prices.get_request
    out = moved / 1e9 * prices.gigabyte_out
    wall = max(hours.values())
    return Prediction(requests, hours, asked + out, wall * fleet.workers * prices.worker_hour, knee, memory)


def table(costs: Costs, prices: Prices, fleet: Fleet, objects: int, prefixes: int,
          sizes: Sequence[int] = SIZES) -> str:  # fmt: skip
    """Markdown: a row for each size and job, and what it rests on."""
    jobs = [(f"`--spread shared`, {said(size)} each", shared(costs, prices, fleet, Data(objects, size, prefixes)))
            for size in sizes]  # fmt: skip
    jobs.append(("the same again, nothing changed", unchanged(costs, prices, fleet, Data(objects, 0, prefixes))))
    part = objects // fleet.workers
    jobs += [(f"`--spread each`, {part:,} objects to every worker, {said(size)} each",
              each(costs, prices, fleet, Data(part, size, prefixes))) for size in sizes[:2]]  # fmt: skip
    head = ["job", "LIST", "GET", "requests $", "workers $", "hours", "limit", "coordinator full at", "its rows, GB"]
    rows = [[name, *_figures(one)] for name, one in jobs]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join([f"{objects:,} objects, {fleet.workers} workers, {prefixes} prefixes", "",
                      *(f"| {' | '.join(line)} |" for line in lines), "", *_basis(costs, prices, fleet)])  # fmt: skip


def _figures(one: Prediction) -> list[str]:
    knee = "" if math.isinf(one.knee) else f"{one.knee:,.1f} workers" if one.knee < 10 else f"{one.knee:,.0f} workers"
    hours = f"{one.wall:,.1f}" if one.wall >= 1 else f"{one.wall:.2f}"
    return [f"{one.requests['LIST']:,}", f"{one.requests['GET']:,}", f"{one.request_dollars:,.2f}",
            f"{one.worker_dollars:,.2f}", hours, one.limit, knee, f"{one.memory / 1e9:,.1f}"]  # fmt: skip


def _basis(costs: Costs, prices: Prices, fleet: Fleet) -> list[str]:
    micro = {name: f"{value * 1e6:.1f} µs" for name, value in costs._asdict().items()}
    return [
        f"- CPU: the coordinator {micro['coordinator_object']} an object that moves, {micro['coordinator_hit']} a hit, "
        f"{micro['relay_object']} to show one of a node; a worker {micro['worker_object']} an object and "
        f"{costs.worker_byte * 1e9:.2f} ns a byte; {costs.row_bytes:.0f} bytes for a row",
        f"- a worker: {fleet.cores:g} cores, {fleet.wire * 8 / 1e9:.2f} Gb/s, {fleet.connections} connections of at "
        f"most {fleet.connection_rate / 1e6:.0f} MB/s, {fleet.first_byte * 1000:.0f} ms to the first byte, "
        f"${prices.worker_hour} an hour",
        f"- S3: {GETS_A_SECOND:,} GETs a second and prefix; ${prices.list_request * 1000:g} a thousand LISTs, "
        f"${prices.get_request * 1000:g} a thousand GETs, ${prices.gigabyte_out:g} a GB out",
    ]


def measured_costs(document: dict[str, Any]) -> Costs:
    """What a run of the bench has written of them; what it has not measured is as committed."""
    found = {verdict["what"]: verdict["value"] for job in document["jobs"] for verdict in job["verdicts"]}
    said = {name: f"{name}, {unit}" for name, (unit, _) in UNITS.items()}
    return COSTS._replace(**{name: found[what] * UNITS[name][1] for name, what in said.items() if what in found})


def said(size: int) -> str:
    """A size in words."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size / unit:g} {name}"
    return f"{size} B"


def main() -> None:
    words = argparse.ArgumentParser(prog="python -m tests.bench.model", description=__doc__,
                                    formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    words.add_argument("--objects", type=int, default=10**8)
    words.add_argument("--workers", type=int, default=M7G_LARGE.workers)
    words.add_argument("--prefixes", type=int, default=16, help="that S3 serves apart from each other")
    words.add_argument("--size", type=int, action="append", metavar="BYTES", help="of an object; repeatable")
    words.add_argument("--internet", action="store_true", help="the workers are not in the bucket's region")
    words.add_argument("--coordinator", type=float, metavar="MICROSECONDS", help="of CPU for an object that moves")
    words.add_argument("--measured", type=Path, metavar="FILE", help="of `python -m tests.bench --only costs --json`")
    given = words.parse_args()
    measured = measured_costs(json.loads(given.measured.read_text())) if given.measured else COSTS
    prices = AWS._replace(gigabyte_out=INTERNET_GIGABYTE) if given.internet else AWS
    slower = {} if given.coordinator is None else {"coordinator_object": given.coordinator / 1e6}
    costs = measured._replace(**slower)
    fleet = M7G_LARGE._replace(workers=given.workers)
    print(table(costs, prices, fleet, given.objects, given.prefixes, tuple(given.size or SIZES)))


if __name__ == "__main__":
    main()
