"""The workers that do the Actions of one run: threads of this process, or a workforce. See `ports.Workers`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from nbsync.core.model import Action, Outcome
from nbsync.engine.ports import Moving, Workforce
from nbsync.transfer.context import Context
from nbsync.transfer.runner import AnyRunner, Runner
from nbsync.transfer.small_files import SmallFiles
from nbsync.transfer.worker import Worker


class LocalWorkers:
    """Threads of this process; what they can, they leave to the workforce, if there is one.

    Args:
        ctx: for comparing: nothing is changed with it.
        prepare: gives the context for changing; called before the first change.
        show: told of each runner that begins.

    Attributes:
        changing: the context for changing; None before the first change.
    """

    def __init__(
        self, ctx: Context, prepare: Callable[[], Context], show: Callable[[Moving], None],
        workforce: Workforce | None = None,
    ) -> None:  # fmt: skip
        self._ctx, self._prepare, self._show, self._workforce = ctx, prepare, show, workforce
        self.changing: Context | None = None
        self.dry_run, self.cancelled = ctx.dry_run, ctx.cancelled

    def compare(self) -> AnyRunner[Action]:
        """See ports.Workers."""
        runner: Runner[Action] = Runner(lambda: Worker(self._ctx), Worker.resolve_safely, **self._runs())
        self._show(runner)
        return runner

    def change(self) -> AnyRunner[Outcome]:
        """See ports.Workers."""
        ctx = self.changing = self.changing or self._prepare()
        runner: Runner[Outcome] = Runner(lambda: Worker(ctx), Worker.perform, **self._runs())
        if self._workforce is not None and ctx.state_dir is not None:
            theirs = self._workforce.runner(ctx, runner)
            self._show(theirs)
            return theirs
        if not ctx.dry_run:
            runner.small_files = SmallFiles(ctx, done=runner.ended, hand_over=runner.hand_over)
        self._show(runner)
        return runner

    def _runs(self) -> dict[str, Any]:
        ctx = self._ctx
        return {"controller": ctx.controller, "cancel": ctx.cancel, "abort": ctx.bucket.client.abort}

    def settle_doubts(self) -> Iterator[Outcome]:
        """See ports.Workers."""
        doubts, self._ctx.doubts[:] = list(self._ctx.doubts), []
        if doubts and self.changing is not None:
            worker = Worker(self.changing)
            try:
                yield from map(worker.settle, doubts)
            finally:
                worker.close()

    @property
    def etags_are_md5(self) -> bool:
        """See ports.Workers."""
        return self._ctx.bucket.can.etag_is_md5 is True
