"""What goes wrong with a store ends as the right nbsync error: one line that says what to do, and no secret."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from nbsync.errors import AccessDenied, ConfigError, EndpointUnreachable, NbsyncError, NoSuchBucket, UsageError
from nbsync.s3.errors import translate
from nbsync.s3.listing import list_objects
from nbsync.wire.errors import WireError
from tests.contract.store import Store
from tests.servers.base import free_port

SECRET = "W1rongSecretThatNobodyMaySee"


@contextmanager
def refused(kind: type[NbsyncError], *said: str) -> Iterator[None]:
    """What is done here ends in an error of `kind`, once translated, whose one line has all of `said`."""
    with pytest.raises((NbsyncError, WireError)) as caught:
        yield
    error = translate(caught.value, "s3://bucket/prefix/")
    line = str(error)
    assert type(error) is kind, repr(error)
    assert all(words in line for words in said), line
    assert "\n" not in line
    assert error.hint, line
    for text in (line, repr(error), str(caught.value), repr(caught.value)):
        assert SECRET not in text


def test_a_missing_bucket(store: Store) -> None:
    with refused(NoSuchBucket, "no such bucket"):
        list(list_objects(store.bucket("no-such-bucket-here/x"), "x/"))


def test_a_wrong_secret(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    if not store.server.can("signatures"):
        pytest.skip("no signature is checked here")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    bucket = store.bucket()
    assert SECRET not in repr(bucket.client.target) + repr(vars(bucket))
    with refused(ConfigError, "secret key is wrong"):
        list(list_objects(bucket, ""))


def test_an_unknown_access_key(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    if not store.server.can("signatures"):
        pytest.skip("no signature is checked here")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANOBODY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with refused(ConfigError, "does not know this access key"):
        list(list_objects(store.bucket(), ""))


def test_no_signature_where_one_is_needed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    if store.server.name != "rgw":
        pytest.skip("moto lets anyone in, and rclone takes no signature for one of an unknown kind")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with refused(AccessDenied, "access denied"):
        list(list_objects(store.bucket(no_sign_request=True), ""))


def test_no_signature_where_none_is_needed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    if store.server.name == "rclone":
        pytest.skip("no public bucket here")
    store.put_plainly("a", b"x")
    store.server.s3.put_bucket_acl(Bucket=store.name, ACL="public-read")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert store.keys(no_sign_request=True) == ["a"]


def test_no_credentials_at_all(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with refused(ConfigError, "no AWS credentials", "--no-sign-request"):
        store.bucket()


def test_half_of_the_credentials(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with refused(ConfigError, "credentials"):
        store.bucket()


@pytest.mark.parametrize("more", [{}, {"region": "us-east-1"}, {"region": "us-east-1", "no_sign_request": True}])
def test_an_unknown_profile(store: Store, more: dict[str, object]) -> None:
    with refused(ConfigError, "nobody", "Profiles on this machine: none"):
        store.bucket(profile="nobody", **more)


def test_a_closed_port(store: Store) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with refused(EndpointUnreachable, "no answer from the endpoint", "127.0.0.1"):
        list(list_objects(store.bucket(endpoint_url=url), ""))


def test_a_host_that_does_not_exist(store: Store) -> None:
    with refused(EndpointUnreachable, "no-such-host.invalid"):
        list(list_objects(store.bucket(endpoint_url="http://no-such-host.invalid"), ""))


def test_a_port_that_stays_silent(store: Store) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with refused(EndpointUnreachable, "--timeout"):
            list(list_objects(store.bucket(endpoint_url=url, timeout=0.2), ""))


def test_https_to_a_server_that_speaks_http(store: Store) -> None:
    url = store.server.endpoint_url.replace("http:", "https:")
    with refused(EndpointUnreachable, "no secure connection"):
        list(list_objects(store.bucket(endpoint_url=url), ""))


@pytest.mark.parametrize("url", ["127.0.0.1:80", "ftp://h", "http://", "http://h:x", "http://h/?q", "http://u:p@h"])
def test_an_endpoint_that_is_no_url(store: Store, url: str) -> None:
    with refused(UsageError, "--endpoint-url"):
        store.bucket(endpoint_url=url)


def test_a_key_that_cannot_be_an_object(store: Store) -> None:
    if store.server.name == "moto":
        pytest.skip("moto takes keys of any length")
    with pytest.raises(WireError) as caught:
        store.bucket().request("PUT", "k" * 1025, body=b"x")
    line = str(translate(caught.value, "s3://bucket/"))
    assert "\n" not in line
    assert "k" * 1025 not in line


def test_a_missing_key_is_no_error_of_the_bucket(store: Store) -> None:
    assert store.bucket().exists("no such key") is False
