"""Who is let in, where a link may lead, and that no secret gets out. A forged request carries the cookie alone."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Awaitable, Callable
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.serverapp import ServerApp
from jupyter_server.services.contents.manager import ContentsManager
from tornado.httpclient import HTTPResponse
from tornado.web import Application
from traitlets import TraitError
from traitlets.config import Config

from nbsync.server import _load_jupyter_server_extension
from nbsync.server.config import PullLinks
from nbsync.server.pulls import Pulls
from tests.functional.world import World
from tests.server.conftest import Api
from tests.server.held import Held
from tests.servers import Server

Raw = Callable[..., Awaitable[HTTPResponse]]
BODY = json.dumps({"source": "bucket/p", "target": "data"})
JSON = {"Content-Type": "application/json"}
NUMBER = "0" * 32


@pytest.fixture
def raw(http_server_client: Any, jp_base_url: str) -> Raw:
    """Asks without the server's token; every status is an answer."""

    async def fetch(method: str, path: str = "", *, headers: dict[str, str] | None = None, body: str | None = None,
                    query: str = "") -> HTTPResponse:  # fmt: skip
        answer: HTTPResponse = await http_server_client.fetch(
            f"{jp_base_url}nbsync/api/pulls{path}{query}", method=method, headers=headers or {}, body=body,
            allow_nonstandard_methods=True, follow_redirects=False, raise_error=False,
        )  # fmt: skip
        return answer

    return fetch


async def session(raw: Raw, token: str) -> dict[str, str]:
    """The cookies of a browser that has logged in, by name."""
    answer = await raw("GET", query=f"?token={token}")
    cookies: dict[str, str] = {}
    for header in answer.headers.get_list("Set-Cookie"):
        cookies |= {name: morsel.value for name, morsel in SimpleCookie(header).items()}
    assert any(name.startswith("username-") for name in cookies)
    return cookies


def sent(cookies: dict[str, str], **more: str) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()), **JSON, **more}


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", ""), ("GET", f"/{NUMBER}"), ("DELETE", f"/{NUMBER}"), ("GET", f"/{NUMBER}/events")],
)
async def test_nobody_is_let_in_without_logging_in(
    raw: Raw, api: Api, held: Held, pulls: Pulls, method: str, path: str
) -> None:
    pull = await api.begun(source="bucket/p", target="data")
    body = BODY if method == "POST" else None

    answer = await raw(method, path.replace(NUMBER, pull["id"]), headers=JSON, body=body)

    assert answer.code == 403
    assert "Location" not in answer.headers
    assert (len(pulls.all()), held.stopped) == (1, [])


async def test_the_session_s_cookie_alone_changes_nothing(
    raw: Raw, api: Api, held: Held, pulls: Pulls, jp_serverapp: Any
) -> None:
    pull = await api.begun(source="bucket/p", target="data")
    cookies = await session(raw, jp_serverapp.identity_provider.token)
    look = json.dumps({**json.loads(BODY), "target": "other", "dry_run": True})

    assert (await raw("GET", headers=sent(cookies))).code == 200  # it is a session
    for body in (BODY, look):
        assert (await raw("POST", headers=sent(cookies), body=body)).code == 403
        assert (await raw("POST", headers=sent(cookies, **{"X-XSRFToken": "guess"}), body=body)).code == 403
    assert (await raw("DELETE", f"/{pull['id']}", headers=sent(cookies))).code == 403

    assert (len(pulls.all()), held.stopped) == (1, [])


async def test_with_the_xsrf_token_the_session_may(raw: Raw, held: Held, pulls: Pulls, jp_serverapp: Any) -> None:
    cookies = await session(raw, jp_serverapp.identity_provider.token)
    token = cookies.setdefault("_xsrf", "2|00000000|00000000000000000000000000000000|1700000000")

    answer = await raw("POST", headers=sent(cookies, **{"X-XSRFToken": token}), body=BODY)

    assert answer.code == 202
    assert len(pulls.all()) == 1


async def test_another_site_s_page_is_refused(raw: Raw, held: Held, pulls: Pulls, jp_serverapp: Any) -> None:
    cookies = await session(raw, jp_serverapp.identity_provider.token)
    token = cookies.setdefault("_xsrf", "2|00000000|00000000000000000000000000000000|1700000000")
    headers = sent(cookies, **{"X-XSRFToken": token, "Origin": "https://evil.example"})

    assert (await raw("POST", headers=headers, body=BODY)).code in (403, 404)
    assert (await raw("GET", headers=headers)).code in (403, 404)
    assert pulls.all() == []


