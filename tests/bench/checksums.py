"""The jobs of large objects against a server that keeps what AWS keeps: ETags of parts, a CRC64NVME of the whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from boto3.s3.transfer import TransferConfig

from nbsync.core.parts import MiB
from tests.bench import trees
from tests.bench.contest import OURS, Bar, Contestant, Outcome, Peak, Ratio, hold
from tests.bench.measure import Measured, expect, measure
from tests.bench.tools import PEERS, Tool, tools
from tests.bench.transfers import ALL_HASHES, HASHING
from tests.bench.world import World
from tests.servers import honest

_BUCKET = "kept"


@contextmanager
def _server(world: World, *options: str) -> Iterator[honest.HonestServer]:
    directory = world.folder / "kept-by-server"
    server = honest.start_process(directory, *options)
    try:
        yield server
    finally:
        server.stop()
        trees.remove(directory)


def _fill(server: honest.HonestServer, source: Path, bucket: str = _BUCKET) -> None:
    """Store the tree as aws-cli would: in parts of 8 MiB."""
    server.s3.create_bucket(Bucket=bucket)
    parts = TransferConfig(multipart_threshold=8 * MiB, multipart_chunksize=8 * MiB)
    for path in (path for path in source.rglob("*") if path.is_file()):
        server.s3.upload_file(str(path), bucket, path.relative_to(source).as_posix(), Config=parts)


def _pull(world: World, source: Path, title: str, bars: list[Bar], *options: str, hashing: bool = False) -> Outcome:
    """Every tool's pull of what a server holds that keeps checksums, or, by `options`, does not."""
    with _server(world, *options) as server:
        _fill(server, source)

        def run(tool: Tool) -> Measured:
            local = world.folder / f"copy-{tool.name}"
            one, _ = measure(tool.pull(_BUCKET, local), tool.env)
            trees.expect_same(source, local, f"{tool.name} pull")
            trees.remove(local)
            return one

        contestants = [Contestant(tool.name, lambda tool=tool: run(tool))
                       for tool in tools(server.endpoint_url, world.scale.peers)]  # fmt: skip
        if hashing:
            contestants.append(_hashing(source))
        for one in contestants:
            one.run()
        return hold(title, contestants, world.scale.rounds, bars, {})


def _hashing(source: Path) -> Contestant:
    words = [*HASHING, str(os.cpu_count()), str(source)]
    return Contestant(ALL_HASHES, lambda: measure(words, os.environ)[0])


def large_with_checksums(world: World) -> list[Outcome]:
    """pull / push one 2 GB object, and 40 of 64 MiB, where the service keeps CRCs or ETags of parts"""
    source, size = world.large(), f"{world.scale.large_bytes / 1e9:g} GB"
    bars: list[Bar] = [Ratio("s5cmd", 1.1, 1.0), Ratio("aws-cli", 1.0), Ratio("rclone"), Peak(400)]
    outcomes = [
        _pull(world, source, f"pull {size} in parts of 8 MiB, CRC64NVME", bars),
        _pull(world, source, f"pull {size} in parts of 8 MiB, no checksums", [Ratio("s5cmd"), Peak(400)],
              "--no-checksums"),
        _push(world, source, f"push {size}, CRC64NVME"),
    ]  # fmt: skip
    world.forget(source)
    many = world.tree("many-large", lambda folder: trees.make(folder, _equal(world.scale.large_bytes, 64 * MiB)))
    outcomes.append(_pull(world, many, f"pull {size} in objects of 64 MiB, CRC64NVME", [Ratio("s5cmd", 1.0, 0.9)]))
    outcomes.append(_compare(world, many, f"first comparison of {size} in files of 64 MiB, CRC64NVME"))
    world.forget(many)
    return outcomes


def _equal(total: int, each: int) -> list[tuple[str, int]]:
    return [(f"f{number:03d}.bin", each) for number in range(max(1, total // each))]


def _push(world: World, source: Path, title: str) -> Outcome:
    with _server(world) as server:

        def run(tool: Tool) -> Measured:
            bucket = server.new_bucket()
            one, _ = measure(tool.push(bucket, source), tool.env)
            trees.remove(source / ".nbsync")
            for path in (path for path in source.rglob("*") if path.is_file()):
                key = path.relative_to(source).as_posix()
                told = server.s3.head_object(Bucket=bucket, Key=key)
                expect(told["ContentLength"] == path.stat().st_size, f"{tool.name} push: {key} is not whole")
                server.s3.delete_object(Bucket=bucket, Key=key)
            return one

        peers = [name for name in PEERS if name != "rclone" and name in world.scale.peers]
        contestants = [Contestant(tool.name, lambda tool=tool: run(tool))
                       for tool in tools(server.endpoint_url, [OURS, *peers])]  # fmt: skip
        for one in contestants:
            one.run()
        return hold(title, contestants, world.scale.rounds, [Ratio("s5cmd", 1.15, 1.0), Peak(400)], {})


def _compare(world: World, source: Path, title: str) -> Outcome:
    with _server(world) as server:
        _fill(server, source)
        nbsync = tools(server.endpoint_url, [OURS])[0]

        def pull() -> Measured:
            trees.remove(source / ".nbsync")
            return measure(nbsync.pull(_BUCKET, source), nbsync.env)[0]

        contestants = [Contestant(OURS, pull), _hashing(source)]
        for one in contestants:
            one.run()
        outcome = hold(title, contestants, world.scale.rounds, [Ratio(ALL_HASHES, 0.5, 0.3)], {})
        trees.remove(source / ".nbsync")
        return outcome
