"""The tools that are compared, as command lines. Each is found beside the running interpreter or on PATH."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.servers.base import Server


class Tool(NamedTuple):
    """`pull` and `push` make the words of a command from (bucket, folder)."""

    name: str
    pull: Callable[[str, Path], list[str]]
    push: Callable[[str, Path], list[str]]
    env: dict[str, str]


def tools(server: Server, *, without_aws: bool) -> list[Tool]:
    """nbsync first, then every peer that is installed."""
    env = {**os.environ, **server.env()}
    rclone_env = {
        **env, "RCLONE_CONFIG_X_TYPE": "s3", "RCLONE_CONFIG_X_PROVIDER": "Rclone", "RCLONE_CONFIG_X_ENV_AUTH": "true",
        "RCLONE_CONFIG_X_ENDPOINT": server.endpoint_url, "RCLONE_CONFIG": os.devnull,
    }  # fmt: skip
    nbsync = [sys.executable, "-m", "nbsync"]
    found = [
        Tool("nbsync", lambda b, d: [*nbsync, "pull", b, str(d), "--json"],
             lambda b, d: [*nbsync, "push", str(d), b, "--json"], env),
    ]  # fmt: skip
    rclone, s5cmd, aws = _find("rclone"), _find("s5cmd"), _find("aws")
    if rclone:
        sync = [rclone, "sync", "--transfers", "16", "--exclude", ".nbsync/**"]
        found.append(Tool("rclone", lambda b, d: [*sync, f"x:{b}", str(d)], lambda b, d: [*sync, str(d), f"x:{b}"],
                          rclone_env))  # fmt: skip
    if s5cmd:
        s5 = [s5cmd, "--endpoint-url", server.endpoint_url, "sync", "--exclude", "*.nbsync/*"]
        found.append(Tool("s5cmd", lambda b, d: [*s5, f"s3://{b}/*", f"{d}/"],
                          lambda b, d: [*s5, f"{d}/", f"s3://{b}/"], env))  # fmt: skip
    if aws and not without_aws:
        sync_aws = [aws, "s3", "sync", "--only-show-errors", "--exclude", ".nbsync/*"]
        found.append(Tool("aws-cli", lambda b, d: [*sync_aws, f"s3://{b}", str(d)],
                          lambda b, d: [*sync_aws, str(d), f"s3://{b}"], env))  # fmt: skip
    return found


def _find(name: str) -> str | None:
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)
