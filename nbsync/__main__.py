"""`python -m nbsync` and the `nbsync` command. Runs in the main thread."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import NoReturn

from nbsync.errors import ConfigError, check_platform


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    try:
        check_platform()
    except ConfigError as error:
        print(f"nbsync: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    _speak_utf8()
    from nbsync.cli.main import main as run  # what it imports is not there on Windows

    sys.exit(run())


def _speak_utf8() -> None:
    """Begin anew in Python's UTF-8 mode where the locale has another encoding: S3's names are UTF-8, and so are files'.

    Source: PEP 540. An option, because a variable would be the children's, too.
    """
    if sys.getfilesystemencoding() != "utf-8" and sys.executable:
        with contextlib.suppress(OSError):  # then the run is refused
            os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


if __name__ == "__main__":
    main()
