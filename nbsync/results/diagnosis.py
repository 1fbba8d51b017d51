"""What `doctor` gives back: findings, each with how it stands and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from nbsync.results.answer import Found, no_requests

OK, WARNING, PROBLEM = "ok", "warning", "problem"


class Finding(NamedTuple):
    """One thing that was looked at. `status`: `ok`, `warning` or `problem`; `advice`: empty where nothing is to do."""

    name: str
    status: str
    found: str
    advice: str = ""


class Diagnosis(Found):
    """The findings of one `doctor`. No secret is in them.

    Attributes:
        remote: REMOTE as a URI; empty without one.
        findings: in the order in which things depend on each other.
        versions: of what is installed, by name; empty for what is not.
        requests: what went over the wire, by kind.
        notes: remarks.
        seconds: that it took.
        error: the first problem, as the error that a sync would end with; None without problems.
    """

    command = "doctor"
    local = ""

    def __init__(self, remote: str) -> None:
        self.remote = remote
        self.findings: list[Finding] = []
        self.versions: dict[str, str] = {}
        self.requests = no_requests()
        self.notes: list[str] = []
        self.seconds = 0.0

    @property
    def problems(self) -> list[Finding]:
        """The findings because of which a sync would not work."""
        return [one for one in self.findings if one.status == PROBLEM]

    @property
    def warnings(self) -> list[Finding]:
        """The findings that should be known."""
        return [one for one in self.findings if one.status == WARNING]

    @property
    def exit_code(self) -> int:
        """0 without problems, of which warnings are none; else 2."""
        return 2 if self.problems else 0

    def to_dict(self) -> dict[str, Any]:
        """The JSON document, in the contract's style."""
        document: dict[str, Any] = {
            "command": self.command, "remote": self.remote, "local": self.local, "ok": self.ok,
            "findings": [one._asdict() for one in self.findings], "versions": dict(self.versions),
            "requests": dict(self.requests), "seconds": round(self.seconds, 3), "notes": list(self.notes),
        }  # fmt: skip
        return {**document, "error": str(self.error)} if self.error is not None else document

    def __getitem__(self, name: str) -> Finding:
        for one in self.findings:
            if one.name == name:
                return one
        raise KeyError(name)

    def __len__(self) -> int:
        return len(self.findings)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)
