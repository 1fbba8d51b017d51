"""The jobs, and how one run of a tool is measured: wall time, CPU seconds and peak memory of the whole process."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.bench.tools import Tool
from tests.servers.base import Server

FILE_BYTES = 4096


class Measured(NamedTuple):
    """One run. Seconds; MB of 10**6 bytes; requests as nbsync counts its own, empty for the others."""

    wall: float
    cpu: float
    peak_mb: float
    requests: str


class Job(NamedTuple):
    """What is timed. `cold`: into nothing, each time; else a second run after a first."""

    name: str
    verb: str
    cold: bool


JOBS = [Job("pull cold", "pull", True), Job("push cold", "push", True), Job("nothing changed", "pull", False)]


class Bench:
    """A server, a folder to work in, and a tree of small files that all jobs move."""

    def __init__(self, server: Server, folder: Path, files: int) -> None:
        self._server, self._folder = server, folder
        self._source = folder / "source"
        for number in range(files):
            path = self._source / f"d{number % 50:02d}" / f"f{number:05d}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(FILE_BYTES))
        self._bucket = server.new_bucket()
        self._seed = files

    def run(self, job: Job, found: list[Tool], rounds: int) -> dict[str, list[Measured]]:
        """Every tool in turn, `rounds` times, after one round that is not counted."""
        if job.verb == "pull":
            self._fill()
        measured: dict[str, list[Measured]] = {tool.name: [] for tool in found}
        for number in range(rounds + 1):
            for tool in found:
                one = self._one(job, tool)
                if number:
                    measured[tool.name].append(one)
        return measured

    def _fill(self) -> None:
        copy = self._folder / "fill"
        if not copy.exists():
            shutil.copytree(self._source, copy)
        env = {**os.environ, **self._server.env()}
        subprocess.run(
            [sys.executable, "-m", "nbsync", "push", str(copy), self._bucket, "--quiet"], env=env, check=True
        )

    def _one(self, job: Job, tool: Tool) -> Measured:
        local = self._folder / f"{tool.name}-local"
        if job.verb == "push":
            bucket = self._server.new_bucket()
            shutil.rmtree(local, ignore_errors=True)
            shutil.copytree(self._source, local)
            one = _measure(tool.push(bucket, local), tool.env)
            keys = sum(len(page.get("Contents", ())) for page in
                       self._server.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket))  # fmt: skip
            _expect(keys == self._seed, f"{tool.name} pushed {keys} of {self._seed} files")
            return one
        if job.cold:
            shutil.rmtree(local, ignore_errors=True)
        elif not local.exists():
            _measure(tool.pull(self._bucket, local), tool.env)
        one = _measure(tool.pull(self._bucket, local), tool.env)
        _expect(_tree(local) == _tree(self._source), f"{tool.name} left another tree than the bucket's")
        return one


def _measure(command: list[str], env: dict[str, str]) -> Measured:
    launcher = [sys.executable, "-I", "-S", str(Path(__file__).with_name("launch.py"))]
    done = subprocess.run([*launcher, *command], env=env, capture_output=True, text=True, check=True)
    output, _, figures = done.stdout.rstrip().rpartition("\n")
    wall, cpu, peak_mb, code = json.loads(figures)
    _expect(code == 0, f"{command[:4]} ended with {code}: {done.stderr[-500:]}")
    return Measured(wall, cpu, peak_mb, _requests(output) if "--json" in command else "")


def _requests(document: str) -> str:
    counts = json.loads(document)["requests"]
    return " ".join(f"{count} {kind.upper()}" for kind, count in counts.items() if count)


def _tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.md5(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and ".nbsync" not in path.parts
    }


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise SystemExit(f"bench: {what}")
