"""The command line as a user meets it: processes, their output, their exit codes, Ctrl-C and broken pipes."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.helpers import NBSYNC, environment, fill, nbsync, process, staged, tree, wait_until
from tests.e2e.valve import Valve
from tests.servers import Server

STATUSES = {"hit", "miss", "planned", "deleted", "conflict", "skipped", "failed", "cancelled"}
REQUESTS = {"list", "head", "get", "put", "delete", "other"}
FILES = {"raw/a.csv": b"1,2\n", "raw/b/c.csv": b"3,4\n" * 100, "raw/d.bin": bytes(range(256))}


@pytest.fixture
def filled(moto_server: Server, store: str) -> str:
    """A bucket with FILES."""
    fill(moto_server, store, FILES)
    return store


def document(done: subprocess.CompletedProcess[str]) -> Any:
    """Standard output, which is one JSON document and nothing else."""
    return json.loads(done.stdout)


def check_shape(document: Any, command: str) -> None:
    """The contract's keys and types."""
    types = {"command": str, "remote": str, "local": str, "ok": bool, "dry_run": bool, "counts": dict, "bytes": dict,
             "requests": dict, "seconds": float, "files": list, "problems": list, "notes": list}  # fmt: skip
    assert {name: type(document[name]) for name in types} == types
    assert document["nbsync"]["distribution"] == "nbsync-s3"
    assert set(document) - set(types) <= {"nbsync", "error", "hits_omitted"}
    assert document["command"] == command
    assert set(document["counts"]) == STATUSES
    assert set(document["bytes"]) == {"moved", "saved"}
    assert set(document["requests"]) == REQUESTS
    numbers = [*document["counts"].values(), *document["bytes"].values(), *document["requests"].values()]
    assert {type(number) for number in numbers} == {int}
    for row in document["files"]:
        assert {"path", "action", "status", "reason", "evidence", "bytes", "error"} <= set(row)
        texts = {type(row[name]) for name in ("path", "action", "status", "reason", "evidence")}
        assert (texts, type(row["bytes"])) == ({str}, int)
        assert row["status"] in STATUSES
        assert row["error"] is None or isinstance(row["error"], str)
    for problem in document["problems"]:
        assert {type(problem[name]) for name in ("path", "kind", "message")} == {str}


def test_pull_plan_and_push_in_json(moto_server: Server, filled: str, tmp_path: Path) -> None:
    env, remote = moto_server.env(), f"s3://{filled}/raw"

    pulled = nbsync("pull", remote, "data", "--json", cwd=tmp_path, env=env)
    assert (pulled.returncode, pulled.stderr) == (0, "")
    first = document(pulled)
    check_shape(first, "pull")
    assert (first["remote"], first["local"], first["ok"], first["dry_run"]) == (f"{remote}/", "data", True, False)
    assert first["counts"]["miss"] == 3
    assert first["bytes"] == {"moved": sum(map(len, FILES.values())), "saved": 0}
    assert first["requests"] == {"list": 1, "head": 0, "get": 3, "put": 0, "delete": 0, "other": 0}
    assert {row["path"]: (row["action"], row["reason"]) for row in first["files"]} == dict.fromkeys(
        ("a.csv", "b/c.csv", "d.bin"), ("download", "missing locally")
    )
    assert tree(tmp_path / "data") == {key.removeprefix("raw/"): body for key, body in FILES.items()}

    again = document(nbsync("--json", "pull", remote, "data", cwd=tmp_path, env=env))
    assert (again["counts"]["hit"], again["requests"]["list"], sum(again["requests"].values())) == (3, 1, 1)

    (tmp_path / "data" / "a.csv").write_bytes(b"9,9\n")
    planned = document(nbsync("plan", "push", "data", remote, "--json", cwd=tmp_path, env=env))
    check_shape(planned, "plan")
    assert (planned["dry_run"], planned["counts"]["planned"], planned["counts"]["hit"]) == (True, 1, 2)

    pushed = document(nbsync("push", "data", remote, "--json", cwd=tmp_path, env=env))
    check_shape(pushed, "push")
    assert (pushed["ok"], pushed["counts"]["miss"], pushed["requests"]["put"]) == (True, 1, 1)
    assert moto_server.s3.get_object(Bucket=filled, Key="raw/a.csv")["Body"].read() == b"9,9\n"


def test_ls_in_json_and_as_lines(moto_server: Server, filled: str, tmp_path: Path) -> None:
    listed = document(nbsync("ls", f"{filled}/raw", "--json", cwd=tmp_path, env=moto_server.env()))
    assert (listed["command"], listed["ok"], listed["remote"]) == ("ls", True, f"s3://{filled}/raw/")
    assert {row["key"]: row["size"] for row in listed["files"]} == {key: len(body) for key, body in FILES.items()}
    assert set(listed["requests"]) == REQUESTS
    lines = nbsync("ls", f"{filled}/raw", cwd=tmp_path, env=moto_server.env()).stdout.splitlines()
    assert [line.split()[-1] for line in lines] == list(FILES)


def test_what_cannot_be_a_file_exits_1_and_the_rest_is_pulled(moto_server: Server, store: str, tmp_path: Path) -> None:
    fill(moto_server, store, {"raw/a": b"beside a folder", "raw/a/b": b"b", "raw/c": b"c"})
    done = nbsync("pull", f"{store}/raw", "data", "--json", cwd=tmp_path, env=moto_server.env())
    told = document(done)
    check_shape(told, "pull")
    assert (done.returncode, told["ok"], [problem["path"] for problem in told["problems"]]) == (1, False, ["a"])
    assert tree(tmp_path / "data") == {"a/b": b"b", "c": b"c"}


