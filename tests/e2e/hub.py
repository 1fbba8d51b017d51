"""A real JupyterHub, with a proxy of its own, whose users' servers run as processes of ours."""

from __future__ import annotations

import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.helpers import environment, process, wait_until
from tests.servers.base import free_port

PASSWORD = "a-hub-under-test"
_CONFIG = """\
c = get_config()
c.JupyterHub.bind_url = {url!r}
c.JupyterHub.hub_port = {hub_port}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy_port}"
c.ConfigurableHTTPProxy.command = [{proxy!r}]
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = {password!r}
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = {homes!r}
c.Spawner.cmd = [{python!r}, "-m", "jupyterhub.singleuser", "--allow-root"]
c.Spawner.environment = {variables!r}
c.Spawner.notebook_dir = {homes!r}
"""


@dataclass
class Hub:
    """A running hub, and the folder of each of its users."""

    url: str
    homes: Path

    def home(self, user: str) -> Path:
        return self.homes / user


@contextmanager
def running_hub(folder: Path, env: Mapping[str, str]) -> Iterator[Hub]:
    """A hub under `/prefix/`; `env` is what its users' servers see."""
    ports = free_port(), free_port(), free_port()
    hub = Hub(f"http://127.0.0.1:{ports[0]}/prefix", folder / "homes")
    proxy = shutil.which("configurable-http-proxy", path=str(Path(sys.executable).parent))
    assert proxy, "its Python package is one of the test's dependencies"
    rooms = {name: str(folder / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    settings = _CONFIG.format(url=f"{hub.url}/", hub_port=ports[1], proxy_port=ports[2], proxy=proxy,
                              password=PASSWORD, homes=f"{hub.homes}/{{username}}", python=sys.executable,
                              variables={**env, **rooms})  # fmt: skip
    (folder / "jupyterhub_config.py").write_text(settings)
    with (folder / "log").open("w") as log, process(
        [sys.executable, "-m", "jupyterhub"], cwd=folder, env=environment(env), stdin=subprocess.DEVNULL, stdout=log,
        stderr=subprocess.STDOUT,
    ) as running:  # fmt: skip
        wait_until("the hub answers", lambda: _answers(hub, running, folder / "log"), seconds=60)
        yield hub
        running.terminate()  # it stops its users' servers
        running.wait(30)


def _answers(hub: Hub, running: subprocess.Popen[str], log: Path) -> bool:
    assert running.poll() is None, log.read_text(errors="replace")
    try:
        with urllib.request.urlopen(f"{hub.url}/hub/login", timeout=5):
            return True
    except OSError:
        return False
