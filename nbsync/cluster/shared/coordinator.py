"""The workers of an engine as one run uses them: checked before anything moves, given a permit, sent home in the end.

Part of the engine room's run; its thread.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace

from nbsync._version import __version__
from nbsync.cluster.backends.base import Engine, Task
from nbsync.cluster.backends.connect import answer_of, ask_each, open_engine, workers_of
from nbsync.cluster.forwarded_options import found_anywhere
from nbsync.cluster.shared import worker
from nbsync.cluster.shared.worker import Ticket
from nbsync.core.options import Options
from nbsync.local import lease as permits
from nbsync.s3.bucket import Bucket
from nbsync.transfer.context import Context


class Crew:
    """The workers of the engine that a call names.

    Args:
        on: the option.
        executor: the keyword.

    Attributes:
        names: of the workers; empty before `look`.
        notes: what they found remarkable about the service.
        unheard: a batch was lost without a word: who had it may be at it still.

    Raises:
        ClusterError: see open_engine.
    """

    def __init__(self, on: str, executor: Executor | None) -> None:
        self.engine: Engine = open_engine(on, executor)
        self.names: list[str] = []
        self.notes: list[str] = []
        self.unheard = False
        self._ticket: Ticket | None = None
        self._revoked_at = 0.0

    def look(self) -> None:
        """Find out who is there.

        Raises:
            ClusterError: nobody, or somebody with another nbsync or none.
        """
        self.names = workers_of(self.engine)

    def enlist(self, ctx: Context) -> Ticket:
        """What the workers must know of the run, once each of them was found fit for it.

        Raises:
            ClusterError: one is not. Interrupted: the run was stopped.
        """
        if self._ticket is not None:
            return self._ticket
        assert ctx.room is not None  # the run may change something
        stage = ctx.room.stage
        permit = ctx.room.guests = permits.issue(stage)
        self._ticket = Ticket(
            __version__, permit, ctx.root, ctx.room.place, ctx.room.run, ctx.bucket.location, ctx.prefix,
            ctx.bucket.endpoint, _options(ctx.bucket, ctx.options), ctx.bucket.can.unconditional,
        )  # fmt: skip
        self._check(self._ticket, ctx.cancelled)
        return self._ticket

    def _check(self, ticket: Ticket, cancelled: Callable[[], bool]) -> None:
        engine = self.engine

        def take(name: str, task: Task) -> None:
            answer_of(engine, name, task, cancelled)

        self.names = ask_each(engine, self.names, lambda name: engine.submit(worker.check, ticket, worker=name), take)

    def revoke(self) -> None:
        """Let no worker go on."""
        if self._ticket is not None and not self._revoked_at:
            self._revoked_at = time.monotonic()
            permits.revoke(os.path.join(self._ticket.place, "stage"), self._ticket.permit)

    def dismiss(self) -> None:
        """The run is over, and everybody has seen that: what workers have left in staging goes."""
        if self._ticket is not None:
            self.revoke()
            if self.unheard:
                time.sleep(max(0.0, self._revoked_at + permits.SEEN_SECONDS - time.monotonic()))
            permits.clear(os.path.join(self._ticket.place, "stage"), self._ticket.permit)
            self._ticket, self._revoked_at = None, 0.0

    def close(self) -> None:
        """Close what was opened here."""
        self.dismiss()
        self.engine.close()


def _options(bucket: Bucket, options: Options) -> Options:
    """The options as workers need them: names and settings, where to go. --bandwidth comes with each batch."""
    known = bucket.client.target
    endpoint = options.endpoint_url
    if not known.host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
        endpoint = bucket.endpoint  # it may have been told by this machine's environment
    return replace(
        found_anywhere(options), files_from="", on="", spread="", filters=(), log_file="", endpoint_url=endpoint,
        region=bucket.region, bandwidth=0,
    )  # fmt: skip