def test_no_such_bucket_exits_2_with_one_line(moto_server: Server, tmp_path: Path) -> None:
    done = nbsync("pull", "no-such-bucket-here/raw", "data", "--json", cwd=tmp_path, env=moto_server.env())
    told = document(done)
    check_shape(told, "pull")
    assert (done.returncode, told["ok"]) == (2, False)
    assert "no-such-bucket-here" in told["error"]
    assert done.stderr == f"nbsync: {told['error']}\n"
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("pull", "bucket/x", "--dele"), "--delete"),
        (("pul", "bucket/x"), "pull"),
        (("pull",), "REMOTE"),
        (("pull", "http://x/y"), "s3://bucket/prefix"),
    ],
)
def test_wrong_words_exit_2_with_one_helpful_line(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    done = nbsync(*words, cwd=tmp_path, env={})
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert done.stderr.startswith("nbsync: ")
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_empty_source_with_delete_exits_3_and_changes_nothing(
    moto_server: Server, store: str, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.txt").write_text("mine")
    done = nbsync("pull", f"{store}/gone", "data", "--delete", "--json", cwd=tmp_path, env=moto_server.env())
    told = document(done)
    check_shape(told, "pull")
    assert (done.returncode, told["ok"]) == (3, False)
    assert "--allow-empty-source" in told["error"]
    assert tree(tmp_path / "data") == {"mine.txt": b"mine"}


def test_ctrl_c_stops_within_a_second_and_tells_what_was_done(
    moto_server: Server, store: str, valve: Valve, tmp_path: Path
) -> None:
    body = os.urandom(1_000_000)
    fill(moto_server, store, {"raw/a-small.txt": b"first", **{f"raw/big-{n}": body for n in range(4)}})
    valve.let_through(200_000)
    data = tmp_path / "data"
    env = environment({**moto_server.env(), "AWS_ENDPOINT_URL": valve.url})
    command = [*NBSYNC, "pull", f"{store}/raw", "data", "--json"]
    with process(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        wait_until("a first file", (data / "a-small.txt").exists)
        wait_until("a half fetched file", lambda: staged(data))
        interrupted = time.monotonic()
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=20)
        took = time.monotonic() - interrupted
    assert running.returncode == 130
    assert took < 2, f"{took:.1f} s"  # one is promised; the other is for a busy machine
    told = json.loads(out)
    check_shape(told, "pull")
    assert (told["ok"], told["counts"]["miss"]) == (False, 1)
    assert "a-small.txt" in [row["path"] for row in told["files"] if row["status"] == "miss"]
    assert err.startswith("nbsync: ")
    assert len(err.splitlines()) == 1
    assert staged(data) == []
    assert tree(data) == {"a-small.txt": b"first"}

    valve.open()
    assert nbsync("pull", f"{store}/raw", "data", cwd=tmp_path, env=env).returncode == 0
    assert tree(data) == {"a-small.txt": b"first", **{f"big-{n}": body for n in range(4)}}


def test_progress_is_drawn_on_standard_error_only(
    moto_server: Server, store: str, valve: Valve, tmp_path: Path
) -> None:
    fill(moto_server, store, {f"raw/{n}": os.urandom(500_000) for n in range(3)})
    valve.let_through(300_000)
    env = environment({**moto_server.env(), "AWS_ENDPOINT_URL": valve.url, "COLUMNS": "100"})
    screen, terminal = pty.openpty()
    command = [*NBSYNC, "pull", f"{store}/raw", "data", "--json"]
    drawn = ""
    with process(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=terminal) as running:
        os.close(terminal)
        while "of 3 files" not in drawn or "of 1.5 MB" not in drawn:  # pytest-timeout ends a run that never draws
            drawn += os.read(screen, 65536).decode(errors="replace")
        valve.open()
        drawn += read_all(screen)
        out, _ = running.communicate(timeout=20)
    assert running.returncode == 0
    assert json.loads(out)["counts"]["miss"] == 3
    assert "pull s3://" in drawn
    assert "Traceback" not in drawn


def read_all(terminal: int) -> str:
    """What is written to a pseudo-terminal until its last writer is gone."""
    said = b""
    try:
        while more := os.read(terminal, 65536):
            said += more
    except OSError:  # EIO: nobody has the other end open any more
        pass
    os.close(terminal)
    return said.decode(errors="replace")


def test_a_reader_that_stops_reading_is_no_error(moto_server: Server, store: str, tmp_path: Path) -> None:
    fill(moto_server, store, {f"raw/{'x' * 1000}-{n}": b"" for n in range(90)})  # more than a pipe holds
    env = environment({**moto_server.env(), "NBSYNC_UNDER_TEST": " ".join(NBSYNC), "BUCKET": store})
    done = subprocess.run(["bash", "-o", "pipefail", "-c", "$NBSYNC_UNDER_TEST ls $BUCKET/raw | head -1"],
                          cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
    assert len(done.stdout.splitlines()) == 1
    assert "Error" not in done.stderr
    assert "Traceback" not in done.stderr


def test_help_reads_well(tmp_path: Path) -> None:
    done = nbsync("--help", cwd=tmp_path, env={})
    assert (done.returncode, done.stderr) == (0, "")
    for command in (
        "pull REMOTE [LOCAL]",
        "push LOCAL REMOTE",
        "plan pull|push|sync ...",
        "ls REMOTE",
        "demo [--lab|--serve]",
    ):
        assert f"\n  {command}" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
    page = nbsync("pull", "--help", cwd=tmp_path, env={}).stdout
    for option in ("--include", "--delete", "--dry-run", "--endpoint-url", "--json", "--storage-class"):
        assert (option in page) == (option != "--storage-class"), option  # that one is push's
    alone = nbsync(cwd=tmp_path, env={})
    assert (alone.returncode, alone.stdout) == (2, "")
    assert "usage: nbsync" in alone.stderr
