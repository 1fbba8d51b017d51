"""Credentials that end, are renewed, hang or come with blanks around them, while files are on their way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nbsync.core.parts import MiB
from tests.quirks.store import Request
from tests.quirks.world import World, world

NO_KEYS = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
ENOUGH = 50  # requests before the credentials end

# Prints the keys of its n-th call; how long they live and whether it ever answers is told by files beside it.
PROGRAM = """
import json, pathlib, sys, time
here = pathlib.Path(sys.argv[1])
with (here / "calls").open("a") as calls:
    print("called", file=calls)
number = len((here / "calls").read_text().split())
while number > 1 and (here / "hangs").exists():
    time.sleep(0.1)
keys = {"Version": 1, "AccessKeyId": "AKIATEST", "SecretAccessKey": "S", "SessionToken": f"token-{number}"}
life = float((here / "life").read_text())
end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + life))
print(json.dumps({**keys, "Expiration": end} if life else keys))
"""


@pytest.fixture
def inside() -> Iterator[World]:
    """A world."""
    with world() as made:
        yield made


class Program:
    """A credential process, which the default profile names."""

    def __init__(self, home: Path) -> None:
        self.home = home / "program"
        self.home.mkdir()
        (self.home / "program.py").write_text(PROGRAM)
        self.set(life=0)
        (home / ".aws").mkdir()
        command = f"{sys.executable} {self.home / 'program.py'} {self.home}"
        (home / ".aws" / "config").write_text(f"[default]\ncredential_process = {command}\n")

    def set(self, *, life: float, hangs: bool = False) -> None:
        """From now on: the seconds that keys live (0: it does not say), and whether it hangs after its first call."""
        (self.home / "life").write_text(str(life))
        if hangs:
            (self.home / "hangs").touch()

    @property
    def calls(self) -> int:
        """How often it was run."""
        return len((self.home / "calls").read_text().split())


@pytest.fixture
def program(home: Path) -> Program:
    """A credential process in this test's home."""
    return Program(home)


def ends(made: World, status: int, code: str, token: str = "") -> None:
    """After some requests, everything but a listing that is not signed with `token` is refused."""
    before = made.store.asked

    def hook(request: Request) -> bool:
        held = bool(token) and request.low.get("x-amz-security-token") == token
        return bool(request.key) and made.store.asked > before + ENOUGH and not held and request.error(status, code)

    made.store.hook = hook


def refused(made: World) -> int:
    """Requests that were."""
    return sum(asked.status in (400, 403) for asked in made.store.log)


@pytest.mark.parametrize(
    ("verb", "status", "code"), [("pull", 400, "ExpiredToken"), ("push", 403, "InvalidAccessKeyId")]
)
def test_small_files_stop_at_once(inside: World, verb: str, status: int, code: str) -> None:
    for number in range(800):
        inside.put(str(number)) if verb == "pull" else inside.write(str(number))
    ends(inside, status, code)
    ran = inside.run(*(["pull", "s3://b/p", inside.local] if verb == "pull" else ["push", inside.local, "s3://b/p"]))
    assert ran.code == 2, ran
    assert not ran.crashed
    assert code in ran.error
    assert refused(inside) <= 300
    inside.store.hook = lambda _: False
    again = inside.pull() if verb == "pull" else inside.push()
    assert again.code == 0, again
    assert len(inside.files()) == len(inside.remote()) == 800
    assert again.counts["miss"] < 800


@pytest.mark.parametrize("verb", ["pull", "push"])
def test_large_files_stop_at_once_and_go_on_later(inside: World, verb: str) -> None:
    body = os.urandom(MiB) * 64
    for number in range(3):
        inside.put(str(number), body) if verb == "pull" else inside.write(str(number), body)
    before = inside.store.asked

    def hook(request: Request) -> bool:
        return bool(request.key) and inside.store.asked > before + 5 and request.error(400, "ExpiredToken")

    inside.store.hook = hook
    ran = inside.pull() if verb == "pull" else inside.push()
    assert ran.code == 2, ran
    assert "expired" in ran.error
    assert refused(inside) <= 40
    inside.store.hook = lambda _: False
    assert (inside.pull() if verb == "pull" else inside.push()).code == 0
    assert set(inside.files().values()) == set(inside.remote().values()) == {body}


