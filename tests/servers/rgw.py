"""Ceph RGW, a production S3 server, from Debian's packages: real signatures, conditions, versions, BadDigest."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.servers.base import Server, free_port

SCRIPT = Path(__file__).with_name("rgw.sh")
TOOLS = ("ceph-mon", "ceph-osd", "ceph-mgr", "radosgw", "ceph", "monmaptool", "ceph-authtool", "radosgw-admin")
PACKAGES = "ceph-mon ceph-osd ceph-mgr radosgw ceph-common"

CAPABILITIES = frozenset(
    {
        "any-key",
        "checks-content-md5",
        "conditional-get",
        "conditional-put",
        "file-and-folder",
        "keep-alive",
        "last-modified-is-put-time",
        "multipart-md5-etag",
        "precise-last-modified",
        "put-etag-is-md5",
        "signatures",
        "sse-c",
        "stores-headers",
        "tags",
        "unsigned-payload",
        "versions",
    }
)


@dataclass(kw_only=True)
class RgwServer(Server):
    """A small cluster with its gateway; everything it has lies in `directory`."""

    directory: Path

    def stop(self) -> None:
        _run("stop", str(self.directory))


def missing() -> str:
    """Why RGW cannot be started here, and what to install; empty if it can."""
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    if not lacking:
        return ""
    return f"Ceph RGW needs {', '.join(lacking)}: apt-get install --no-install-recommends {PACKAGES}"


def start() -> RgwServer:
    """A running RGW (15-20 s)."""
    for attempt in (1, 2, 3):  # another process may take one of the free ports first
        # Short: the paths of unix sockets in it may have 107 bytes. Gone: rgw.sh makes it.
        directory = Path(tempfile.mkdtemp(prefix="nbsync-rgw-"))
        port = free_port(2)
        result = _run("start", str(directory), str(port))
        if result.returncode == 0:
            return RgwServer(name="rgw", endpoint_url=f"http://127.0.0.1:{port}", capabilities=CAPABILITIES,
                             directory=directory)  # fmt: skip
        said = _log(directory) or result.stderr
        _run("stop", str(directory))
        if attempt == 3:
            raise RuntimeError(f"Ceph RGW did not start: {result.stderr}\n{said}")
    raise AssertionError("not reached")


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    # The daemons inherit what they are given: an output pipe would stay open for as long as they live.
    with tempfile.TemporaryFile("w+") as stderr:
        result = subprocess.run(
            [str(SCRIPT), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr, timeout=240,
            check=False, env={**os.environ, "LC_ALL": "C"})  # fmt: skip
        stderr.seek(0)
        return subprocess.CompletedProcess(result.args, result.returncode, "", stderr.read())


def _log(directory: Path) -> str:
    log = directory / "log" / "start.out"
    return log.read_text(errors="replace")[-2000:] if log.exists() else ""
