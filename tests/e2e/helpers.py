"""What the end-to-end tests share: processes with a clean environment, polling with a deadline, real pages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "notebooks" / "01_quickstart.ipynb"
ARTEFACTS = ROOT / "tests" / "artefacts"
NBSYNC = (sys.executable, "-m", "nbsync")


def wait_until(what: str, look: Callable[[], T], seconds: float = 30.0) -> T:
    """The first true value of `look()`; fails when there is none within `seconds`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {seconds:g} s")


@contextmanager
def shared(make: Callable[[], AbstractContextManager[T]]) -> Iterator[Callable[[pytest.FixtureRequest], T]]:
    """Gives each test the same one, made for the first; a test that is run once more gets another, as do those after.

    What is shared, a kernel or a server, may be what the test failed for.
    """
    with ExitStack() as open_now:
        made: list[T] = []

        def get(request: pytest.FixtureRequest) -> T:
            if made and getattr(request.node, "execution_count", 1) > 1:
                made.clear()
                with suppress(Exception):
                    open_now.close()
            if not made:
                made.append(open_now.enter_context(make()))
            return made[0]

        yield get


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """This process's environment (already without the user in it) with `more`."""
    return {**os.environ, "PYTHONUTF8": "1", "TERM": "xterm-256color", **more}


def nbsync(*words: str, cwd: Path, env: Mapping[str, str], timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """`nbsync WORDS` as a process, its output caught."""
    return subprocess.run([*NBSYNC, *words], cwd=cwd, env=environment(env), capture_output=True, text=True,
                          timeout=timeout, check=False)  # fmt: skip


@contextmanager
def process(command: Sequence[str], **settings: Any) -> Iterator[subprocess.Popen[str]]:
    """A process in a group of its own that does not outlive the test."""
    started = subprocess.Popen(command, text=True, start_new_session=True, **settings)
    try:
        yield started
    finally:
        if started.poll() is None:
            started.kill()
        started.communicate()


def opened_by(pid: int) -> list[Path]:
    """The files that a process has open."""
    found = []
    for link in Path(f"/proc/{pid}/fd").glob("*"):
        try:
            found.append(link.readlink())
        except OSError:  # closed meanwhile
            continue
    return found


def fill(server: Any, bucket: str, files: Mapping[str, bytes]) -> None:
    """Put `files` (key to content) into `bucket`."""
    for key, body in files.items():
        server.put(bucket, key, body)


def tree(folder: Path) -> dict[str, bytes]:
    """Relative path and content of each file of `folder`, nbsync's own state directory left out."""
    files = (path for path in folder.rglob("*") if path.is_file())
    relative = ((path.relative_to(folder), path) for path in files)
    return {str(name): path.read_bytes() for name, path in relative if ".nbsync" not in name.parts}


def staged(folder: Path) -> list[str]:
    """What a run left half done below `folder`: what lies in nbsync's staging."""
    return [str(path) for path in folder.rglob(".nbsync/stage/*")]


def code_cells(notebook: Any) -> list[Any]:
    """The code cells, in order."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def write_notebook(path: Path, *sources: str) -> None:
    """A notebook of these code cells at `path`."""
    import nbformat

    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path.write_text(json.dumps(nbformat.v4.new_notebook(cells=cells, metadata=kernel)), encoding="utf-8")
