"""Faults that do not pass: a row that says so, the rest done, nothing torn, nothing recorded that is not so."""

from __future__ import annotations

import pytest

from nbsync import SyncResult
from nbsync.errors import EndpointUnreachable
from nbsync.transfer.concurrency import Controller
from tests.faults.world import LARGE, SMALL, FaultyWorld, content
from tests.servers.faults import (
    At,
    Changed,
    ChangedUpload,
    Close,
    Meanwhile,
    Refusal,
    Reset,
    Stall,
    Told,
    WrongLength,
    flipped,
    slow_down,
)  # fmt: skip

pytestmark = pytest.mark.usefixtures("waits")

OLD, GONE = b"as it was", b"of no counterpart"
BROKEN = b"<?xml version='1.0'?>\n  <Error><Code>InternalError</Code><Message>Try again.</Message></Error>"
PULLS = {
    "503": (slow_down(), "SlowDown"),
    "500": (Refusal(500, "InternalError"), "InternalError"),
    "403": (Refusal(403, "AccessDenied"), "access denied"),
    "409": (Refusal(409, "OperationAborted"), "OperationAborted"),
    "reset": (Reset(At.ANSWER_BODY, 1000), "reset"),
    "cut": (Close(At.ANSWER_BODY, 1000), "1000 of"),
    "silent": (Stall(At.ANSWER_BODY, 1000), "0.3 seconds"),
    "too-short": (Changed(lambda body: body[:-1]), "not the"),
    "too-long": (WrongLength(-1), "not the"),
    "flipped": (Changed(flipped(77)), "MD5"),
}
PUSHES = {
    "503": (slow_down(), "SlowDown"),
    "500": (Refusal(500, "InternalError"), "InternalError"),
    "403": (Refusal(403, "AccessDenied"), "access denied"),
    "reset": (Reset(At.REQUEST_BODY, 1000), ""),
    "silent": (Stall(At.REQUEST_HEAD), "0.3 seconds"),
}


def prepared(world: FaultyWorld, direction: str, size: int) -> dict[str, bytes]:
    """Both sides in step; then the source gets two changed files, one new one, and lacks one. What it holds."""
    for path in ("first", "one/bad", "last", "gone"):
        world.put(path, GONE if path == "gone" else OLD)
    assert world.run("pull").ok
    files = {"first": b"changed", "last": b"new " * 9, "one/bad": content(size, "bad")}
    world.fill_source(direction, files)
    (world.remove if direction == "pull" else world.unlink)("gone")
    world.proxy.clear()
    return files


def failed_alone(world: FaultyWorld, direction: str, result: SyncResult, files: dict[str, bytes]) -> None:
    """`one/bad` failed, is wholly old, the rest is done, and deletes were cancelled."""
    assert result.error is None
    assert not result.ok
    assert (result.exit_code, result["one/bad"].status) == (1, "failed")
    assert result["one/bad"].error
    assert "\n" not in str(result["one/bad"].error)
    assert world.target(direction) == {**files, "one/bad": OLD, "gone": GONE}
    assert (result["gone"].status, result["gone"].reason) == ("cancelled", "not deleted: a transfer failed")
    assert [problem.path for problem in result.problems if problem.kind == "failed"] == ["one/bad"]
    world.counted(result)
    world.tidy(resumable="one/bad")


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("name", PULLS)
def test_a_pull(world: FaultyWorld, name: str, size: int) -> None:
    fault, says = PULLS[name]
    files = prepared(world, "pull", size)
    world.proxy.on(fault, "GetObject", "*bad", times=-1)

    result = world.run("pull", delete=True, retries=2, timeout=0.3 if name == "silent" else 20)

    failed_alone(world, "pull", result, files)
    assert says in str(result["one/bad"].error)
    world.mended("pull", files, delete=True)


@pytest.mark.parametrize("operation", ["PutObject", "UploadPart", "CreateMultipartUpload", "CompleteMultipartUpload"])
@pytest.mark.parametrize("name", PUSHES)
def test_a_push(world: FaultyWorld, name: str, operation: str) -> None:
    fault, says = PUSHES[name]
    if name == "reset" and operation != "PutObject":
        fault = Reset(At.REQUEST_HEAD)
    files = prepared(world, "push", SMALL if operation == "PutObject" else LARGE)
    world.proxy.on(fault, operation, "*bad", times=-1)

    result = world.run("push", delete=True, retries=2, timeout=0.3 if name == "silent" else 20)

    failed_alone(world, "push", result, files)
    assert says in str(result["one/bad"].error)
    world.mended("push", files, delete=True)


@pytest.mark.parametrize("operation", ["PutObject", "UploadPart"])
def test_an_upload_that_is_always_damaged(rgw_world: FaultyWorld, operation: str) -> None:
    world = rgw_world
    files = prepared(world, "push", SMALL if operation == "PutObject" else LARGE)
    world.proxy.on(ChangedUpload(flipped(5)), operation, "*bad", times=-1)

    result = world.run("push", delete=True, retries=2)

    failed_alone(world, "push", result, files)
    assert "BadDigest" in str(result["one/bad"].error) or "Mismatch" in str(result["one/bad"].error)
    world.mended("push", files, delete=True)


def test_a_completion_that_fails_under_a_good_status(world: FaultyWorld) -> None:
    files = prepared(world, "push", LARGE)
    world.proxy.on(Told(200, BROKEN), "CompleteMultipartUpload", times=-1)

    result = world.run("push", delete=True, retries=2)

    failed_alone(world, "push", result, files)
    assert "InternalError" in str(result["one/bad"].error)
    assert world.proxy.counts()["CompleteMultipartUpload"] == 3
    world.mended("push", files, delete=True)


