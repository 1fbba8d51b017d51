"""The versions of what nbsync works with, told without importing any of it."""

from __future__ import annotations

import platform
from importlib import metadata

from nbsync._version import __version__

_MATTER = ("boto3", "botocore", "awscrt", "ipython", "ipykernel", "ipywidgets", "anywidget", "traitlets", "jupyterlab",
           "notebook", "jupyter_server", "pandas")  # fmt: skip


def versions() -> dict[str, str]:
    """Version by name; empty for what is not installed."""
    found = {"nbsync": __version__, "python": platform.python_version(), "system": platform.platform(terse=True)}
    return {**found, **{name: _version(name) for name in _MATTER}}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
