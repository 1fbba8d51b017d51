"""A Jupyter Server in this process, with nbsync in it and moto behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_jupyter.jupyter_server import *  # noqa: F403
from tornado.httpclient import HTTPClientError, HTTPResponse

from nbsync.server.pulls import ENDED, Pulls
from tests.functional.world import World
from tests.server.held import Held
from tests.servers import Server

API = ("nbsync", "api", "pulls")
Fetch = Callable[..., Awaitable[HTTPResponse]]


@pytest.fixture
def settings() -> dict[str, Any]:
    """What a test sets of `PullLinks`."""
    return {}


@pytest.fixture
def moto(moto_server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """moto, the server's own endpoint."""
    for name, value in moto_server.env().items():
        monkeypatch.setenv(name, value)
    return moto_server


@pytest.fixture
def jp_server_config(settings: dict[str, Any], moto: Server) -> dict[str, Any]:
    return {"ServerApp": {"jpserver_extensions": {"nbsync": True}}, "PullLinks": settings}


@pytest.fixture
def world(moto: Server, tmp_path: Path, jp_root_dir: Path) -> World:
    """A prefix of a new bucket; its local side is `data` below the server's root."""
    made = World(moto, tmp_path)
    made.local = jp_root_dir / "data"
    return made


class Api:
    """The JSON API, asked by one who may."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch

    async def send(self, method: str, *path: str, body: Any = None, **more: Any) -> tuple[int, Any]:
        """The status, and the document of the answer."""
        headers = {"Content-Type": "application/json", **more.pop("headers", {})}
        sent = body if isinstance(body, str | bytes | None) else json.dumps(body)
        try:
            answer = await self._fetch(*API, *path, method=method, body=sent, headers=headers,
                                       allow_nonstandard_methods=True, **more)  # fmt: skip
        except HTTPClientError as error:
            if error.response is None:
                raise
            answer = error.response
        return answer.code, json.loads(answer.body) if answer.body else None

    async def post(self, **asked: Any) -> tuple[int, Any]:
        return await self.send("POST", body=asked)

    async def begun(self, **asked: Any) -> Any:
        """The document of a pull that was taken."""
        status, document = await self.post(**asked)
        assert status == 202, document
        return document

    async def ended(self, pull_id: str, seconds: float = 60.0) -> Any:
        """The last document of a pull, once there is one."""

        async def asked() -> Any:
            while True:
                status, document = await self.send("GET", pull_id)
                assert status == 200, document
                if document["state"] in ENDED:
                    return document
                await asyncio.sleep(0.02)

        return await asyncio.wait_for(asked(), seconds)

    async def pulled(self, **asked: Any) -> Any:
        """What a pull came to."""
        return await self.ended((await self.begun(**asked))["id"])


@pytest.fixture
def api(jp_fetch: Fetch) -> Api:
    return Api(jp_fetch)


@pytest.fixture
def pulls(jp_serverapp: Any) -> Iterator[Pulls]:
    """The server's own pulls."""
    found = jp_serverapp.web_app.settings["nbsync_pulls"]
    yield found
    found.close()


@pytest.fixture
def held(pulls: Pulls, monkeypatch: pytest.MonkeyPatch) -> Held:
    """Pulls that end when the test says so."""
    made = Held()
    monkeypatch.setattr(pulls, "_start", made)
    return made
