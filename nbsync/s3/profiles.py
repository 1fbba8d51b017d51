"""The names of the AWS profiles on this machine, read without botocore: that costs a tenth of a second.

Source: https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-files.html
"""

from __future__ import annotations

import os
import re

CONFIG = ("AWS_CONFIG_FILE", "~/.aws/config")  # the variable that names the file, and where it is without
CREDENTIALS = ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")
FILES = (CONFIG, CREDENTIALS)

_SECTION = re.compile(r"^[ \t]*\[[ \t]*([^\]\n]+?)[ \t]*\]", re.MULTILINE)
_PROFILE = re.compile(r"profile\s+(['\"]?)(.+)\1")


def profile_names() -> list[str]:
    """The profiles of the configuration and of the credentials file, sorted; a file that cannot be read has none."""
    names = set(_sections(*CREDENTIALS))
    for section in _sections(*CONFIG):
        found = _PROFILE.fullmatch(section)
        if found or section == "default":
            names.add(found[2] if found else section)
    return sorted(names)


def _sections(variable: str, usual: str) -> list[str]:
    try:
        with open(os.path.expanduser(os.environ.get(variable) or usual), encoding="utf-8") as file:
            return _SECTION.findall(file.read())
    except (OSError, ValueError):
        return []
