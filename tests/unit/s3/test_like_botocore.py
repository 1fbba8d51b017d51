"""What an account makes of options, environment and files is what botocore's own client makes of them.

The client is let run up to the request that it would send, which is read instead: nothing is sent.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import botocore.loaders
import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from nbsync.core.location import Location
from nbsync.core.options import Options
from nbsync.errors import ConfigError, UsageError
from nbsync.s3.account import Account
from nbsync.wire.client import Client
from nbsync.wire.connection import FileSlice

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_SECRET_ACCESS_KEY": "SECRET"}
FILE_KEYS = "aws_access_key_id = AKIAFILE\naws_secret_access_key = SECRET\n"
HERE = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9000"}
THERE = {"AWS_ENDPOINT_URL_S3": "https://s3.example.org/base"}
ARN = "arn:aws:s3:us-west-2:123456789012:accesspoint/point"


class Case(NamedTuple):
    """One configuration; the files are those of the test's home."""

    bucket: str = "my-bucket"
    env: Mapping[str, str] = MappingProxyType({})
    config: str = ""
    credentials: str = ""
    options: Mapping[str, Any] = MappingProxyType({})


CASES = {
    "the environment alone": Case(env={**KEYS, **HERE}),
    "a base path": Case(env={**KEYS, **THERE}),
    "AWS": Case(env={**KEYS, "AWS_DEFAULT_REGION": "eu-west-1"}),
    "AWS without a region": Case(env=KEYS),
    "AWS, a dotted bucket": Case("my.dotted.bucket", {**KEYS, "AWS_DEFAULT_REGION": "eu-west-1"}),
    "AWS, an upper-case bucket": Case("MyBucket", {**KEYS, "AWS_DEFAULT_REGION": "us-east-1"}),
    "AWS, path style": Case(env=KEYS, options={"addressing_style": "path", "region": "eu-west-1"}),
    "AWS in China": Case(env={**KEYS, "AWS_DEFAULT_REGION": "cn-north-1"}),
    "AWS, dual stack": Case(env={**KEYS, "AWS_USE_DUALSTACK_ENDPOINT": "true", "AWS_DEFAULT_REGION": "eu-west-1"}),
    "AWS, FIPS": Case(env={**KEYS, "AWS_USE_FIPS_ENDPOINT": "true", "AWS_DEFAULT_REGION": "us-east-2"}),
    "AWS, regional us-east-1": Case(env={**KEYS, "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "regional"}),
    "AWS's own URL": Case(env=KEYS, options={"endpoint_url": "https://s3.us-east-2.amazonaws.com",
                                                "region": "us-east-2"}),
    "a region in the credentials file": Case(env=HERE, credentials=f"[default]\n{FILE_KEYS}region = eu-north-1\n"),
    "a region beside keys of the environment": Case(
        env={**KEYS, **HERE}, credentials="[default]\nregion = eu-north-1\n"
    ),
    "a region in both files": Case(
        env=HERE, config="[default]\nregion = eu-west-2\n", credentials=f"[default]\n{FILE_KEYS}region = eu-north-1\n"
    ),
    "a profile": Case(
        config="[profile a]\nregion = eu-west-3\nendpoint_url = http://localhost:9001\n",
        credentials=f"[a]\n{FILE_KEYS}", options={"profile": "a"},
    ),
    "a profile by the environment": Case(
        env={"AWS_PROFILE": "a"}, config="[profile a]\nregion = eu-west-3\n", credentials=f"[a]\n{FILE_KEYS}"
    ),
    "a profile beside keys of the environment": Case(
        env={**KEYS, **HERE}, config="[profile a]\nregion = eu-west-3\n", credentials=f"[a]\n{FILE_KEYS}",
        options={"profile": "a"},
    ),
    "a services section": Case(
        env=KEYS, config="[default]\nservices = mine\n[services mine]\ns3 =\n  endpoint_url = http://localhost:9002/x\n"
    ),
    "the environment before the profile": Case(
        env={**KEYS, **HERE}, config="[default]\nregion = eu-west-3\nendpoint_url = http://localhost:9001\n"
    ),
    "configured endpoints are ignored by the environment": Case(
        env={**KEYS, **HERE, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
    ),
    "configured endpoints are ignored by the profile": Case(
        env={**KEYS, **HERE}, config="[default]\nregion = eu-west-3\nignore_configured_endpoint_urls = true\n"
    ),
    "configured endpoints are ignored, an option is not": Case(
        env={**KEYS, **HERE, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, options={"endpoint_url": "http://h:1"}
    ),
    "an access point": Case(ARN, {**KEYS, "AWS_DEFAULT_REGION": "us-west-2"}),
    "an access point elsewhere": Case(ARN, {**KEYS, "AWS_DEFAULT_REGION": "eu-west-1"}),
    "an access point, use_arn_region": Case(
        ARN, {**KEYS, "AWS_DEFAULT_REGION": "eu-west-1", "AWS_S3_USE_ARN_REGION": "true"}
    ),
    "an access point behind a named endpoint": Case(ARN, {**KEYS, "AWS_DEFAULT_REGION": "us-west-2", **THERE}),
    "virtual style, a name": Case(env={**KEYS, "AWS_ENDPOINT_URL": "http://s3.example.org:90"},
                                  options={"addressing_style": "virtual"}),
    "virtual style, an address": Case(env={**KEYS, **HERE}, options={"addressing_style": "virtual"}),
    "virtual style, a dotted bucket": Case("my.bucket", {**KEYS, **THERE}, options={"addressing_style": "virtual"}),
    "virtual style, an upper-case bucket": Case("MyBucket", {**KEYS, **THERE}, options={"addressing_style": "virtual"}),
    "virtual style of the profile": Case(
        env={**KEYS, **THERE}, config="[default]\ns3 =\n  addressing_style = virtual\n"
    ),
    "path style of the profile": Case(
        env=KEYS, config="[default]\nregion = eu-west-1\ns3 =\n  addressing_style = path\n"
    ),
    "acceleration by URL": Case(env=KEYS, options={"endpoint_url": "https://s3-accelerate.amazonaws.com"}),
    "acceleration by the profile": Case(
        env=KEYS, config="[default]\nregion = eu-west-1\ns3 =\n  use_accelerate_endpoint = true\n"
    ),
    "acceleration with a named endpoint": Case(
        env={**KEYS, **THERE}, config="[default]\ns3 =\n  use_accelerate_endpoint = true\n"
    ),
    "dual stack with a named endpoint": Case(env={**KEYS, **THERE, "AWS_USE_DUALSTACK_ENDPOINT": "true"}),
    "signed payloads": Case(env={**KEYS, **THERE}, config="[default]\ns3 =\n  payload_signing_enabled = true\n"),
    "attempts by the environment": Case(env={**KEYS, **HERE, "AWS_MAX_ATTEMPTS": "3"}),
    "attempts by the profile": Case(env={**KEYS, **HERE}, config="[default]\nmax_attempts = 7\n"),
    "a CA bundle by the environment": Case(env={**KEYS, **THERE, "AWS_CA_BUNDLE": "/ca.pem"}),
    "a CA bundle by the profile": Case(env={**KEYS, **THERE}, config="[default]\nca_bundle = /other.pem\n"),
    "a CA bundle of requests": Case(env={**KEYS, **THERE, "REQUESTS_CA_BUNDLE": "/requests.pem"}),
    "a CA bundle of both": Case(env={**KEYS, **THERE, "REQUESTS_CA_BUNDLE": "/r.pem", "AWS_CA_BUNDLE": "/ca.pem"}),
    "a proxy": Case(env={**KEYS, **THERE, "https_proxy": "http://user:pass@proxy.example:3128"}),
    "a proxy without a scheme": Case(env={**KEYS, **THERE, "HTTPS_PROXY": "proxy.example:3128"}),
    "a proxy of the other scheme": Case(env={**KEYS, **THERE, "http_proxy": "http://proxy.example:3128"}),
    "a proxy by TLS": Case(env={**KEYS, **THERE, "https_proxy": "https://proxy.example:3129"}),
    "a proxy that is passed by": Case(
        env={**KEYS, **THERE, "https_proxy": "http://proxy.example:3128", "no_proxy": "example.org"}
    ),
    "unsigned": Case(env={"AWS_DEFAULT_REGION": "eu-west-1"}, options={"no_sign_request": True}),
}  # fmt: skip


class Sent(NamedTuple):
    """What would be sent, and how."""

    url: str
    region: str
    key: str
    signs_payload: bool
    attempts: int | None
    bundle: str
    proxy: str


class _Seen(Exception):
    """Nothing is sent."""


@pytest.fixture(scope="module", autouse=True)
def _one_loader() -> Iterator[None]:
    """Each session would read the description of S3 anew, which takes longer than all else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", functools.cache(botocore.loaders.create_loader))
        yield


def by_botocore(case: Case) -> Sent:
    """What botocore's client would send."""
    options = case.options
    session = botocore.session.Session(profile=options.get("profile"))
    style = options.get("addressing_style")
    config = Config(
        signature_version=botocore.UNSIGNED if options.get("no_sign_request") else "s3v4",
        s3={"addressing_style": style} if style else None,
        request_checksum_calculation="when_required",
    )
    region = options.get("region") or session.get_config_variable("region") or "us-east-1"
    client = session.create_client("s3", region_name=region, endpoint_url=options.get("endpoint_url"), config=config)
    seen: list[Any] = []

    def stop(request: Any, **_: Any) -> None:
        seen.append(request)
        raise _Seen

    client.meta.events.register("before-send.s3", stop)
    with contextlib.suppress(_Seen):
        client.put_object(Bucket=case.bucket, Key="k", Body=io.BytesIO(b"x" * 70_000), ContentMD5="x")
    wire = client._endpoint.http_session
    authorization = seen[0].headers.get("Authorization", b"")
    attempts = client.meta.config.retries.get("total_max_attempts")
    verify, proxy = wire._verify, wire._proxy_config.proxy_url_for(seen[0].url)
    return Sent(
        seen[0].url, *_signed(authorization.decode() if isinstance(authorization, bytes) else authorization),
        _is_hash(seen[0].headers.get("X-Amz-Content-SHA256", "")), attempts,
        verify if isinstance(verify, str) else "", re.sub(".*@|.*//", "", proxy or ""),
    )  # fmt: skip


def by_us(case: Case, file: Path) -> Sent:
    """What nbsync would send."""
    account = Account(Options(**case.options))
    target = account.target(Location(case.bucket, ""))
    # The bundles are no files.
    client = Client(replace(target, ca_bundle=""), account.credentials())
    file.write_bytes(b"x" * 70_000)
    with file.open("rb") as opened:
        request = client.head("PUT", "k", body=FileSlice(opened.fileno(), 0, 70_000))
    head = request.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in head[1:] if line)
    proxy = client.route.proxy
    retries = account.retries
    return Sent(
        f"{target.scheme}://{headers['host']}{head[0].split()[1].removeprefix(client._origin)}",
        *_signed(headers.get("authorization", "")), _is_hash(headers.get("x-amz-content-sha256", "")),
        retries + 1 if retries != 8 else None, target.ca_bundle, f"{proxy.host}:{proxy.port}" if proxy else "",
    )  # fmt: skip


def _signed(authorization: str) -> tuple[str, str]:
    """Region and access key."""
    found = re.search(r"Credential=(\w+)/\d+/([\w-]+)/s3/", authorization)
    return (found[2], found[1]) if found else ("", "")


def _is_hash(digest: str | bytes) -> bool:
    text = digest.decode() if isinstance(digest, bytes) else digest
    return re.fullmatch("[0-9a-f]{64}", text) is not None


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_same_as_botocore(case: Case, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (home / ".aws").mkdir()
    for name, text in (("config", case.config), ("credentials", case.credentials)):
        if text:
            (home / ".aws" / name).write_text(text)
    for name in [name for name in os.environ if "proxy" in name.lower() or "BUNDLE" in name]:
        monkeypatch.delenv(name)
    for name, value in case.env.items():
        monkeypatch.setenv(name, value)
    try:
        expected = by_botocore(case)
    except (BotoCoreError, ValueError):
        with pytest.raises((ConfigError, UsageError)):
            by_us(case, tmp_path / "body")
        return
    ours = by_us(case, tmp_path / "body")
    assert ours._replace(signs_payload=expected.signs_payload) == expected
    if "payload_signing_enabled" in case.config:
        assert ours.signs_payload == expected.signs_payload
