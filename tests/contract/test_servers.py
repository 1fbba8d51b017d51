"""The test servers end when they should, and tests see nothing of the user's environment."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.servers import Server, rgw
from tests.servers.base import free_port

ROOT = Path(__file__).parents[2]
USES_RCLONE = """
import os, signal, pytest
def test_it(rclone_server):
    print()
    print(rclone_server.endpoint_url, rclone_server.directory)
    {then}
"""


def test_the_environment_has_nothing_of_the_user(home: Path) -> None:
    assert Path.home() == home
    assert list(home.iterdir()) == []
    names = {name for name in os.environ if name.startswith(("AWS_", "XDG_"))}
    assert names == {
        *("AWS_CONFIG_FILE", "AWS_EC2_METADATA_DISABLED", "AWS_SHARED_CREDENTIALS_FILE"),
        *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"),
    }
    inside = [value for name, value in os.environ.items() if name in names - {"AWS_EC2_METADATA_DISABLED"}]
    assert all(Path(value).is_relative_to(home) for value in inside)


def test_a_subprocess_reaches_the_server_by_env_alone(server: Server, bucket: str) -> None:
    # The AWS CLI, another's code: nothing of this process helps it.
    command = [sys.executable, "-m", "awscli", "s3api", "list-buckets", "--query", "Buckets[].Name", "--output", "text"]
    env = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **server.env()}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert bucket in done.stdout.split()


def test_free_ports_are_free_side_by_side() -> None:
    port = free_port(2)
    with socket.create_server(("127.0.0.1", port)), socket.create_server(("127.0.0.1", port + 1)):
        pass


def test_missing_ceph_names_the_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert rgw.missing().startswith("Ceph RGW needs ceph-mon,")
    assert rgw.missing().endswith("ceph-mon ceph-osd ceph-mgr radosgw ceph-common")


@pytest.mark.parametrize(("ci", "outcome"), [("", "1 skipped"), ("true", "1 error")])
def test_missing_ceph_is_a_skip_but_a_failure_in_ci(tmp_path: Path, ci: str, outcome: str) -> None:
    said = _pytest(tmp_path, "def test_it(rgw_server): pass", {"PATH": str(tmp_path), "CI": ci}, "-rs")
    assert outcome in said
    assert rgw.PACKAGES in said


@pytest.mark.parametrize("then", ["assert 0", "pytest.exit('enough')", "os.kill(os.getpid(), signal.SIGTERM)"])
def test_servers_end_with_a_session_that_goes_wrong(tmp_path: Path, then: str) -> None:
    said = _pytest(tmp_path, USES_RCLONE.format(then=then), {}, "-s")
    url, directory = next(line for line in said.splitlines() if line.startswith("http://")).split()
    assert not Path(directory).exists()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", urlsplit(url).port)) != 0


CATCHES_ALL = """
import os, pathlib, signal, time, tests.conftest
WHOM = {whom}
def test_it(rclone_server):
    tests.conftest.SECONDS_TO_END = 1
    pathlib.Path(__file__).with_name("used").write_text(str(rclone_server.directory))
    signals = [signal.SIGTERM] if WHOM > 1 else []  # 1 is the parent of whoever was left alone
    until = time.monotonic() + 50
    while time.monotonic() < until:
        try:
            if signals:
                os.kill(WHOM, signals.pop())
            time.sleep(60)
        except BaseException:
            pass
"""


@pytest.mark.parametrize(("workers", "whom"), [("0", "os.getpid()"), ("1", "os.getppid()")])
def test_a_session_ends_when_told_to_whatever_its_tests_catch(tmp_path: Path, workers: str, whom: str) -> None:
    """It is told in the process that a CI run began, not in those that share its tests."""
    _pytest(tmp_path, CATCHES_ALL.format(whom=whom), {}, "-n", workers)
    assert not Path((tmp_path / "used").read_text()).exists()


def _pytest(tmp_path: Path, test: str, env: dict[str, str], *options: str) -> str:
    """What another pytest, with our conftest, says of one test that lives outside our tests."""
    (tmp_path / "test_it.py").write_text(test)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", *options,
               "--rootdir", str(tmp_path), "-c", str(tmp_path / "pytest.ini"), str(tmp_path)]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, timeout=60,
                          check=False)  # fmt: skip
    return done.stdout + done.stderr