@pytest.mark.parametrize(
    "target",
    [
        "/etc", "..", "../x", "a/../..", "a/../../x", ".", "./", "/", "./.", ".ssh", "a/.ssh", "a/.nbsync", "~", "~/x",
        "a\\b", "..\\x", "a\x00b", "a\nb", "a//b", "C:/x", "a" * 300, "%2e%2e/\x7f",
    ],
)  # fmt: skip
async def test_a_target_is_a_folder_below_the_root(api: Api, pulls: Pulls, target: str) -> None:
    status, document = await api.post(source="bucket/p", target=target)

    assert status == 400, document
    assert pulls.all() == []


@pytest.mark.parametrize("leads_to", ["outside", ".", ".hidden", "loop"])
@pytest.mark.parametrize("below", ["", "/sub"])
async def test_a_target_s_symbolic_links_lead_nowhere_else(
    api: Api, pulls: Pulls, jp_root_dir: Path, tmp_path: Path, leads_to: str, below: str
) -> None:
    (jp_root_dir / ".hidden").mkdir()
    goal = tmp_path.parent if leads_to == "outside" else jp_root_dir / leads_to
    (jp_root_dir / "loop").symlink_to(goal)
    if leads_to == "." and below:
        below = "/.hidden"

    status, document = await api.post(source="bucket/p", target=f"loop{below}")

    if leads_to == "loop":  # it can hold nothing
        assert status in (202, 400)
        return
    assert status == 400, document
    assert pulls.all() == []


async def test_a_target_that_is_moved_meanwhile_is_not_filled(
    api: Api, world: World, jp_root_dir: Path, tmp_path: Path, held: Held
) -> None:
    from nbsync.errors import LocalError
    from nbsync.server.targets import check_again

    await api.begun(source=world.remote, target="data")
    (jp_root_dir / "data").symlink_to(tmp_path)

    with pytest.raises(LocalError, match="another folder"):
        check_again(held.specs[0].request, held.specs[0].root)


@pytest.mark.parametrize(
    "urlpath",
    [
        "//evil.org", "/\\evil.org", "https://evil.org", "javascript:alert(1)", "%2F%2Fevil.org", "/%5Cevil.org",
        "../../hub/logout", "lab/%2e%2e/%2e%2e/x", "lab\n", "data:text/html,x",
    ],
)  # fmt: skip
async def test_urlpath_never_leaves_the_server(api: Api, pulls: Pulls, urlpath: str) -> None:
    status, document = await api.post(source="bucket/p", target="data", urlpath=urlpath)

    assert status == 400, document
    assert pulls.all() == []


@pytest.mark.parametrize("settings", [{"allowed_buckets": ["course-*", "exact"]}])
async def test_other_buckets_are_refused(api: Api, held: Held) -> None:
    for bucket, status in (("course-7", 202), ("exact", 202), ("exact2", 403), ("private", 403)):
        assert (await api.post(source=f"{bucket}/p", target=bucket))[0] == status
        assert (await api.post(source=f"{bucket}/p", target=bucket, dry_run=True))[0] == status


NAMED = {"endpoint_url": "http://127.0.0.1:9", "region": "eu-north-9", "no_sign_request": True, "buckets": ["open-*"]}


@pytest.mark.parametrize("settings", [{"allowed_buckets": ["mine"], "endpoints": {"lab": NAMED}}])
async def test_a_named_endpoint_has_its_own_settings_and_buckets(api: Api, held: Held) -> None:
    assert (await api.post(source="mine/p", target="a", endpoint="lab"))[0] == 403
    assert (await api.post(source="open-1/p", target="a"))[0] == 403
    assert (await api.post(source="open-1/p", target="a", endpoint="Lab"))[0] == 400

    await api.begun(source="open-1/p", target="a", endpoint="lab")

    options = held.specs[0].request.call.options
    assert (options.endpoint_url, options.region, options.no_sign_request) == ("http://127.0.0.1:9", "eu-north-9", True)


@pytest.mark.parametrize(
    "key",
    [
        ".git/hooks/post-checkout",
        "sub/.git/config",
        ".GIT/config",
        ".git",
        "git~1/config",
        ".g\u200cit/config",
        ".hg/hgrc",
    ],
)
async def test_files_of_a_repository_s_own_are_refused_and_said(api: Api, world: World, key: str) -> None:
    world.put(key, b"#!/bin/sh")
    world.put("a.txt", b"a")
    world.put(".gitignore", b"*.pyc")

    document = await api.pulled(source=world.remote, target="data")

    assert sorted(world.files()) == [".gitignore", "a.txt"]
    assert (document["ok"], document["counts"]["skipped"]) == (False, 1)
    assert ".git or .hg" in document["rows"][0]["reason"]


