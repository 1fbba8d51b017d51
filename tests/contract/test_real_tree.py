"""The interpreter's own standard library goes up and comes back byte for byte, and nobody finds anything left to do.

To RGW all of it goes; to moto, which needs milliseconds of Python for each request, two pages of it: 1,100 files.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.contract.cli import nbsync
from tests.contract.store import tree
from tests.contract.test_store_compare import run
from tests.servers import Server

FILES = {"moto": 1_100, "rgw": 1_000_000}
NOT_COPIED = {"__pycache__", "site-packages"}
NO_OWN_ROOM = ("--exclude", ".nbsync/*")
ONE_LIST = 1_000  # keys


class Copies(NamedTuple):
    """The tree that was pushed, and the one that was pulled."""

    server: Server
    remote: str
    pushed: Path
    pulled: Path
    files: int


def standard_library() -> Iterator[Path]:
    """Every regular file of the running interpreter's standard library, relative to it."""
    home = Path(sysconfig.get_path("stdlib"))
    for parent, folders, names in os.walk(home):
        folders[:] = sorted(set(folders) - NOT_COPIED)
        for name in sorted(names):
            path = Path(parent, name)
            if path.is_file() and not path.is_symlink():
                yield path.relative_to(home)


def copy_tree(to: Path, files: int) -> int:
    """Copy the first `files` of them, with their times; their number."""
    home = Path(sysconfig.get_path("stdlib"))
    chosen = list(islice(standard_library(), files))
    for path in chosen:
        (to / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(home / path, to / path)
    return len(chosen)


@pytest.fixture(scope="module", params=["moto", "rgw"])
def copies(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Copies:
    """The standard library, pushed by the command line and pulled by it to another place."""
    server: Server = request.getfixturevalue(f"{request.param}_server")
    home = tmp_path_factory.mktemp(f"stdlib-{server.name}")
    files = copy_tree(home / "pushed", FILES[server.name])
    assert files >= 1_000
    remote = f"s3://{server.new_bucket()}/lib"

    pushed = nbsync(server, "push", home / "pushed", remote, "--json")
    assert pushed.code == 0, pushed.stderr
    assert pushed.document["counts"]["miss"] == len(pushed.document["files"]) == files
    # libpython.a, where it is part of the library, goes up in parts: a PUT for each.
    assert files <= pushed.document["requests"]["put"] <= files + 20
    assert pushed.document["requests"]["get"] == 0

    pulled = nbsync(server, "pull", remote, home / "pulled", "--json")
    assert pulled.code == 0, pulled.stderr
    assert pulled.document["counts"]["miss"] == files
    assert files <= pulled.document["requests"]["get"] <= files + 20  # a large one comes in ranges
    return Copies(server, remote, home / "pushed", home / "pulled", files)


def test_both_trees_are_equal_byte_for_byte(copies: Copies) -> None:
    pushed = tree(copies.pushed)
    assert len(pushed) == copies.files
    assert tree(copies.pulled) == pushed


def test_times_are_as_rule_8_says(copies: Copies) -> None:
    """Pulled files have the listed LastModified; objects carry the pushed files' mtime to the nanosecond."""
    bucket, _, prefix = copies.remote.removeprefix("s3://").partition("/")
    s3 = copies.server.s3
    listed = {}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/"):
        listed.update({item["Key"].removeprefix(f"{prefix}/"): item["LastModified"] for item in page["Contents"]})
    assert len(listed) == copies.files
    for path, modified in listed.items():
        # boto3 reads microseconds; RGW and moto give milliseconds.
        assert (copies.pulled / path).stat().st_mtime_ns // 1_000 == round(modified.timestamp() * 1_000_000)
    for path in sorted(listed)[:: copies.files // 50]:
        at = (copies.pushed / path).stat().st_mtime_ns
        metadata = s3.head_object(Bucket=bucket, Key=f"{prefix}/{path}")["Metadata"]
        assert metadata["mtime"] == f"{at // 10**9}.{at % 10**9:09d}"


def test_a_second_pull_is_all_hits_and_only_lists(copies: Copies) -> None:
    again = nbsync(copies.server, "pull", copies.remote, copies.pulled, "--json")
    assert again.code == 0, again.stderr
    lists = -(-copies.files // ONE_LIST)
    assert again.document["requests"] == {"list": lists, "head": 0, "get": 0, "put": 0, "delete": 0, "other": 0}
    assert again.document["counts"] == {**dict.fromkeys(again.document["counts"], 0), "hit": copies.files}
    assert {row["evidence"] for row in again.document["files"]} == {"state"}


def test_a_second_push_is_all_hits_and_only_lists(copies: Copies) -> None:
    again = nbsync(copies.server, "push", copies.pushed, copies.remote, "--json")
    assert again.code == 0, again.stderr
    requests = again.document["requests"]
    assert requests == {**dict.fromkeys(requests, 0), "list": -(-copies.files // ONE_LIST)}
    assert again.document["counts"]["hit"] == copies.files


@pytest.mark.parametrize("side", ["pushed", "pulled"])
@pytest.mark.parametrize("up", [True, False], ids=["up", "down"])
def test_aws_cli_finds_nothing_to_do(copies: Copies, side: str, up: bool) -> None:
    local, remote = str(getattr(copies, side)), copies.remote
    words = ("s3", "sync", *((local, remote) if up else (remote, local)), "--dryrun", *NO_OWN_ROOM)
    assert run(copies.server, "aws", *words) == ""


def test_aws_cli_would_find_something(copies: Copies) -> None:
    """The test above can fail: without its --exclude, nbsync's own state directory is to be uploaded, and only that."""
    would = run(copies.server, "aws", "s3", "sync", str(copies.pulled), copies.remote, "--dryrun").splitlines()
    assert would
    assert all("/.nbsync/" in line for line in would)


@pytest.mark.parametrize("side", ["pushed", "pulled"])
def test_rclone_finds_the_same_content(copies: Copies, side: str) -> None:
    remote = copies.remote.replace("s3://", "dst:")
    said = run(copies.server, "rclone", "check", str(getattr(copies, side)), remote, "--exclude", ".nbsync/**")
    assert "0 differences found" in said


def test_rclone_finds_nothing_to_sync_after_a_push(copies: Copies) -> None:
    remote = copies.remote.replace("s3://", "dst:")
    words = ("sync", str(copies.pushed), remote, "--dry-run", "--exclude", ".nbsync/**", "--stats-one-line", "-v")
    assert "There was nothing to transfer" in run(copies.server, "rclone", *words)
