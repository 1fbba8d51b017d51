"""How one run of a command is measured: wall time, CPU seconds and peak memory of the whole process tree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

LAUNCHER = [sys.executable, "-I", "-S", str(Path(__file__).with_name("launch.py"))]


class Measured(NamedTuple):
    """One run. Seconds; MB of 10**6 bytes, of the largest process."""

    wall: float
    cpu: float
    peak_mb: float


class BenchError(Exception):
    """A tool failed, or left something else than it should: its time means nothing."""


def expect(holds: bool, what: str) -> None:
    """
    Raises:
        BenchError: it does not hold.
    """
    if not holds:
        raise BenchError(what)


def clean_env(more: Mapping[str, str]) -> dict[str, str]:
    """This environment with `more`, without what makes Python compile every module at each start."""
    slow = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RCLONE_", *slow))}
    return {**kept, **more}


def measure(command: Sequence[str], env: Mapping[str, str]) -> tuple[Measured, str]:
    """The figures of one run of a command, and its standard output.

    Raises:
        BenchError: its exit code is not 0.
    """
    done = subprocess.run([*LAUNCHER, *command], env=dict(env), capture_output=True, text=True, check=False)
    output, _, figures = done.stdout.rstrip().rpartition("\n")
    said = f"{' '.join(command[:4])} ...: {done.stderr[-500:]}"
    expect(done.returncode == 0 and figures.startswith("["), f"the launcher ended with {done.returncode}: {said}")
    wall, cpu, peak_mb, code = json.loads(figures)
    expect(code == 0, f"exit code {code}: {said}")
    return Measured(wall, cpu, peak_mb), output


class Talker:
    """A program of tests.bench.programs that stays: each line that it is sent, it answers with one of JSON."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        self._command = command
        self._process = subprocess.Popen([*LAUNCHER, *command], env=dict(env), stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True)  # fmt: skip

    def ask(self, line: str = "") -> dict[str, Any]:
        """The answer to a line.

        Raises:
            BenchError: the program ended instead.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        said = self._process.stdout.readline()
        expect(said.startswith("{"), f"{' '.join(self._command)} broke off")
        answer: dict[str, Any] = json.loads(said)
        return answer

    def measure(self, line: str = "") -> tuple[Measured, dict[str, Any]]:
        """The answer's own figures (`wall`, `cpu`, `peak_mb`), and the answer."""
        answer = self.ask(line)
        return Measured(answer["wall"], answer["cpu"], answer["peak_mb"]), answer

    def stop(self) -> None:
        """Close its input, at which it ends."""
        self._process.communicate()
