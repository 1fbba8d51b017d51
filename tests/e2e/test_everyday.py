"""`status`, the last sync again, `run` and `doctor` as processes: exit codes, outputs, and a pull that is killed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.e2e.helpers import NBSYNC, environment, fill, nbsync, process, tree, wait_until
from tests.servers import Server

FILES = {f"raw/{number:02}": bytes([number]) * 4000 for number in range(20)}


def test_a_pull_that_was_killed_is_done_again_without_words(moto_server: Server, store: str, tmp_path: Path) -> None:
    fill(moto_server, store, FILES)
    data = tmp_path / "data"
    command = [*NBSYNC, "pull", f"s3://{store}/raw", "data", "--exclude", "19", "--jobs", "1", "--bandwidth", "20KB/s"]
    with process(command, cwd=tmp_path, env=environment(moto_server.env()), stdout=subprocess.DEVNULL) as killed:
        wait_until("two files are there", lambda: data.is_dir() and len(tree(data)) >= 2)
        busy = nbsync("status", "data", cwd=tmp_path, env={})
        killed.kill()
        killed.wait()
    assert (busy.returncode, busy.stderr) == (0, "")
    assert f"another nbsync run (process {killed.pid}) is at work here" in busy.stdout

    told = nbsync("status", "data", "--json", cwd=tmp_path, env={})
    document = json.loads(told.stdout)
    assert (told.returncode, told.stderr, document["remote"]) == (0, "", f"s3://{store}/raw/")
    assert (document["syncs"][0]["finished"], document["at_work"]) == (False, "")

    again = nbsync("pull", "--json", "--bandwidth", "100MB/s", cwd=data, env=moto_server.env())
    assert again.returncode == 0, again.stderr
    assert tree(data) == {key.removeprefix("raw/"): body for key, body in FILES.items() if key != "raw/19"}
    assert json.loads(nbsync("status", "--json", cwd=data, env={}).stdout)["syncs"][0]["finished"]

    refused = nbsync("push", cwd=data, env=moto_server.env())
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert f"push . s3://{store}/raw/" in refused.stderr


def test_a_file_of_commands(moto_server: Server, store: str, tmp_path: Path) -> None:
    fill(moto_server, store, {**FILES, "odd//name": b"no file"})
    jobs = tmp_path / "jobs.txt"
    jobs.write_text(f"pull {store}/odd odd\npull {store}/raw data  # the rest of the line are words\n")
    wrong = nbsync("run", "jobs.txt", cwd=tmp_path, env=moto_server.env())
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "jobs.txt, line 2: " in wrong.stderr
    assert not (tmp_path / "odd").exists()

    jobs.write_text(f"pull {store}/odd odd\npull {store}/raw data\n")
    done = nbsync("run", "jobs.txt", "--json", cwd=tmp_path, env=moto_server.env())
    document = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (1, "")
    assert [one["ok"] for one in document["results"]] == [False, True]
    assert len(tree(tmp_path / "data")) == len(FILES)

    jobs.write_text("pull no-such-bucket-here x\npull y z\n")
    stopped = nbsync("run", "jobs.txt", cwd=tmp_path, env=moto_server.env())
    assert stopped.returncode == 2
    assert "not done: 1 more command" in stopped.stdout
    assert stopped.stderr.startswith("nbsync: s3://no-such-bucket-here/: no such bucket")


def test_doctor(moto_server: Server, store: str, tmp_path: Path) -> None:
    well = nbsync("doctor", store, "--json", cwd=tmp_path, env=moto_server.env())
    document = json.loads(well.stdout)
    assert (well.returncode, well.stderr, document["ok"]) == (0, "", True)
    assert moto_server.secret_key not in well.stdout
    ill = nbsync("doctor", store, "--endpoint-url", "http://127.0.0.1:9", cwd=tmp_path, env=moto_server.env())
    assert (ill.returncode, ill.stderr) == (2, "")
    assert "✗ endpoint" in ill.stdout
    assert list(tmp_path.iterdir()) == []
