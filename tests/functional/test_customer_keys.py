"""--sse-c-key-file, both ways: what it encrypts comes back, nothing else breaks, and the key is told to nobody."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import nbsync
from nbsync.core.parts import MiB
from nbsync.errors import UsageError
from tests.functional.world import World
from tests.servers.memory import MemoryS3

KEY = bytes(range(100, 132))


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A file with a customer's key."""
    path = tmp_path / "key"
    path.write_text(base64.b64encode(KEY).decode() + "\n")
    return path


def second(world: World, tmp_path: Path) -> World:
    """The same REMOTE, and another folder."""
    return World(world.server, tmp_path, bucket=world.bucket, name="second")


def test_there_and_back(world: World, tmp_path: Path, key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbsync.transfer.upload.MULTIPART_BYTES", 6 * MiB)
    monkeypatch.setattr("nbsync.transfer.multipart.PART_BYTES", 5 * MiB)
    contents = {"small": b"1", "d/medium": os.urandom(300_000), "large": os.urandom(11 * MiB)}
    for path, content in contents.items():
        world.write(path, content)

    assert world.run("push", sse_c_key_file=key_file).ok
    world.silent("push", {"sse_c_key_file": key_file})

    other = second(world, tmp_path)
    assert other.run("pull", sse_c_key_file=key_file).ok
    assert other.files() == contents
    other.silent("pull", {"sse_c_key_file": key_file})

    (other.local / ".nbsync" / "state.sqlite3").unlink()
    result = other.run("pull", sse_c_key_file=key_file)
    assert {row.path: (row.status, row.evidence) for row in result} == {
        "small": ("hit", "metadata"), "d/medium": ("hit", "metadata"), "large": ("hit", "none")}  # fmt: skip
    other.silent("pull", {"sse_c_key_file": key_file})


def test_a_change_on_either_side(world: World, key_file: Path) -> None:
    world.write("f", b"one")
    world.write("gone", b"1")
    world.run("push", sse_c_key_file=key_file)
    world.write("f", b"two")
    world.unlink("gone")
    result = world.run("push", sse_c_key_file=key_file, delete=True)
    assert (result["f"].status, result["gone"].status) == ("miss", "deleted")
    world.silent("push", {"sse_c_key_file": key_file})
    world.write("f", b"six")
    result = world.run("pull", sse_c_key_file=key_file)
    assert (result["f"].status, result["f"].evidence, world.read("f")) == ("miss", "state", b"two")


def test_plain_objects_among_encrypted_ones(world: World, memory: MemoryS3, tmp_path: Path, key_file: Path) -> None:
    world.write("secret", b"s")
    world.run("push", sse_c_key_file=key_file)
    for number in range(5):
        world.put(f"plain{number}", b"%d" % number)

    other = second(world, tmp_path)
    result = other.run("pull", sse_c_key_file=key_file, jobs=1)

    assert result.ok
    assert other.files() == {"secret": b"s", **{f"plain{n}": b"%d" % n for n in range(5)}}
    assert sum(seen.status == 400 for seen in memory.log) == 2  # once at each turn from one kind to the other
    other.write("plain0", b"x")
    assert other.run("pull", sse_c_key_file=key_file)["plain0"].status == "miss"


@pytest.mark.parametrize("here", [None, b"S"])
def test_a_missing_key_is_said_in_the_row(world: World, tmp_path: Path, key_file: Path, here: bytes | None) -> None:
    world.write("secret", b"s")
    world.run("push", sse_c_key_file=key_file)
    world.put("plain", b"p")
    other = second(world, tmp_path)
    if here is not None:
        other.write("secret", here)

    result = other.run("pull")

    assert (result["secret"].status, result["plain"].status, result.exit_code) == ("failed", "miss", 1)
    assert "--sse-c-key-file" in str(result["secret"].error)
    assert other.files() == {"plain": b"p", **({"secret": here} if here else {})}
    other.no_staging_left()


def test_the_wrong_key_is_said_in_the_row(world: World, tmp_path: Path, key_file: Path) -> None:
    world.write("secret", b"s")
    world.run("push", sse_c_key_file=key_file)
    key_file.write_bytes(bytes(32))

    result = second(world, tmp_path).run("pull", sse_c_key_file=key_file)
    assert "holds another key" in str(result["secret"].error)


def test_the_key_is_told_to_nobody(world: World, tmp_path: Path, key_file: Path) -> None:
    world.write("f", b"1")
    log = tmp_path / "log"
    results = [
        nbsync.push(world.local, world.remote, sse_c_key_file=key_file, log_file=log, verbose=True),
        nbsync.plan("pull", world.remote, world.local, sse_c_key_file=key_file),
        world.run("pull", sse_c_key_file=key_file, endpoint_url="http://127.0.0.1:1", retries=0),
    ]
    told = [json.dumps(result.to_dict()) + repr(result) + str(result._repr_mimebundle_()) for result in results]
    told += [str(result.error) for result in results]
    told += [path.read_bytes().decode("latin-1") for path in world.local.rglob("*") if path.is_file()] + [
        log.read_text()
    ]
    for form in (KEY.decode("latin-1"), base64.b64encode(KEY).decode(), KEY.hex()):
        assert not [text for text in told if form in text]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sse_c_key_file": "/nowhere/key"}, "No such file"),
        ({"sse_c_key_file": __file__}, "holds no key"),
        ({"endpoint_url": "http://s3.example.com"}, "s3.example.com unencrypted"),
    ],
)
def test_refusals(world: World, key_file: Path, options: dict[str, Any], words: str) -> None:
    world.write("f", b"1")
    error = world.refused("push", **{"sse_c_key_file": key_file, **options})
    assert (type(error), error.exit_code) == (UsageError, 2)
    assert words in str(error)


def test_with_sse_it_is_refused(world: World, key_file: Path) -> None:
    with pytest.raises(UsageError, match="--sse-c-key-file and --sse exclude each other"):
        nbsync.push(world.local, world.remote, sse_c_key_file=key_file, sse="AES256")


def test_ls_has_no_such_option(world: World, key_file: Path) -> None:
    words = ["ls", world.remote, "--sse-c-key-file", str(key_file)]
    done = subprocess.run([sys.executable, "-m", "nbsync", *words], capture_output=True, text=True, check=False)
    assert (done.returncode, "It belongs to: pull, push" in done.stderr) == (2, True)
