"""`python -m tests.bench [--quick]`: nbsync against aws-cli, s5cmd and rclone, each job with its bars.

Whole processes with default options (rclone: 16 transfers), in turn, on one machine with the server; exit codes and
trees are checked after every run. Printed are medians, and the medians of the ratios of each round: absolute times
do not carry over to other machines.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.bench import checksums, cluster, many, showing, transfers
from tests.bench.contest import Outcome
from tests.bench.measure import BenchError
from tests.bench.table import document, markdown
from tests.bench.tools import versions
from tests.bench.world import Scale, World, roomiest

JOBS: dict[str, Callable[[World], list[Outcome]]] = {
    "pull": transfers.pull_cold,
    "push": transfers.push_cold,
    "unchanged": transfers.unchanged,
    "warm": transfers.unchanged_warm,
    "million": many.unchanged,
    "no-state": transfers.no_state,
    "large": transfers.large,
    "checksums": checksums.large_with_checksums,
    "far": transfers.far,
    "listing": many.listing,
    "showing": showing.showing,
    "cluster": cluster.scaling,
    "costs": cluster.costs,
}
QUICK = replace(Scale(rounds=3, peers=("nbsync", "rclone", "s5cmd")).by(0.1), many_files=20_000, listed_keys=20_000)


def main() -> None:
    given = _words().parse_args()
    scale = QUICK if given.quick else Scale()
    if given.scale != 1:
        scale = scale.by(given.scale)
    if given.rounds:
        scale = replace(scale, rounds=given.rounds)
    above = given.folder or roomiest(int(4 * scale.large_bytes + 6_000 * scale.many_files))
    outcomes: list[Outcome] = []
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="nbsync-bench-", dir=above) as folder:
        conditions = _conditions(scale, above)
        world = World(Path(folder), scale)
        try:
            for name in given.only or JOBS:
                started = time.monotonic()
                print(f"{name}:", file=sys.stderr, flush=True)
                try:
                    outcomes += JOBS[name](world)
                except BenchError as error:
                    failed.append(f"{name} was broken off: {error}")
                    print(f"  {failed[-1]}", file=sys.stderr, flush=True)
                print(f"  took {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
                if given.json:
                    given.json.write_text(json.dumps(document(outcomes, [*conditions, *failed]), indent=1))
        finally:
            world.close()
    print(markdown(outcomes, [*conditions, *failed], judged=_is_full(scale)))
    sys.exit(1 if failed else 0)


def _words() -> argparse.ArgumentParser:
    words = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__,
                                    formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    words.add_argument("--quick", action="store_true", help="a tenth of the files and less, 3 rounds, without aws-cli")
    words.add_argument("--rounds", type=int, help="default 7, with --quick 3")
    words.add_argument("--only", action="append", choices=list(JOBS), metavar="JOB",
                       help=f"{', '.join(JOBS)}; repeatable")  # fmt: skip
    words.add_argument("--scale", type=float, default=1, help="multiplies all sizes; the bars are for 1")
    words.add_argument("--folder", type=Path, help="where to work; default /dev/shm if it has room, else TMPDIR")
    words.add_argument("--json", type=Path, metavar="FILE", help="write every run to FILE")
    return words


def _is_full(scale: Scale) -> bool:
    """Are these the sizes, peers and rounds that the bars are for?"""
    full = Scale()
    return scale == replace(full, rounds=scale.rounds) and scale.rounds >= full.rounds


def _conditions(scale: Scale, above: Path) -> list[str]:
    said = ", ".join(f"{name}: {text}" for name, text in versions().items())
    smaller = "**not the full sizes, rounds or peers: the bars are for those, and are not judged here; at a tenth of "
    smaller += "the size, starting a tool is much of what is measured**"
    return [
        *([] if _is_full(scale) else [smaller]),
        f"{os.cpu_count()} cores shared by tool and server; {platform.system()} {platform.release()}",
        said,
        f"{time.strftime('%Y-%m-%d')}, {scale.rounds} rounds, in turn, after one that is not counted; "
        "wall, CPU and memory are medians; CPU is that of all processes of a tool, memory that of its largest",
        f"loopback `rclone serve s3` (the million and the listing: tests/servers/plenty.py); files in {above}",
        "default options (rclone: 16 transfers); requests counted in a run of their own",
    ]


if __name__ == "__main__":
    main()
