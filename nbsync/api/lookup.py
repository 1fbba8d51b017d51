"""What there is to choose from: profiles, buckets, keys, local folders. For completion and for the panel.

It is looked up in helper threads, and some of it is kept. Completion waits until a deadline, whatever the network or
the disk does, and leaves out what is not there by then. A panel is woken when an answer has come.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from nbsync.core.options import build_options
from nbsync.errors import NbsyncError, RemoteError
from nbsync.grammar.complete import Where
from nbsync.s3.profiles import profile_names

if TYPE_CHECKING:
    from nbsync.s3.browse import Browser, Candidates

KEPT_SECONDS = 60.0
PATIENCE = 20.0  # seconds until a panel's question is given up, whatever its thread does
MAX_SUGGESTIONS = 50
_FAILURE_KEPT_SECONDS = 5.0
_BROWSER_KEPT_SECONDS = 600.0
_TIMEOUT_SECONDS = 10.0  # of a request that goes on behind the user's back
_MAX_RUNNING, _MAX_KEPT, _MAX_QUESTIONS = 4, 64, 8


class LookUp:
    """One look-up, under way or done. `value` is None until then, and if there is an `error`."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.value: Any = None
        self.error: Exception | None = None
        self.kept_until = 0.0
        self.wake: list[Callable[[], None]] = []  # called when it is done


class LookUps:
    """Values by key, fetched in daemon threads.

    Args:
        now: a monotonic clock, seconds.
        max_running: threads at once; what comes on top is not looked up.
    """

    def __init__(self, *, now: Callable[[], float] = time.monotonic, max_running: int = _MAX_RUNNING) -> None:
        self._now = now
        self._max_running = max_running
        self._lock = threading.Lock()
        self._found: dict[Hashable, LookUp] = {}
        self._running = 0

    def begin(
        self, key: Hashable, fetch: Callable[[], Any], *, keep: float, wake: Callable[[], None] | None = None
    ) -> LookUp | None:
        """The look-up of `key`, begun unless it is there already; None if too many are under way.

        Args:
            key: with the same key, a value that is younger than `keep` seconds is taken again.
            fetch: called in another thread; may raise.
            keep: seconds.
            wake: called in the other thread when the look-up is done, unless it is done already.
        """
        with self._lock:
            found = self._found.get(key)
            if found is None or (found.done.is_set() and self._now() >= found.kept_until):
                if self._running >= self._max_running:
                    return None
                self._running += 1
                found = self._put(key)
                threading.Thread(target=self._fetch, args=(found, fetch, keep), daemon=True, name="nbsync-look").start()
            if wake is not None and not found.done.is_set():
                found.wake.append(wake)
            return found

    def get(self, key: Hashable, fetch: Callable[[], Any], *, until: float, keep: float) -> Any:
        """The value of `key`, as `begin` finds it; None if it is not there by `until`, a moment of the clock `now`."""
        found = self.begin(key, fetch, keep=keep)
        if found is None:
            return None
        found.done.wait(max(0.0, until - self._now()))
        return found.value

    def peek(self, key: Hashable) -> Any:
        """The value of `key` if it is there and not too old."""
        with self._lock:
            found = self._found.get(key)
            return found.value if found is not None and self._now() < found.kept_until else None

    def _put(self, key: Hashable) -> LookUp:
        self._found.pop(key, None)
        while len(self._found) >= _MAX_KEPT:
            self._found.pop(next(iter(self._found)))
        made = self._found[key] = LookUp()
        return made

    def _fetch(self, found: LookUp, fetch: Callable[[], Any], keep: float) -> None:
        try:
            found.value = fetch()
        except Exception as error:
            found.error = error
            keep = min(keep, _FAILURE_KEPT_SECONDS)
        with self._lock:
            self._running -= 1
            found.kept_until = self._now() + keep
            found.done.set()
        for wake in found.wake:
            wake()


class _Account(NamedTuple):
    """What decides which account is meant; the environment only as a hash of it."""

    where: tuple[tuple[str, Any], ...]
    environment: int


