"""The workers of a backend for one run: checked before anything moves, given a lease, which is revoked at the end.

For the run's thread.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace

from nbsync._version import __version__
from nbsync.cluster.backends.base import Backend, Task
from nbsync.cluster.backends.connect import answer_of, ask_each, open_backend, workers_of
from nbsync.cluster.forwarded_options import found_anywhere
from nbsync.cluster.shared import worker
from nbsync.cluster.shared.worker import JobSpec
from nbsync.core.options import Options
from nbsync.local import lease
from nbsync.s3.bucket import Bucket
from nbsync.transfer.context import Context


class Coordinator:
    """Knows the workers of the backend that a call names, and their lease.

    Args:
        on: the option.
        executor: the keyword.

    Attributes:
        names: of the workers; empty before `look`.
        notes: remarks for the user, of workers about the service.
        unconfirmed: a batch was lost without a reply: its worker may be at it still.

    Raises:
        ClusterError: see open_backend.
    """

    def __init__(self, on: str, executor: Executor | None) -> None:
        self.backend: Backend = open_backend(on, executor)
        self.names: list[str] = []
        self.notes: list[str] = []
        self.unconfirmed = False
        self._spec: JobSpec | None = None
        self._revoked_at = 0.0

    def look(self) -> None:
        """Look which workers there are.

        Raises:
            ClusterError: there are none, or one has another nbsync or none.
        """
        self.names = workers_of(self.backend)

    def prepare(self, ctx: Context) -> JobSpec:
        """The job spec of the run; each worker was found fit for it.

        Raises:
            ClusterError: one is not. Interrupted: the run was stopped.
        """
        if self._spec is not None:
            return self._spec
        assert ctx.state_dir is not None  # the run may change something
        stage = ctx.state_dir.stage
        run_lease = ctx.state_dir.guests = lease.issue(stage)
        self._spec = JobSpec(
            __version__, run_lease, ctx.root, ctx.state_dir.place, ctx.state_dir.run, ctx.bucket.location, ctx.prefix,
            ctx.bucket.endpoint, _options(ctx.bucket, ctx.options), ctx.bucket.can.unconditional,
        )  # fmt: skip
        self._check(self._spec, ctx.cancelled)
        return self._spec

    def _check(self, spec: JobSpec, cancelled: Callable[[], bool]) -> None:
        backend = self.backend

        def take(name: str, task: Task) -> None:
            answer_of(backend, name, task, cancelled)

        self.names = ask_each(backend, self.names, lambda name: backend.submit(worker.check, spec, worker=name), take)

    def revoke(self) -> None:
        """Revoke the lease: no worker goes on."""
        if self._spec is not None and not self._revoked_at:
            self._revoked_at = time.monotonic()
            lease.revoke(os.path.join(self._spec.place, "stage"), self._spec.run_lease)

    def dismiss(self) -> None:
        """Revoke the lease, wait until every worker has seen that, and remove what workers have left in staging."""
        if self._spec is not None:
            self.revoke()
            if self.unconfirmed:
                time.sleep(max(0.0, self._revoked_at + lease.SEEN_SECONDS - time.monotonic()))
            lease.clear(os.path.join(self._spec.place, "stage"), self._spec.run_lease)
            self._spec, self._revoked_at = None, 0.0

    def close(self) -> None:
        """Dismiss the workers, and close the connection to the backend."""
        self.dismiss()
        self.backend.close()


def _options(bucket: Bucket, options: Options) -> Options:
    """The options as workers need them, with endpoint and region. --bandwidth comes with each batch."""
    known = bucket.client.target
    endpoint = options.endpoint_url
    if not known.host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
        endpoint = bucket.endpoint  # it may come from this machine's environment
    return replace(
        found_anywhere(options), files_from="", on="", spread="", filters=(), log_file="", endpoint_url=endpoint,
        region=bucket.region, bandwidth=0,
    )  # fmt: skip
