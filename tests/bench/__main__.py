"""`python -m tests.bench [--quick] [--json FILE]`: nbsync against aws-cli, s5cmd and rclone, whole processes.

All tools talk to one `rclone serve s3` on loopback, in turn, with their default options (rclone: 16
transfers), and the trees are compared after every run. What is printed are medians, and the medians of
the ratios nbsync/peer of each round: absolute times do not carry over to other machines.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from tests.bench.jobs import JOBS, Bench, Measured
from tests.bench.tools import Tool, tools
from tests.servers import rclone


def main() -> None:
    words = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    words.add_argument("--quick", action="store_true", help="1,000 files, 3 rounds, without aws-cli")
    words.add_argument("--rounds", type=int, default=7)
    words.add_argument("--only", action="append", choices=[job.name for job in JOBS], help="only this job")
    words.add_argument("--json", type=Path, help="write the figures to FILE")
    given = words.parse_args()
    files, rounds = (1_000, 3) if given.quick else (10_000, given.rounds)
    server = rclone.start()
    try:
        with tempfile.TemporaryDirectory(prefix="nbsync-bench-") as folder:
            bench = Bench(server, Path(folder), files)
            found = tools(server, without_aws=given.quick)
            jobs = [job for job in JOBS if not given.only or job.name in given.only]
            figures = {job.name: bench.run(job, found, rounds) for job in jobs}
    finally:
        server.stop()
    for name, measured in figures.items():
        print(f"\n{name}: {files:,} files of 4 KiB, {rounds} rounds\n{table(measured, found)}")
    if given.json:
        plain = {
            name: {tool: [m._asdict() for m in runs] for tool, runs in rows.items()} for name, rows in figures.items()
        }
        given.json.write_text(json.dumps(plain, indent=1))


def table(measured: dict[str, list[Measured]], found: list[Tool]) -> str:
    """One row a tool: medians, and the ratio of nbsync's wall time to the tool's, round by round."""
    ours = measured["nbsync"]
    lines = [f"{'':10}{'wall s':>8}{'CPU s':>8}{'peak MB':>9}{'nbsync/it':>11}  requests"]
    for tool in found:
        runs = measured[tool.name]
        wall, cpu, peak = (
            statistics.median(values) for values in zip(*((r.wall, r.cpu, r.peak_mb) for r in runs), strict=True)
        )
        ratio = statistics.median(our.wall / its.wall for our, its in zip(ours, runs, strict=True))
        lines.append(f"{tool.name:10}{wall:8.2f}{cpu:8.2f}{peak:9.0f}{ratio:11.2f}  {runs[0].requests}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
