"""The workforce of a run whose workers share LOCAL: a coordinator for the run, and a runner for each phase."""

from __future__ import annotations

from concurrent.futures import Executor

from nbsync.cluster.shared.coordinator import Coordinator
from nbsync.cluster.shared.runner import SharedRunner
from nbsync.core.model import Outcome
from nbsync.transfer.context import Context
from nbsync.transfer.runner import Runner


class SharedWorkforce:
    """A `Workforce` of the backend that a call names; see `nbsync.engine.ports`.

    Args:
        on: the option.
        executor: the keyword.

    Raises:
        ClusterError: the backend cannot be opened.
    """

    def __init__(self, on: str, executor: Executor | None) -> None:
        self._coordinator = Coordinator(on, executor)
        self.notes = self._coordinator.notes
        self.look, self.dismiss, self.close = self._coordinator.look, self._coordinator.dismiss, self._coordinator.close

    def runner(self, ctx: Context, own: Runner[Outcome]) -> SharedRunner:
        """The runner of one phase; `own` is the runner for what stays on this machine."""
        return SharedRunner(self._coordinator, ctx, own)
