"""Keeps secrets out of a report: what is known to be one is taken out of every text, whoever put it there."""

from __future__ import annotations

import os
import re
from urllib.parse import quote, unquote, urlsplit

HIDDEN = "[hidden]"
_NAMES = re.compile(r"SECRET|TOKEN|PASSW|CREDENTIAL|_PROXY$|_URL$", re.IGNORECASE)
_LEAST, _LEAST_GUESSED = 4, 8  # characters; shorter ones stand in any text


class Scrubber:
    """Called with a text, it gives the text without the secrets of this environment and those it was told of."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        for name, value in os.environ.items():
            if _NAMES.search(name):
                self.hide(*_secrets_in(name, value))

    def hide(self, *secrets: str, instead: str = HIDDEN) -> None:
        """From now on, show something else in their place."""
        for secret in secrets:
            for form in {secret, quote(secret, safe=""), quote(secret)}:
                if len(form) >= _LEAST:
                    self._known[form] = instead

    def __call__(self, text: str) -> str:
        for secret in sorted(self._known, key=len, reverse=True):
            text = text.replace(secret, self._known[secret])
        return text


def _secrets_in(name: str, value: str) -> list[str]:
    """The secrets in a variable: all of it, or, of a URL, what stands before the `@`."""
    if not name.upper().endswith(("_PROXY", "_URL")):
        place = "FILE" in name.upper() or value.startswith(("/", "http"))
        return [value] if len(value) >= _LEAST_GUESSED and not place else []
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        userinfo = parts.netloc.rpartition("@")[0]
    except ValueError:
        return []
    password = userinfo.partition(":")[2]
    return [one for one in (userinfo, password, unquote(password)) if one]