SECRET = "wJalrXUtnFEMI-planted-K7MDENG"


@pytest.fixture
def planted(moto: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", f"{SECRET}-token")


async def test_no_secret_is_in_a_document_event_or_log(
    planted: None, api: Api, world: World, jp_fetch: Any, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    world.put(f"named-{SECRET}.txt.d/../x", b"a")
    told: list[str] = []
    for source, endpoint in ((world.remote, ""), (f"AKIA:{SECRET}@bucket/p", ""), (f"https://u:{SECRET}@host/b", "")):
        status, document = await api.post(source=source, target="data", endpoint=endpoint)
        if status == 202:
            document = await api.ended(document["id"])
            events = await jp_fetch("nbsync", "api", "pulls", document["id"], "events")
            told.append(events.body.decode())
        told.append(json.dumps({**document, "rows": [], "result": {**document.get("result", {}), "files": []}}))
    captured = capfd.readouterr()
    told += [caplog.text, captured.out, captured.err]
    # The key's own name is the user's business; nothing else may repeat it.
    assert not [text for text in told if SECRET in text.replace(f"named-{SECRET}", "")]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "allowed_buckets *; endpoints none; target_root {root}; max_bytes none; max_files none"),
        ({"allowed_buckets": [], "max_bytes": 5 * 10**9, "max_files": 0, "endpoints": {"lab": NAMED, "b": {}}},
         "allowed_buckets none; endpoints lab, b; target_root {root}; max_bytes 5,000,000,000; max_files 0"),
    ],
)  # fmt: skip
def test_the_log_says_at_the_start_what_holds(
    settings: dict[str, Any], told: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    parent = ServerApp(root_dir=str(tmp_path), config=Config(PullLinks=settings), log=logging.getLogger("server"))
    parent.contents_manager = ContentsManager(parent=parent)
    parent.web_app = Application(base_url="/")

    with caplog.at_level("INFO", "server"):
        _load_jupyter_server_extension(parent)

    line = f"nbsync's pull links: {told.format(root=os.path.realpath(tmp_path))}"
    assert caplog.record_tuples == [("server", logging.INFO, line)]


@pytest.mark.parametrize("settings", [{"endpoints": {"lab": {"endpoint_url": f"https://user:{SECRET}@host"}}}])
def test_an_endpoint_with_a_password_is_no_setting(settings: dict[str, Any]) -> None:
    with pytest.raises(TraitError) as caught:
        PullLinks(**settings)
    assert SECRET not in str(caught.value)


async def test_a_path_of_the_server_s_disk_is_in_no_document(api: Api, world: World) -> None:
    world.put("a.txt", b"theirs")
    world.write("a.txt", b"mine")

    document = await api.pulled(source=world.remote, target="data")

    assert document["notes"], "the trash is said"
    assert os.fspath(world.local) not in json.dumps(document)


async def test_nor_is_the_path_of_the_root(api: Api, jp_root_dir: Path) -> None:
    (jp_root_dir / "file").write_text("no folder")

    document = await api.pulled(source="bucket/p", target="file/below")

    assert document["state"] == "failed"
    assert os.fspath(jp_root_dir) not in json.dumps(document)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lab", f"https://user:{SECRET}@host"), ("lab", {"buckets": "open-*"}), ("lab", {"buckets": None}),
        ("lab", {"buckets": [1]}), ("my lab", {}), ("", {"endpoint_url": "http://host"}),
        ("lab", {"secret_key": SECRET}),
        ("lab", {"endpoint_url": "host:9000"}), ("lab", {"endpoint_url": f"https://host/?token={SECRET}"}),
        ("lab", {"endpoint_url": "ftp://host"}), ("lab", {5: 1, "x": 2}),
    ],
)  # fmt: skip
def test_an_endpoint_that_makes_no_sense_is_refused_at_the_start(name: str, value: Any) -> None:
    with pytest.raises(TraitError, match=r"PullLinks\.endpoints") as caught:
        PullLinks(endpoints={name: value})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), 0.0])
def test_a_time_out_that_never_comes_is_no_setting(seconds: float) -> None:
    with pytest.raises(TraitError, match="timeout"):
        PullLinks(timeout=seconds)


def test_a_contents_manager_that_keeps_no_files_does_not_say_where_links_lead(tmp_path: Path) -> None:
    parent = ServerApp(root_dir=str(tmp_path))
    parent.contents_manager = ContentsManager(parent=parent)
    parent.web_app = Application(base_url="/")
    assert parent.contents_manager.root_dir == "/"

    _load_jupyter_server_extension(parent)

    assert parent.web_app.settings["nbsync_places"].root == os.path.realpath(tmp_path)
