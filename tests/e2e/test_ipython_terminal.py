"""The magic in plain IPython: in a pseudo-terminal as a user types, and in its shell object where that is exact."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from nbsync.results.sync_result import SyncResult
from tests.e2e.helpers import environment, fill, tree
from tests.e2e.valve import Valve
from tests.servers import Server
from tests.shells import new_shell

FILES = {f"raw/{name}": os.urandom(300_000) for name in ("a.bin", "b.bin", "c.bin")}
_TOKENS = re.compile(r"\x1b\[(?P<number>[0-9;?]*)(?P<code>[A-Za-z])|(?P<text>[^\x1b\r\n]+)|(?P<move>[\r\n])")


def screen(written: str) -> str:
    """What stands on the screen after `written`: lines that were erased again are not there."""
    lines, at = [""], 0
    for token in _TOKENS.finditer(written):
        if token["move"] == "\n":
            at += 1
            lines += [""] * (at + 1 - len(lines))
        elif token["code"] == "A":
            at = max(0, at - int(token["number"] or 1))
        elif token["code"] == "K":
            lines[at] = ""
        elif token["text"]:
            lines[at] += token["text"]
    return "\n".join(line.rstrip() for line in lines)


class Terminal:
    """IPython in a pseudo-terminal of 120 columns."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        words = ["-m", "IPython", "--simple-prompt", "--no-banner", "--colors=NoColor", "--no-confirm-exit"]
        self.child = pexpect.spawn(sys.executable, words, cwd=folder, env=environment(env), encoding="utf-8",
                                   codec_errors="replace", timeout=40, dimensions=(50, 120), echo=False)  # fmt: skip
        self._number = 0
        self.prompt()

    def prompt(self) -> str:
        """What was printed before the next prompt."""
        self._number += 1
        self.child.expect_exact(f"In [{self._number}]: ")
        return screen(self.child.before or "")

    def send(self, *lines: str) -> None:
        """Type a cell; one of several lines ends with an empty one."""
        for line in [*lines, ""] if len(lines) > 1 else lines:
            self.child.sendline(line)

    def run(self, *lines: str) -> str:
        """What the cell printed."""
        self.send(*lines)
        return self.prompt()


@pytest.fixture
def terminal(moto_server: Server, tmp_path: Path) -> Iterator[Terminal]:
    started = Terminal(tmp_path, moto_server.env())
    started.run("%load_ext nbsync")
    yield started
    started.child.close(force=True)


