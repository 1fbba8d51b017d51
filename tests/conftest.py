"""What every test has: an environment without the user in it, and S3 servers that start when first asked for.

Fixtures: `server` runs a test on each of moto, rclone and Ceph RGW; `bucket` is a new bucket on it;
`moto_server`, `rclone_server`, `rgw_server` are one each, for the whole session.

The whole suite runs in several processes (pytest-xdist), tests that are named on the command line in one.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.workermanage import WorkerController

from tests.parallel import Groups
from tests.servers import Server, moto, rclone, rgw

MARKERS = (
    "rclone: runs on `rclone serve s3` (added to every test that uses it)",
    "rgw: needs Ceph RGW (added to every test that uses it)",
    "browser: drives headless Chromium",
    "bench: its assertion is about time or memory",
    "slow: takes seconds; the quick loop, `-m 'not slow'`, leaves it out",
)
SERVERS = ("moto", "rclone", "rgw")
# Tests that drive somebody else's processes, beside those on RGW and rclone: kernels, JupyterLab and a browser,
# JupyterHub, clusters. Of their some hundred thousand messages one gets lost or comes late now and then, on a
# loaded machine more often, and no change of nbsync's would help. So they are run once more when they fail, and the
# summary names them: a fault of ours fails twice. Tests of our own rules and of our own processes get no second try.
FOREIGN = ("e2e/", "functional/test_cluster_", "functional/test_each_", "server/test_real_server.py")
# The user's settings for anything that the tests start; each test gets a home of its own instead.
PERSONAL = ("AWS_", "BOTO", "XDG_", "RCLONE_", "S3_", "IPYTHONDIR", "JUPYTER", "NBSYNC", "PYTHONSTARTUP")

# The tree is compiled once, whatever the caller's shell says, not by each of a thousand processes.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

hypothesis.settings.register_profile("dev", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True, max_examples=25)


# How long a process that is told to end may take for it, before it is ended. (xdist's kill comes after 10 s.)
SECONDS_TO_END = 6.0
_HERE = Path(__file__).parent
_STARTED: list[Server] = []
_WORKERS: list[subprocess.Popen[bytes]] = []


def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "dev")
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _end_session)


def pytest_testnodeready(node: WorkerController) -> None:
    """A process that shares the suite's tests is there. (It is not to be had in public.)"""
    _WORKERS.append(node.gateway._io.popen)


def _end_session(_signal: int, _frame: object) -> None:
    """A cancelled CI run ends its servers too: by default SIGTERM would run no finalizer.

    What is raised here may be raised anywhere in a test. If it is caught there, a timer ends the process.
    """
    signal.signal(signal.SIGTERM, lambda *_: None)
    for process in _WORKERS:
        process.send_signal(signal.SIGTERM)
    if not _WORKERS:
        timer = threading.Timer(SECONDS_TO_END, _end_process)
        timer.daemon = True
        timer.start()
    pytest.exit("terminated", returncode=128 + signal.SIGTERM)


def _end_process() -> None:
    for server in _STARTED:
        server.stop()
    os._exit(128 + signal.SIGTERM)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """How many processes `-n auto` of pyproject.toml means: for the whole suite one more than cores, else this one.

    Tests of kernels, browsers and RGW wait most of the time: the others run meanwhile.
    """
    return min(os.cpu_count() or 1, 3) + 1 if config.args == config.getini("testpaths") else 0


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Groups:
    """Who gets which tests. Our own: xdist 3.8's groups are lost on pytest 9.2."""
    return Groups(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    again = config.pluginmanager.hasplugin("rerunfailures")
    for item in items:
        foreign = item.path.is_relative_to(_HERE) and item.path.relative_to(_HERE).as_posix().startswith(FOREIGN)
        for name in ("rclone", "rgw"):
            if _runs_on(item, name):
                item.add_marker(name)
                foreign = True
        if foreign and again:
            item.add_marker(pytest.mark.flaky(reruns=1))


def _runs_on(item: pytest.Item, server: str) -> bool:
    callspec = getattr(item, "callspec", None)
    asked = callspec is not None and callspec.params.get("server") == server
    return asked or f"{server}_server" in getattr(item, "fixturenames", ())


def pytest_collection_finish() -> None:
    """What is loaded by now, half a million objects, stays: neither the collector nor a forked child goes over it."""
    gc.collect()
    gc.freeze()


def isolate(patch: pytest.MonkeyPatch, home: Path) -> None:
    """Point everything that is the user's own at `home`, and AWS's metadata service nowhere."""
    for name in os.environ:
        if name.startswith(PERSONAL):
            patch.delenv(name)
    patch.setenv("HOME", str(home))
    for name in ("CACHE", "CONFIG", "DATA", "STATE"):
        patch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    patch.setenv("AWS_CONFIG_FILE", str(home / ".aws" / "config"))
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / ".aws" / "credentials"))
    for name in ("NO_PROXY", "no_proxy"):
        patch.setenv(name, "127.0.0.1,localhost")


@pytest.fixture(scope="session", autouse=True)
def _isolated_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """For what lives as long as the session: the servers."""
    with pytest.MonkeyPatch.context() as patch:
        isolate(patch, tmp_path_factory.mktemp("session-home"))
        yield


@pytest.fixture(scope="session", autouse=True)
def _children_can_be_interrupted() -> Iterator[None]:
    """A shell starts background jobs with SIGINT ignored, and children inherit that; a handler they do not."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This test's own empty home directory (`~`)."""
    path = tmp_path_factory.mktemp("home")
    isolate(monkeypatch, path)
    return path


def _ending_with_the_session(server: Server) -> Iterator[Server]:
    # The fixture's finalizer stops it; atexit does when pytest is ended before finalizers run.
    atexit.register(server.stop)
    _STARTED.append(server)
    yield server
    server.stop()
    _STARTED.remove(server)
    atexit.unregister(server.stop)


@pytest.fixture(scope="session")
def moto_server(_isolated_session: None) -> Iterator[Server]:
    """moto in this process."""
    yield from _ending_with_the_session(moto.start())


@pytest.fixture(scope="session")
def rclone_server(_isolated_session: None) -> Iterator[Server]:
    """`rclone serve s3`."""
    yield from _ending_with_the_session(rclone.start())


@pytest.fixture(scope="session")
def rgw_server(_isolated_session: None) -> Iterator[Server]:
    """Ceph RGW: skipped where its Debian packages are missing, except in CI (variable CI), where they must be."""
    missing = rgw.missing()
    if missing and os.environ.get("CI"):
        pytest.fail(missing, pytrace=False)
    if missing:
        pytest.skip(missing)
    yield from _ending_with_the_session(rgw.start())


@pytest.fixture(scope="session", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Server:
    """Each of the servers in turn."""
    started: Server = request.getfixturevalue(f"{request.param}_server")
    return started


@pytest.fixture
def bucket(server: Server) -> str:
    """A new, empty bucket on `server`."""
    return server.new_bucket()
