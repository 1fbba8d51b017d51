"""nbsync: sync S3 and notebook folders by content.

    %load_ext nbsync
    %s3sync pull bucket/prefix

In Python: `nbsync.pull`, `push`, `plan`, `apply`, `verify`, `undo`, `status`, `run`, `doctor`, `ls`, `link`, and
`LocalObjectCache`. Importing this loads nothing heavy: no S3 library, no IPython, no widgets.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.5.0"

_PUBLIC = {
    "pull": "api", "push": "api", "plan": "api", "apply": "api", "verify": "api", "undo": "api", "ls": "api",
    "status": "api", "doctor": "api", "link": "api", "run": "script",
    "LocalObjectCache": "cache", "SyncJob": "job", "SyncProgress": "progress",
    "SyncResult": "result", "SyncResults": "result", "SyncPlan": "result", "VerifyResult": "result",
    "Listing": "listing", "Status": "folder_status", "Diagnosis": "diagnosis", "Link": "links",
    "SyncPanel": "panel.widget",
    "jobs": "api", "SyncJobs": "background",
    "NbsyncError": "errors",
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
    from nbsync.api import apply, doctor, jobs, link, ls, plan, pull, push, status, undo, verify
    from nbsync.background import SyncJobs
    from nbsync.cache import LocalObjectCache
    from nbsync.diagnosis import Diagnosis
    from nbsync.errors import NbsyncError
    from nbsync.folder_status import Status
    from nbsync.job import SyncJob
    from nbsync.links import Link
    from nbsync.listing import Listing
    from nbsync.panel.widget import SyncPanel
    from nbsync.progress import SyncProgress
    from nbsync.result import SyncPlan, SyncResult, SyncResults, VerifyResult
    from nbsync.script import run


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"nbsync.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module 'nbsync' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Jupyter Server's hook: where its part of nbsync is."""
    return [{"module": "nbsync.server"}]


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext nbsync`: registers `%s3sync` and `%%s3sync`."""
    from nbsync.ui import magic

    magic.load_ipython_extension(shell)


def unload_ipython_extension(shell: Any) -> None:
    """`%unload_ext nbsync`."""
    from nbsync.ui import magic

    magic.unload_ipython_extension(shell)
