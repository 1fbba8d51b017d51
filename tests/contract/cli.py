"""Run `python -m nbsync` as a user does: a process of its own, on a test server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from tests.servers import Server

ROOT = Path(__file__).parents[2]


class Done(NamedTuple):
    """A process that ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on standard output."""
        found: dict[str, Any] = json.loads(self.stdout)
        return found


def nbsync(server: Server | None, *words: str | Path, cwd: Path | None = None, **env: str) -> Done:
    """`nbsync WORDS` with the server's variables, and then `env` (an empty value unsets)."""
    variables = {**os.environ, **(server.env() if server else {}), "PYTHONPATH": str(ROOT), **env}
    done = subprocess.run(
        [sys.executable, "-m", "nbsync", *map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=240,
        stdin=subprocess.DEVNULL, env={name: value for name, value in variables.items() if value}, check=False,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)