@pytest.mark.parametrize("verb", ["pull", "push"])
def test_new_keys_are_asked_for_once_and_the_run_goes_on(inside: World, program: Program, verb: str) -> None:
    for number in range(600):
        inside.put(str(number)) if verb == "pull" else inside.write(str(number))
    ends(inside, 400, "ExpiredToken", token="token-2")
    ran = inside.pull(env=NO_KEYS) if verb == "pull" else inside.push(env=NO_KEYS)
    assert ran.code == 0, ran
    assert len(inside.files()) == len(inside.remote()) == 600
    assert program.calls == 2
    assert refused(inside) <= 300


def test_new_keys_that_are_refused_too_end_the_run(inside: World, program: Program) -> None:
    for number in range(600):
        inside.put(str(number))
    ends(inside, 403, "InvalidToken", token="none")
    ran = inside.pull(env=NO_KEYS)
    assert ran.code == 2, ran
    assert "InvalidToken" in ran.error
    assert refused(inside) <= 400
    assert program.calls <= 4


@pytest.mark.parametrize("life", [60, 240, 1200])
def test_keys_of_a_short_life_are_not_asked_for_again_and_again(inside: World, program: Program, life: float) -> None:
    for number in range(200):
        inside.put(str(number))
    program.set(life=life)
    ran = inside.pull(env=NO_KEYS)
    assert ran.code == 0, ran
    assert program.calls == 1


def test_ctrl_c_while_the_program_hangs(inside: World, program: Program) -> None:
    for number in range(300):
        inside.put(str(number))
    program.set(life=0, hangs=True)
    ends(inside, 400, "ExpiredToken", token="token-2")
    words: list[Any] = ["pull", "s3://b/p", inside.local, "--endpoint-url", inside.store.url, "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "nbsync", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        deadline = time.monotonic() + 30
        while not (program.home / "calls").exists() or program.calls < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        told = time.monotonic()
        out, _ = process.communicate(timeout=30)
        assert time.monotonic() - told < 5  # a second, and a busy machine
    (program.home / "hangs").unlink()
    assert process.returncode == 130
    assert "stopped by the user" in json.loads(out)["error"]


@pytest.mark.parametrize("around", ["\n", "\r\n", " ", "\ufeff"])
def test_what_surrounds_keys_is_cut_off(inside: World, around: str) -> None:
    inside.put("a")
    seen: list[tuple[str, str]] = []

    def hook(request: Request) -> bool:
        seen.append((request.low["authorization"], request.low["x-amz-security-token"]))
        return False

    inside.store.hook = hook
    keys = {"AWS_ACCESS_KEY_ID": f"{around}AKIATEST{around}", "AWS_SECRET_ACCESS_KEY": f"S{around}",
            "AWS_SESSION_TOKEN": f"{around}tok{around}"}  # fmt: skip
    ran = inside.pull(env=keys)
    assert ran.code == 0, ran
    assert all(one.startswith("AWS4-HMAC-SHA256 Credential=AKIATEST/") and token == "tok" for one, token in seen)


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"])
def test_a_line_break_in_a_key_is_refused_before_anything_is_sent(inside: World, name: str) -> None:
    ran = inside.pull(env={name: "AKIATEST\r\nx-evil: HIDDEN"})
    assert ran.code == 2, ran
    assert "credentials" in ran.error
    assert "HIDDEN" not in ran.out + ran.err
    assert not inside.store.log


def test_an_etag_with_a_line_break_in_it_goes_into_no_request(inside: World) -> None:
    """A listing is other people's: what it calls an ETag becomes a condition of the next upload."""
    inside.put("a", b"1", etag="x\r\nx-evil: 1")
    inside.put("b", b"2")
    seen: list[str] = []
    inside.store.hook = lambda request: bool(seen.extend(request.low)) or False
    inside.write("a", b"3")
    inside.write("b", b"4")
    ran = inside.push("--overwrite-remote")
    assert not ran.crashed, ran
    assert (ran.row("a")["status"], ran.row("b")["status"]) == ("failed", "miss"), ran
    assert "x-evil" not in seen


def test_heads_under_way_when_keys_end_are_all_asked_again(inside: World, program: Program) -> None:
    """The answer to a HEAD has no words: one GET finds out why it was refused, for all that were."""
    program.set(life=0)
    for number in range(40):
        inside.put(f"{number}", b"x" * 9, etag="no-digest", headers={"x-amz-meta-a": "b"})
        inside.write(f"{number}", b"x" * 9)

    def hook(request: Request) -> bool:
        old = bool(request.key) and request.low.get("x-amz-security-token") == "token-1"
        return old and request.error(400, "ExpiredToken")

    inside.store.hook = hook
    ran = inside.run("verify", inside.local, "s3://b/p", env=NO_KEYS)
    assert not [row for row in ran.files if row["error"]], ran
    assert program.calls == 2