class Surroundings:
    """This machine and the accounts that its user has. Any thread.

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
        self._browsers: dict[tuple[_Account, float], Browser] = {}

    def within(self, seconds: float) -> View:
        """What can be seen within so many seconds from now."""
        return View(self, self.now() + seconds)

    def ask(self, account: _Account, question: Callable[[Browser], Any]) -> Any:
        """The answer of the account's Browser. Called in a helper thread: it may load the S3 library."""
        key = (account, self.now() // _BROWSER_KEPT_SECONDS)
        with self._lock:
            if key not in self._browsers:
                given = {"timeout": _TIMEOUT_SECONDS, "retries": 0, **dict(account.where)}
                self._browsers[key] = self._browse(build_options("ls", given))
            browser = self._browsers[key]
            while len(self._browsers) > _MAX_RUNNING:
                del self._browsers[next(iter(self._browsers))]
        try:
            return question(browser)
        except Exception:
            with self._lock:
                self._browsers.pop(key, None)  # the next one reads the configuration anew
            raise


class View:
    """The World of one completion (see `complete.World`). What fails is left out: the command itself will tell."""

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


class Answer(NamedTuple):
    """The answer to a question: a value, or the error in one line."""

    topic: tuple[str, ...]
    value: Any
    error: str


class _Question(NamedTuple):
    begin: Callable[[], LookUp | None]
    found: LookUp | None
    since: float


class Questions:
    """What a panel has asked, and was not told yet. For one thread.

    Args:
        wake: called, in a helper thread, when an answer has come.
        around: where it is looked up.
    """

    def __init__(self, wake: Callable[[], None], around: Surroundings | None = None) -> None:
        self._wake = wake
        self._around = around or Surroundings()
        self._asked: dict[tuple[str, ...], _Question] = {}
        self._refused: list[Answer] = []

    def ask_remote(self, topic: tuple[str, ...], where: Where, question: Callable[[Browser], Any]) -> None:
        """Put a question to an account; its answer, or the error, is told on `topic`. A newer one replaces an older."""
        account = _account(where)
        self._ask(topic, self._around.remote, lambda: self._around.ask(account, question))

    def ask_local(self, topic: tuple[str, ...], question: Callable[[], Any]) -> None:
        """Have something looked up on this machine; as `ask_remote`."""
        self._ask(topic, self._around.local, question)

    def _ask(self, topic: tuple[str, ...], where: LookUps, fetch: Callable[[], Any]) -> None:
        self._asked.pop(topic, None)
        if len(self._asked) >= _MAX_QUESTIONS:
            self._refused.append(Answer(topic, None, "too much is asked at once: wait for the answers"))
            return
        key = object()  # asked anew each time: what was just made shall be seen

        def begin() -> LookUp | None:
            return where.begin(key, fetch, keep=0.0, wake=self._wake)

        self._asked[topic] = _Question(begin, begin(), self._around.now())

    @property
    def pending(self) -> bool:
        """Is an answer still to come?"""
        return bool(self._asked or self._refused)

    def answers(self) -> Iterator[Answer]:
        """What has come since the last time, and what will not come any more."""
        refused, self._refused = self._refused, []
        yield from refused
        for topic, asked in tuple(self._asked.items()):
            found = asked.found or asked.begin()
            self._asked[topic] = asked._replace(found=found)
            if found is not None and found.done.is_set():
                del self._asked[topic]
                yield Answer(topic, found.value, _told(found.error))
            elif self._around.now() - asked.since > PATIENCE:
                del self._asked[topic]
                yield Answer(topic, None, f"no answer within {PATIENCE:g} s")


def remotes_like(browser: Browser, text: str) -> list[str]:
    """Buckets and folders that begin as `text` does, as REMOTE is written.

    Raises:
        NbsyncError: they cannot be listed.
    """
    scheme = "s3://" if text.startswith("s3://") else ""
    folder, slash, begun = text.removeprefix("s3://").rpartition("/")
    names = browser.level(f"{folder}/" if slash else "", begins=begun).folders
    return [f"{scheme}{folder}{slash}{name}" for name in names[:MAX_SUGGESTIONS]]


def folders_like(text: str) -> list[str]:
    """Local folders that begin as `text` does; hidden ones only if it begins so."""
    parent, slash, begun = text.rpartition("/")
    try:
        found = _names_in(os.path.expanduser(f"{parent}{slash}") or ".")
    except OSError:
        return []
    names = sorted(name[:-1] for name in found if name.endswith("/"))
    names = [name for name in names if slash or not name.startswith("~")]  # ~x would be read as the home of a user x
    fitting = (name for name in names if name.startswith(begun) and (begun or not name.startswith(".")))
    return [f"{parent}{slash}{name}" for name in fitting][:MAX_SUGGESTIONS]


def _account(where: Where) -> _Account:
    aws = frozenset((name, value) for name, value in os.environ.items() if name.startswith("AWS_") or name == "HOME")
    return _Account(tuple(sorted(where.items())), hash(aws))


def _browser(options: Any) -> Browser:
    from nbsync.s3.browse import Browser  # it brings the S3 library

    return Browser(options)


def _told(error: Exception | None) -> str:
    """An error in one line."""
    if error is None or isinstance(error, NbsyncError):
        return str(error or "")
    return str(RemoteError(f"{type(error).__name__}: {error}"))


def _names_in(path: str) -> list[str]:
    with os.scandir(path) as entries:
        return sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in entries)
