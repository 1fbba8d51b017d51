"""The jobs about very many keys, against tests.servers.plenty: a million files unchanged, and listings from afar."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench import trees
from tests.bench.contest import OURS, Bar, Contestant, Count, Outcome, Peak, Ratio, hold
from tests.bench.measure import Measured, Talker, expect, measure
from tests.bench.tools import Tool, env_for
from tests.bench.transfers import WARM, in_words
from tests.bench.world import ROUND_TRIP, World
from tests.servers.latency import LatencyRelay
from tests.servers.plenty import PlentyServer

PAGES = "page after page"


@contextmanager
def _plenty(keys: int) -> Iterator[PlentyServer]:
    server = PlentyServer(keys)
    try:
        yield server
    finally:
        server.stop()


def unchanged(world: World) -> list[Outcome]:
    """nothing changed, 1,000,000 files"""
    most = world.scale.many_files
    outcomes: list[Outcome] = []
    with _plenty(most) as server:
        fewer = _unchanged(world, server, most // 10, [Ratio("s5cmd")])

        def growth() -> float:
            return outcomes[0].medians(OURS).wall / most / (fewer.medians(OURS).wall / (most // 10))

        outcomes.append(_unchanged(world, server, most, [Ratio("s5cmd", 1.0, 0.6), Peak(250)]))
    linear = Count(f"nbsync's time per file / at {most // 10:,} files", growth, 1.15)
    outcomes[0].verdicts.append(linear.judge(outcomes[0].runs))
    return [fewer, *outcomes]


def _unchanged(world: World, server: PlentyServer, files: int, bars: list[Bar]) -> Outcome:
    """One tree for all the tools: none of them changes a thing, and that is checked."""
    local = trees.make_plenty(world.folder / f"plenty-{files}", files)
    bucket = server.bucket(files)
    untouched = trees.fingerprint(local)
    found = world.tools(OURS, "s5cmd", endpoint_url=server.endpoint_url)

    def run(tool: Tool) -> Measured:
        one, _ = measure(tool.pull(bucket, local), tool.env)
        expect(trees.fingerprint(local) == untouched, f"{tool.name} wrote a file where nothing had changed")
        return one

    try:
        run(found[0])  # nbsync records the state
        counted = json.loads(measure([*found[0].pull(bucket, local), "--json"], found[0].env)[1])
        expect(counted["counts"]["hit"] == files, f"not all were hits: {counted['counts']}")
        requests = {OURS: in_words(counted["requests"]), **_peers_requests(world, server, bucket, local)}
        moving = sum(count for kind, count in counted["requests"].items() if kind != "list")
        bars = [*bars, Count("requests other than LIST", lambda: moving, 0)]
        contestants = [Contestant(tool.name, lambda tool=tool: run(tool)) for tool in found]
        return hold(f"nothing changed, {files:,} files", contestants, world.scale.rounds, bars, requests)
    finally:
        trees.remove(local)


def _peers_requests(world: World, server: PlentyServer, bucket: str, local: Path) -> dict[str, str]:
    said = {}
    with LatencyRelay(server.endpoint_url, 0.0) as relay:
        for tool in world.tools("s5cmd", endpoint_url=relay.endpoint_url):
            measure(tool.pull(bucket, local), tool.env)
            said[tool.name] = in_words(relay.take_counts())
    return said


def listing(world: World) -> list[Outcome]:
    """list 100,000 keys with 40 ms added to each round trip"""
    keys = world.scale.listed_keys
    needed = -(-keys // 1000)
    added = f"with {ROUND_TRIP * 1000:.0f} ms added to each round trip"
    local = trees.make_plenty(world.folder / "listed", keys)
    with _plenty(keys) as server, LatencyRelay(server.endpoint_url, ROUND_TRIP) as relay:
        ours, other = (Talker(WARM, env_for(relay.endpoint_url)) for _ in range(2))
        bucket = server.bucket(keys)
        lists: dict[str, int] = {}
        requests: dict[str, str] = {}

        def call(name: str, who: str, *words: str) -> Measured:
            one, answer = (other if who == PAGES else ours).measure(json.dumps([name, *words]))
            expect(answer.get("keys", keys) == keys, f"{who} listed {answer.get('keys')} of {keys} keys")
            expect(answer.get("counts", {}).get("hit", keys) == keys, f"{who}: {answer.get('counts')}")
            expect(set(_sent(answer["requests"])) == {"list"}, f"{who} sent {answer['requests']}")
            lists[name] = max(lists.get(name, 0), answer["requests"]["list"])
            requests[who] = in_words(answer["requests"])
            return one

        pages = Contestant(PAGES, lambda: call("pages", PAGES, bucket))
        cold = Contestant(OURS, lambda: call("ls", OURS, bucket))
        known = Contestant(OURS, lambda: call("pull", OURS, bucket, str(local)))
        try:
            for one in (pages, cold, known):
                one.run()
            bars: list[Bar] = [Ratio(PAGES, 0.25), Count("LISTs / pages", lambda: lists["ls"] / needed, 1.25)]
            outcomes = [hold(f"list {keys:,} keys {added}: `nbsync.ls`, nothing recorded", [cold, pages],
                             world.scale.rounds, bars, dict(requests))]  # fmt: skip
            lists.clear()
            bars = [Ratio(PAGES), Count("LISTs / pages", lambda: lists["pull"] / needed, 1.10)]
            outcomes.append(hold(f"list {keys:,} keys {added}: a whole `nbsync.pull` that changes nothing, with state",
                                 [known, pages], world.scale.rounds, bars, requests))  # fmt: skip
        finally:
            ours.stop()
            other.stop()
    trees.remove(local)
    return outcomes


def _sent(requests: dict[str, int]) -> dict[str, int]:
    return {kind: count for kind, count in requests.items() if count}
