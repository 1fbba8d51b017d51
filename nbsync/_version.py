"""What this package is called and which version it is; the build reads it here.

Another project owns the name `nbsync` on the package index, and installs files below `nbsync/` too.
"""

from __future__ import annotations

import os

__version__ = "0.6.0"
DISTRIBUTION = "nbsync-s3"  # its name on the package index; what is imported and typed is `nbsync`
NAMED = f"{DISTRIBUTION} {__version__}"
_OTHERS = ("cell.py", "logger.py", "markdown.py")  # of the other project's files, those that have no name of ours


def install(extra: str = "", *, version: str = "") -> str:
    """The command that installs this package: with an extra, or in this version."""
    return f"pip install '{DISTRIBUTION}{f'[{extra}]' if extra else ''}{f'=={version}' if version else ''}'"


def mixed_up(folder: str = os.path.dirname(__file__)) -> str:
    """What to say if the other project's files lie in the package's `folder`; empty if they do not."""
    found = [name for name in _OTHERS if os.path.exists(os.path.join(folder, name))]
    if not found:
        return ""
    return (
        f"files of another project called nbsync ({', '.join(found)}) lie in {folder}: one overwrites the other. "
        f"Run: pip uninstall -y nbsync {DISTRIBUTION}, then {install()}"
    )
