"""Small files, many at once in one thread: what goes as it should is done here, all else by a worker.

A worker thread for each small file spends more on hand-overs of the interpreter lock than on the file. Here
one thread sends, receives, checks, installs and records for all of them. An answer that is not the plain
one (an error, a doubt, a broken connection, a full disk) is no business of this thread, which must not
wait: the Action is handed to a worker, which does it again with all the care there is.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from nbsync.core.model import Action, LocalEntry, Outcome, RemoteEntry, Verb
from nbsync.core.parts import looks_like_md5
from nbsync.local.digest import FileChanged, same_stat
from nbsync.local.journal import Sent
from nbsync.s3.versions import learn_conditions
from nbsync.transfer import pull_actions, push_actions
from nbsync.transfer.context import Context
from nbsync.transfer.download import SMALL_BYTES, receive, request_of
from nbsync.transfer.evidence import Corrupted
from nbsync.transfer.upload import Prepared, accept, prepare
from nbsync.transfer.upload_outcome import (
    FIRST_ATTEMPT,
    FileChangedAfterUpload,
    PriorAttempt,
    Stored,
    StoredContentDiffers,
    Unnamed,
)
from nbsync.transfer.worker import Worker
from nbsync.wire.client import Response
from nbsync.wire.errors import ServiceError, Unsendable, error_in_body, service_error
from nbsync.wire.multiplexer import Done
from nbsync.wire.transport import Multiplexer

Task = Callable[[Worker], Outcome]

_TRIAL = 4  # requests at once until one has gone well: on an odd server, each is done again by a worker
_LOST = 8  # without one that has gone well: then all is left to workers, lest everything be asked for twice
_FIRST = 64  # then so many; each further answer allows two more
_LOOK_SECONDS = 0.05  # how often it is asked whether the run was cancelled
_LAST_WORDS_SECONDS = 0.3  # that a cancelled run waits for the answers to uploads that are sent
_SLOW_SECONDS = 0.002  # for the disk's part of a small file: then many threads help
_SAMPLE = 16  # the disk's part of one in so many files is timed
_SAMPLES = 9


_EMPTY = object()


class _Small(NamedTuple):
    """A small file on its way."""

    action: Action
    started: float
    prepared: Prepared | None  # of an upload


class SmallFiles:
    """The small files of one phase of a run.

    Args:
        ctx: the run's.
        done: takes each Outcome.
        hand_over: takes what a worker must do.
    """

    def __init__(self, ctx: Context, *, done: Callable[[Outcome], object], hand_over: Callable[[Task], object]) -> None:
        self._ctx, self._done, self._hand_over = ctx, done, hand_over
        self._todo: queue.SimpleQueue[Action | None] = queue.SimpleQueue()
        self._worker = Worker(ctx)
        self.activity = self._worker.activity
        self._held: Action | None = None  # waits for a slot
        self._under_way = 0
        self._answers = self._lost = 0
        self._disk: list[float] = []  # seconds, the last samples
        self._slow_disk = False
        self._left = False  # its thread takes nothing more
        self._thread: threading.Thread | None = None
        self.failure: BaseException | None = None

    # ---- the run's thread ---------------------------------------------------------------------------

    @property
    def _gave_up(self) -> bool:
        """Do workers do better here? The disk is slow, or the server's answers are none that are taken here."""
        return self._slow_disk or (self._lost >= _LOST and not self._answers)

    def takes(self, action: Action) -> bool:
        """Is this a small file whose way is plain?"""
        ctx = self._ctx
        bucket = ctx.bucket
        if (
            action.check
            or action.in_the_way
            or action.namesake
            or action.copy
            or action.rescue
            or self._gave_up
            or not bucket.client.transport.multiplexes
            or bucket.customer_key
        ):
            return False
        if action.verb is Verb.DOWNLOAD:
            remote = action.remote
            return remote is not None and remote.size <= SMALL_BYTES and looks_like_md5(remote.etag)
        local = action.local
        if action.verb is not Verb.UPLOAD or local is None or local.size > SMALL_BYTES:
            return False
        learn_conditions(bucket)
        can = bucket.can
        return not can.unconditional and not can.lists_without_etags  # else each is looked at, before or after

    def put(self, action: Action) -> None:
        """Queue one that it takes."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="nbsync-lane", daemon=True)
            self._thread.start()
        self._todo.put(action)
        if self._left:  # after a cancel, nobody else would look
            self._hand_over_the_rest()

    def end(self) -> None:
        """Nothing more will be put."""
        if self._thread is not None:
            self._todo.put(None)

    # ---- its own thread -----------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            self._carry_all()
        except BaseException as error:
            self.failure = error
        finally:
            self._worker.close()

    def _carry_all(self) -> None:
        multiplexer = self._ctx.bucket.client.transport.multiplexer()
        try:
            more = True
            while more or self._under_way:
                more = more and self._begin_some(multiplexer)
                if self._ctx.cancelled():
                    self._hear_out(multiplexer)
                    return
                if self._under_way:
                    for done in multiplexer.poll(_LOOK_SECONDS):
                        self._finish(done)
        finally:
            self.activity.end()
            unconfirmed = multiplexer.close()
            self._not_heard(unconfirmed)
            self._break_off(unconfirmed)
            if self._held is not None:
                self._over(self._held)
            self._left = True  # before the last look: what is put after it, its putter hands over
            self._hand_over_the_rest()

    def _hear_out(self, multiplexer: Multiplexer) -> None:
        """After a cancel: hundreds of uploads may be sent and about to be stored. What is not recorded would be
        somebody else's object for the next push of a file that was edited meanwhile.
        """
        self._break_off(multiplexer.drop_all_but(lambda small: small.prepared is not None))
        deadline = time.monotonic() + _LAST_WORDS_SECONDS
        while self._under_way and (left := deadline - time.monotonic()) > 0:
            for done in multiplexer.poll(min(left, _LOOK_SECONDS)):
                self._finish(done)

    def _not_heard(self, under_way: list[_Small]) -> None:
        self._ctx.journal.unconfirmed_answer(Sent(one.action.path, one.prepared.md5, one.action.bytes)
                                    for one in under_way if one.prepared is not None)  # fmt: skip

    def _break_off(self, under_way: list[_Small]) -> None:
        for small in under_way:
            self._under_way -= 1
            self._give_slot()
            self._over(small.action)

    def _hand_over_the_rest(self) -> None:
        """After a cancel: a worker tells of each that it was stopped. Either thread's; each Action is got once."""
        while True:
            try:
                action = self._todo.get_nowait()
            except queue.Empty:
                return
            if action is not None:
                self._over(action)

    def _begin_some(self, multiplexer: Multiplexer) -> bool:
        """Send as many requests as may be under way; False when there will be no more."""
        width = min(self._ctx.controller.width, _FIRST + 2 * self._answers if self._answers else _TRIAL)
        while self._under_way < width and not self._ctx.cancelled():
            action = self._held or self._next()
            if not isinstance(action, Action):
                return action is _EMPTY
            self._held = None
            if self._gave_up:
                self._over(action)
                continue
            if not self._may_sign() or not self._has_slot():
                self._held = action
                return True
            self._begin(multiplexer, action)
        return True

    def _next(self) -> Action | object | None:
        """The next Action; None if there will be none, _EMPTY if there is none now. Waits a little if it is idle."""
        try:
            return self._todo.get(timeout=_LOOK_SECONDS) if not self._under_way else self._todo.get_nowait()
        except queue.Empty:
            return _EMPTY

    def _may_sign(self) -> bool:
        """New credentials may take their time; what is under way goes on meanwhile."""
        return self._ctx.bucket.client.may_sign(0.0 if self._under_way else _LOOK_SECONDS)

    def _has_slot(self) -> bool:
        """Under --jobs, each request has one of the gate's slots."""
        controller = self._ctx.controller
        if not controller.is_bound:
            return True
        if self._under_way:
            return controller.concurrency.try_enter()
        return controller.concurrency.enter(unless=self._ctx.cancelled)

    def _give_slot(self) -> None:
        if self._ctx.controller.is_bound:
            self._ctx.controller.concurrency.leave()

    def _begin(self, multiplexer: Multiplexer, action: Action) -> None:
        started = time.perf_counter()
        self.activity.begin(action.path, action.verb, action.bytes)
        self._ctx.limiter.take(action.bytes)
        try:
            small, head, body = self._request(action, started)
        except (OSError, FileChanged, Unsendable):
            self._give_slot()
            self._over(action)
            return
        self._under_way += 1
        failed = multiplexer.start(small, head, body)
        if failed is not None:
            self._finish(failed)

    def _request(self, action: Action, started: float) -> tuple[_Small, bytes, bytes]:
        ctx, remote, local = self._ctx, action.remote, action.local
        client = ctx.bucket.client
        if action.verb is Verb.DOWNLOAD:
            assert remote is not None  # see takes
            head = client.head("GET", remote.key, query=remote.query, headers=request_of(remote))
            client.counts.add("get")
            return _Small(action, started, None), head, b""
        assert local is not None  # see takes
        prepared = prepare(ctx, local)
        self._sample(time.perf_counter() - started)
        assert isinstance(prepared.body, bytes)  # it is small
        headers = {**prepared.headers, **push_actions.condition(remote)}
        head = client.head("PUT", ctx.prefix + action.path, headers=headers, body=prepared.body)
        client.counts.add("put")
        return _Small(action, started, prepared), head, prepared.body

    def _finish(self, done: Done) -> None:
        """One request has ended."""
        self._under_way -= 1
        if not self._under_way:
            self.activity.end()
        self._give_slot()
        small: _Small = done.tag
        answer = done.answer
        if answer is None or answer.status != 200 or (small.prepared is not None and error_in_body(answer.body)):
            self._wrong(small, done)
            return
        self._ctx.bucket.client.ever_answered = True
        if small.prepared is None:
            outcome = self._received(small.action, answer)
        else:
            outcome = self._sent(small, small.prepared, answer)
        if outcome is not None:
            self._answers += 1
            self.activity.add(outcome.bytes)
            self._ctx.outage.passed()
            self._done(outcome._replace(seconds=round(time.perf_counter() - small.started, 6)))

    def _wrong(self, small: _Small, done: Done) -> None:
        """It was the first of the tries that --retries allows, unless its connection was stale."""
        if self._ctx.cancelled():  # no worker does it again
            self._not_heard([small])
        answer, error = done.answer, done.error
        if answer is None:  # an upload may have been stored all the same
            self._lost += 1
            self._over(small.action, PriorAttempt(None if error is None or error.unanswered else error, lost=True))
            return
        refused = service_error(answer.status, answer.headers, answer.body)
        self._ctx.bucket.client.refused(refused, small.started)
        if refused.slow_down:
            self._ctx.controller.slow_down()
        if answer.status == 412 and small.prepared is None:
            self._ctx.bucket.can.refused_a_get()
        # Of others (a clock that is wrong, conditions that are not known) a worker may make more.
        counts = refused.retryable or refused.status in (404, 409, 412)
        self._over(small.action, PriorAttempt(refused) if counts else FIRST_ATTEMPT)

    def _over(self, action: Action, earlier: PriorAttempt = FIRST_ATTEMPT) -> None:
        self._hand_over(lambda worker: worker.perform(action, earlier))

    def _received(self, action: Action, answer: Response) -> Outcome | None:
        """The Outcome of a download; None if a worker has to see to it."""
        remote: RemoteEntry | None = action.remote
        assert remote is not None  # see takes
        if self._ctx.cancelled():  # hundreds may have come, and the disk be slow
            self._over(action)
            return None
        before = time.perf_counter()
        try:
            staged = receive(self._ctx, remote, answer)
            if staged is None:
                self._over(action)
                return None
            outcome = pull_actions.install(self._ctx, action, remote, staged, self._worker.installer)
        except (Corrupted, ServiceError) as error:
            self._over(action, PriorAttempt(error))
            return None
        except OSError as error:  # the disk's: nothing gets better by fetching it again
            return self._worker.failed(action, error)
        self._sample(time.perf_counter() - before)
        return outcome

    def _sent(self, small: _Small, prepared: Prepared, answer: Response) -> Outcome | None:
        """The Outcome of an upload; None if a worker has to see to it."""
        ctx, action, local = self._ctx, small.action, small.action.local
        assert local is not None  # see takes
        try:
            stored = accept(ctx, ctx.prefix + action.path, prepared.md5, answer, asks=False)
            self._stayed(local, stored)
        except (StoredContentDiffers, FileChangedAfterUpload, Unnamed) as error:
            if ctx.cancelled():
                self._not_heard([small])
            self._over(action, PriorAttempt(stored=error.stored))
            return None
        return push_actions.outcome_of(action, local, stored)

    def _stayed(self, local: LocalEntry, stored: Stored) -> None:
        try:
            at = os.stat(self._ctx.local_path(local.path), follow_symlinks=self._ctx.options.follow_symlinks)
        except OSError:
            raise FileChangedAfterUpload(stored) from None
        if not same_stat(at, local):
            raise FileChangedAfterUpload(stored)

    def _sample(self, seconds: float) -> None:
        """Look at the disk's share now and then: one that answers slowly is better served by many threads."""
        if self._answers % _SAMPLE:
            return
        self._disk = [*self._disk[-_SAMPLES + 1 :], seconds]
        self._slow_disk = len(self._disk) == _SAMPLES and sorted(self._disk)[_SAMPLES // 2] > _SLOW_SECONDS
