"""`doctor`: what it finds, what it never shows, and that it never hangs."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nbsync
from nbsync.cli import main
from nbsync.core.call import Call
from nbsync.core.options import build_options
from nbsync.engine import doctor as engine
from nbsync.errors import AccessDenied, ConfigError, EndpointUnreachable, NoSuchBucket, UsageError
from nbsync.s3 import probe
from nbsync.wire.client import Client
from nbsync.wire.errors import ServiceError
from nbsync.wire.response_reader import Response
from tests.functional.world import World, snapshot
from tests.servers import Server

NAMES = ["software", "folder", "credentials", "endpoint", "clock", "bucket", "versions", "server"]


def statuses(found: nbsync.Diagnosis) -> dict[str, str]:
    return {one.name: one.status for one in found}


def look(remote: str, patience: float, **options: Any) -> nbsync.Diagnosis:
    """A doctor with little patience."""
    call = Call(command="doctor", remote=remote, options=build_options("doctor", options), asked=frozenset(options))
    return engine.doctor(call, patience=patience)


def configure(home: Path, monkeypatch: pytest.MonkeyPatch, config: str) -> None:
    """Give this user an AWS configuration."""
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text(config)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(home / ".aws" / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / ".aws" / "credentials"))


@pytest.fixture
def silent() -> Iterator[str]:
    """An endpoint that takes connections, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_all_is_well(world: World) -> None:
    world.put("a", b"1")
    before, listed = snapshot(world.sandbox), world._listing()
    found = nbsync.doctor(world.remote)
    assert (snapshot(world.sandbox), world._listing()) == (before, listed)
    assert [one.name for one in found] == NAMES
    assert {status for name, status in statuses(found).items() if name != "server"} == {"ok"}
    assert found["credentials"].found == "AK… from the environment"
    assert found["endpoint"].found.startswith(f"{world.server.endpoint_url}, region us-east-1, path style, answered in")
    assert found["bucket"].found == f"{world.remote} can be listed; there is something under it"
    assert found["server"].found.startswith("conditional PUT, GET honoured; unproven: conditional DELETE")
    assert (found.ok, found.exit_code, found.error) == (True, 0, None)
    assert found.requests == {"list": 1, "head": 0, "get": 0, "put": 0, "delete": 0, "other": 1}
    assert found.versions["nbsync"] == nbsync.__version__
    assert {"python", "boto3", "botocore", "awscrt", "jupyterlab"} <= {n for n, v in found.versions.items() if v}
    found.raise_for_problems()
    assert json.loads(json.dumps(found.to_dict())) == found.to_dict()


def test_the_service_alone(moto: Server) -> None:
    moto.new_bucket()
    found = nbsync.doctor()
    assert statuses(found)["buckets"] == "ok"
    assert "can be seen" in found["buckets"].found
    assert found.remote == ""


def test_versions_of_a_bucket(world: World) -> None:
    for status, told in (("Enabled", "--as-of works"), ("Suspended", "versioning was suspended")):
        world.server.s3.put_bucket_versioning(Bucket=world.bucket, VersioningConfiguration={"Status": status})
        assert told in nbsync.doctor(world.remote)["versions"].found


