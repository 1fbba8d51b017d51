"""The user's account and where the bucket is: profile, credentials, region and endpoint, through botocore.

botocore knows profiles, SSO, roles, instance metadata, endpoint rules, access points and the rest;
we ask it for two values, a Target for the wire and a source of credentials. Its client, which costs a
quarter of a second, is not made for the one plain case: a named endpoint with the bucket's name behind it.
Where the environment alone says all of it (keys, and a named endpoint), botocore is not even imported.
"""

from __future__ import annotations

import functools
import itertools
import os
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from nbsync.core.access_key import clean
from nbsync.core.location import Location
from nbsync.core.options import Options
from nbsync.errors import ConfigError, UsageError
from nbsync.s3.profiles import FILES
from nbsync.wire.client import Target
from nbsync.wire.credentials import CredentialSource, IssuedCredentials, fixed
from nbsync.wire.sigv4 import Credentials

_NO_CREDENTIALS = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile (--profile NAME; aws configure),"
    " or use --no-sign-request for a public bucket"
)

_RETRIES = 8
_MISREAD = (ValueError, TypeError, AttributeError)  # botocore's, where a setting has sub-settings or should have


class Account:
    """One profile's way to one bucket.

    Raises (from every method): ConfigError, with what to do.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._is_plain = not options.profile and _has_no_configuration()
        region = options.region or os.environ.get("AWS_REGION")
        if self._is_plain:
            region = region or os.environ.get("AWS_DEFAULT_REGION")
        else:  # an unknown profile is told at once, whatever else is given
            region = region or self._session.get_config_variable("region")
        self._region = _checked_region(region or "")
        if options.ca_bundle and not os.path.isfile(options.ca_bundle):
            raise ConfigError(f"--ca-bundle {options.ca_bundle}: no such file")

    @functools.cached_property
    def _session(self) -> Any:
        """botocore's session for the profile, whose configuration can be read."""
        import botocore.exceptions
        import botocore.session

        try:
            session = botocore.session.Session(profile=self._options.profile or None)
            session.get_scoped_config()
        except botocore.exceptions.ProfileNotFound as error:
            known = ", ".join(botocore.session.Session().available_profiles) or "none"
            raise ConfigError(f"{error}", f"Profiles on this machine: {known}") from None
        except botocore.exceptions.BotoCoreError as error:
            raise ConfigError(f"the AWS configuration cannot be read: {error}") from None
        return session

    @property
    def profile(self) -> str:
        """The name of the profile in use; empty for none."""
        return "" if self._is_plain else str(self._session.profile or "")

    @property
    def source(self) -> str:
        """Where the credentials come from, as botocore calls it (`env`, `sso`, …); empty without any."""
        if self._options.no_sign_request:
            return ""
        if self._is_plain and _environment_keys() is not None:
            return "env"
        return str(getattr(self._session.get_credentials(), "method", None) or "")

    @property
    def asks_for_a_code(self) -> bool:
        """Would the credentials be had only after the user has typed a code (multi-factor authentication)?"""
        if self._is_plain or self._options.no_sign_request:
            return False
        profiles = self._session.full_config.get("profiles", {})
        name, seen = self.profile or "default", set[str]()
        while name in profiles and name not in seen:
            if "mfa_serial" in profiles[name]:
                return True
            seen.add(name)
            name = str(profiles[name].get("source_profile", ""))
        return False

    def credentials(self, stopped: Callable[[], bool] = lambda: False) -> CredentialSource:
        """A source of credentials, renewed before they expire and when they are refused; none for --no-sign-request.

        `stopped`: was the run told to stop? Then nobody waits for new ones.
        """
        if self._options.no_sign_request:
            return fixed(None)
        # Later, the files and the environment may say something else.
        accounts = itertools.chain([self], map(Account, itertools.repeat(self._options)))
        return CredentialSource(lambda: next(accounts)._lease(), stopped=stopped)  # an expired login is told at once

    def _lease(self) -> IssuedCredentials:
        """The keys that there are now, which may come from a program or a service."""
        keys = _environment_keys() if self._is_plain else None
        if keys is not None:
            return IssuedCredentials(_clean(keys))
        # Providers run other programs and services, and raise what those bring: all of it ends here.
        try:
            found = self._session.get_credentials()
        except Exception as error:
            raise ConfigError(f"the credentials could not be loaded: {_told(error)}", _NO_CREDENTIALS) from None
        if found is None:
            raise ConfigError("no AWS credentials found", _NO_CREDENTIALS)
        # When to ask again is the source's business: botocore asks for each request in the last ten minutes of a token.
        found._advisory_refresh_timeout = found._mandatory_refresh_timeout = 0
        try:
            frozen = found.get_frozen_credentials()
        except Exception as error:
            raise ConfigError(f"the credentials could not be had: {_told(error)}", "Log in again") from None
        end = getattr(found, "_expiry_time", None)  # of those that expire
        keys = Credentials(frozen.access_key, frozen.secret_key, frozen.token or "")
        return IssuedCredentials(_clean(keys), end.timestamp() if end is not None else None)

    @property
    def is_aws(self) -> bool:
        """Is no other endpoint named?"""
        named = {} if self._is_plain else self._session.get_scoped_config()
        return not self._endpoint() and not {"endpoint_url", "services"} & {*named}

    @property
    def retries(self) -> int:
        """How often a failed request is tried again: botocore counts the first attempt, too."""
        if self._options.retries is not None:
            return self._options.retries
        attempts = self._setting("max_attempts", "AWS_MAX_ATTEMPTS")
        try:
            return max(0, int(attempts) - 1) if attempts else _RETRIES
        except ValueError:
            raise ConfigError(f"max_attempts (AWS_MAX_ATTEMPTS) is no number: {attempts!r}", "Use --retries") from None

    def _setting(self, name: str, variable: str) -> Any:
        """A setting of the profile or the environment."""
        try:
            return os.environ.get(variable) if self._is_plain else self._session.get_config_variable(name)
        except ValueError as error:
            raise ConfigError(f"the AWS configuration cannot be read: {name}: {_told(error)}") from None

    @functools.cached_property
    def _s3(self) -> dict[str, Any]:
        """The profile's settings for S3 that are given."""
        settings = {} if self._is_plain else self._session.get_config_variable("s3") or {}
        return {name: value for name, value in settings.items() if value is not None}

    def target(self, location: Location, region: str = "") -> Target:
        """Where requests for the bucket go, or for the service where its name is empty.

        `region` overrides what is configured (after a redirect).
        """
        endpoint, bucket = self._endpoint(), location.bucket
        region = _checked_region(region) or self._region or "us-east-1"
        if endpoint and self._is_only_named(endpoint) and not bucket.startswith("arn:"):
            url, port = _split(endpoint)
            base = url.path.rstrip("/")
            base = f"{base}/{bucket}" if bucket else base
            return self._make(url.scheme, url.hostname or "", port, base, region=region, service="s3")
        return self._by_rules(bucket, region)

    def _endpoint(self) -> str:
        """The endpoint that an option or the environment names; that of a profile is botocore's to read."""
        if self._options.endpoint_url:
            return self._options.endpoint_url
        ignored = self._setting("ignore_configured_endpoint_urls", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
        if str(ignored).lower() == "true":
            return ""
        return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""

    def _is_only_named(self, endpoint: str) -> bool:
        """Would botocore only put the bucket's name behind the endpoint? Not if anything asks for more than that."""
        style = self._options.addressing_style
        style = self._s3.get("addressing_style") or "auto" if style == "auto" else style
        profile = () if self._is_plain else self._session.get_scoped_config()
        special = any(name.startswith(("use_", "s3_")) for name in [*self._s3, *profile])
        special = special or any(name.startswith(("AWS_USE_", "AWS_S3_")) for name in os.environ)
        return style in ("auto", "path") and not special and ".amazonaws." not in endpoint.lower()

    def _by_rules(self, bucket: str, region: str) -> Target:
        """Let botocore's endpoint rules make the URL of a request, and read it before it is sent."""
        import botocore.config
        import botocore.exceptions

        seen: list[tuple[str, str, str]] = []

        def stop(request: Any, signing_name: str, region_name: str, signature_version: str, **_: Any) -> None:
            chosen = request.context.get("signing", {})
            if "v4a" in str(signature_version) or chosen.get("region") == "*":
                raise ConfigError("multi-region access points need signature version 4A, which nbsync does not speak")
            seen.append((request.url, chosen.get("signing_name", signing_name), chosen.get("region", region_name)))
            raise _UrlSeen

        style = self._options.addressing_style
        try:
            config = botocore.config.Config(
                s3=None if style == "auto" else {"addressing_style": style}, signature_version="s3v4"
            )
            client = self._session.create_client(
                "s3", region_name=region, endpoint_url=self._options.endpoint_url or None, config=config,
                aws_access_key_id="none", aws_secret_access_key="none",
            )  # fmt: skip
            client.meta.events.register_first("before-sign.s3", stop)
            if bucket:
                client.get_object(Bucket=bucket, Key="k")
            else:
                client.list_buckets()
        except _UrlSeen:
            pass
        except (botocore.exceptions.BotoCoreError, *_MISREAD) as error:
            # It may repeat the URL of the profile, with the password that somebody has written into it.
            told = re.sub(r"://[^`]*", "://…", str(error))
            raise ConfigError(f"no endpoint for bucket {bucket!r} in region {region!r}: {told}") from None
        url, signing_name, signing_region = seen[0]
        parts, port = _split(url)
        base = parts.path.removesuffix("/k").rstrip("/")
        return self._make(parts.scheme, parts.hostname or "", port, base, region=signing_region, service=signing_name)

    def _make(self, scheme: str, host: str, port: int, base: str, *, region: str, service: str) -> Target:
        options = self._options
        bundle = options.ca_bundle or self._setting("ca_bundle", "AWS_CA_BUNDLE")
        return Target(
            scheme=scheme, host=host, port=port, base_path=base, region=region, service=service,
            timeout=options.timeout, connect_timeout=min(10.0, options.timeout), verify=not options.no_verify_ssl,
            ca_bundle=bundle or os.environ.get("REQUESTS_CA_BUNDLE") or "", request_payer=options.request_payer,
            sign_payload=bool(self._s3.get("payload_signing_enabled")),
        )  # fmt: skip


def _has_no_configuration() -> bool:
    """Is there no AWS profile and no file of AWS's, so that botocore would add nothing to the environment?"""
    if os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE"):
        return False
    return not any(map(_has_content, FILES))


def _has_content(file: tuple[str, str]) -> bool:
    variable, usual = file
    try:
        return os.stat(os.path.expanduser(os.environ.get(variable) or usual)).st_size > 0
    except OSError:
        return False


def _checked_region(given: Any) -> str:
    """The region without blanks around it; it becomes part of names and of signatures.

    Raises:
        ConfigError: it cannot be one; in a file, it may have sub-settings.
    """
    region = given.strip() if isinstance(given, str) else repr(given)
    if not re.fullmatch(r"(?!-)[a-zA-Z0-9-]{0,63}(?<!-)|", region):
        raise ConfigError(f"{region!r} is not the name of a region", "It is letters, digits and hyphens: eu-west-1")
    return region


def _told(error: Exception) -> str:
    """What a provider says, on one line: programs end theirs with a line break."""
    return " ".join(str(error).split())


def _clean(keys: Credentials) -> Credentials:
    """The keys without what surrounds them in a file or form that they were copied from.

    Raises:
        ConfigError: naming what no key can be, not its value.
    """
    try:
        return Credentials(
            clean(keys.access_key, "the access key"),
            clean(keys.secret_key, "the secret key", of_header=False),
            clean(keys.token, "the session token") if keys.token else "",
        )
    except ValueError as error:
        raise ConfigError(f"the AWS credentials cannot be used: {error}", "Copy them again, and nothing else") from None


def _environment_keys() -> Credentials | None:
    """The keys that the environment holds, if they are there and do not expire: botocore asks it first, too."""
    env = os.environ
    access, secret = env.get("AWS_ACCESS_KEY_ID"), env.get("AWS_SECRET_ACCESS_KEY")
    if not access or not secret or env.get("AWS_CREDENTIAL_EXPIRATION"):
        return None
    return Credentials(access, secret, env.get("AWS_SESSION_TOKEN") or env.get("AWS_SECURITY_TOKEN") or "")


class _UrlSeen(Exception):
    """Ends a botocore call after its URL was made and before anything is signed or sent."""


def _split(endpoint: str) -> tuple[Any, int]:
    """The URL, which is never repeated in an error: it may hold a password, wherever it is wrong besides."""
    try:
        url = urlsplit(endpoint)
        port = url.port
    except ValueError:
        url, port = urlsplit(""), -1
    if "@" in endpoint:
        raise UsageError("--endpoint-url must not hold credentials", "Use a profile or the AWS_* variables")
    sendable = endpoint.isascii() and endpoint.isprintable() and " " not in endpoint
    if (
        url.scheme not in ("http", "https")
        or not url.hostname
        or port == -1
        or url.query
        or url.fragment
        or not sendable
    ):
        raise UsageError("--endpoint-url is not a URL", "Write it as http://host:port or https://host")
    return url, port or (443 if url.scheme == "https" else 80)
