"""The JSON API: what is asked, what is done, what is said of it."""

from __future__ import annotations

from tests.functional.world import World
from tests.server.conftest import Api


async def test_a_pull_brings_the_files_and_says_so(api: Api, world: World) -> None:
    world.put("a.txt", b"alpha")
    world.put("sub/b.txt", b"beta")

    document = await api.pulled(source=world.remote, target="data", urlpath="lab/tree/data/x.ipynb")

    assert (document["state"], document["ok"], document["error"]) == ("done", True, None)
    assert world.files() == {"a.txt": b"alpha", "sub/b.txt": b"beta"}
    assert document["counts"]["miss"] == 2
    assert document["url"].endswith("/lab/tree/data/x.ipynb")
    assert {row["path"] for row in document["rows"]} == {"a.txt", "sub/b.txt"}
    assert document["result"]["command"] == "pull"
    assert document["result"]["local"] == "data"