def test_no_such_bucket(moto: Server, capsys: pytest.CaptureFixture[str]) -> None:
    found = nbsync.doctor("no-such-bucket-here/p")
    assert statuses(found)["bucket"] == "problem"
    assert isinstance(found.error, NoSuchBucket)
    with pytest.raises(NoSuchBucket):
        found.raise_for_problems()
    assert main.main(["doctor", "no-such-bucket-here/p"]) == 2
    assert "✗ bucket" in capsys.readouterr().out
    assert main.main(["doctor", "no-such-bucket-here/p", "--quiet"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)


def test_an_endpoint_that_is_not_there(moto: Server) -> None:
    found = nbsync.doctor("b/p", endpoint_url="http://127.0.0.1:9")
    assert statuses(found)["endpoint"] == "problem"
    assert isinstance(found.error, EndpointUnreachable)
    assert "Connection refused" in found["endpoint"].found
    assert found.exit_code == 2


def test_an_endpoint_that_says_nothing(moto: Server, silent: str) -> None:
    began = time.monotonic()
    found = nbsync.doctor("b/p", endpoint_url=silent, timeout=0.2, retries=0)
    assert isinstance(found.error, EndpointUnreachable)
    assert time.monotonic() - began < 5
    found = look("b/p", 0.3, endpoint_url=silent)
    assert "no answer within 0.3 s" in found["endpoint"].found


def test_credentials_that_never_come(moto: Server, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    configure(home, monkeypatch, "[default]\ncredential_process = sleep 4\n")
    began = time.monotonic()
    found = look("b/p", 1.0)
    assert time.monotonic() - began < 4
    assert statuses(found)["credentials"] == "problem"
    assert statuses(found)["endpoint"] == "ok", "whether the service answers is seen without credentials too"


def test_no_credentials(moto: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    found = nbsync.doctor("b/p")
    assert isinstance(found.error, ConfigError)
    assert "no AWS credentials found" in found["credentials"].found
    assert "--profile NAME" in found["credentials"].advice
    assert "bucket" not in statuses(found)
    assert nbsync.doctor(no_sign_request=True)["credentials"].found.startswith("none: requests are not signed")


def test_profiles(moto: Server, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    configure(home, monkeypatch, "[profile team]\nregion = eu-west-1\n")
    keys = "aws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = hush-hush\naws_session_token = tok-tok\n"
    (home / ".aws" / "credentials").write_text(f"[team]\n{keys}")
    found = nbsync.doctor(profile="team")
    assert found["credentials"].found == "AKIA…MPLE from the credentials file, profile team, with a session token"
    assert "region eu-west-1" in found["endpoint"].found
    missing = nbsync.doctor(profile="nope")
    assert statuses(missing)["profile"] == "problem"
    assert "team" in missing["profile"].advice


def test_at_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a request to AWS: what would go there is answered here."""
    asked: list[str] = []

    def answer(client: Client, method: str, *_: Any, **__: Any) -> Response:
        asked.append(client.target.host)
        body = b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></ListBucketResult>'
        versions = b"<VersioningConfiguration/>"
        return Response(200, {"date": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())},
                        versions if len(asked) > 1 else body)  # fmt: skip

    monkeypatch.setattr(Client, "request", answer)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    found = nbsync.doctor("my-bucket/p", region="eu-central-1")
    assert asked == ["my-bucket.s3.eu-central-1.amazonaws.com"] * 2
    assert found["credentials"].found == "AKIA…MPLE from the environment, of AWS account 581039954779"
    assert found["endpoint"].found.startswith(
        "https://s3.eu-central-1.amazonaws.com:443, region eu-central-1, virtual-host style, answered in"
    )
    assert found["server"] == ("server", "ok", "conditional PUT, GET, DELETE, completion of large uploads honoured", "")
    assert found["bucket"].found.endswith("there is nothing under it yet")


def test_what_the_service_refuses(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = {"SignatureDoesNotMatch": ConfigError, "AccessDenied": AccessDenied}
    for code, kind in refusals.items():

        def refuse(_client: Client, *_: Any, code: str = code, **__: Any) -> Response:
            raise ServiceError(403, code, "AKIATEST and SECRETTEST are no good", {"date": "garbage"}, b"")

        monkeypatch.setattr(Client, "request", refuse)
        found = nbsync.doctor(world.remote)
        assert isinstance(found.error, kind)
        assert statuses(found)["clock"] == "warning"
        whole = nbsync.doctor()
        assert statuses(whole)["buckets"] == ("problem" if kind is ConfigError else "ok")


@pytest.mark.parametrize(
    ("off", "status", "told"),
    [
        (5, "ok", "within"),
        (100, "warning", "100 s behind"),
        (-3600, "warning", "3,600 s ahead of the service's: it"),
    ],
)
def test_the_clock(world: World, monkeypatch: pytest.MonkeyPatch, off: int, status: str, told: str) -> None:
    monkeypatch.setitem(probe.first_answer.__kwdefaults__, "now", lambda: round(time.time()) - off)
    found = nbsync.doctor(world.remote)["clock"]
    assert found.status == status
    assert told in found.found.replace("99 s", "100 s").replace("101 s", "100 s").replace("3,599", "3,600")


@pytest.mark.parametrize("remote", ["s3://", "http://b/p", "b--x-s3/p"])
def test_a_remote_that_is_none(moto: Server, remote: str) -> None:
    with pytest.raises(UsageError):
        nbsync.doctor(remote)


def test_no_secret_is_ever_shown(
    world: World, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Secrets in every place where people and programs put them; a service and a program that repeat them."""
    secrets = {
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+secret", "AWS_SESSION_TOKEN": "FwoGZXIvYXdzEBYaDHToken==",
        "MINIO_ROOT_PASSWORD": "root-password",
    }  # fmt: skip
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("http_proxy", "http://me:proxy-password@127.0.0.1:9")
    told = [*secrets.values(), "AKIAIOSFODNN7EXAMPLE", "proxy-password", "process-secret"]
    process = "sh -c 'echo wJalrXUtnFEMI/K7MDENG+secret >&2; exit 1'"
    configure(home, monkeypatch, f"[profile p]\ncredential_process = {process}\n")

    def repeat(_client: Client, *_: Any, **__: Any) -> Response:
        raise ServiceError(400, "Odd", " ".join(told[:-1]), {"server": told[0]}, b"")

    runs = [["doctor"], ["doctor", world.remote], ["doctor", "no-such-bucket-here"], ["doctor", "--profile", "p"],
            ["doctor", world.remote, "--endpoint-url", "http://127.0.0.1:9"],
            ["doctor", "--endpoint-url", "http://me:root-password@127.0.0.1:9"]]  # fmt: skip
    for words in runs:
        for more in ([], ["--json"], ["--quiet"], ["--verbose"]):
            main.main([*words, *more])
    monkeypatch.setattr(Client, "request", repeat)
    main.main(["doctor", world.remote])
    shown = "".join(capsys.readouterr())
    assert "[hidden]" in shown
    assert [one for one in told if one in shown] == []


def test_a_current_directory_that_is_gone(moto: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    found = nbsync.doctor()
    assert (found["folder"].status, found.ok) == ("warning", True)


def test_hostile_words_are_only_text(moto: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = "<img src=x onerror=alert(1)>\x1b[31m"
    monkeypatch.setenv("AWS_PROFILE", hostile)
    html = nbsync.doctor()._repr_mimebundle_()["text/html"]
    assert "<img" not in html
    assert "\x1b" not in html + nbsync.doctor()._repr_mimebundle_()["text/plain"]
