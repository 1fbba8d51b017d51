"""Credentials that may expire: asked for again before they do, and once more when the service refuses them.

Signing a request never waits while there are keys that are still valid: new ones are asked for in a thread of its
own, one at a time, because a program, a browser login or a token service may take its time, or hang.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from nbsync.wire.errors import Aborted, ServiceError
from nbsync.wire.sigv4 import Credentials

_EARLY_SECONDS = 600.0  # before their end that new ones are asked for; IAM roles have theirs five minutes before it
_EARLY_SHARE = 0.25  # of what is left of their life, at most
_AGAIN_SECONDS = 5.0  # after which a source that failed is asked again while the old keys hold
_LOOK_SECONDS = 0.05  # how often a waiting thread asks whether the run was stopped
_NEVER = float("inf")


class IssuedCredentials(NamedTuple):
    """Keys, and when they end: seconds since the epoch, None if that is not known. No keys: sign nothing."""

    keys: Credentials | None
    expires: float | None = None


class CredentialSource:
    """What to sign with now. Thread-safe.

    Args:
        load: asks for the keys anew; called here once, then in a thread of its own, by one at a time.
        stopped: was the run told to stop? Then nobody waits for keys.
        now: seconds since the epoch.

    Raises:
        Exception: whatever `load` raises.
    """

    def __init__(
        self,
        load: Callable[[], IssuedCredentials],
        *,
        stopped: Callable[[], bool] = lambda: False,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._load, self._stopped, self._now = load, stopped, now
        self._lock = threading.Lock()
        self._loading: threading.Event | None = None
        self._refusal: ServiceError | None = None  # what the service said of the keys that are held
        self._failure: Exception | None = None  # there will be no other keys
        self._take(load())

    def __call__(self) -> Credentials | None:
        """The keys to sign with.

        Raises:
            ServiceError: the one that refused them: there are no others. Aborted: stopped while it waited.
            Exception: what `load` raised, once the old ones have ended.
        """
        while self._now() >= self._renew_at:
            lease, loading = self._asked()
            if loading is None:
                return lease.keys
            while not loading.wait(_LOOK_SECONDS):
                if self._stopped():
                    raise Aborted("stopped while new credentials were asked for")
        return self._lease.keys

    def ready(self, seconds: float) -> bool:
        """Would a call return (or raise) at once? Waits at most so long for that."""
        if self._now() < self._renew_at:
            return True
        try:
            loading = self._asked()[1]
        except Exception:
            return True
        return loading is None or loading.wait(seconds)

    def refused(self, error: ServiceError, began: float) -> None:
        """The service refused the keys of a request that began then (`time.perf_counter`): others are needed."""
        with self._lock:
            if self._lease.keys is not None and began >= self._since and self._refusal is None:
                self._refusal = error
                self._renew_at = -_NEVER

    def _asked(self) -> tuple[IssuedCredentials, threading.Event | None]:
        """Have new keys been asked for by somebody? Then what is held, and what to wait for if that is of no use."""
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if self._now() < self._renew_at:
                return self._lease, None
            if self._loading is None:
                self._loading = threading.Event()
                threading.Thread(target=self._renew, args=(self._loading,), name="nbsync-keys", daemon=True).start()
            return self._lease, None if self._holds() else self._loading

    def _holds(self) -> bool:
        return self._refusal is None and self._lease.expires is not None and self._now() < self._lease.expires

    def _renew(self, loaded: threading.Event) -> None:
        lease, failure = self._lease, None
        try:
            lease = self._load()
        except Exception as error:
            failure = error
        with self._lock:
            if failure is not None and self._holds():
                self._renew_at = self._now() + _AGAIN_SECONDS
            elif failure is not None:
                self._failure = failure
            elif self._refusal is not None and lease.keys == self._lease.keys:
                self._failure = self._refusal
            else:
                self._take(lease)
            self._loading = None
        loaded.set()

    def _take(self, lease: IssuedCredentials) -> None:
        self._lease, self._refusal, self._since = lease, None, time.perf_counter()
        self._renew_at = _NEVER
        if lease.expires is not None and lease.expires > self._now():  # else they are tried: the clock may be wrong
            left = lease.expires - self._now()
            self._renew_at = lease.expires - min(_EARLY_SECONDS, left * _EARLY_SHARE)


def fixed(keys: Credentials | None) -> CredentialSource:
    """A source of these keys alone; None signs nothing."""
    return CredentialSource(lambda: IssuedCredentials(keys))
