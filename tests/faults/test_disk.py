"""A disk that is full or may not be written, a state database that is spoilt, and two runs on one LOCAL at once.

What is tried here is the whole sync; the rooms below have tests of their own in tests/unit/storage.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from nbsync.local import install
from tests.e2e.helpers import NBSYNC, environment, opened_by, wait_until
from tests.faults.world import LARGE, SMALL, FaultyWorld, content
from tests.servers.faults import At, Stall

T = TypeVar("T")
OLD = b"as it was"
SMALL_FILES = {f"s{number}": content(SMALL, number) for number in range(5)}


def command(world: FaultyWorld, direction: str, *more: str) -> list[str]:
    places = [world.remote, str(world.local)] if direction == "pull" else [str(world.local), world.remote]
    return [*NBSYNC, direction, *places, "--json", *more]


def ran(world: FaultyWorld, direction: str, *more: str, **settings: Any) -> tuple[int, dict[str, Any], str]:
    """A sync as a process: exit code, document, standard error."""
    done = subprocess.run(command(world, direction, *more), env=environment({}), capture_output=True, text=True,
                          timeout=60, check=False, **settings)  # fmt: skip
    return done.returncode, json.loads(done.stdout), done.stderr


# ---- a full disk --------------------------------------------------------------------------------


def test_a_file_that_the_disk_does_not_take(world: FaultyWorld) -> None:
    """RLIMIT_FSIZE: the kernel refuses to let a file grow past it, as a full disk does. Root is not exempt."""
    world.put("large", OLD)
    assert world.run("pull").ok
    files = {**SMALL_FILES, "large": content(LARGE, "x")}
    world.fill_source("pull", files)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    code, told, err = ran(world, "pull", preexec_fn=limit)

    assert code == 1
    assert "Traceback" not in err
    rows = {row["path"]: row for row in told["files"]}
    assert (rows["large"]["status"], rows["large"]["error"]) == ("failed", "File too large")
    assert world.files() == {**SMALL_FILES, "large": OLD}
    world.tidy()
    world.mended("pull", files)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if os.geteuid() or not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system can be mounted by root only, and not in every container")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_refused_before_the_first_byte(world: FaultyWorld, small_disk: Path) -> None:
    world.local = small_disk / "local"
    world.local.mkdir()
    world.put("a", content(SMALL, "a"))
    assert world.run("pull").ok
    world.put("large", content(LARGE, "x"))
    world.proxy.clear()
    code, told, _ = ran(world, "pull")
    assert code == 3
    assert "room" in told["error"] or "space" in told["error"]
    assert world.proxy.counts()["GetObject"] == 0
    assert world.files() == {"a": content(SMALL, "a")}


def test_a_disk_that_fills_in_the_middle(world: FaultyWorld, small_disk: Path) -> None:
    """Somebody else takes the room after the guard has looked."""
    world.local = small_disk / "local"
    world.put("big", OLD)
    assert world.run("pull").ok
    files = {"big": content(1 << 20, "big"), "tiny": b"1"}
    world.fill_source("pull", files)
    rule = world.proxy.on(Stall(At.REQUEST_HEAD), "GetObject", "*/big")
    with subprocess.Popen(command(world, "pull"), env=environment({}), stdout=subprocess.PIPE, text=True) as running:
        rule.wait_struck()
        hog = small_disk / "hog"
        with pytest.raises(OSError, match="No space"):
            hog.write_bytes(bytes(4 << 20))
        rule.release()
        told = json.loads(running.communicate(timeout=60)[0])
    assert running.returncode in (1, 2)
    rows = {row["path"]: row for row in told["files"]}
    assert "No space left" in (rows.get("big", {}).get("error") or told.get("error", ""))
    assert world.files()["big"] == OLD
    hog.unlink()
    world.mended("pull", files)
    world.local = small_disk


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_write_that_fails(world: FaultyWorld, monkeypatch: pytest.MonkeyPatch, number: int, size: int) -> None:
    world.put("f", OLD)
    assert world.run("pull").ok
    files = {"f": content(size, "f"), "g": b"1"}
    world.fill_source("pull", files)
    pwrite = os.pwrite

    def failing(fd: int, data: Any, offset: int) -> int:
        if len(data) + offset > 1000:
            raise OSError(number, os.strerror(number))
        return pwrite(fd, data, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", failing)
        result = world.run("pull")
    assert (result["f"].status, result["f"].error) == ("failed", os.strerror(number))
    assert world.files() == {"f": OLD, "g": b"1"}
    world.tidy()
    world.mended("pull", files)


@pytest.mark.parametrize("name", ["link", "rename", "replace"])
def test_an_install_that_fails(world: FaultyWorld, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    world.put("f", OLD)
    assert world.run("pull").ok
    world.write("f", b"edited")
    world.put("f", b"new in REMOTE")

    def failing(*_words: Any, **_more: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(install.os, name, failing)
        result = world.run("pull")
    assert result["f"].status in ("failed", "miss")  # what is not needed may fail
    assert world.files() == {"f": b"edited" if result["f"].status == "failed" else b"new in REMOTE"}
    world.tidy()
    world.mended("pull", {"f": b"new in REMOTE"})
    assert b"edited" in [body for _, body in world.trash()]


# ---- places that may not be written --------------------------------------------------------------


def unprivileged(do: Callable[[], T]) -> T:
    """What `do` gives in a thread that has no capabilities, so that root is bound by modes as its owner is.

    A thread's capabilities are its own, and those of the threads that it starts (capabilities(7)): the server in
    this process keeps its own. They cannot be had back, so the thread ends.
    """
    ended: list[T | BaseException] = []

    def work() -> None:
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
            if not os.geteuid() and libc.capset(header, nothing):
                raise OSError(ctypes.get_errno(), "capset")
            ended.append(do())
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if isinstance(ended[0], BaseException):
        raise ended[0]
    return ended[0]


@pytest.fixture
def reachable(world: FaultyWorld, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyWorld]:
    """A World whose LOCAL is open to anybody."""
    world.put("f", OLD)
    with tempfile.TemporaryDirectory(prefix="nbsync-test-") as folder:
        place = Path(folder)
        place.chmod(0o777)
        monkeypatch.setenv("XDG_STATE_HOME", folder)
        world.sandbox, world.local = place, place / "local"
        world.write("f", OLD)
        yield world
        subprocess.run(["chmod", "-R", "u+rwx", folder], check=True)


def test_a_local_that_may_not_be_written(reachable: FaultyWorld) -> None:
    world = reachable
    world.put("new", b"1")
    world.write("mine", b"2")
    world.local.chmod(0o555)
    pulled, pushed = unprivileged(lambda: (world.run("pull"), world.run("push")))
    assert pulled.exit_code == 2
    assert "cannot be written" in str(pulled.error)
    assert (pushed.ok, pushed.counts["miss"], pushed.counts["hit"]) == (True, 1, 1)
    assert world.objects() == {"f": OLD, "new": b"1", "mine": b"2"}
    assert sorted(os.listdir(world.local)) == ["f", "mine"]


def test_a_folder_that_may_not_be_written(reachable: FaultyWorld) -> None:
    world = reachable
    world.write("in/f", OLD)
    world.put("in/f", b"new")
    world.put("free", b"1")
    world.local.chmod(0o777)
    (world.local / "in").chmod(0o555)
    result = unprivileged(lambda: world.run("pull"))
    assert result.exit_code == 1
    assert (result["in/f"].status, result["in/f"].error) == ("failed", "Permission denied")
    assert world.files() == {"f": OLD, "in/f": OLD, "free": b"1"}
    world.tidy()
    (world.local / "in").chmod(0o777)
    assert unprivileged(lambda: world.run("pull")).ok
    assert world.files() == world.objects()


def test_a_room_that_may_not_be_written(reachable: FaultyWorld) -> None:
    world = reachable
    assert world.run("pull").ok
    world.put("f", b"new")
    world.write("mine", b"2")
    subprocess.run(["chmod", "-R", "a-w", str(world.local / ".nbsync")], check=True)
    pulled, pushed = unprivileged(lambda: (world.run("pull"), world.run("push")))
    assert pulled.exit_code == 2
    assert ".nbsync" in str(pulled.error) or "cannot be" in str(pulled.error)
    assert world.files() == {"f": OLD, "mine": b"2"}
    assert (pushed["mine"].status, pushed["f"].status) == ("miss", "conflict"), pushed.files
    assert world.objects() == {"f": b"new", "mine": b"2"}


# ---- the state database ---------------------------------------------------------------------------


def removed(state: Path) -> None:
    state.unlink()


def truncated(state: Path) -> None:
    with state.open("r+b") as file:
        file.truncate(state.stat().st_size // 2)


def emptied(state: Path) -> None:
    state.write_bytes(b"")


def garbage(state: Path) -> None:
    state.write_bytes(content(5000, "garbage"))


def newer(state: Path) -> None:
    with sqlite3.connect(state) as database:
        database.execute("PRAGMA user_version = 999")
    database.close()


@pytest.mark.parametrize("direction", ["pull", "push"])
@pytest.mark.parametrize("spoil", [removed, truncated, emptied, garbage, newer])
def test_a_spoilt_state_costs_no_data(world: FaultyWorld, spoil: Callable[[Path], None], direction: str) -> None:
    files = dict(SMALL_FILES)
    world.fill_source("pull", files)
    assert world.run("pull").ok
    spoil(world.local / ".nbsync" / "state.sqlite3")
    files["s0"] = b"changed"
    world.fill_source(direction, {"s0": b"changed"})

    result = world.run(direction)

    assert result.ok
    assert any("no record" in note for note in result.notes), result.notes
    assert (result.counts["hit"], result.counts["miss"]) == (4, 1)
    assert world.files() == world.objects() == files
    if direction == "pull":
        assert world.trash() == [("s0", SMALL_FILES["s0"])], "what nobody recorded was replaced without a copy"
    world.mended(direction, files)


# ---- two runs at once -----------------------------------------------------------------------------


@pytest.mark.parametrize("other", ["pull", "push"])
def test_two_runs_at_once(world: FaultyWorld, other: str) -> None:
    files = {**SMALL_FILES, "large": content(LARGE, "x")}
    world.fill_source("pull", files)
    rule = world.proxy.on(Stall(At.ANSWER_BODY, 100_000), "GetObject", "*/large")
    with subprocess.Popen(command(world, "pull"), env=environment({}), stdout=subprocess.PIPE, text=True) as first:
        rule.wait_struck()
        with subprocess.Popen(command(world, other), env=environment({}), stdout=subprocess.PIPE, text=True) as second:
            lock = world.local / ".nbsync" / "lock"
            wait_until("a second run at the lock", lambda: lock in opened_by(second.pid))
            assert world.proxy.counts()["PutObject"] == 0
            rule.release()
            told = [json.loads(running.communicate(timeout=60)[0]) for running in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0]
    assert told[0]["counts"]["miss"] == 6
    assert (told[1]["counts"]["hit"], told[1]["bytes"]["moved"]) == (6, 0)
    assert any("was at work here" in note for note in told[1]["notes"])
    assert world.files() == world.objects() == files
    world.mended("pull", files)
