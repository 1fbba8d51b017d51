"""What is taken out of a report, whoever put it in."""

from __future__ import annotations

import pytest

from nbsync.engine.redact import Scrubber


def test_what_the_environment_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very/secret+key")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-session-token")
    monkeypatch.setenv("MY_PASSWORD", "correct horse")
    monkeypatch.setenv("https_proxy", "http://me:p%40ss@proxy:3128")
    scrub = Scrubber()
    text = "very/secret+key very%2Fsecret%2Bkey a-session-token correct horse correct%20horse me:p%40ss p@ss proxy:3128"
    assert scrub(text) == " ".join(["[hidden]"] * 7 + ["proxy:3128"])


def test_what_is_no_secret_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USE_TOKEN", "true")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    text = "true /var/run/token http://127.0.0.1:9000"
    assert Scrubber()(text) == text


def test_what_it_is_told() -> None:
    scrub = Scrubber()
    scrub.hide("AKIAIOSFODNN7EXAMPLE", instead="AKIA…MPLE")
    scrub.hide("", "abcd", "abcdefgh")
    assert scrub("AKIAIOSFODNN7EXAMPLE abcdefgh abcd") == "AKIA…MPLE [hidden] [hidden]"
