"""What completion looks up: profiles, buckets, keys and files, in helper threads, cached, within a time limit.

A caller in the kernel's main thread waits until its deadline, whatever the network or the disk does. What is not
there by then is left out; its look-up goes on, and is there when it is asked for again. Nothing here raises or
prints: a helper thread that fails leaves nothing.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from nbsync.core.options import build_options
from nbsync.grammar.complete import Where
from nbsync.s3.profiles import profile_names

if TYPE_CHECKING:
    from nbsync.s3.browse import Browser, Candidates

KEPT_SECONDS = 60.0
_FAILURE_KEPT_SECONDS = 5.0
_BROWSER_KEPT_SECONDS = 600.0
_TIMEOUT_SECONDS = 10.0  # of a request that goes on behind the user's back
_MAX_RUNNING, _MAX_KEPT = 4, 64


class _LookUp:
    """One look-up, under way or done; `value` is None until then, and if it fails."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.value: Any = None
        self.kept_until = 0.0


class LookUps:
    """Values by key, fetched in daemon threads of their own.

    Args:
        now: a monotonic clock, seconds.
        max_running: threads at once; what comes on top is not looked up.
    """

    def __init__(self, *, now: Callable[[], float] = time.monotonic, max_running: int = _MAX_RUNNING) -> None:
        self._now = now
        self._max_running = max_running
        self._lock = threading.Lock()
        self._found: dict[Hashable, _LookUp] = {}
        self._running = 0

    def get(self, key: Hashable, fetch: Callable[[], Any], *, until: float, keep: float) -> Any:
        """The value of `key`, fetched if it is not there; None if it is not there at the moment `until`.

        Args:
            key: with the same key, a value that is younger than `keep` seconds is taken again.
            fetch: called in another thread; may raise.
            until: by the clock `now`.
            keep: seconds.
        """
        with self._lock:
            found = self._found.get(key)
            if found is None or (found.done.is_set() and self._now() >= found.kept_until):
                if self._running >= self._max_running:
                    return None
                self._running += 1
                found = self._put(key)
                threading.Thread(target=self._fetch, args=(found, fetch, keep), daemon=True, name="nbsync-look").start()
        found.done.wait(max(0.0, until - self._now()))
        return found.value

    def peek(self, key: Hashable) -> Any:
        """The value of `key` if it is there and not too old."""
        with self._lock:
            found = self._found.get(key)
            return found.value if found is not None and self._now() < found.kept_until else None

    def _put(self, key: Hashable) -> _LookUp:
        self._found.pop(key, None)
        while len(self._found) >= _MAX_KEPT:
            self._found.pop(next(iter(self._found)))
        made = self._found[key] = _LookUp()
        return made

    def _fetch(self, found: _LookUp, fetch: Callable[[], Any], keep: float) -> None:
        try:
            found.value = fetch()
        except Exception:  # nobody to tell: the command itself will say what is wrong
            keep = min(keep, _FAILURE_KEPT_SECONDS)
        with self._lock:
            self._running -= 1
            found.kept_until = self._now() + keep
        found.done.set()


class _Account(NamedTuple):
    """What decides which account is meant; the environment only as a hash of it."""

    where: tuple[tuple[str, Any], ...]
    environment: int


class Surroundings:
    """This machine and the accounts that its user has. One for a notebook.

    Args:
        now: a monotonic clock, seconds.
        browse: makes a Browser from Options; by default the real one.
    """

    def __init__(
        self, *, now: Callable[[], float] = time.monotonic, browse: Callable[[Any], Browser] | None = None
    ) -> None:
        self.now = now
        self.remote = LookUps(now=now)
        self.local = LookUps(now=now)
        self._browse = browse or _browser
        self._lock = threading.Lock()
        self._browsers: dict[_Account, tuple[float, Browser]] = {}

    def within(self, seconds: float) -> View:
        """What can be seen within so many seconds from now."""
        return View(self, self.now() + seconds)

    def ask(self, account: _Account, question: Callable[[Browser], Any]) -> Any:
        """The answer of the account's Browser. Called in a helper thread: it may load the S3 library."""
        with self._lock:
            made, browser = self._browsers.get(account, (0.0, None))
        if browser is None or self.now() - made > _BROWSER_KEPT_SECONDS:
            where = dict(account.where)
            browser = self._browse(build_options("ls", {**where, "timeout": _TIMEOUT_SECONDS, "retries": 0}))
        self._keep(account, browser)
        try:
            return question(browser)
        except Exception:
            self._keep(account, None)  # the next one reads the configuration anew
            raise

    def _keep(self, account: _Account, browser: Browser | None) -> None:
        with self._lock:
            if browser is None:
                self._browsers.pop(account, None)
            elif account not in self._browsers or self._browsers[account][1] is not browser:
                while len(self._browsers) >= _MAX_RUNNING:
                    self._browsers.pop(next(iter(self._browsers)))
                self._browsers[account] = (self.now(), browser)


class View:
    """The World of one completion (see `complete.World`)."""

    def __init__(self, around: Surroundings, until: float) -> None:
        self._around = around
        self._until = until

    def profiles(self) -> Iterable[str]:
        return self._around.local.get("profiles", profile_names, until=self._until, keep=1.0) or ()

    def jobs(self) -> Iterable[str]:
        background = sys.modules.get("nbsync.api.background")  # without it there is none, and it need not be loaded
        return [str(job.id) for job in background.BACKGROUND.jobs() if not job.done] if background else ()

    def buckets(self, where: Where) -> Iterable[str]:
        account = _account(where)
        return self._remote(account, account, lambda browser: browser.buckets()) or ()

    def keys(self, bucket: str, prefix: str, where: Where) -> Iterable[str]:
        account = _account(where)
        for end in range(prefix.rfind("/") + 1, len(prefix)):  # all of a shorter name's are all of this one's, too
            found: Candidates | None = self._around.remote.peek((account, bucket, prefix[:end]))
            if found is not None and found.complete:
                return found.names
        found = self._remote(account, (account, bucket, prefix), lambda browser: browser.candidates(bucket, prefix))
        return found.names if found is not None else ()

    def files(self, folder: str, *, home: bool) -> Iterable[str]:
        path = os.path.abspath(os.path.expanduser(folder) if home else folder)
        return self._around.local.get(path, lambda: _names_in(path), until=self._until, keep=0.0) or ()

    def _remote(self, account: _Account, key: Hashable, question: Callable[[Browser], Any]) -> Any:
        return self._around.remote.get(
            key, lambda: self._around.ask(account, question), until=self._until, keep=KEPT_SECONDS
        )


def _account(where: Where) -> _Account:
    aws = frozenset((name, value) for name, value in os.environ.items() if name.startswith("AWS_") or name == "HOME")
    return _Account(tuple(sorted(where.items())), hash(aws))


def _browser(options: Any) -> Browser:
    from nbsync.s3.browse import Browser

    return Browser(options)


def _names_in(path: str) -> list[str]:
    with os.scandir(path) as entries:
        return sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in entries)
