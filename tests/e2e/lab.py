"""A real JupyterLab as a process, and its pages in headless Chromium."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page, Playwright

from tests.e2e.helpers import ARTEFACTS, environment, process, wait_until
from tests.servers.base import free_port

TOKEN = "lab-under-test"
# Nothing of the browser's own goes to the network, and no sandbox: a container gives it none.
CHROMIUM = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--no-first-run")  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},  # all cells are in the page, seen or not
}


def missing_chromium() -> str:
    """Why no browser can be started here, and what to install; empty if it can."""
    return "" if shutil.which("chromium") else "the notebook tests need Chromium: apt-get install chromium"


def start_chromium(playwright: Playwright) -> Browser:
    """The machine's own Chromium, without a window."""
    return playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(CHROMIUM))


@dataclass
class Lab:
    """A running JupyterLab; its files lie in `root`."""

    url: str
    root: Path
    settings: Path
    page: str = "lab/tree"
    user: Mapping[str, str] = field(default_factory=dict)  # the variables that say whose it is

    def theme(self, name: str) -> None:
        """The theme of the pages that are opened from now on: `JupyterLab Light` or `JupyterLab Dark`."""
        _write_settings(self.settings, {"apputils-extension/themes": {"theme": name}})

    def open(self, page: Page, name: str) -> None:
        """Show the notebook `name` in `page`, its kernel ready."""
        page.goto(f"{self.url}/{self.page}/{name}?token={TOKEN}&reset")
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=60_000)
        # Before that, running a cell opens a dialog that asks for a kernel.
        if self.page == "lab/tree":
            page.get_by_role("button", name="Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)
        else:
            # The indicator says idle while there is no kernel at all; the kernel's name is there once there is one.
            page.locator(".jp-Toolbar-kernelName", has_text="Python 3 (ipykernel)").first.wait_for(timeout=60_000)
            page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').first.wait_for(timeout=60_000)

    def shut_down_kernels(self) -> None:
        """End every kernel, so that the next test has only its own."""
        for session in self.call("api/sessions"):
            self.call(f"api/sessions/{session['id']}", method="DELETE")

    def call(self, path: str, method: str = "GET") -> Any:
        """What the server's REST API answers, asked with the token."""
        headers = {"Authorization": f"token {TOKEN}"}
        request = urllib.request.Request(f"{self.url}/{path}", headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read() or b"null")


def clear_all(page: Page) -> None:
    """The menu's "Clear Outputs of All Cells"."""
    page.get_by_role("menuitem", name="Edit", exact=True).click()
    page.locator('.lm-Menu-item[data-command="editmenu:clear-all"]').click()


def run_all(page: Page) -> None:
    """The menu's "Run All Cells"."""
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator('.lm-Menu-item[data-command="runmenu:run-all"]').click()


@contextmanager
def running_lab(
    folder: Path,
    env: Mapping[str, str],
    *,
    app: str = "jupyterlab",
    page: str = "lab/tree",
    base_url: str = "/",
    config: Mapping[str, Any] | None = None,
) -> Iterator[Lab]:
    """JupyterLab in `folder`, or another `app` that shows notebooks under `page`, with settings of its own.

    `env` is what its kernels see too; `config` is the server's own, by class.
    """
    root = folder / "root"
    root.mkdir()
    rooms = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
             "IPYTHONDIR": "ipython", "JUPYTERLAB_SETTINGS_DIR": "settings",
             "JUPYTERLAB_WORKSPACES_DIR": "workspaces"}  # fmt: skip
    _write_settings(folder / "settings", SETTINGS)
    _write_config(folder / "config", config or {})
    port = free_port()
    command = [sys.executable, "-m", app, "--no-browser", "--allow-root", f"--ServerApp.root_dir={root}",
               "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0",
               f"--ServerApp.base_url={base_url}", f"--IdentityProvider.token={TOKEN}",
               "--LabApp.extension_manager=readonly"]  # fmt: skip
    variables = environment({**env, **{name: str(folder / room) for name, room in rooms.items()}})
    lab = Lab(f"http://127.0.0.1:{port}{base_url.rstrip('/')}", root, folder / "settings", page,
              {name: variables[name] for name in ("HOME", "XDG_STATE_HOME")})  # fmt: skip
    with (folder / "log").open("w") as log, process(
        command, cwd=root, env=variables, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
    ) as running:  # fmt: skip
        wait_until(f"{app} answers", lambda: _answers(lab, running, folder / "log"), seconds=60)
        yield lab
        lab.shut_down_kernels()
        running.terminate()
        running.wait(20)


def _answers(lab: Lab, running: subprocess.Popen[str], log: Path) -> bool:
    assert running.poll() is None, log.read_text(errors="replace")
    try:
        lab.call("api/status")
    except OSError:
        return False
    return True


def _write_settings(folder: Path, settings: Mapping[str, Mapping[str, Any]]) -> None:
    for name, values in settings.items():
        file = folder / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))


def _write_config(folder: Path, config: Mapping[str, Any]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "jupyter_server_config.json").write_text(json.dumps(config))


def snap(target: Page | Locator, name: str) -> None:
    """A screenshot for a person to look at."""
    ARTEFACTS.mkdir(exist_ok=True)
    target.screenshot(path=ARTEFACTS / f"{name}.png")
