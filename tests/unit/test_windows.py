"""On Windows, where nbsync does not work, it can be imported, and all else ends in one line that says where it works.

Windows is played: a process says it is, and lacks what Python lacks there.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

WINDOWS = """
import os, runpy, sys, types
LACKS = ("fcntl", "grp", "pty", "pwd", "resource", "termios")
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name in LACKS:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
for name in LACKS:
    sys.modules.pop(name, None)
for name in ("O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "fork", "geteuid", "getuid", "register_at_fork"):
    delattr(os, name)
sys.platform = "win32"
"""
LINE = "nbsync needs Linux or macOS. On Windows, install and run it in WSL: https://learn.microsoft.com/windows/wsl/install"


def on_windows(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", WINDOWS + code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("words", [[], ["--help"], ["pull", "bucket/x", "--json"], ["status"], ["demo"], ["nonsense"]])
def test_every_command_ends_in_one_line(words: list[str]) -> None:
    done = on_windows(f"sys.argv = ['nbsync', *{words}]\nrunpy.run_module('nbsync', run_name='__main__')")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"nbsync: {LINE}\n")


def test_it_can_be_imported_and_asked_for_its_version_and_errors() -> None:
    done = on_windows("import nbsync\nprint(nbsync.__version__, nbsync.NbsyncError.__name__)")
    assert (done.returncode, done.stderr, done.stdout.split()[1]) == (0, "", "NbsyncError")


@pytest.mark.parametrize(
    "use",
    ["nbsync.pull('b/x')", "nbsync.SyncPanel", "from nbsync import verify", "nbsync.load_ipython_extension(None)"],
)
def test_what_is_used_says_it_in_one_line(use: str) -> None:
    """IPython shows this error by its `_render_traceback_`."""
    code = (
        f"import nbsync\ntry:\n    {use}\nexcept nbsync.NbsyncError as error:\n    print(*error._render_traceback_())"
    )
    done = on_windows(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"nbsync: {LINE}\n", "")


def test_a_jupyter_server_starts_without_it() -> None:
    code = """
from importlib import import_module
import nbsync
log = types.SimpleNamespace(warning=lambda form, error: print(form % error))
for point in nbsync._jupyter_server_extension_points():
    import_module(point["module"])._load_jupyter_server_extension(types.SimpleNamespace(log=log))
"""
    done = on_windows(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{LINE}\n", "")
