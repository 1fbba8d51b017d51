"""nbsync: sync S3 and notebook folders by content.

    %load_ext nbsync
    %s3sync pull bucket/prefix

In Python: `nbsync.pull`, `push`, `plan`, `apply`, `verify`, `undo`, `status`, `run`, `doctor`, `ls`, `link`, and
`LocalObjectCache`. Importing this loads nothing heavy: no S3 library, no IPython, no widgets.
"""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

from nbsync._version import __version__, mixed_up
from nbsync.errors import check_platform
from nbsync.results import display

_PUBLIC = {
    "pull": "api.functions", "push": "api.functions", "plan": "api.functions", "apply": "api.functions",
    "verify": "api.functions", "undo": "api.functions", "ls": "api.functions", "status": "api.functions",
    "doctor": "api.functions", "link": "api.functions", "jobs": "api.functions", "run": "api.run_file",
    "LocalObjectCache": "api.cache", "SyncJob": "api.job", "SyncJobs": "api.background",
    "SyncProgress": "api.progress", "SyncResult": "results.sync_result", "SyncResults": "results.batch",
    "SyncPlan": "results.sync_result", "VerifyResult": "results.sync_result", "Listing": "results.listing",
    "Status": "results.folder_status", "Diagnosis": "results.diagnosis", "Link": "results.link",
    "SyncPanel": "panel.widget", "NbsyncError": "errors",
}  # fmt: skip

__all__ = [
    "Diagnosis",
    "Link",
    "Listing",
    "LocalObjectCache",
    "NbsyncError",
    "Status",
    "SyncJob",
    "SyncJobs",
    "SyncPanel",
    "SyncPlan",
    "SyncProgress",
    "SyncResult",
    "SyncResults",
    "VerifyResult",
    "__version__",
    "apply",
    "doctor",
    "jobs",
    "link",
    "load_ipython_extension",
    "ls",
    "plan",
    "pull",
    "push",
    "run",
    "status",
    "undo",
    "unload_ipython_extension",
    "verify",
]

if TYPE_CHECKING:
    from nbsync.api.background import SyncJobs
    from nbsync.api.cache import LocalObjectCache
    from nbsync.api.functions import apply, doctor, jobs, link, ls, plan, pull, push, status, undo, verify
    from nbsync.api.job import SyncJob
    from nbsync.api.progress import SyncProgress
    from nbsync.api.run_file import run
    from nbsync.errors import NbsyncError
    from nbsync.panel.widget import SyncPanel
    from nbsync.results.batch import SyncResults
    from nbsync.results.diagnosis import Diagnosis
    from nbsync.results.folder_status import Status
    from nbsync.results.link import Link
    from nbsync.results.listing import Listing
    from nbsync.results.sync_result import SyncPlan, SyncResult, VerifyResult


if _mixed_up := mixed_up():
    warnings.warn(_mixed_up, stacklevel=2)
display.load_with(lambda: importlib.import_module("nbsync.report.answers"))


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        if name != "NbsyncError":
            check_platform()
        return getattr(importlib.import_module(f"nbsync.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module 'nbsync' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Jupyter Server's hook: where its part of nbsync is."""
    return [{"module": "nbsync.server"}]


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext nbsync`: registers `%s3sync` and `%%s3sync`."""
    check_platform()
    from nbsync.notebook import magic

    magic.load_ipython_extension(shell)


def unload_ipython_extension(shell: Any) -> None:
    """`%unload_ext nbsync`."""
    from nbsync.notebook import magic

    magic.unload_ipython_extension(shell)
