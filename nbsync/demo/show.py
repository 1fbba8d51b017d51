"""`nbsync demo`: an embedded S3 server with sample data, and the main job on it, before the user's eyes.

Everything happens in a new temporary folder and on a server inside this process; both go at the end. With --serve
there is the server alone, for other commands to use.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from nbsync._version import install
from nbsync.demo.server import DemoServer, append_to_object, fill_sample_bucket
from nbsync.errors import ConfigError

REMOTE = "nbsync-demo/weather"
ENDPOINT = "AWS_ENDPOINT_URL"
_UNWANTED = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_ENDPOINT_URL_S3",
             "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_CA_BUNDLE")  # fmt: skip
_TURN = 1.0  # seconds that a signal may have to wait if it comes in an unlucky moment
_STATION = "stations/2024/forest.csv"

_server: DemoServer | None = None


def run(main: Callable[[list[str]], int], *, lab: bool = False, serve: bool = False,
        say: Callable[[str], None] = print) -> int:  # fmt: skip
    """Show the main job; with `lab`, open JupyterLab on the quickstart instead; with `serve`, only serve.

    Args:
        main: the command line: words in, an exit code out.
        lab: open JupyterLab.
        serve: serve until it is interrupted.
        say: takes each line of the story.

    Returns the exit code.

    Raises:
        ConfigError: moto or JupyterLab is not installed.
    """
    if serve:
        return _serve(say)
    with _a_server() as environment, tempfile.TemporaryDirectory(prefix="nbsync-demo-") as folder:
        if lab:
            return _open_lab(Path(folder), environment, say)
        with _environment(environment):
            return _show(Path(folder), environment[ENDPOINT], main, say)


def use_demo_server() -> str:
    """Make this process (a kernel, say) talk to the demo server; starts one if none is running. Returns REMOTE.

    Only this process's variables change: AWS_*, and no_proxy.
    """
    global _server  # noqa: PLW0603 (one server for as long as the process lives)
    if _server is None and "NBSYNC_DEMO" not in os.environ:
        _server = DemoServer()
        fill_sample_bucket(_server.endpoint_url)
        for name in _UNWANTED:
            os.environ.pop(name, None)
        os.environ.update(_variables(_server))
    return REMOTE


def edit_remote(path: str = _STATION, text: str = "2024-12-31,21.5\n") -> None:
    """Somebody else appends a line to an object of the demo's bucket."""
    bucket, _, prefix = REMOTE.partition("/")
    append_to_object(os.environ[ENDPOINT], bucket, f"{prefix}/{path}", text.encode())


def _variables(server: DemoServer) -> dict[str, str]:
    """The environment that leads to `server`, past the user's proxy and AWS configuration."""
    direct = ",".join(filter(None, [os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), "127.0.0.1,localhost"]))
    return {**server.credentials, ENDPOINT: server.endpoint_url, "NBSYNC_DEMO": "1",
            "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "no_proxy": direct, "NO_PROXY": direct}  # fmt: skip


@contextmanager
def _a_server() -> Iterator[Mapping[str, str]]:
    with DemoServer() as server:
        fill_sample_bucket(server.endpoint_url)
        yield _variables(server)


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """The process's environment with `changes`, and without what would lead to another account."""
    before = dict(os.environ)
    try:
        for name in _UNWANTED:
            os.environ.pop(name, None)
        os.environ.update(changes)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _show(folder: Path, endpoint: str, main: Callable[[list[str]], int], say: Callable[[str], None]) -> int:
    """The story: all misses, all hits, one edit from there, one edit from here. It ends at a step that fails."""
    local = folder / "weather"
    pull, push = ("pull", REMOTE, str(local)), ("push", str(local), REMOTE)

    def edit_local() -> None:
        (local / "README.txt").write_text("My notes on this data.\n")

    steps: list[tuple[Callable[[], None] | None, str, tuple[str, ...]]] = [
        (None, "The first pull: everything is missing here, everything travels.", pull),
        (None, "Again: the contents are the same, nothing travels.", pull),
        (edit_remote, "Somebody edits one object in the bucket: only that one travels.", pull),
        (edit_local, "You edit one file: what would a push do?", (*push, "--dry-run")),
        (None, "Push it.", push),
    ]
    say(f"An S3 server is running in this process ({endpoint}), with sample data in s3://{REMOTE}/.")
    for change, what, words in steps:
        if change is not None:
            change()
        say(f"\n# {what}\n$ nbsync {' '.join(words)}")
        sys.stdout.flush()
        if code := main(list(words)):
            say(f"\nThe demo stops here: this step failed (exit code {code}).")
            return code
    say("\nThat was nbsync. In a notebook: %load_ext nbsync, then %s3sync pull bucket/prefix.")
    say("See it there: nbsync demo --lab")
    return 0


def _serve(say: Callable[[str], None]) -> int:
    """Print what leads a shell to the server, and serve until it is interrupted."""
    with _a_server() as environment:
        try:
            say(f"unset {' '.join(_UNWANTED)}")
            for name, value in {**environment, "NBSYNC_DEMO_PID": str(os.getpid())}.items():
                say(f"export {name}={shlex.quote(value)}")
            say(f"# Sample data in s3://{REMOTE}/, until Ctrl-C here or, anywhere: kill {os.getpid()}")
            _let_go_of_output()
            while not threading.Event().wait(_TURN):
                pass
        except KeyboardInterrupt:  # SIGTERM, too
            pass
    return 0


def _let_go_of_output() -> None:
    """Let a shell that reads all of the output (`eval "$(nbsync demo --serve &)"`) go on while this serves."""
    sys.stdout.flush()
    if not sys.stdout.isatty():
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _open_lab(folder: Path, environment: Mapping[str, str], say: Callable[[str], None]) -> int:
    if importlib.util.find_spec("jupyterlab") is None:
        raise ConfigError("--lab needs JupyterLab", install("demo"))
    notebook = folder / "01_quickstart.ipynb"
    shutil.copy(quickstart(), notebook)
    variables = {name: value for name, value in os.environ.items() if name not in _UNWANTED}
    say(f"JupyterLab opens on {notebook}, a copy that goes when it ends. End it with Ctrl-C.")
    command = [sys.executable, "-m", "jupyterlab", f"--notebook-dir={folder}", str(notebook)]
    if os.geteuid() == 0:  # in a container, say; the folder is the demo's own
        command.append("--allow-root")
    lab = subprocess.Popen(command, env={**variables, **environment})
    while True:
        try:
            return 0 if lab.wait() in (0, -2, 130) else 1
        except KeyboardInterrupt:  # JupyterLab got it too, and asks the user
            continue


def quickstart() -> Path:
    """The quickstart notebook, in the installed package or in a checkout.

    Raises:
        ConfigError: it is in neither.
    """
    here = Path(__file__).parents[1]
    for place in (here / "notebooks", here.parent / "notebooks"):
        if (place / "01_quickstart.ipynb").is_file():
            return place / "01_quickstart.ipynb"
    raise ConfigError("the quickstart notebook is not installed", "Install nbsync again")
