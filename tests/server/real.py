"""A real Jupyter Server as a process, with nbsync in it, and somebody who asks it how it is from another one."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.helpers import environment, process, wait_until
from tests.servers.base import free_port

TOKEN = "server-under-test"
CONFIG = Path(__file__).parents[2] / "jupyter-config"

# Prints how long each answer of /api/status took, in ms, until its standard input ends.
WATCHER = """
import http.client, sys, threading, time
host, token = sys.argv[1:]
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
took, connection = [], http.client.HTTPConnection(host)
while not over.wait(0.01):
    began = time.perf_counter()
    connection.request("GET", "/api/status", headers={"Authorization": f"token {token}"})
    assert connection.getresponse().read()
    took.append((time.perf_counter() - began) * 1000)
print(*took)
"""


class Server:
    """A running server; its files lie in `root`.

    Attributes:
        running: its process.
        log: what it has said.
    """

    def __init__(self, port: int, root: Path, log: Path) -> None:
        self.host, self.root, self.log = f"127.0.0.1:{port}", root, log
        self.running: subprocess.Popen[str]

    def call(self, path: str, method: str = "GET", body: Any = None) -> Any:
        """The document of an answer."""
        headers = {"Authorization": f"token {TOKEN}", "Content-Type": "application/json"}
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"http://{self.host}/{path}", headers=headers, method=method, data=data)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read() or b"null")

    def is_up(self) -> bool:
        """Does it answer?"""
        assert self.running.poll() is None, self.log.read_text(errors="replace")
        try:
            self.call("api/status")
        except OSError:
            return False
        return True


@contextmanager
def running_server(folder: Path, env: Mapping[str, str], *options: str) -> Iterator[Server]:
    """`jupyter server` in `folder`."""
    root = folder / "root"
    root.mkdir()
    port = free_port()
    server = Server(port, root, folder / "log")
    rooms = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", f"--ServerApp.root_dir={root}",
               "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0",
               f"--IdentityProvider.token={TOKEN}", *options]  # fmt: skip
    variables = environment({**env, **rooms, "JUPYTER_CONFIG_PATH": str(CONFIG)})
    with server.log.open("w") as log, process(
        command, cwd=root, env=variables, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
    ) as server.running:  # fmt: skip
        wait_until("the server answers", server.is_up, seconds=60)
        yield server


@contextmanager
def watched(server: Server) -> Iterator[list[float]]:
    """Filled, at the end, with how long each answer of /api/status took meanwhile, in ms."""
    took: list[float] = []
    command = [sys.executable, "-c", WATCHER, server.host, TOKEN]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as watcher:
        yield took
        out, _ = watcher.communicate()
        took += map(float, out.split())
