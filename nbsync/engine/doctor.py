"""`doctor`: the credentials, where requests go, and what the service answers. Runs in the caller's thread.

Every step has a time limit: what may hang (a credential process, a name server, a silent service) runs in a thread of
its own, which is left behind. Nothing is written, neither here nor there.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from nbsync._version import mixed_up
from nbsync.core.access_key import account_of, masked
from nbsync.core.call import Call
from nbsync.core.location import Location, parse_location
from nbsync.core.options import Options
from nbsync.engine import software
from nbsync.engine.redact import Scrubber
from nbsync.errors import ConfigError, EndpointUnreachable, NbsyncError
from nbsync.results.diagnosis import OK, PROBLEM, WARNING, Diagnosis, Finding
from nbsync.s3 import probe
from nbsync.s3.account import Account
from nbsync.s3.browse import bucket_names
from nbsync.s3.bucket import Bucket
from nbsync.s3.errors import translate
from nbsync.s3.probe import Answered
from nbsync.s3.versions import versioning_of
from nbsync.wire.errors import ServiceError, WireError

T = TypeVar("T")
TIMEOUT, RETRIES = 10.0, 1  # unless others are asked for
SKEW_NOTED, SKEW_REFUSED = 60.0, 900.0  # seconds; S3 refuses a signature that is 15 minutes off
_LITTLE_ROOM = 1 << 30
_SOURCES = {
    "env": "the environment", "shared-credentials-file": "the credentials file", "config-file": "the config file",
    "sso": "an SSO login", "assume-role": "an assumed role", "iam-role": "the role of this machine",
    "assume-role-with-web-identity": "a web identity", "container-role": "the role of this container",
    "custom-process": "a credential process", "login": "an AWS login",
}  # fmt: skip


def doctor(call: Call, *, patience: float | None = None) -> Diagnosis:
    """Look at everything that a sync depends on.

    Args:
        call: with REMOTE, or without it to look at the service alone.
        patience: seconds for each step; by default what the time-outs allow.

    Raises:
        UsageError: REMOTE makes no sense.
    """
    location = parse_location(call.remote) if call.remote else probe.service_root()
    options = replace(call.options, timeout=call.options.timeout if "timeout" in call.asked else TIMEOUT,
                      retries=call.options.retries if "retries" in call.asked else RETRIES)  # fmt: skip
    if patience is None:
        patience = 2 * options.timeout * ((options.retries or 0) + 1) + 5
    return _Doctor(location, options, patience).look(location.uri if call.remote else "")


class _Doctor:
    """One look; findings are added as they are made."""

    def __init__(self, location: Location, options: Options, patience: float) -> None:
        self._location, self._options, self._patience = location, options, patience
        self._place = location.uri if location.bucket else "the service"
        self._scrub = Scrubber()
        self._first: NbsyncError | None = None
        self._found: list[Finding] = []

    def look(self, remote: str) -> Diagnosis:
        """All of it, as far as one thing does not depend on another that is missing."""
        started = time.monotonic()
        told = Diagnosis(remote)
        told.versions = software.versions()
        self._software(told.versions)
        self._folder()
        bucket = self._bucket(self._account())
        if bucket is not None:
            try:
                self._service(bucket)
            finally:
                bucket.client.abort()
                bucket.client.close()
                told.requests = bucket.counts.snapshot()
        told.findings = [one._replace(found=self._scrub(one.found), advice=self._scrub(one.advice))
                         for one in self._found]  # fmt: skip
        if self._first is not None:
            told.error = type(self._first)(self._scrub(self._first.message), self._scrub(self._first.hint))
        told.seconds = time.monotonic() - started
        return told

    # ---- this machine -------------------------------------------------------------------------------

    def _software(self, versions: dict[str, str]) -> None:
        shown = " · ".join(f"{name} {version}" for name, version in versions.items() if version)
        missing = ", ".join(name for name, version in versions.items() if not version)
        self._add("software", OK, f"{shown} · not here: {missing}" if missing else shown)
        if trouble := mixed_up():
            what, _, advice = trouble.partition(". ")
            self._add("package", WARNING, what, advice)

    def _folder(self) -> None:
        try:
            here = os.getcwd()
            free = shutil.disk_usage(here).free
        except OSError as error:
            self._add("folder", WARNING, f"the current directory: {error.strerror}", "Change to another one")
            return
        text = f"{here}: {free / 1e9:,.1f} GB free"
        if not os.access(here, os.W_OK | os.X_OK):
            self._add("folder", WARNING, f"{text}, cannot be written", "A pull needs a LOCAL that can be written")
        elif free < _LITTLE_ROOM:
            self._add("folder", WARNING, text, "A pull that needs more room is refused before its first byte")
        else:
            self._add("folder", OK, text)

    def _account(self) -> Account | None:
        """The account; None if it cannot be used."""
        try:
            account = self._within(lambda: Account(self._options))
            profile = self._within(lambda: account.profile)
        except NbsyncError as error:
            self._problem("profile", error)
            return None
        if self._options.no_sign_request:
            self._add("credentials", OK, "none: requests are not signed (--no-sign-request)")
            return account
        named = f", profile {profile}" if profile else ""
        try:
            keys, source = self._within(lambda: (account.credentials()(), account.source))
        except NbsyncError as error:
            self._problem("credentials", error)
            return None
        assert keys is not None  # there are none only for --no-sign-request
        self._scrub.hide(keys.secret_key, keys.token)
        self._scrub.hide(keys.access_key, instead=masked(keys.access_key))
        session = ", with a session token" if keys.token else ""
        where = _SOURCES.get(source, source or "botocore")
        owner = account_of(keys.access_key) if account.is_aws else ""  # of AWS's own keys, at AWS
        account_text = f", of AWS account {owner}" if owner else ""
        self._add("credentials", OK, f"{masked(keys.access_key)} from {where}{named}{session}{account_text}")
        return account

    def _bucket(self, account: Account | None) -> Bucket | None:
        """The way to the service; unsigned where there are no credentials, to see whether it answers at all."""
        options = self._options if account is not None else replace(self._options, no_sign_request=True, profile="")
        try:
            return self._within(lambda: Bucket(self._location, options, wait=time_out, account=account))
        except NbsyncError as error:
            if account is not None:
                self._problem("endpoint", error)
            return None

    # ---- the service --------------------------------------------------------------------------------

    def _service(self, bucket: Bucket) -> None:
        try:
            found = self._within(lambda: probe.first_answer(bucket))
        except (NbsyncError, WireError, OSError) as error:
            told = translate(error, bucket.endpoint)
            self._problem("endpoint", type(told)(f"{self._way(bucket)}: {told.message}", told.hint))
            return
        bucket.can.observe(found.headers)
        self._endpoint(bucket, found)
        self._clock(found)
        if self._first is not None:  # without credentials a refusal tells nothing
            return
        if self._location.bucket:
            self._look_at_bucket(bucket, found)
        else:
            self._look_at_service(found)
        self._abilities(bucket)

    def _way(self, bucket: Bucket) -> str:
        """Where requests go, and how, in words."""
        name, proxy = self._location.bucket, bucket.client.route.proxy
        style = "virtual-host" if bucket.client.target.host.startswith(f"{name}.") else "path"
        told = [bucket.endpoint, f"region {bucket.region}", f"{style} style" if name else ""]
        told.append(f"through the proxy {proxy.host}:{proxy.port}" if proxy is not None else "")
        return ", ".join(filter(None, told))

    def _endpoint(self, bucket: Bucket, found: Answered) -> None:
        target = bucket.client.target
        text = f"{self._way(bucket)}, answered in {found.seconds * 1000:.0f} ms"
        if not target.verify and target.scheme == "https":
            self._add("endpoint", WARNING, f"{text}, its certificate is not checked", "Give --ca-bundle instead")
        elif target.scheme == "http" and not _is_here(target.host):
            self._add("endpoint", WARNING, f"{text}, not encrypted", "Anybody on the way can read what travels")
        else:
            self._add("endpoint", OK, text)

    def _clock(self, found: Answered) -> None:
        if found.skew is None:
            self._add("clock", WARNING, "the service does not tell its time", "Its clock cannot be held against ours")
            return
        off = abs(found.skew)
        way = "behind" if found.skew > 0 else "ahead of"
        if off <= SKEW_NOTED:
            self._add("clock", OK, f"as the service's, within {max(off, 1):.0f} s")
        elif off <= SKEW_REFUSED:
            self._add("clock", WARNING, f"{off:,.0f} s {way} the service's", "Set this machine's clock")
        else:
            self._add("clock", WARNING, f"{off:,.0f} s {way} the service's: it refuses signatures of that time",
                      "nbsync signs by the service's clock, other tools do not: set this machine's clock")  # fmt: skip

    def _look_at_bucket(self, bucket: Bucket, found: Answered) -> None:
        if found.error is not None or found.answer is None:
            self._problem("bucket", translate(found.error or ServiceError(0, "none"), self._place))
            return
        try:
            first = probe.first_object(bucket, found.answer.body)
        except NbsyncError as error:
            self._problem("bucket", error)
            return
        below = "there is something under it" if first is not None else "there is nothing under it yet"
        self._add("bucket", OK, f"{self._place} can be listed; {below}")
        self._versioning(bucket)
        if first is not None and not bucket.can.conditional_get:
            try:
                self._within(lambda: probe.try_condition(bucket, first.key))
            except (NbsyncError, WireError, OSError) as error:
                self._add("reading", WARNING, str(translate(error, self._place)), "Try it again")

    def _versioning(self, bucket: Bucket) -> None:
        try:
            status = self._within(lambda: versioning_of(bucket))
        except (NbsyncError, WireError, OSError) as error:
            self._add("versions", WARNING, str(translate(error, self._place)))
            return
        if bucket.can.versioning_untold:
            self._add("versions", WARNING, "whether the bucket keeps versions may not be asked",
                      "Only --as-of needs it (s3:GetBucketVersioning)")  # fmt: skip
            return
        words = {"enabled": "the bucket keeps versions: --as-of works", "suspended": "the bucket kept versions until"
                 " versioning was suspended"}  # fmt: skip
        self._add("versions", OK, words.get(status, "the bucket keeps no versions: --as-of has nothing to show"))

    def _look_at_service(self, found: Answered) -> None:
        if found.answer is not None:
            try:
                count = len(bucket_names(found.answer.body))
            except NbsyncError as error:
                self._problem("buckets", error)
                return
            self._add("buckets", OK, f"{count:,} can be seen; doctor REMOTE looks at one")
            return
        refusal = found.error or ServiceError(0, "none")
        told = translate(refusal, self._place)
        if isinstance(told, ConfigError) or refusal.status not in (403, 404, 405, 501):
            self._problem("buckets", told)
        else:
            self._add("buckets", OK, "may not be listed, which no sync needs; doctor REMOTE looks at one")

    def _abilities(self, bucket: Bucket) -> None:
        conditions = bucket.can.conditions()
        proven = [row.condition for row, holds in conditions if holds]
        unproven = [row.condition for row, holds in conditions if not holds]
        text = f"conditional {', '.join(proven)} honoured" if proven else ""
        if not unproven:
            self._add("server", OK, text)
            return
        text += ("; " if text else "") + f"unproven: conditional {', '.join(unproven)}"
        self._add("server", WARNING, text, "There nbsync looks just before it acts (best effort), and results say so")

    # ---- how it is told -----------------------------------------------------------------------------

    def _add(self, name: str, status: str, found: str, advice: str = "") -> None:
        self._found.append(Finding(name, status, found, advice))

    def _problem(self, name: str, error: NbsyncError) -> None:
        self._first = self._first or error
        self._add(name, PROBLEM, error.message, error.hint)

    def _within(self, do: Callable[[], T]) -> T:
        """What `do` gives, within the time limit.

        Raises:
            EndpointUnreachable: it takes too long. What `do` raises.
        """
        came: list[Any] = []
        failed: list[BaseException] = []

        def work() -> None:
            try:
                came.append(do())
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=work, name="nbsync-doctor", daemon=True)
        thread.start()
        thread.join(self._patience)
        if failed:
            raise failed[0]
        if not came:
            raise EndpointUnreachable(f"no answer within {self._patience:g} s", "Check the network and --timeout")
        value: T = came[0]
        return value


def time_out(seconds: float) -> bool:
    """Wait between two tries."""
    time.sleep(min(seconds, 1.0))
    return False


def _is_here(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.") or host.endswith(".localhost")
