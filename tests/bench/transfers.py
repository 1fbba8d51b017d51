"""The jobs that move files, or find that nothing is to be moved: whole processes against whole processes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench import trees
from tests.bench.contest import OURS, Bar, Contestant, Count, Outcome, Peak, Ratio, hold
from tests.bench.measure import Measured, Talker, expect, measure
from tests.bench.tools import PEERS, Tool, env_for
from tests.bench.world import ROUND_TRIP, World

HASHING = [sys.executable, "-I", "-S", str(Path(__file__).parent / "programs" / "hashing.py")]
WARM = [sys.executable, "-m", "tests.bench.programs.warm"]
ONE_HASH, ALL_HASHES = "one MD5", "hashing alone"


class Transfers:
    """One pull or push of a source by several tools.

    Args:
        source: what the bucket holds, or is to hold.
        verb: pull or push.
        cold: into nothing, each time; else a pull after a pull.
    """

    def __init__(self, world: World, source: Path, verb: str, *, cold: bool = True) -> None:
        self._world, self._source, self._verb, self._cold = world, source, verb, cold
        self._bucket = world.bucket_of(source) if verb == "pull" else ""

    def contestants(self, tools: Sequence[Tool]) -> list[Contestant]:
        """The tools, after one run of each that is not counted."""
        found = [Contestant(tool.name, lambda tool=tool: self._run(tool)) for tool in tools]
        for one in found:
            one.run()
        return found

    def count(self, names: Sequence[str], bars: list[Bar]) -> dict[str, str]:
        """One more run of each tool through a relay that counts its requests, in words.

        To `bars` is added whether nbsync's own count is what the relay saw.
        """
        said = {}
        with self._world.relay() as relay:
            for tool in self._world.tools(*names, endpoint_url=relay.endpoint_url):
                local = self._world.folder / f"counted-{tool.name}"
                if self._verb == "pull" and not self._cold:
                    measure(tool.pull(self._bucket, local), tool.env)
                relay.take_counts()
                own = self._only(tool, local, *(["--json"] if tool.name == OURS else []))
                seen = relay.take_counts()
                said[tool.name] = in_words(seen)
                if tool.name == OURS:
                    counted = json.loads(own)["requests"]
                    differ = sum(abs(counted.get(kind, 0) - seen.get(kind, 0)) for kind in {*counted, *seen})
                    bars.append(Count("requests that nbsync counts otherwise than the wire", lambda n=differ: n, 0))
                trees.remove(local)
        return said

    def clean(self) -> None:
        """Make room."""
        for path in self._world.folder.glob("copy-*"):
            trees.remove(path)

    def _run(self, tool: Tool) -> Measured:
        local = self._world.folder / f"copy-{tool.name}"
        if self._verb == "push":
            return self._push(tool)[0]
        if self._cold:
            trees.remove(local)
        elif not local.exists():
            measure(tool.pull(self._bucket, local), tool.env)
        one, _ = measure(tool.pull(self._bucket, local), tool.env)
        trees.expect_same(self._source, local, f"{tool.name} {self._verb}")
        if self._cold:
            trees.remove(local)
        return one

    def _only(self, tool: Tool, local: Path, *more: str) -> str:
        if self._verb == "push":
            return self._push(tool, *more)[1]
        return measure([*tool.pull(self._bucket, local), *more], tool.env)[1]

    def _push(self, tool: Tool, *more: str) -> tuple[Measured, str]:
        bucket = self._world.server.new_bucket()
        try:
            one, output = measure([*tool.push(bucket, self._source), *more], tool.env)
            self._world.expect_stored(bucket, self._source, f"{tool.name} push")
        finally:
            self._world.drop(bucket)
            trees.remove(self._source / ".nbsync")
        return one, output


def in_words(requests: dict[str, int]) -> str:
    """`10 LIST 3 GET`."""
    order = ("list", "head", "get", "put", "delete", "other")
    return " ".join(f"{requests[kind]:,} {kind.upper()}" for kind in order if requests.get(kind))


def pull_cold(world: World) -> list[Outcome]:
    """pull 10,000 × 4 KiB, cold"""
    bars: list[Bar] = [Ratio("rclone", 1.05, 0.8), Ratio("s5cmd", 0.3), Ratio("aws-cli", 0.1)]
    return [_contest(world, f"pull {world.scale.small_files:,} × 4 KiB, cold", world.small(), "pull", PEERS, bars)]


def push_cold(world: World) -> list[Outcome]:
    """push 10,000 × 4 KiB"""
    bars: list[Bar] = [Ratio("rclone", 0.8, 0.6), Ratio("s5cmd", 0.4)]
    peers = ("rclone", "s5cmd")
    return [_contest(world, f"push {world.scale.small_files:,} × 4 KiB", world.small(), "push", peers, bars)]


def unchanged(world: World) -> list[Outcome]:
    """nothing changed, 10,000 files"""
    bars: list[Bar] = [Ratio("s5cmd", 1.0, 0.6), Ratio("rclone"), Ratio("aws-cli")]
    title = f"nothing changed, {world.scale.small_files:,} files"
    return [_contest(world, title, world.small(), "pull", PEERS, bars, cold=False)]


def _contest(world: World, title: str, source: Path, verb: str, peers: Sequence[str], bars: list[Bar], *,
             cold: bool = True, more: Sequence[Contestant] = ()) -> Outcome:  # fmt: skip
    transfers = Transfers(world, source, verb, cold=cold)
    contestants = [*transfers.contestants(world.tools(OURS, *peers)), *more]
    requests = transfers.count((OURS, *peers), bars)
    try:
        return hold(title, contestants, world.scale.rounds, bars, requests)
    finally:
        transfers.clean()


def unchanged_warm(world: World) -> list[Outcome]:
    """nothing changed, 10,000 files, nbsync.pull in a Python process that stays"""
    source = world.small()
    bucket, local = world.bucket_of(source), world.folder / "copy-warm"
    warm = Talker(WARM, env_for(world.server.endpoint_url))
    requests: dict[str, str] = {}

    def call() -> Measured:
        one, answer = warm.measure(json.dumps(["pull", bucket, str(local)]))
        requests[OURS] = in_words(answer["requests"])
        trees.expect_same(source, local, "nbsync.pull")
        return one

    title = f"nothing changed, {world.scale.small_files:,} files, `nbsync.pull` in a warm kernel"
    try:
        call(), call()
        transfers = Transfers(world, source, "pull", cold=False)
        peers = transfers.contestants(world.tools("s5cmd"))
        bars = [Ratio("s5cmd", 0.5, 0.3)]
        return [hold(title, [Contestant(OURS, call), *peers], world.scale.rounds, bars, requests)]
    finally:
        warm.stop()
        Transfers(world, source, "pull").clean()


def far(world: World) -> list[Outcome]:
    """pull 2,000 × 4 KiB with 40 ms added to each round trip"""
    source = world.tree("far", lambda folder: trees.make_small(folder, world.scale.far_files))
    transfers = Transfers(world, source, "pull")
    title = f"pull {world.scale.far_files:,} × 4 KiB with {ROUND_TRIP * 1000:.0f} ms added to each round trip"
    bars: list[Bar] = [Ratio("s5cmd", 1.0), Ratio("rclone")]
    requests = transfers.count((OURS, "s5cmd", "rclone"), bars)
    with world.relay(ROUND_TRIP) as relay:
        contestants = transfers.contestants(world.tools(OURS, "s5cmd", "rclone", endpoint_url=relay.endpoint_url))
        outcome = hold(title, contestants, world.scale.rounds, bars, requests)
    world.forget(source)
    return [outcome]


def large(world: World) -> list[Outcome]:
    """pull / push one 2 GB object"""
    source = world.large()
    one_hash = Contestant(ONE_HASH, lambda: measure([*HASHING, "1", str(source)], os.environ)[0])
    outcomes = []
    for verb in ("pull", "push"):
        longer = Ratio(("s5cmd", ONE_HASH), 1.15, 1.0, what=f"nbsync / the longer of s5cmd and {ONE_HASH}")
        bars: list[Bar] = [longer, Ratio("aws-cli", 0.7), Ratio("rclone"), Peak(400)]
        title = f"{verb} one object of {world.scale.large_bytes / 1e9:g} GB"
        outcomes.append(_contest(world, title, source, verb, PEERS, bars, more=[one_hash]))
    world.forget(source)
    return outcomes


def no_state(world: World) -> list[Outcome]:
    """local copy present, no state yet, 2 GB in files of 1–64 MB"""
    source = world.tree("mixed", lambda folder: trees.make_mixed(folder, world.scale.large_bytes))
    bucket = world.bucket_of(source)
    nbsync = world.tools(OURS)[0]
    expected = trees.fingerprint(source)

    def pull() -> Measured:
        trees.remove(source / ".nbsync")
        one, _ = measure(nbsync.pull(bucket, source), nbsync.env)
        expect(trees.fingerprint(source) == expected, "a pull of what is there wrote a file")
        return one

    def hash_all() -> Measured:
        trees.remove(source / ".nbsync")
        return measure([*HASHING, str(os.cpu_count()), str(source)], os.environ)[0]

    contestants = [Contestant(OURS, pull), Contestant(ALL_HASHES, hash_all)]
    for one in contestants:
        one.run()
    trees.remove(source / ".nbsync")
    counted = json.loads(measure([*nbsync.pull(bucket, source), "--json"], nbsync.env)[1])
    expect(counted["counts"]["hit"] == expected.files, f"not all were hits: {counted['counts']}")
    moving = sum(count for kind, count in counted["requests"].items() if kind != "list")
    bars: list[Bar] = [Ratio(ALL_HASHES, 1.3), Count("requests other than LIST", lambda: moving, 4)]
    title = (f"local copy present, no state yet, {world.scale.large_bytes / 1e9:g} GB in {expected.files} files "
             "of 1–64 MB")  # fmt: skip
    outcome = hold(title, contestants, world.scale.rounds, bars, {OURS: in_words(counted["requests"])})
    world.forget(source)
    return [outcome]
