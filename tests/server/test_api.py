"""The JSON API: what is asked, what is done, what is said of it."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

import nbsync
from nbsync.core.options import Options
from nbsync.server.pulls import Pulls
from tests.functional.world import World
from tests.server.conftest import Api, Fetch
from tests.server.held import Held


async def test_a_pull_brings_the_files_and_says_so(api: Api, world: World, jp_base_url: str) -> None:
    world.put("a.txt", b"alpha")
    world.put("sub/b.txt", b"beta")

    document = await api.pulled(source=world.remote, target="data", urlpath="lab/tree/data/x.ipynb")

    assert (document["state"], document["ok"], document["error"]) == ("done", True, None)
    assert world.files() == {"a.txt": b"alpha", "sub/b.txt": b"beta"}
    assert document["counts"]["miss"] == 2
    assert document["url"] == f"{jp_base_url}lab/tree/data/x.ipynb"
    assert document["endpoint_host"] == world.server.endpoint_url.partition("://")[2]
    assert {row["path"] for row in document["rows"]} == {"a.txt", "sub/b.txt"}
    assert document["result"]["command"] == "pull"
    assert document["result"]["local"] == "data"


async def test_filters_keep_their_order(api: Api, world: World) -> None:
    for name in ("a.csv", "b.csv", "c.txt"):
        world.put(name, b"1")
    filters = [["exclude", "*"], ["include", "*.csv"], ["exclude", "b*"]]

    document = await api.pulled(source=world.remote, target="data", filters=filters)

    assert document["filters"] == filters
    assert list(world.files()) == ["a.csv"]


async def test_a_dry_run_says_what_would_happen_and_creates_nothing(api: Api, world: World) -> None:
    world.put("a.txt", b"alpha")

    document = await api.pulled(source=world.remote, target="data", dry_run=True)

    assert (document["state"], document["dry_run"]) == ("done", True)
    assert [(row["path"], row["status"]) for row in document["rows"]] == [("a.txt", "planned")]
    assert document["bytes_total"] == 5
    assert not world.local.exists()


async def test_an_edited_file_goes_to_the_trash_and_is_announced(api: Api, world: World) -> None:
    world.put("a.txt", b"theirs 1")
    await api.pulled(source=world.remote, target="data")
    world.write("a.txt", b"mine")
    world.put("a.txt", b"theirs 2")

    look = await api.pulled(source=world.remote, target="data", dry_run=True)
    assert (look["local_changes"], world.read("a.txt")) == (1, b"mine")

    done = await api.pulled(source=world.remote, target="data")
    assert (done["local_changes"], world.read("a.txt")) == (1, b"theirs 2")
    assert world.trash() == [("a.txt", b"mine")]


async def test_a_pull_never_deletes(api: Api, world: World) -> None:
    world.put("a.txt", b"a")
    world.write("mine.txt", b"mine")

    await api.pulled(source=world.remote, target="data")

    assert world.files() == {"a.txt": b"a", "mine.txt": b"mine"}
    status, _ = await api.post(source=world.remote, target="data", delete=True)
    assert status == 400


@pytest.mark.parametrize("settings", [{"timeout": 7.5, "retries": 1}])
async def test_it_is_repeated_without_what_the_server_added(api: Api, world: World) -> None:
    world.put("a.csv", b"1")
    await api.pulled(source=world.remote, target="data", exclude=["*.tmp"])

    again = await asyncio.to_thread(nbsync.pull, local=world.local)

    assert again.counts["hit"] == 1
    assert again.notes[0].endswith(f": pull {world.remote} {world.local} --exclude '*.tmp'")
    assert nbsync.status(world.local).syncs[0].words == "--exclude '*.tmp'"
    assert again.call is not None
    assert (again.call.options.timeout, again.call.options.retries) == (Options().timeout, Options().retries)


async def test_without_a_target_it_is_the_last_name_of_the_source(api: Api, world: World) -> None:
    world.put("a.txt", b"a")

    document = await api.begun(source=world.remote)

    assert document["target"] == "p"
    assert (await api.ended(document["id"]))["ok"]
    assert (world.local.parent / "p" / "a.txt").read_bytes() == b"a"


async def test_what_no_bucket_holds_is_one_clear_line(api: Api, world: World) -> None:
    document = await api.pulled(source="no-such-bucket-here/x", target="data")

    assert (document["state"], document["ok"]) == ("failed", False)
    assert "no such bucket" in document["error"]
    assert "\n" not in document["error"]
    assert not world.local.exists()


@pytest.mark.parametrize(
    "body",
    [
        "", "[]", "null", '"x"', "{", "{}", '{"source": ""}', '{"source": 5}', '{"source": "b/p", "dry_run": 1}',
        '{"source": "b/p", "include": {"a": 1}}', '{"source": "b/p", "filters": [["delete", "*"]]}',
        '{"source": "b/p", "filters": [["include"]]}', '{"source": "b/p", "as_of": "yesterday"}',
        '{"source": "b/p", "endpoint": "https://evil.org"}', '{"source": "b/p", "endpoint": "unnamed"}',
        '{"source": "b/p", "endpoint_url": "http://evil.org"}', '{"source": "b/p", "profile": "admin"}',
        '{"source": "b/p", "filters": 0}', '{"source": "b/p", "include": false}', '{"source": "b/p", "dry_run": null}',
        '{"source": "b/p", "target": "a", "target": "b"}', '{"source": "b/p", "exclude": ["x"], "exclude": []}',
        '{"source": "https://evil.org/b/p"}', '{"source": "file:///etc"}', '{"source": "b/p\\u0000"}', "[" * 40_000,
    ],
)  # fmt: skip
async def test_what_makes_no_sense_is_refused(api: Api, pulls: Pulls, body: str) -> None:
    status, document = await api.send("POST", body=body)

    assert status == 400
    assert document["message"]
    assert "\n" not in document["message"]
    assert pulls.all() == []


@pytest.mark.parametrize("part", ["source", "exclude", "nonsense"])
async def test_a_body_longer_than_any_link_is_refused_unread(api: Api, pulls: Pulls, part: str) -> None:
    body = json.dumps({"source": "bucket/p", "target": "data", part: "x" * 30_000_000})
    began = time.process_time()

    status, document = await api.send("POST", body=body)

    assert (status, "too long" in document["message"]) == (400, True)
    assert time.process_time() - began < 1
    assert pulls.all() == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_a_body_is_json_only(api: Api, pulls: Pulls, kind: str) -> None:
    body = '{"source": "bucket/p", "target": "data"}'

    status, _ = await api.send("POST", body=body, headers={"Content-Type": kind})

    assert status in (400, 415)
    assert pulls.all() == []


async def test_a_get_begins_nothing(api: Api, jp_fetch: Fetch, pulls: Pulls, world: World) -> None:
    world.put("a.txt", b"a")

    status, documents = await api.send("GET", params={"source": world.remote, "target": "data"})

    assert (status, documents) == (200, [])
    assert pulls.all() == []
    assert not world.local.exists()


async def test_what_is_not_there_is_404(api: Api) -> None:
    assert (await api.send("GET", "0" * 32))[0] == 404
    assert (await api.send("DELETE", "0" * 32))[0] == 404
    assert (await api.send("GET", "0" * 32, "events"))[0] == 404


async def test_asked_twice_it_is_one_pull(api: Api, held: Held) -> None:
    asked: dict[str, Any] = {"source": "bucket/p", "target": "data"}

    first, second = await asyncio.gather(api.begun(**asked, urlpath="lab"), api.begun(**asked, urlpath="tree"))

    assert first["id"] == second["id"]
    assert (first["url"][-4:], second["url"][-5:]) == ("/lab", "/tree")
    assert len(held.specs) == 1
    held.end(0)
    await api.ended(first["id"])
    assert (await api.begun(**asked))["id"] != first["id"]


@pytest.mark.parametrize(("one", "other"), [("data", "data"), ("data", "data/sub"), ("data/sub", "data")])
async def test_one_folder_has_one_pull_at_a_time(api: Api, held: Held, one: str, other: str) -> None:
    first = await api.begun(source="bucket/p", target=one)
    second = await api.begun(source="bucket/other", target=other)
    third = await api.begun(source="bucket/third", target="data2")

    states = [(await api.send("GET", pull["id"]))[1]["state"] for pull in (first, second, third)]
    assert states == ["starting", "queued", "starting"]
    held.end(0)
    await api.ended(first["id"])
    assert [spec.request.source for spec in held.specs] == [
        "s3://bucket/p/",
        "s3://bucket/third/",
        "s3://bucket/other/",
    ]


@pytest.mark.parametrize("settings", [{"concurrent_pulls": 3}])
async def test_so_many_run_at_once(api: Api, held: Held) -> None:
    for number in range(10):
        await api.begun(source=f"bucket/{number}", target=f"data{number}")

    assert len(held.specs) == 3
    _, documents = await api.send("GET")
    assert [document["state"] for document in documents] == ["starting"] * 3 + ["queued"] * 7


async def test_a_look_waits_for_no_pull(api: Api, held: Held) -> None:
    for number in range(5):
        await api.begun(source=f"bucket/{number}", target=f"data{number}")

    look = await api.begun(source="bucket/0", target="data0", dry_run=True)

    assert (await api.send("GET", look["id"]))[1]["state"] == "starting"


async def test_one_that_waits_is_cancelled_at_once(api: Api, held: Held) -> None:
    await api.begun(source="bucket/p", target="data")
    waiting = await api.begun(source="bucket/q", target="data")

    assert (await api.send("DELETE", waiting["id"])) == (204, None)

    assert (await api.ended(waiting["id"]))["state"] == "cancelled"
    assert len(held.specs) == 1
    assert (await api.send("DELETE", waiting["id"])) == (204, None)


async def test_one_that_runs_is_told_to_stop(api: Api, held: Held) -> None:
    pull = await api.begun(source="bucket/p", target="data")

    assert (await api.send("DELETE", pull["id"])) == (204, None)
    assert held.stopped == [0]
    again = await api.begun(source="bucket/p", target="data")  # one that ends is not joined

    assert again["id"] != pull["id"]
    assert again["state"] == "queued"


async def test_a_process_that_breaks_off_is_said(api: Api, held: Held) -> None:
    pull = await api.begun(source="bucket/p", target="data")

    held.update(0, None)

    document = await api.ended(pull["id"])
    assert (document["state"], document["ok"]) == ("failed", False)
    assert "broke off" in document["error"]


async def test_ended_pulls_are_forgotten_in_time(api: Api, held: Held) -> None:
    for number in range(60):
        pull = await api.begun(source=f"bucket/{number}", target="data")
        held.end(number)
        await api.ended(pull["id"])

    _, documents = await api.send("GET")
    assert 50 <= len(documents) <= 51
    assert documents[-1]["source"] == "s3://bucket/59/"
