"""README opens with two commands, one line each: the first shows nbsync, the second tests it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CI_RUN = ROOT / ".ci" / "run"
ONE = "```sh\none\n```\n"


def sh_blocks(markdown: str) -> list[str]:
    """The contents of the fenced blocks marked `sh`, in order."""
    return re.findall(r"^```sh[ \t]*\n(.*?)^```[ \t]*$", markdown, re.MULTILINE | re.DOTALL)


def test_the_first_two_commands_are_one_line_each() -> None:
    blocks = sh_blocks((ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(blocks) >= 2, "README.md needs two ```sh blocks"
    for block in blocks[:2]:
        assert len(block.splitlines()) == 1, block
        assert block.strip(), "an empty command"
        assert not block.startswith("$"), f"a prompt cannot be pasted: {block}"


def test_ci_runs_the_second_command_to_the_letter() -> None:
    blocks = sh_blocks((ROOT / "README.md").read_text(encoding="utf-8"))
    done = subprocess.run([CI_RUN, "--show"], capture_output=True, text=True, check=True)
    assert done.stdout == blocks[1]


@pytest.mark.parametrize(
    ("readme", "shown"),
    [
        (f"# x\n\n{ONE}text\n```python\nno\n```\n```sh\ntwo && 'three'\n```\n{ONE}", "two && 'three'\n"),
        (ONE, None),
        (ONE + "```sh\n```\n", None),
        (ONE + "```sh\nunclosed\n", None),
        (None, None),
    ],
    ids=["second", "only one", "empty", "unclosed", "no file"],
)
def test_ci_finds_the_second_command_or_says_so(tmp_path: Path, readme: str | None, shown: str | None) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(CI_RUN, tmp_path / ".ci" / "run")
    if readme is not None:
        (tmp_path / "README.md").write_text(readme)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run([tmp_path / ".ci" / "run", "--show"], cwd=elsewhere, capture_output=True, text=True,
                          check=False, env={**os.environ, "LC_ALL": "C"})  # fmt: skip
    if shown is None:
        assert done.returncode == 2
        assert "README.md has no second sh block" in done.stderr
    else:
        assert (done.returncode, done.stdout) == (0, shown)
