"""The errors that nbsync raises. Pure; importable from every package.

    NbsyncError                  anything nbsync reports; one line, says what to do
    ├── UsageError               wrong words: option, REMOTE, LOCAL                 exit 2
    ├── ConfigError              profile, credentials, region, endpoint settings    exit 2
    ├── RemoteError              the service refused or could not be reached        exit 2
    │   ├── AccessDenied
    │   ├── NoSuchBucket
    │   ├── EndpointUnreachable
    │   └── ListingError         a listing that cannot be believed
    ├── LocalError               LOCAL is missing, a file, or unreadable            exit 2
    ├── ClusterError             an engine or its workers cannot be used            exit 2
    ├── GuardRefusal             refused before (or instead of) changing anything   exit 3
    ├── LockedError              another run holds LOCAL                            exit 3
    ├── Interrupted              Ctrl-C, stop button, cancel                        exit 130
    └── SyncProblems             a finished run with failures, when asked to raise  exit 1

What goes wrong with one file is not raised: it is a row with status `failed`, `conflict` or
`skipped`, and a Problem in the result.
"""

from __future__ import annotations

import sys


class NbsyncError(Exception):
    """Something the user should read: one line that says what happened and what to do.

    Args:
        message: what happened, to which file or place.
        hint: what to do next; appended to the line.
    """

    exit_code = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        line = f"{self.message.rstrip('.')}. {self.hint}" if self.hint else self.message
        return one_line(line)

    def _render_traceback_(self) -> list[str]:
        """One line in IPython instead of a traceback (IPython's documented hook)."""
        return [f"nbsync: {self}"]


class UsageError(NbsyncError):
    """The command line, magic line or call is not in the grammar."""


class ConfigError(NbsyncError):
    """Credentials, profile, region or endpoint settings are missing or wrong."""


def check_platform() -> None:
    """Refuse to work on Windows: it has no `flock`, and no way to open a path that follows no link.

    Raises:
        ConfigError: says where nbsync works.
    """
    if sys.platform == "win32":
        raise ConfigError(
            "nbsync needs Linux or macOS",
            "On Windows, install and run it in WSL: https://learn.microsoft.com/windows/wsl/install",
        )


class RemoteError(NbsyncError):
    """The service refused the request, or its answer makes no sense."""


class AccessDenied(RemoteError):
    """The credentials are not allowed to do this."""


class NoSuchBucket(RemoteError):
    """The bucket does not exist on this endpoint."""


class EndpointUnreachable(RemoteError):
    """No answer from the endpoint: name, port, network or time-out."""


class ListingError(RemoteError):
    """A listing came back out of order, cut short or contradictory: not to be acted on."""


class OutOfOrder(ListingError):
    """The keys of a listing do not ascend, or come twice: what was listed so far does not tell what is absent."""


class LocalError(NbsyncError):
    """LOCAL does not exist, is not a directory, or cannot be read or written."""


class ClusterError(NbsyncError):
    """An engine (Dask, ipyparallel, an executor) or one of its workers is missing, lost, or not fit for the run."""


class GuardRefusal(NbsyncError):
    """A guard said no; nothing was changed unless the message says so."""

    exit_code = 3


class LockedError(NbsyncError):
    """Another run is at work in the same LOCAL."""

    exit_code = 3


class Interrupted(NbsyncError):
    """The user stopped the run."""

    exit_code = 130


class SyncProblems(NbsyncError):
    """Some files failed, were in conflict or could not be represented."""

    exit_code = 1


def one_line(text: str) -> str:
    """`text` with control characters and line breaks made visible, fit for one line of output.

    Keys and service messages are untrusted: an escape sequence in one must not reach a terminal.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
