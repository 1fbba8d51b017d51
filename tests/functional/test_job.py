"""SyncJob: progress moves where one waits, cancel stops soon, and the end is the result."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nbsync
from nbsync.cli.main import main
from nbsync.errors import Interrupted
from tests.servers import Server


@pytest.fixture
def filled(moto_server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in moto_server.env().items():
        monkeypatch.setenv(name, value)
    bucket = moto_server.new_bucket()
    for number in range(30):
        moto_server.s3.put_object(Bucket=bucket, Key=f"{number:02d}.bin", Body=bytes(1000))
    return bucket


def test_observers_fire_in_the_thread_that_waits(filled: str, tmp_path: Path) -> None:
    seen: list[tuple[str, Any, threading.Thread]] = []
    job = nbsync.pull(filled, tmp_path, background=True)
    job.progress.observe(lambda change: seen.append((change.name, change.new, threading.current_thread())))
    result = job.wait()

    assert result.ok
    assert {thread for _, _, thread in seen} == {threading.current_thread()}
    assert job.progress.files_done == job.progress.files_total == 30
    assert job.progress.bytes_done == job.progress.bytes_total == 30_000
    assert (job.progress.state, job.progress.counts["miss"], job.progress.active) == ("done", 30, ())
    assert job.done
    assert job.result is result


def test_cancel_stops_and_keeps_what_was_done(filled: str, tmp_path: Path) -> None:
    job = nbsync.pull(filled, tmp_path, background=True, bandwidth="4KB/s", jobs=1)
    while job.progress.files_done < 2:
        job.poll()
    job.cancel()
    result = job.wait(timeout=5)

    assert isinstance(result.error, Interrupted)
    assert result.exit_code == 130
    assert result.counts["miss"] >= 2
    assert job.progress.state == "cancelled"
    assert job.progress.files_done == job.to_dict()["files_done"] == result.counts["miss"]
    assert job.progress.files_total - job.progress.files_done == result.counts["cancelled"] > 0
    done = {path.name for path in tmp_path.glob("*.bin")}
    assert done == {row.path for row in result.files if row.status == "miss"}
    assert list((tmp_path / ".nbsync" / "stage").iterdir()) == []
    assert nbsync.pull(filled, tmp_path).counts["miss"] == 30 - len(done)


def test_wait_gives_up_waiting_but_not_the_job(filled: str, tmp_path: Path) -> None:
    job = nbsync.pull(filled, tmp_path, background=True, bandwidth="20KB/s")
    with pytest.raises(TimeoutError):
        job.wait(timeout=0.01)
    assert job.wait().counts["miss"] == 30


def test_a_refusal_is_the_result_s_error(moto_server: Server, filled: str, tmp_path: Path) -> None:
    job = nbsync.pull("no-such-bucket-here", tmp_path / "x", background=True)

    assert isinstance(job.result.error, nbsync.NbsyncError)
    assert job.progress.state == "failed"
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("thread_is_there", [False, True])
@pytest.mark.parametrize("face", ["shell", "python"])
def test_ctrl_c_while_the_run_is_started(
    face: str, thread_is_there: bool, filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(threading.Thread, "start", interrupted_once(threading.Thread.start, thread_is_there))

    if face == "shell":
        assert main(["pull", filled, str(tmp_path)]) == 130
        assert capsys.readouterr().err.startswith("nbsync: stopped by the user")
    else:
        with pytest.raises(KeyboardInterrupt):
            nbsync.pull(filled, tmp_path)

    for thread in threading.enumerate():
        if thread.name == "nbsync-run":
            thread.join(5)
            assert not thread.is_alive()
    done = len(list(tmp_path.glob("*.bin")))
    assert done < 30
    assert nbsync.pull(filled, tmp_path).counts["miss"] == 30 - done


def interrupted_once(start: Callable[[threading.Thread], None], thread_is_there: bool) -> Callable[..., None]:
    """A Thread.start in which Ctrl-C arrives, once, before or after the run's thread began."""
    due = [True]

    def starting(thread: threading.Thread) -> None:
        interrupted = thread.name == "nbsync-run" and bool(due) and due.pop()
        if thread_is_there or not interrupted:
            start(thread)
        if interrupted:
            raise KeyboardInterrupt

    return starting