@pytest.fixture
def shell(moto_server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[InteractiveShell]:
    """IPython's shell object in this process, with nbsync loaded, at work in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    for name, value in moto_server.env().items():
        monkeypatch.setenv(name, value)
    with new_shell() as made:
        made.run_line_magic("load_ext", "nbsync")
        yield made
        made.run_line_magic("unload_ext", "nbsync")


def run(shell: InteractiveShell, source: str) -> tuple[Any, str]:
    """A cell's value and what it printed; its error is raised."""
    with capture_output() as caught:
        done = shell.run_cell(source)
    done.raise_error()
    return done.result, caught.stdout


def test_a_pull_as_a_user_types_it(
    moto_server: Server, store: str, valve: Valve, terminal: Terminal, tmp_path: Path
) -> None:
    fill(moto_server, store, FILES)
    valve.let_through(100_000)
    terminal.send(f"r = %s3sync pull {store}/raw data --endpoint-url {valve.url}")
    terminal.child.expect(r"of 3 files.*of 900\.0 kB")  # while it stands still, half done
    valve.open()
    shown = terminal.prompt()
    assert re.search(r"\+ miss +300\.0 kB +a\.bin +missing locally", shown)
    assert "✓ done" in shown
    assert tree(tmp_path / "data") == {key.removeprefix("raw/"): body for key, body in FILES.items()}
    assert shown.strip().startswith("pull s3://"), "the progress is taken away"
    assert terminal.run("r.counts['miss']").split() == ["Out[3]:", "3"]


def test_the_table_has_no_empty_out_prompt_below_it(moto_server: Server, store: str, terminal: Terminal) -> None:
    fill(moto_server, store, FILES)
    pulled = terminal.run(f"%s3sync pull {store}/raw data")
    assert "3 miss" in pulled
    assert "Out[" not in pulled + terminal.run(f"%s3sync ls {store}/raw")
    assert terminal.run("Out[2].counts['miss'], len(_.entries)").split() == ["Out[4]:", "(3,", "3)"]
    assert "Out[5]:" in terminal.run("Out[2]")
    terminal.run("%unload_ext nbsync")
    assert "_TerminalHook" not in terminal.run("get_ipython().display_trap.hook")


def test_errors_are_one_line_and_leave_no_traceback(terminal: Terminal) -> None:
    missing = terminal.run("%s3sync pull no-such-bucket-here/raw data")
    assert re.fullmatch(r"\s*nbsync: [^\n]*no-such-bucket-here[^\n]*\s*", missing), missing
    wrong = terminal.run("%s3sync pull --nothing")
    assert re.fullmatch(r"\s*UsageError: [^\n]*--nothing[^\n]*\s*", wrong), wrong


def test_ctrl_c_in_a_pull(moto_server: Server, store: str, valve: Valve, terminal: Terminal, tmp_path: Path) -> None:
    fill(moto_server, store, FILES)
    valve.let_through(100_000)
    terminal.send(f"%s3sync pull {store}/raw data --endpoint-url {valve.url}")
    terminal.child.expect(r"of 3 files")
    terminal.child.sendintr()
    shown = terminal.prompt()
    assert "interrupted" in shown
    assert "Traceback" not in shown
    assert terminal.run("1 + 1").split() == ["Out[3]:", "2"]


def test_time_and_capture(store: str, moto_server: Server, shell: InteractiveShell) -> None:
    fill(moto_server, store, FILES)
    _, timed = run(shell, f"%%time\nr = %s3sync pull {store}/raw data")
    assert "Wall time" in timed
    assert "3 miss" in timed
    assert shell.user_ns["r"].counts["miss"] == 3
    _, shown = run(shell, f"%%capture out\n%s3sync pull {store}/raw data")
    assert shown == ""
    assert "3 hit" in shell.user_ns["out"].stdout


def test_in_a_function_and_in_a_loop(store: str, moto_server: Server, shell: InteractiveShell, tmp_path: Path) -> None:
    fill(moto_server, store, FILES)
    source = f"""
def fetch(where):
    return get_ipython().run_line_magic("s3sync", "pull {store}/raw {{where}} --exclude * --include {{pattern}}")
pattern = "a.*"
results = [fetch(where) for where in ("one", "two")]
for folder in ("one", "three"):
    r = %s3sync pull {store}/raw $folder --exclude 'b.*' --exclude 'c.*';
    results.append(r)
"""
    run(shell, source)
    assert [result.counts["miss"] for result in shell.user_ns["results"]] == [1, 1, 0, 1]
    assert sorted(tree(tmp_path)) == ["one/a.bin", "three/a.bin", "two/a.bin"]


def test_loaded_twice_it_shows_once(store: str, moto_server: Server, shell: InteractiveShell) -> None:
    fill(moto_server, store, FILES)
    for magic in ("load_ext", "reload_ext"):
        shell.run_line_magic(magic, "nbsync")
    value, shown = run(shell, f"%s3sync pull {store}/raw data")
    assert isinstance(value, SyncResult)
    assert shown.count("3 miss") == 1
    again, shown = run(shell, "_")
    assert again is value
    assert "3 miss" in shown


def test_a_cell_of_commands(store: str, moto_server: Server, shell: InteractiveShell, tmp_path: Path) -> None:
    fill(moto_server, store, FILES)
    value, shown = run(shell, f"%%s3sync --exclude 'c.*'\n# two\npull {store}/raw one\n\npull {store}/raw \\\n  two\n")
    assert [result.local for result in value] == ["one", "two"]
    assert shown.count("✓ done") == 2
    assert "✓ all done · 4 miss" in shown
    done = shell.run_cell(f"%%s3sync\npull {store}/raw three\npull {store}/raw four --wrong\n")
    assert "line 3" in str(done.error_in_exec)
    assert not (tmp_path / "three").exists()


def test_tab_in_the_terminal(tmp_path: Path) -> None:
    """The real prompt, which `--simple-prompt` above is not."""
    words = ["-m", "IPython", "--no-banner", "--colors=NoColor", "--no-confirm-exit"]
    child = pexpect.spawn(sys.executable, words, cwd=tmp_path, env=environment({"PROMPT_TOOLKIT_NO_CPR": "1"}),
                          encoding="utf-8", timeout=40, dimensions=(50, 160))  # fmt: skip
    try:
        child.expect_exact("In [1]:")
        child.send("%load_ext nbsync\r")
        child.expect_exact("In [2]:")
        for typed, completed in (("%s3sync pul", "l"), (" --hel", "p")):
            child.send(typed)
            child.expect(r"[^a-z]*".join(typed.split()[-1]))
            child.send("\t")
            child.expect_exact(completed)
        child.send("\r")
        child.expect_exact("usage: %s3sync pull REMOTE")
    finally:
        child.close(force=True)


def test_a_background_sync_is_told_of_in_lines(
    moto_server: Server, store: str, valve: Valve, terminal: Terminal, tmp_path: Path
) -> None:
    fill(moto_server, store, FILES)
    valve.let_through(100_000)
    begun = terminal.run(f"job = %s3sync pull {store}/raw data --endpoint-url {valve.url} --background")
    assert re.search(r"background sync 1 has begun: pull s3://\S+ → data", begun)
    assert re.search(r"… 1  pull s3://\S+ → data · (starting|syncing) ", terminal.run("%s3sync jobs"))
    valve.open()
    waited = terminal.run("job.wait().counts['miss']")
    assert "3" in waited.split()
    assert "background sync 1 has ended: pull s3://" in waited
    assert "Out[" not in terminal.run("x = %s3sync cancel 1")
    assert len(tree(tmp_path / "data")) == 3
