"""What a server's owner decides about pull links: `c.PullLinks` in jupyter_server_config."""

from __future__ import annotations

from typing import Any

import traitlets as t
from traitlets.config import Configurable

from nbsync.errors import UsageError
from nbsync.options import Options, build_options

# Of an endpoint: what a run's options say of where a service is. Credentials are a profile's.
WHERE = ("endpoint_url", "region", "profile", "addressing_style", "no_sign_request", "no_verify_ssl", "ca_bundle",
         "request_payer")  # fmt: skip
_BUCKETS = "buckets"


class PullLinks(Configurable):
    """What a pull link may ask of this server."""

    allowed_buckets = t.List(
        t.Unicode(), default_value=["*"], help="Patterns (* ? [...]) of the buckets that a link may name."
    ).tag(config=True)
    endpoints = t.Dict(
        key_trait=t.Unicode(),
        value_trait=t.Dict(),
        help="S3 services that a link may name (endpoint=NAME), beside the server's own: NAME -> a dict of "
        f"{', '.join(WHERE)}; and of {_BUCKETS}, instead of allowed_buckets. A link never brings an address.",
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

    @t.validate("endpoints")
    def _check_endpoints(self, proposal: Any) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = proposal["value"]
        for name, settings in found.items():
            unknown = set(settings) - {*WHERE, _BUCKETS}
            if unknown:
                raise t.TraitError(f"PullLinks.endpoints[{name!r}] has no {', '.join(map(repr, sorted(unknown)))}")
            if "@" in str(settings.get("endpoint_url", "")):  # never repeated: it may be a password
                raise t.TraitError(
                    f"PullLinks.endpoints[{name!r}]: endpoint_url must not hold credentials: use a profile"
                )
            try:
                build_options("pull", {key: value for key, value in settings.items() if key in WHERE})
            except UsageError as error:
                raise t.TraitError(f"PullLinks.endpoints[{name!r}]: {error}") from None
        return found

    def buckets_of(self, endpoint: str) -> list[str]:
        """Patterns of the buckets that a link may name there."""
        return list(self.endpoints.get(endpoint, {}).get(_BUCKETS, self.allowed_buckets))

    def options(self, endpoint: str, **more: Any) -> Options:
        """The options of a run against an endpoint, by name; the empty name is the server's own.

        Raises:
            UsageError: there is none of that name, or an option makes no sense.
        """
        if endpoint and endpoint not in self.endpoints:
            raise UsageError(f"this server knows no endpoint {endpoint!r}", "Its owner names them: PullLinks.endpoints")
        where = {key: value for key, value in self.endpoints.get(endpoint, {}).items() if key in WHERE}
        return build_options("pull", {**where, "timeout": self.timeout, "retries": self.retries, **more})
