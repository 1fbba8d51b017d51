"""When keys are asked for anew, who waits for them, and what becomes of keys that are refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from nbsync.errors import ConfigError
from nbsync.wire.credentials import CredentialSource, IssuedCredentials, fixed
from nbsync.wire.errors import Aborted, ServiceError
from nbsync.wire.sigv4 import Credentials

NOON = 1_700_000_000.0
EXPIRED = ServiceError(400, "ExpiredToken")


class Login:
    """A source of keys and a clock.

    Attributes:
        keys: number of the keys that it gives now.
        life: seconds.
        calls: how often it was asked.
        answers: set while it does.
    """

    def __init__(self, life: float | None = None) -> None:
        self.keys, self.life, self.calls, self.time = 1, life, 0, NOON
        self.failure: Exception | None = None
        self.answers = threading.Event()
        self.answers.set()

    def load(self) -> IssuedCredentials:
        self.calls += 1
        assert self.answers.wait(30)
        if self.failure is not None:
            raise self.failure
        expires = None if self.life is None else self.time + self.life
        return IssuedCredentials(Credentials(f"key-{self.keys}", "secret"), expires)

    def source(self, stopped: Callable[[], bool] = lambda: False) -> CredentialSource:
        return CredentialSource(self.load, stopped=stopped, now=lambda: self.time)


def key_of(source: CredentialSource) -> str:
    keys = source()
    assert keys is not None
    return keys.access_key


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize(("life", "early"), [(60, 15), (1200, 300), (3600, 600), (43200, 600)])
def test_new_keys_are_asked_for_near_the_end(life: float, early: float) -> None:
    login = Login(life)
    source = login.source()
    login.time, login.keys = NOON + life - early - 1, 2
    assert key_of(source) == "key-1"
    assert login.calls == 1
    login.time += 2
    assert key_of(source) in ("key-1", "key-2")
    eventually(lambda: key_of(source) == "key-2")
    assert login.calls == 2


def test_nobody_waits_while_the_old_keys_hold_and_only_one_asks() -> None:
    login = Login(60)
    source = login.source()
    login.answers.clear()
    login.time += 50
    assert [key_of(source) for _ in range(100)] == ["key-1"] * 100
    assert source.ready(0)
    login.time += 20  # they have ended
    assert not source.ready(0)
    login.keys = 2
    login.answers.set()
    assert key_of(source) == "key-2"
    assert login.calls == 2


def test_a_source_that_fails_is_asked_again_while_the_old_keys_hold_and_then_ends_it() -> None:
    login = Login(60)
    source = login.source()
    login.failure = ConfigError("log in again")
    login.time += 50
    assert key_of(source) == "key-1"
    eventually(lambda: login.calls == 2 and source._loading is None)
    assert key_of(source) == "key-1"
    assert login.calls == 2  # not at once
    login.time += 20
    for _ in range(3):
        with pytest.raises(ConfigError, match="log in again"):
            source()
    assert source.ready(0)
    assert login.calls == 3


def test_who_waits_ends_when_the_run_is_stopped() -> None:
    login = Login(60)
    stop = threading.Event()
    source = login.source(stop.is_set)
    login.answers.clear()
    login.time += 70
    threading.Timer(0.01, stop.set).start()
    with pytest.raises(Aborted):
        source()
    login.answers.set()


def test_keys_that_are_refused_are_asked_for_once() -> None:
    login = Login()
    source = login.source()
    began = time.perf_counter()
    for _ in range(5):
        source.refused(EXPIRED, began)
    for _ in range(3):
        with pytest.raises(ServiceError, match="ExpiredToken"):
            source()
    assert login.calls == 2


def test_a_refusal_of_earlier_keys_says_nothing_of_the_new_ones() -> None:
    login = Login()
    source = login.source()
    began = time.perf_counter()
    login.keys = 2
    source.refused(EXPIRED, began)
    assert key_of(source) == "key-2"
    source.refused(EXPIRED, began)
    assert key_of(source) == "key-2"
    login.keys = 3
    source.refused(EXPIRED, time.perf_counter())
    assert key_of(source) == "key-3"
    assert login.calls == 3


def test_keys_that_seem_to_have_ended_are_tried() -> None:
    login = Login(-10)
    source = login.source()
    assert [key_of(source) for _ in range(10)] == ["key-1"] * 10
    assert login.calls == 1


def test_nothing_is_asked_for_where_nothing_is_signed() -> None:
    source = fixed(None)
    source.refused(EXPIRED, time.perf_counter())
    assert source() is None
