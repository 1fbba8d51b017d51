"""README's examples run. A fenced block with `<!-- test -->` on the line before it is executed here, as a reader
would do it: top to bottom, in one folder and one session, with a bucket `my-bucket` and a local folder `results`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from tests.e2e.helpers import NBSYNC, ROOT, environment, fill
from tests.server.real import running_server
from tests.servers import Server

README = ROOT / "README.md"
LEAST = 8
BUCKET = "my-bucket"
OBJECTS = {
    "raw/a.csv": b"1,2\n",
    "raw/2023/january.csv": b"day,celsius\n1,3.5\n2,4.0\n",
    "raw/2024/january.csv": b"day,celsius\n1,2.5\n2,1.0\n",
    "raw/index.csv": b"year\n2023\n2024\n",
    "raw/images/map.png": bytes(range(256)),
    "raw/notes.txt": b"Made up.\n",
    "other/elsewhere.txt": b"Not below raw/.\n",
}
RESULTS = {"summary.csv": b"mean\n2.75\n", "plots/mean.png": bytes(range(99)), "tmp/scratch.tmp": b"scratch"}
_BLOCK = re.compile(r"^<!-- test(?:: (\w+))? -->[ \t]*\n```(\w+)[ \t]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A marked block: its language, what it says, the line that it begins on, and what must run for it."""

    language: str
    code: str
    line: int
    needs: str = ""


def marked(markdown: str) -> list[Block]:
    """The blocks that are marked as tested."""
    found = _BLOCK.finditer(markdown)
    return [Block(m[2], m[3], markdown.count("\n", 0, m.start(3)) + 1, m[1] or "") for m in found]


ALL = marked(README.read_text(encoding="utf-8")) if README.exists() else []
BLOCKS = [block for block in ALL if not block.needs]


@pytest.fixture(scope="module")
def place(moto_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The reader's folder; the bucket is there as long."""
    moto_server.s3.create_bucket(Bucket=BUCKET)
    moto_server.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    fill(moto_server, BUCKET, OBJECTS)
    folder = tmp_path_factory.mktemp("reader")
    for name, body in RESULTS.items():
        (folder / "results" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "results" / name).write_bytes(body)
    yield folder
    listed = moto_server.s3.list_object_versions(Bucket=BUCKET)
    for entry in [*listed.get("Versions", []), *listed.get("DeleteMarkers", [])]:
        moto_server.s3.delete_object(Bucket=BUCKET, Key=entry["Key"], VersionId=entry["VersionId"])
    moto_server.s3.delete_bucket(Bucket=BUCKET)


@pytest.fixture(scope="module")
def shell() -> Iterator[InteractiveShell]:
    """The reader's session."""
    config = Config()
    config.HistoryManager.hist_file = ":memory:"
    yield InteractiveShell.instance(config=config)
    InteractiveShell.clear_instance()


@pytest.fixture
def programs(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH on which `nbsync` is this tree's and `python` this interpreter."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / "nbsync").write_text(f'#!/bin/sh\nexec {" ".join(NBSYNC)} "$@"\n')
    (folder / "nbsync").chmod(0o755)
    return os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ["PATH"]])


def test_enough_of_readme_is_tested() -> None:
    assert len(BLOCKS) >= LEAST, [block.line for block in BLOCKS]
    assert {block.language for block in BLOCKS} == {"sh", "python"}


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.language}-{block.line}")
def test_block(block: Block, place: Path, shell: InteractiveShell, programs: str, moto_server: Server,
               monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.chdir(place)
    monkeypatch.setenv("XDG_STATE_HOME", str(place.with_name(f"{place.name}-state")))  # one reader reads all of it
    for name, value in moto_server.env().items():
        monkeypatch.setenv(name, value)
    if block.language == "sh":
        run_sh(block.code, environment({**moto_server.env(), "PATH": programs}))
    elif re.search(r"(^|= *)%", block.code, re.MULTILINE):
        run_cell(shell, block.code)
    else:
        exec(compile(block.code, f"README.md:{block.line}", "exec"), shell.user_ns)


def test_the_api_s_commands(place: Path, programs: str, moto_server: Server, tmp_path: Path) -> None:
    (block,) = (block for block in ALL if block.needs == "server")
    with running_server(tmp_path, moto_server.env()) as server:
        runtime = {"JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"), "PATH": programs}
        said = run_sh(block.code.replace("localhost:8888", server.host), environment(runtime))
        assert "event: end\n" in said
        assert '"state": "done"' in said.splitlines()[-1]
        assert (server.root / "data" / "2024" / "january.csv").read_bytes() == OBJECTS["raw/2024/january.csv"]


def run_sh(code: str, env: dict[str, str]) -> str:
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", code], env=env, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=100, check=False)  # fmt: skip
    assert done.returncode == 0, f"{code}\n{done.stdout}{done.stderr}"
    return done.stdout


def run_cell(shell: InteractiveShell, code: str) -> None:
    if "nbsync" not in shell.extension_manager.loaded:
        shell.run_line_magic("load_ext", "nbsync")
    with capture_output() as said:
        done = shell.run_cell(code)
    assert done.success, f"{code}\n{said.stdout}{said.stderr}"


def test_marked_blocks_are_found() -> None:
    text = "a\n<!-- test -->\n```sh\none\ntwo\n```\n```sh\nno\n```\n<!-- test: server -->\n```python\n%x\n```\n"
    assert marked(text) == [Block("sh", "one\ntwo\n", 4), Block("python", "%x\n", 12, "server")]


def test_a_block_that_fails_is_seen(shell: InteractiveShell) -> None:
    with pytest.raises(AssertionError, match="exit 3"):
        run_sh("exit 3\n", dict(os.environ))
    with pytest.raises(AssertionError, match="no_such_name"):
        run_cell(shell, "no_such_name\n")
    with pytest.raises(AssertionError, match="s3sync pull"):
        run_cell(shell, "%s3sync pull\n")
