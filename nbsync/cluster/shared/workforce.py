"""The workforce of a run whose workers share LOCAL: the coordinator knows the workers, a runner does each phase."""

from __future__ import annotations

from concurrent.futures import Executor

from nbsync.cluster.shared.coordinator import Crew
from nbsync.cluster.shared.runner import SharedRunner
from nbsync.core.model import Outcome
from nbsync.transfer.context import Context
from nbsync.transfer.runner import Runner


class SharedWorkforce:
    """A `Workforce` of the engine that a call names; see `nbsync.engine.ports`.

    Args:
        on: the option.
        executor: the keyword.

    Raises:
        ClusterError: the engine cannot be opened.
    """

    def __init__(self, on: str, executor: Executor | None) -> None:
        self._crew = Crew(on, executor)
        self.notes = self._crew.notes
        self.look, self.dismiss, self.close = self._crew.look, self._crew.dismiss, self._crew.close

    def runner(self, ctx: Context, own: Runner[Outcome]) -> SharedRunner:
        """What runs the Actions of one phase; `own` does what stays on this machine."""
        return SharedRunner(self._crew, ctx, own)