def test_a_completion_that_fails_once_under_a_good_status(world: FaultyWorld) -> None:
    files = prepared(world, "push", LARGE)
    world.proxy.on(Told(200, BROKEN), "CompleteMultipartUpload")
    result = world.run("push", delete=True)
    assert result.ok
    assert world.objects() == files
    world.tidy()


# ---- how often, and how long in between ---------------------------------------------------------


@pytest.mark.parametrize("retries", [0, 1, 6])
def test_back_off_grows_and_ends(world: FaultyWorld, waits: list[float], retries: int) -> None:
    world.put("f", b"1")
    world.proxy.on(Refusal(500, "InternalError"), "GetObject", times=-1)
    result = world.run("pull", retries=retries)
    assert result["f"].status == "failed"
    assert world.proxy.counts()["GetObject"] == retries + 1
    backed_off = waits[-retries:] if retries else []
    assert all(0 <= seconds <= 0.2 * 2**n for n, seconds in enumerate(backed_off))
    assert len(set(backed_off)) == retries, "no jitter"


def test_the_service_says_how_long(world: FaultyWorld, waits: list[float]) -> None:
    world.put("f", b"1")
    world.proxy.on(slow_down("7"), "GetObject", times=2)
    assert world.run("pull").ok
    assert [seconds for seconds in waits if seconds >= 7] == [7.0, 7.0]


# ---- conditions that do not hold ----------------------------------------------------------------


@pytest.mark.parametrize("status", [(412, "PreconditionFailed"), (409, "ConditionalRequestConflict")])
@pytest.mark.parametrize("operation", ["PutObject", "CompleteMultipartUpload"])
def test_a_refused_condition_is_a_conflict(world: FaultyWorld, status: tuple[int, str], operation: str) -> None:
    files = prepared(world, "push", SMALL if operation == "PutObject" else LARGE)
    world.proxy.on(Refusal(*status), operation, "*bad", times=-1)
    result = world.run("push", retries=1)
    assert (result["one/bad"].status, result.exit_code) == ("conflict", 1)
    assert world.objects() == {**files, "one/bad": OLD, "gone": GONE}
    world.counted(result)
    world.tidy(resumable="one/bad")
    world.mended("push", files, delete=True)


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "large"])
def test_a_get_whose_condition_fails_once_is_decided_again(world: FaultyWorld, size: int) -> None:
    world.put("f", content(size, "f"))
    world.proxy.on(Refusal(412, "PreconditionFailed"), "GetObject")
    result = world.run("pull")
    assert result.ok
    assert world.files() == {"f": content(size, "f")}
    world.counted(result)


# ---- a server that is not there -----------------------------------------------------------------


@pytest.mark.parametrize("direction", ["pull", "push"])
def test_nobody_listens(world: FaultyWorld, direction: str) -> None:
    files = prepared(world, direction, SMALL)
    before = world.target(direction)
    world.proxy.refuse()
    result = world.run(direction, delete=True)
    assert isinstance(result.error, EndpointUnreachable)
    assert result.exit_code == 2
    assert world.target(direction) == before
    world.proxy.accept()
    world.mended(direction, files, delete=True)


@pytest.mark.parametrize("direction", ["pull", "push"])
def test_the_server_goes_in_the_middle(world: FaultyWorld, direction: str) -> None:
    files = {f"{number:02}": content(SMALL, number) for number in range(40)}
    world.fill_source(direction, files)
    operation = "GetObject" if direction == "pull" else "PutObject"
    world.proxy.on(Meanwhile(after=world.proxy.refuse), operation, skip=10)

    result = world.run(direction, retries=1, jobs=2)

    assert isinstance(result.error, EndpointUnreachable)
    arrived = world.target(direction)
    assert 8 <= len(arrived) < 40  # of the ten that were let through, two may have been on their way
    assert {path: files[path] for path in arrived} == arrived
    world.tidy()
    world.proxy.accept()
    world.mended(direction, files)


@pytest.mark.parametrize("direction", ["pull", "push"])
def test_the_server_comes_back(world: FaultyWorld, direction: str) -> None:
    files = {f"{number:02}": content(SMALL, number) for number in range(20)}
    world.fill_source(direction, files)
    operation = "GetObject" if direction == "pull" else "PutObject"
    world.proxy.on(Reset(At.REQUEST_HEAD), operation, skip=5, times=12)
    assert world.run(direction, jobs=2, retries=12).ok  # one file may meet them all
    assert world.target(direction) == files


def test_a_service_that_asks_for_less_gets_less(world: FaultyWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"{number:02}": content(SMALL, number) for number in range(60)}
    world.fill_source("pull", files)
    limits: list[tuple[int, int]] = []
    slow = Controller.slow_down

    def slow_down_seen(controller: Controller) -> None:
        before = controller.concurrency.limit
        slow(controller)
        limits.append((before, controller.concurrency.limit))

    monkeypatch.setattr(Controller, "slow_down", slow_down_seen)
    world.proxy.on(Refusal(500, "InternalError"), "GetObject", times=3)
    assert world.run("pull", filters=[("exclude", "[1-5]*")]).ok
    assert limits == [], "an error of another kind asks for nothing"
    world.proxy.on(slow_down(), "GetObject", skip=20, times=4)
    assert world.run("pull").ok
    assert world.files() == files
    assert limits, "the controller was not told"
    assert limits[0][1] == max(1, limits[0][0] // 2)
