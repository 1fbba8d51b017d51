"""`verify`, `plan --save` and `apply` as processes: exit codes, and an apply that is killed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.helpers import NBSYNC, environment, fill, nbsync, process, staged, tree, wait_until
from tests.servers import Server

FILES = {f"raw/{number:02}": bytes([number]) * 4000 for number in range(20)}


def run(server: Server, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return nbsync(*words, cwd=folder, env=server.env())


def codes(server: Server, folder: Path, *lines: Sequence[str]) -> list[int]:
    done = [run(server, folder, *words) for words in lines]
    print(*(one.stderr for one in done))  # shown where a test fails
    return [one.returncode for one in done]


def test_exit_codes(moto_server: Server, store: str, tmp_path: Path) -> None:
    fill(moto_server, store, FILES)
    remote, data = f"s3://{store}/raw", tmp_path / "data"
    data.mkdir()

    assert codes(moto_server, tmp_path, ["verify", "data", remote], ["verify", "nowhere", remote],
                 ["plan", "pull", remote, "data", "--save", "p.jsonl"], ["apply", "p.jsonl", "--dry-run"],
                 ["apply", "p.jsonl", "--delete"], ["apply", "nowhere"]) == [1, 2, 0, 0, 2, 2]  # fmt: skip
    assert list(data.iterdir()) == []
    assert codes(moto_server, tmp_path, ["apply", "p.jsonl"], ["verify", "data", remote, "--strict"]) == [0, 0]
    (data / "00").write_bytes(b"mine")
    conflict = run(moto_server, tmp_path, "apply", "p.jsonl", "--json")
    assert (conflict.returncode, conflict.stderr) == (1, "")
    counts = json.loads(conflict.stdout)["counts"]
    assert (counts["conflict"], counts["hit"]) == (1, 19)
    assert (data / "00").read_bytes() == b"mine"


def test_an_apply_that_was_killed_is_done_by_the_next(moto_server: Server, store: str, tmp_path: Path) -> None:
    fill(moto_server, store, FILES)
    data = tmp_path / "data"
    planned = run(moto_server, tmp_path, "plan", "pull", f"s3://{store}/raw", "data", "--save", "p.jsonl")
    assert planned.returncode == 0, planned.stderr
    command = [*NBSYNC, "apply", "p.jsonl", "--jobs", "1", "--bandwidth", "20KB/s"]
    with process(command, cwd=tmp_path, env=environment(moto_server.env()), stdout=subprocess.DEVNULL) as killed:
        wait_until("two files are there", lambda: data.is_dir() and len(tree(data)) >= 2)
        killed.kill()
        killed.wait()
    whole = {key.removeprefix("raw/"): body for key, body in FILES.items()}
    assert tree(data).items() < whole.items()

    done = run(moto_server, tmp_path, "apply", "p.jsonl", "--json")

    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)["counts"]
    assert counts["hit"] >= 2
    assert counts["hit"] + counts["miss"] == len(FILES)
    assert tree(data) == whole
    assert staged(data) == []
