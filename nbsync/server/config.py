"""What a server's owner decides about pull links: `c.PullLinks` in jupyter_server_config."""

from __future__ import annotations

import math
import re
from typing import Any

import traitlets as t
from traitlets.config import Configurable

from nbsync.core.commands import WHERE
from nbsync.core.options import OPTIONS, Options, build_options
from nbsync.core.pull_link import is_endpoint_name
from nbsync.errors import UsageError, one_line

# Of an endpoint: what a run's options say of where a service is. Credentials are a profile's.
_OF_ENDPOINT = tuple(name for name, row in OPTIONS.items() if WHERE in row.of)
PATIENCE = ("timeout", "retries")  # the server's own, of every run
_BUCKETS = "buckets"
_ADDRESS = re.compile(r"https?://[^/?#\s]+(/[^?#\s]*)?", re.IGNORECASE)


class PullLinks(Configurable):
    """What a pull link may ask of this server."""

    allowed_buckets = t.List(
        t.Unicode(), default_value=["*"], help="Patterns (* ? [...]) of the buckets that a link may name."
    ).tag(config=True)
    endpoints = t.Dict(
        key_trait=t.Unicode(),
        help="S3 services that a link may name (endpoint=NAME), beside the server's own: NAME -> a dict of "
        f"{', '.join(_OF_ENDPOINT)}; and of {_BUCKETS}, instead of allowed_buckets. A link never brings an address.",
    ).tag(config=True)
    target_root = t.Unicode(help="Links put data below this folder only. By default, the server's root_dir.").tag(
        config=True
    )
    max_bytes = t.Int(None, allow_none=True, min=0, help="The most bytes that one pull may move.").tag(config=True)
    max_files = t.Int(None, allow_none=True, min=0, help="The most files that one pull may move.").tag(config=True)
    concurrent_pulls = t.Int(2, min=1, help="Pulls at once; others wait for their turn.").tag(config=True)
    timeout = t.Float(10.0, min=0.1, help="Seconds without an answer after which a service is given up.").tag(
        config=True
    )
    retries = t.Int(2, min=0, help="Times that a failed request is tried again.").tag(config=True)

    @t.validate("timeout")
    def _check_timeout(self, proposal: Any) -> float:
        seconds: float = proposal["value"]
        if not math.isfinite(seconds):
            raise t.TraitError(f"PullLinks.timeout is a number of seconds, not {seconds}")
        return seconds

    @t.validate("endpoints")
    def _check_endpoints(self, proposal: Any) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = proposal["value"]
        for name, settings in found.items():
            wrong = _wrong_with(name, settings)
            if wrong:
                raise t.TraitError(f"PullLinks.endpoints[{name!r}]: {wrong}")
        return found

    def buckets_of(self, endpoint: str) -> list[str]:
        """Patterns of the buckets that a link may name there."""
        return list(self.endpoints.get(endpoint, {}).get(_BUCKETS, self.allowed_buckets))

    def told(self, root: str) -> str:
        """What holds here, in one line without a secret; `root` is the folder that targets are in."""
        most = {name: getattr(self, name) for name in ("max_bytes", "max_files")}
        limits = [f"{name} {'none' if value is None else f'{value:,}'}" for name, value in most.items()]
        buckets, endpoints = (", ".join(names) or "none" for names in (self.allowed_buckets, self.endpoints))
        parts = (f"allowed_buckets {buckets}", f"endpoints {endpoints}", f"target_root {root}", *limits)
        return one_line(f"nbsync's pull links: {'; '.join(parts)}")

    def options(self, endpoint: str, **more: Any) -> Options:
        """The options of a run against an endpoint, by name; the empty name is the server's own.

        Raises:
            UsageError: there is none of that name, or an option makes no sense.
        """
        if endpoint and endpoint not in self.endpoints:
            raise UsageError(f"this server knows no endpoint {endpoint!r}", "Its owner names them: PullLinks.endpoints")
        where = {key: value for key, value in self.endpoints.get(endpoint, {}).items() if key in _OF_ENDPOINT}
        patience = {name: getattr(self, name) for name in PATIENCE}
        return build_options("pull", {**where, **patience, **more})


def _wrong_with(name: str, settings: Any) -> str:
    """What is wrong with an endpoint; empty if nothing is. No value is repeated that may hold a password."""
    if not is_endpoint_name(name):
        return "a name has letters, digits, '.', '_' and '-', and begins with one of the first two"
    if not isinstance(settings, dict):
        return f"it is a dict of {', '.join(_OF_ENDPOINT)}; and of {_BUCKETS}"
    unknown = sorted(map(repr, set(settings) - {*_OF_ENDPOINT, _BUCKETS}))
    if unknown:
        return f"there is no {', '.join(unknown)}"
    buckets = settings.get(_BUCKETS, [])
    if not isinstance(buckets, list | tuple) or not all(isinstance(one, str) for one in buckets):
        return f"{_BUCKETS} is a list of patterns"
    url = settings.get("endpoint_url")
    if isinstance(url, str) and "@" in url:
        return "endpoint_url must not hold credentials: use a profile"
    if isinstance(url, str) and url and not _ADDRESS.fullmatch(url):
        return "endpoint_url is like https://minio.example.org:9000"
    try:
        build_options("pull", {key: value for key, value in settings.items() if key in _OF_ENDPOINT})
    except UsageError as error:
        return str(error)
    return ""
