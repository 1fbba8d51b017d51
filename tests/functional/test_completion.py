"""Tab against a real server: buckets, folders and keys as they are; and silence, in time, where there is none."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nbsync.core.location import Location
from nbsync.core.options import Options, build_options
from nbsync.errors import NbsyncError
from nbsync.notebook.completer import Completer
from nbsync.s3.account import Account
from nbsync.s3.browse import Browser
from tests.functional.world import World
from tests.servers import Server

Tab = Callable[..., list[str]]
LIMIT = 0.3


@pytest.fixture
def tab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tab:
    """A line up to the cursor (and the magic's defaults) -> the words that may stand there."""
    monkeypatch.chdir(tmp_path)
    defaults: dict[str, Any] = {}
    completer = Completer({}, lambda: defaults)

    def press(line: str, **settings: Any) -> list[str]:
        defaults.clear()
        defaults.update(settings)
        found = completer.complete(f"%s3sync {line}", "")
        assert found is not None
        replaced, offered = found
        kept = line[line.rindex(" ") + 1 : len(line) - len(replaced)]
        return [kept + one.text for one in offered]

    return press


def eventually(tab: Tab, line: str, **settings: Any) -> list[str]:
    """What is offered once the look-up is through."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if found := tab(line, **settings):
            return found
    raise AssertionError(f"nothing for {line}")


def put(world: World, *keys: str) -> None:
    for key in keys:
        world.server.s3.put_object(Bucket=world.bucket, Key=key, Body=b"x")


def test_from_the_bucket_to_the_key(world: World, tab: Tab) -> None:
    keys = ["raw/2024/a.csv", "raw/2024/b c.csv", "raw/it's", "raw/x\x07y", "raw/.nbsync/s", "raw/é+&%2F.csv", "raw2"]
    put(world, "raw/2024/", *keys)
    start = f"s3://{world.bucket}/"
    assert start in eventually(tab, "pull s3://test-")
    assert eventually(tab, f"pull {world.bucket}/r") == [f"{world.bucket}/raw/", f"{world.bucket}/raw2"]
    assert eventually(tab, f"pull {start}raw/") == [
        f"{start}raw/2024/", f'"{start}raw/it\'s"', f"{start}raw/é+&%2F.csv",
    ]  # fmt: skip
    assert eventually(tab, f"pull '{start}raw/2024/") == [f"'{start}raw/2024/a.csv'", f"'{start}raw/2024/b c.csv'"]
    assert eventually(tab, f"push . {start}") == [f"{start}raw/"]
    assert tab(f"pull {start}raw/nothing") == []


def test_one_list_for_a_folder(world: World) -> None:
    put(world, *(f"a/{n}" for n in range(3)), "b/1", "c")
    browser = Browser(Options())
    assert browser.candidates(world.bucket, "").names == ["a/", "b/", "c"]
    assert browser.candidates(world.bucket, "a/2") == (["a/2"], True)
    assert browser._bucket(world.bucket).counts.snapshot() == {
        "list": 2, "head": 0, "get": 0, "put": 0, "delete": 0, "other": 0,
    }  # fmt: skip


def test_a_folder_of_more_than_a_page_is_not_complete(world: World, fill: Callable[[World, int], None]) -> None:
    fill(world, 1001)
    found = Browser(Options()).candidates(world.bucket, world.prefix)
    assert (len(found.names), found.complete) == (1000, False)


def test_the_lines_own_endpoint_is_asked(world: World, moto: Server, tab: Tab, monkeypatch: pytest.MonkeyPatch) -> None:
    put(world, "k")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    line = f"ls --endpoint-url {moto.endpoint_url} {world.bucket}/"
    assert eventually(tab, line) == [f"{world.bucket}/k"]
    assert eventually(tab, f"ls {world.bucket}/", endpoint_url=moto.endpoint_url) == [f"{world.bucket}/k"]


def test_what_there_is_not_is_nothing(world: World, tab: Tab) -> None:
    for line in ("pull no-such-bucket-here/", "pull bucket--x-s3/", "pull _/", "pull /"):
        assert tab(line) == []


@pytest.fixture
def silent_server() -> Iterator[str]:
    """The address of one that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_server_that_never_answers_costs_no_more_than_the_limit(
    moto: Server, silent_server: str, tab: Tab, capfd: pytest.CaptureFixture[str]
) -> None:
    took = []
    for line in ("pull s3://my", "pull my-bucket/", "pull my-bucket/", "ls a/b", "ls c/", "ls d/", "ls e/"):
        began = time.monotonic()
        assert tab(line, endpoint_url=silent_server) == []
        took.append(time.monotonic() - began)
    assert sorted(took)[-2] < LIMIT, took  # a busy machine may have been away once
    assert max(took) < 3 * LIMIT, took
    assert tab("pull --compare s", endpoint_url=silent_server) == ["size-mtime", "size"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("profile", ["", "unknown"])
def test_without_credentials_or_profile_it_is_silent(
    profile: str, home: Path, tab: Tab, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        began = time.monotonic()
        assert tab("pull s3://", profile=profile, endpoint_url="http://127.0.0.1:9") == []
        assert time.monotonic() - began < 3 * LIMIT  # once, on a busy machine
    assert capfd.readouterr() == ("", "")


def test_no_code_is_asked_for(home: Path, tab: Tab, moto: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text(
        "[profile base]\nregion = us-east-1\n"
        "[profile admin]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = base\nmfa_serial = m\n"
        "[profile far]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = admin\n"
        "[profile round]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = round\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(home / ".aws" / "config"))
    monkeypatch.setattr("getpass.getpass", lambda *_: pytest.fail("a code was asked for"))
    asks = {name: Account(Options(profile=name)).asks_for_a_code for name in ("base", "admin", "far", "round")}
    assert asks == {"base": False, "admin": True, "far": True, "round": False}
    assert not Account(Options(profile="admin", no_sign_request=True)).asks_for_a_code
    with pytest.raises(NbsyncError, match="asks for a code"):
        Browser(Options(profile="admin"))
    assert tab("pull s3://", profile="admin") == []


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({"region": "eu-west-1"}, "https://s3.eu-west-1.amazonaws.com:443"),
        ({"endpoint_url": "http://x:9000/base"}, "http://x:9000/base"),
        ({"endpoint_url": "http://x:9000", "addressing_style": "virtual"}, "http://x:9000"),
    ],
)
def test_the_service_itself_has_an_address(given: dict[str, str], url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target = Account(build_options("ls", given)).target(Location("", ""))
    assert f"{target.scheme}://{target.host}:{target.port}{target.base_path}" == url


def test_a_browser_says_what_is_wrong(moto: Server) -> None:
    with pytest.raises(NbsyncError):
        Browser(Options()).candidates("bucket--x-s3", "")
