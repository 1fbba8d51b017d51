"""`nbsync demo`, README's first command: the story in the terminal, and JupyterLab on the quickstart."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pexpect
import pytest

from nbsync.cli.main import main
from nbsync.demo import show
from nbsync.demo.server import CREDENTIALS
from tests.e2e.helpers import NBSYNC, QUICKSTART, environment, nbsync, process, wait_until

STEPS = ["24 miss", "24 hit", "1 miss · 23 hit", "1 planned · 23 hit", "1 miss · 23 hit"]


def test_demo_tells_its_story_and_cleans_up(tmp_path: Path) -> None:
    # Settings that would lead elsewhere, were they not put aside.
    config = tmp_path.with_name("aws-config")
    config.write_text("[default]\ns3 =\n  addressing_style = virtual\n")
    env = {"TMPDIR": str(tmp_path), "AWS_PROFILE": "mine", "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
           "AWS_CONFIG_FILE": str(config), "http_proxy": "http://127.0.0.1:1"}  # fmt: skip
    done = nbsync("demo", cwd=tmp_path, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert [line for line in lines if line in STEPS] == STEPS
    assert [line.split()[2] for line in lines if line.startswith("$ nbsync")] == ["pull"] * 3 + ["push"] * 2
    assert list(tmp_path.iterdir()) == []


def test_demo_ends_at_a_step_that_fails() -> None:
    codes = iter([0, 2])
    said: list[str] = []
    assert show.run(lambda _words: next(codes), say=said.append) == 2
    assert said[-1] == "\nThe demo stops here: this step failed (exit code 2)."


def test_a_kernels_demo_goes_past_its_proxy_and_configuration(tmp_path: Path) -> None:
    source = ("import os, nbsync; from nbsync.demo import use_demo_server; r = nbsync.pull(use_demo_server(), 'w'); "
              "print(r.counts['miss'], os.environ['no_proxy'])")  # fmt: skip
    config = tmp_path / "config"
    config.write_text("[default]\ns3 =\n  addressing_style = virtual\n")
    env = environment({"http_proxy": "http://127.0.0.1:1", "AWS_CONFIG_FILE": str(config), "no_proxy": "intranet"})
    done = subprocess.run([sys.executable, "-c", source], cwd=tmp_path, env=env, capture_output=True, text=True,
                          timeout=60, check=False)  # fmt: skip
    assert done.stdout.split() == ["24", "intranet,127.0.0.1,localhost"], done.stderr


def test_demo_lab_opens_the_quickstart_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    # A test may run as root, and has no screen: both are the user's settings, not the demo's.
    settings = {"ServerApp": {"open_browser": False}}
    folders = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_RUNTIME_DIR": "runtime", "TMPDIR": "tmp"}
    for folder in folders.values():
        (tmp_path / folder).mkdir()
    (tmp_path / "config" / "jupyter_server_config.json").write_text(json.dumps(settings))
    env = environment({"BROWSER": "true", **{name: str(tmp_path / folder) for name, folder in folders.items()}})
    terminal = pexpect.spawn(NBSYNC[0], [*NBSYNC[1:], "demo", "--lab"], cwd=tmp_path, env=env, encoding="utf-8",
                             codec_errors="replace", timeout=60)  # fmt: skip
    try:
        terminal.expect(r"(http://127\.0\.0\.1:\d+/)lab\S*\?token=(\w+)")
        url, token = terminal.match.groups()
        found = wait_until("JupyterLab answers", lambda: _get(f"{url}api/contents/01_quickstart.ipynb", token))
        cells = found["content"]["cells"]
        assert len(cells) == len(json.loads(QUICKSTART.read_text(encoding="utf-8"))["cells"])
        terminal.sendintr()
        terminal.expect_exact("Shut down this Jupyter server")
        terminal.sendintr()
        terminal.expect(pexpect.EOF)
    finally:
        terminal.close(force=True)
    assert (terminal.exitstatus, terminal.signalstatus) == (0, None), terminal.before
    assert "Traceback" not in terminal.before
    assert list((tmp_path / "tmp").glob("nbsync-demo-*")) == []


def test_demo_serve_is_what_a_shell_can_use_and_stop(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    code = """
        eval "$($NBSYNC demo --serve &)"
        $NBSYNC pull nbsync-demo/weather w --json | tr -d ' \\n' | grep -o '"miss":24'
        kill $NBSYNC_DEMO_PID
        tail --pid=$NBSYNC_DEMO_PID -f /dev/null
        $NBSYNC ls nbsync-demo/weather --retries 0 || echo "exit $?"
    """
    env = {"NBSYNC": " ".join(NBSYNC), "TMPDIR": str(tmp_path / "tmp"), "AWS_PROFILE": "no-such-profile",
           "http_proxy": "http://127.0.0.1:1", "no_proxy": "intra net"}  # fmt: skip
    done = subprocess.run(["bash", "-c", code], cwd=tmp_path, env=environment(env), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
    assert done.stdout.split("\n") == ['"miss":24', "exit 2", ""], done.stderr
    assert "no answer from the endpoint" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("words", [["demo"], ["demo", "--serve"]])
def test_without_moto_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    monkeypatch.setitem(sys.modules, "moto.server", None)
    assert main(words) == 2
    out, errors = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"nbsync: The demo server needs moto .*pip install 'nbsync-s3\[demo\]'\n", errors)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_demo_serve_says_how_it_ends_and_ends_well(tmp_path: Path, end: signal.Signals) -> None:
    with process([*NBSYNC, "demo", "--serve"], cwd=tmp_path, env=environment({"TMPDIR": str(tmp_path)}),
                 stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server:  # fmt: skip
        assert server.stdout is not None
        lines = server.stdout.read().splitlines()  # to its end: it lets go of it
        server.send_signal(end)
        _, errors = server.communicate(timeout=30)
    assert (server.returncode, errors) == (0, "")
    exports = dict(line.removeprefix("export ").split("=", 1) for line in lines[1:-1])
    assert lines[0].startswith("unset AWS_PROFILE ")
    assert all(line.startswith("export ") for line in lines[1:-1])
    assert exports["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")
    assert exports["NBSYNC_DEMO_PID"] == str(server.pid)
    assert lines[-1] == f"# Sample data in s3://nbsync-demo/weather/, until Ctrl-C here or, anywhere: kill {server.pid}"
    assert list(tmp_path.iterdir()) == []


def test_demo_serve_in_a_terminal_goes_on_until_ctrl_c(tmp_path: Path) -> None:
    terminal = pexpect.spawn(NBSYNC[0], [*NBSYNC[1:], "demo", "--serve"], cwd=tmp_path, env=environment({}),
                             encoding="utf-8", timeout=60)  # fmt: skip
    try:
        terminal.expect(r"AWS_ENDPOINT_URL=(\S+)\r")
        url = terminal.match.group(1)
        terminal.expect_exact("until Ctrl-C here")
        listed = nbsync("ls", show.REMOTE, cwd=tmp_path, env={**CREDENTIALS, "AWS_ENDPOINT_URL": url})
        assert "24 objects" in listed.stdout + listed.stderr
        terminal.sendintr()
        terminal.expect(pexpect.EOF)
    finally:
        terminal.close(force=True)
    assert (terminal.exitstatus, terminal.signalstatus) == (0, None), terminal.before


def _get(url: str, token: str) -> Any:
    """The answer of its REST API; None as long as it does not listen."""
    request = urllib.request.Request(url, headers={"Authorization": f"token {token}"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)
    except urllib.error.HTTPError:
        raise
    except OSError:  # it says that it is ready a moment too early
        return None
