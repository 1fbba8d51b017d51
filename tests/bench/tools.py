"""The tools that are compared, as command lines. Each is found beside the running interpreter or on PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.bench.contest import OURS
from tests.bench.measure import clean_env
from tests.servers.base import ACCESS_KEY, REGION, SECRET_KEY

NBSYNC = [sys.executable, "-m", "nbsync"]
PEERS = ("rclone", "s5cmd", "aws-cli")
ALL = (OURS, *PEERS)


class Tool(NamedTuple):
    """`pull` and `push` make the words of a command from (bucket, folder)."""

    name: str
    pull: Callable[[str, Path], list[str]]
    push: Callable[[str, Path], list[str]]
    env: dict[str, str]


def env_for(endpoint_url: str) -> dict[str, str]:
    """Variables with which every tool reaches this endpoint, and nothing of the user's."""
    return clean_env({
        "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION, "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true",
        "RCLONE_CONFIG": os.devnull, "RCLONE_CONFIG_X_TYPE": "s3", "RCLONE_CONFIG_X_PROVIDER": "Rclone",
        "RCLONE_CONFIG_X_ENV_AUTH": "true", "RCLONE_CONFIG_X_ENDPOINT": endpoint_url,
    })  # fmt: skip


def tools(endpoint_url: str, names: Sequence[str] = ALL) -> list[Tool]:
    """nbsync, then those peers of `names` that are installed. Default options; rclone with 16 transfers.

    nbsync's own folder is excluded by the others, which would take it for data.
    """
    env = env_for(endpoint_url)
    found = [Tool(OURS, lambda b, d: [*NBSYNC, "pull", b, str(d)], lambda b, d: [*NBSYNC, "push", str(d), b], env)]
    rclone, s5cmd, aws = _find("rclone"), _find("s5cmd"), _find("aws")
    if rclone:
        sync = [rclone, "sync", "--transfers", "16", "--exclude", ".nbsync/**"]
        found.append(Tool("rclone", lambda b, d: [*sync, f"x:{b}", str(d)], lambda b, d: [*sync, str(d), f"x:{b}"],
                          env))  # fmt: skip
    if s5cmd:
        s5 = [s5cmd, "--endpoint-url", endpoint_url, "sync", "--exclude", "*.nbsync/*"]
        found.append(Tool("s5cmd", lambda b, d: [*s5, f"s3://{b}/*", f"{d}/"],
                          lambda b, d: [*s5, f"{d}/", f"s3://{b}/"], env))  # fmt: skip
    if aws:
        sync_aws = [aws, "--endpoint-url", endpoint_url, "s3", "sync", "--only-show-errors", "--exclude", ".nbsync/*"]
        found.append(Tool("aws-cli", lambda b, d: [*sync_aws, f"s3://{b}", str(d)],
                          lambda b, d: [*sync_aws, str(d), f"s3://{b}"], env))  # fmt: skip
    return [tool for tool in found if tool.name in names]


def versions() -> dict[str, str]:
    """What each tool says of its version, as it says it."""
    asked = {"nbsync": [*NBSYNC, "--version"], "python": [sys.executable, "--version"]}
    binaries = (("rclone", "rclone", "version"), ("s5cmd", "s5cmd", "version"), ("aws-cli", "aws", "--version"))
    for name, binary, word in binaries:
        if path := _find(binary):
            asked[name] = [path, word]
    said = {}
    for name, command in asked.items():
        done = subprocess.run(command, env=clean_env({"RCLONE_CONFIG": os.devnull}), capture_output=True, text=True,
                              check=False)  # fmt: skip
        said[name] = (done.stdout or done.stderr).partition("\n")[0].strip()
    return said


def _find(name: str) -> str | None:
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)
