"""A locale that is not UTF-8: names are UTF-8 on both sides all the same, or the run is refused in a line."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from nbsync.errors import ConfigError
from nbsync.local.scan import check_encoding
from tests.quirks.world import CREDENTIALS, World, world

ROOT = Path(__file__).parents[2]
NAMES = ("é.txt", "日本.txt", "\U0001f600.txt", "plain.txt", "Û[31m.txt")
BARE_C = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture
def here() -> Iterator[World]:
    """A world with such objects."""
    with world() as here:
        for name in NAMES:
            here.put(name, name.encode())
        yield here


@pytest.fixture(scope="module")
def latin_1(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The environment of a locale whose encoding is ISO-8859-1."""
    if not shutil.which("localedef"):
        pytest.skip("localedef is not installed")
    place = tmp_path_factory.mktemp("locales")
    made = place / "en_US.ISO-8859-1"
    subprocess.run(["localedef", "-i", "en_US", "-f", "ISO-8859-1", made], capture_output=True, check=False)
    if not made.is_dir():
        pytest.skip("localedef has no sources")
    return {"LC_ALL": made.name, "LOCPATH": str(place), "PYTHONUTF8": "0"}


@pytest.fixture(params=["bare C", "Latin-1", "unknown", "ASCII output"])
def environment(request: pytest.FixtureRequest) -> Mapping[str, str]:
    """Of a process that is told to use something else than UTF-8."""
    if request.param == "Latin-1":
        found: Mapping[str, str] = request.getfixturevalue("latin_1")
        return found
    given = {
        "bare C": BARE_C,
        "unknown": {"LC_ALL": "xx_YY.UTF-8", "PYTHONUTF8": "0"},
        "ASCII output": {"PYTHONIOENCODING": "ascii"},
    }
    return given[request.param]


def names_in(folder: Path) -> set[bytes]:
    return {name for name in os.listdir(os.fsencode(folder)) if name != b".nbsync"}


@pytest.mark.parametrize("environment", ["bare C", "Latin-1"], indirect=True)
def test_names_are_utf8(here: World, environment: Mapping[str, str]) -> None:
    """What a pull makes, what a push sends, and what filters and arguments on the command line mean."""
    pulled = here.pull("--exclude", "日*", env=environment)
    assert (pulled.code, pulled.counts) == (0, {"miss": len(NAMES) - 1}), pulled
    assert names_in(here.local) == {name.encode() for name in NAMES if not name.startswith("日")}
    pushed = here.run("push", here.local, "s3://b/q/ü", env=environment)
    assert (pushed.code, pushed.counts) == (0, {"miss": len(NAMES) - 1}), pushed
    assert {key for key in here.store.keys if key.startswith("q/")} == {
        f"q/ü/{name}" for name in NAMES if not name.startswith("日")
    }


def test_text_never_fails_for_its_letters(here: World, environment: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "nbsync", "pull", "s3://b/p", here.local, "--verbose", "--endpoint-url"]
    env = {**os.environ, **CREDENTIALS, **environment}
    done = subprocess.run([*command, here.store.url], env=env, cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"plain.txt" in done.stdout


def test_a_terminal_gets_its_own_encoding(here: World, latin_1: Mapping[str, str]) -> None:
    """Some bytes of UTF-8 are control characters to a terminal of another encoding: what it lacks is escaped."""
    terminal, end = pty.openpty()
    command = [sys.executable, "-m", "nbsync", "ls", "s3://b/p/", "--endpoint-url", here.store.url]
    env = {**os.environ, **CREDENTIALS, **latin_1}
    with subprocess.Popen(command, env=env, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=end, stderr=end):
        os.close(end)
        said = b""
        while select.select([terminal], [], [], 60)[0]:
            try:
                piece = os.read(terminal, 4096)
            except OSError:  # Linux's way of saying that nobody writes any more
                break
            said += piece
            if not piece:
                break
    os.close(terminal)
    text = said.decode("latin-1")
    assert "é.txt" in text
    assert r"\u65e5\u672c.txt" in text
    assert "\x9b" not in text


def test_a_program_is_refused_in_a_line(here: World) -> None:
    """A Python that is at work already cannot change how it reads names."""
    code = f"""if True:
        import nbsync, sys
        from nbsync.cli.main import main
        try:
            nbsync.pull("b/p", {str(here.local)!r}, endpoint_url={here.store.url!r})
        except nbsync.NbsyncError as error:
            print(error)
        sys.exit(main(["undo", {str(here.top)!r}]))"""
    env = {**os.environ, **CREDENTIALS, **BARE_C}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    refusal = "this process reads file names as ascii, and S3's are UTF-8. Start it with PYTHONUTF8=1"
    assert done.stdout.startswith(refusal)
    assert done.stderr.startswith(f"nbsync: {refusal}")
    assert (done.stderr.count("\n"), done.returncode) == (1, 2)
    assert not here.local.exists()


def test_only_utf8() -> None:
    check_encoding("utf-8")
    with pytest.raises(ConfigError, match="as iso8859-1"):
        check_encoding("iso8859-1")


def test_options_of_python_are_kept(here: World) -> None:
    """`python -X dev -m nbsync` is begun anew with them."""
    command = [sys.executable, "-X", "dev", "-m", "nbsync", "undo", here.top, "--json"]
    env = {**os.environ, **BARE_C}
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
