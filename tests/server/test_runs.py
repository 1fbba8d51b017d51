"""Pulls that really run: limits, dead endpoints, events, stopping, activity. Each is a process of its own."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from nbsync.server import pull_worker
from nbsync.server.handlers import EventsHandler
from nbsync.server.pulls import Pulls
from tests.functional.world import World
from tests.server.conftest import Api, Fetch
from tests.server.held import Held


async def events(jp_fetch: Fetch, pull_id: str, **more: Any) -> list[tuple[str, Any]]:
    """What a follower is told until the stream ends."""
    answer = await jp_fetch("nbsync", "api", "pulls", pull_id, "events", **more)
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    blocks = [block for block in answer.body.decode().split("\n\n") if block and not block.startswith(":")]
    lines = [block.split("\n") for block in blocks]
    return [(kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for kind, data in lines]


class Told:
    """What followers have been told so far, in this process."""

    def __init__(self) -> None:
        self.documents: list[dict[str, Any]] = []
        self._more = asyncio.Event()

    def add(self, document: dict[str, Any]) -> None:
        self.documents.append(document)
        self._more.set()

    @property
    def paths(self) -> list[str]:
        return [row["path"] for document in self.documents for row in document["rows"]]

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._more.clear()
            await asyncio.wait_for(self._more.wait(), 20)


async def eventually(holds: Callable[[], bool]) -> None:
    """Let the loop turn until it holds; it must within 20 seconds."""
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0)


@pytest.fixture
def told_so_far(monkeypatch: pytest.MonkeyPatch) -> Told:
    told, tell = Told(), EventsHandler._send_event

    async def recorded(handler: EventsHandler, event: str, document: dict[str, Any]) -> None:
        await tell(handler, event, document)
        told.add(document)

    monkeypatch.setattr(EventsHandler, "_send_event", recorded)
    return told


@pytest.mark.parametrize("settings", [{"max_files": 2}, {"max_bytes": 9}])
async def test_what_goes_beyond_a_limit_changes_nothing(api: Api, world: World, settings: dict[str, int]) -> None:
    for name in "abc":
        world.put(name, b"four")

    look = await api.pulled(source=world.remote, target="data", dry_run=True)
    done = await api.pulled(source=world.remote, target="data")

    for document in (look, done):
        assert document["state"] == "failed"
        assert str(next(iter(settings.values()))) in document["error"]
    assert not world.local.exists()


@pytest.mark.parametrize("settings", [{"max_files": 2, "max_bytes": 8}])
async def test_limits_count_what_would_travel(api: Api, world: World) -> None:
    for name in "ab":
        world.put(name, b"four")
    assert (await api.pulled(source=world.remote, target="data"))["ok"]
    world.put("c", b"four")
    world.put("d", b"four")

    look = await api.pulled(source=world.remote, target="data", dry_run=True)
    document = await api.pulled(source=world.remote, target="data")

    assert (document["ok"], sorted(world.files())) == (True, ["a", "b", "c", "d"])
    assert [(one["bytes_total"], one["files_total"]) for one in (look, document)] == [(8, 4), (8, 4)]


@pytest.mark.parametrize("dry_run", [True, False])
async def test_a_link_to_nothing_fails_and_leaves_nothing(api: Api, world: World, dry_run: bool) -> None:
    world.put("a", b"four")

    document = await api.pulled(source=f"{world.remote}mistyped", target="data", dry_run=dry_run)

    assert (document["state"], document["ok"], document["notes"]) == ("failed", False, [])
    assert document["error"] == f"there is nothing under {world.remote}mistyped/"
    assert document["hint"] == "Check the name of the folder, or ask whoever gave you the link"
    assert not world.local.exists()


@pytest.fixture
def silent() -> Iterator[str]:
    """An address that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def full() -> Iterator[str]:
    """An address that swallows SYNs: its queue of connections is full and nobody takes them."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        taken = [socket.socket() for _ in range(4)]
        for one in taken:
            one.setblocking(False)
            one.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        for one in taken:
            one.close()


@pytest.fixture
def refusing() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("settings", [{"timeout": 1.5, "retries": 5}])
@pytest.mark.parametrize("dead", ["refusing", "silent", "full"])
@pytest.mark.parametrize("dry_run", [True, False])
async def test_a_dead_endpoint_is_said_within_the_time_out(
    request: pytest.FixtureRequest, api: Api, world: World, monkeypatch: pytest.MonkeyPatch, dead: str, dry_run: bool
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue(dead))
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)

    document = await api.pulled(source="bucket/p", target="data", dry_run=dry_run)

    assert document["state"] == "failed"
    assert "no answer from the endpoint" in document["error"]
    assert document["seconds"] < 1.5 + 1.0  # and a second to stop
    assert not world.local.exists()


async def test_followers_are_told_until_the_end(api: Api, world: World, jp_fetch: Fetch) -> None:
    for number in range(30):
        world.put(f"f{number:02}", b"x" * 100)
    pull = await api.begun(source=world.remote, target="data")

    first, second = await asyncio.gather(events(jp_fetch, pull["id"]), events(jp_fetch, pull["id"]))

    for told in (first, second):
        assert [kind for kind, _ in told].count("end") == 1
        assert told[-1][0] == "end"
        assert (told[-1][1]["state"], told[-1][1]["counts"]["miss"], len(told[-1][1]["rows"])) == ("done", 30, 30)
    late = await events(jp_fetch, pull["id"])
    assert [kind for kind, _ in late] == ["end"]
    assert "result" not in late[0][1]


async def test_each_row_is_told_once_and_the_newest_first_of_many(
    api: Api, held: Held, jp_fetch: Fetch, told_so_far: Told
) -> None:
    pull = await api.begun(source="bucket/p", target="data")
    rows = [{"path": f"{number:04}"} for number in range(250)]
    held.update(0, {"state": "syncing", "rows": rows[:150], "rows_omitted": 0})
    following = asyncio.ensure_future(events(jp_fetch, pull["id"]))
    await told_so_far.until(lambda: len(told_so_far.paths) == 150)
    held.update(0, {"rows": rows[150:], "rows_omitted": 7})
    await told_so_far.until(lambda: len(told_so_far.paths) == 250)
    held.end(0)

    told = await following

    progress = [document for kind, document in told if kind == "progress"]
    paths = [row["path"] for document in progress for row in document["rows"]]
    assert paths == [row["path"] for row in rows]
    assert sum(document["rows_omitted"] for document in progress) == 7


async def test_rows_that_come_while_a_message_is_sent_are_told_too(
    api: Api, held: Held, jp_fetch: Fetch, told_so_far: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell = EventsHandler._send_event

    async def slowly(handler: EventsHandler, event: str, told: dict[str, Any]) -> None:
        await tell(handler, event, told)
        if event == "progress" and told["state"] == "starting":
            held.update(0, {"state": "syncing", "rows": [{"path": "meanwhile"}], "rows_omitted": 0})

    monkeypatch.setattr(EventsHandler, "_send_event", slowly)
    pull = await api.begun(source="bucket/p", target="data")
    following = asyncio.ensure_future(events(jp_fetch, pull["id"]))
    await told_so_far.until(lambda: bool(told_so_far.paths))
    held.end(0)

    told = await following

    assert [row["path"] for _, document in told for row in document["rows"]] == ["meanwhile"]


async def test_what_was_done_when_it_was_told_to_stop_is_done(
    api: Api, world: World, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put("a.txt", b"a")
    await api.begun(source=world.remote, target="data")
    stopped, told = threading.Event(), []
    monkeypatch.setattr(pull_worker, "INTERVAL", 60)  # the first report comes when all is done

    def report(document: dict[str, Any]) -> None:
        told.append(document)
        stopped.set()

    await asyncio.to_thread(pull_worker.perform, held.specs[0], report, stopped)

    assert (told[-1]["state"], told[-1]["ok"], world.files()) == ("done", True, {"a.txt": b"a"})


async def test_what_is_cancelled_is_not_done(
    api: Api, world: World, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        world.put(f"{number:02}", bytes(1000))
    await api.begun(source=world.remote, target="data")
    stopped, told = threading.Event(), []
    monkeypatch.setattr(pull_worker, "INTERVAL", 0.01)
    spec = held.specs[0]
    call = spec.request.call
    slow = replace(call, options=replace(call.options, bandwidth=4_000, jobs=1))

    def report(document: dict[str, Any]) -> None:
        told.append(document)
        if document.get("files_done"):
            stopped.set()

    await asyncio.to_thread(
        pull_worker.perform, spec._replace(request=spec.request._replace(call=slow)), report, stopped
    )

    last = told[-1]
    assert last["state"] == "cancelled"
    assert last["files_done"] == last["counts"]["miss"] == len(world.files())
    assert last["files_done"] < sum(last["counts"].values())
    assert max(document["files_done"] for document in told) == last["files_done"]


async def test_a_follower_that_goes_away_leaves_nothing(
    api: Api, held: Held, jp_fetch: Fetch, caplog: pytest.LogCaptureFixture
) -> None:
    from tornado.httpclient import HTTPClientError

    pull = await api.begun(source="bucket/p", target="data")
    tasks = len(asyncio.all_tasks())

    with pytest.raises(HTTPClientError, match="Timeout"):
        await events(jp_fetch, pull["id"], request_timeout=0.4)

    await eventually(lambda: len(asyncio.all_tasks()) <= tasks)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    held.end(0)
    assert (await api.ended(pull["id"]))["ok"]


@pytest.mark.parametrize("settings", [{"timeout": 30.0}])
async def test_a_running_pull_is_cancelled_within_a_second(
    api: Api, world: World, monkeypatch: pytest.MonkeyPatch, silent: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", silent)
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    pull = await api.begun(source="bucket/p", target="data")
    while not (await api.send("GET", pull["id"]))[1]["seconds"]:
        await asyncio.sleep(0.02)

    began = time.monotonic()
    await api.send("DELETE", pull["id"])
    document = await api.ended(pull["id"])

    assert document["state"] == "cancelled"
    assert time.monotonic() - began < 2
    assert not world.local.exists()


async def test_a_running_pull_keeps_the_server_from_being_culled(
    api: Api, held: Held, pulls: Pulls, jp_serverapp: Any
) -> None:
    await api.begun(source="bucket/p", target="data")
    before = jp_serverapp.web_app.last_activity()

    held.update(0, {"state": "syncing", "bytes_done": 5})

    await eventually(lambda: jp_serverapp.web_app.last_activity() > before)
