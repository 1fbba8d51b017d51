"""The control plane of one bucket: requests with retries, region redirects, HEAD, and what its server can do."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from nbsync.core.location import Location
from nbsync.core.options import Options
from nbsync.errors import RemoteError
from nbsync.s3.account import Account
from nbsync.s3.capabilities import AS_ASKED, Capabilities
from nbsync.s3.errors import is_about_region, region_told
from nbsync.s3.sse_c import KeyedClient, KeylessClient, check_channel, read_customer_key
from nbsync.wire import retry
from nbsync.wire.client import Client, RequestCounts
from nbsync.wire.errors import ServiceError
from nbsync.wire.misdirected import coding
from nbsync.wire.response_reader import Response

T = TypeVar("T")


class Bucket:
    """Requests to one bucket, for one run. Thread-safe.

    Attributes:
        as_of_ns: the moment whose objects are listed, ns since the epoch; None for now.
        slow_downs: how often the service has asked for less.
        customer_key: what objects are encrypted with (SSE-C); None without it.
        learning: held by the thread that asks the service what it can do.

    Args:
        location: bucket and prefix.
        options: the run's options.
        wait: sleeps so many seconds between tries, returns True when the run was cancelled.
        on_slow_down: told each time that the service asks for less.
        account: that of the options, if it is known already.

    Raises:
        ConfigError, UsageError: the account, or the customer's key, cannot be used.
    """

    def __init__(
        self,
        location: Location,
        options: Options,
        *,
        wait: Callable[[float], bool],
        on_slow_down: Callable[[], None] = lambda: None,
        account: Account | None = None,
    ) -> None:
        self.location = location
        self.as_of_ns = options.as_of
        self.counts = RequestCounts()
        self.slow_downs = 0
        self.customer_key = read_customer_key(options.sse_c_key_file)
        self._account = account or Account(options)
        self._credentials = self._account.credentials(lambda: wait(0))
        self._wait = wait
        self._on_slow_down = on_slow_down
        self._policy = retry.RetryPolicy(retries=self._account.retries)
        self._lock = threading.Lock()
        self.learning = threading.Lock()
        self.client = self._connect("")
        self.can = Capabilities(self.client.target.host)
        if options.no_conditions:
            self.can.unconditional = AS_ASKED

    def _connect(self, region: str) -> Client:
        target = self._account.target(self.location, region)
        if self.customer_key is None:
            return KeylessClient(target, self._credentials, counts=self.counts)
        check_channel(target)
        return KeyedClient(self.customer_key, target, self._credentials, counts=self.counts)

    @property
    def endpoint(self) -> str:
        """`scheme://host:port/path` as the state records it; the same for every bucket of a path-style server."""
        target = self.client.target
        host = target.host.removeprefix(f"{self.location.bucket}.")
        path = target.base_path.removesuffix(f"/{self.location.bucket}")
        return f"{target.scheme}://{host}:{target.port}{path}"

    @property
    def region(self) -> str:
        """The region that requests are signed for."""
        return self.client.target.region

    @property
    def profile(self) -> str:
        """The name of the profile in use; empty for none."""
        return self._account.profile

    def request(
        self,
        method: str,
        key: str = "",
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        kind: str = "",
    ) -> Response:
        """One small request, tried again as the policy says, sent to the right region.

        Raises:
            ServiceError, TransientError: see wire.errors. ConfigError: credentials ran out.
        """

        def once() -> Response:
            return self.client.request(method, key, query=query, headers=headers, body=body, kind=kind)

        answer = self.retrying(once)
        self.can.observe(answer.headers)
        coded = coding(answer.headers) if answer.body and not key else ""  # an object's may be its own
        if coded:
            hint = "A proxy on the way may do that: go round it (NO_PROXY), or give another endpoint"
            raise RemoteError(f"{self.location.uri}: the answer came as {coded}, which was not asked for", hint)
        return answer

    def retrying(self, attempt: Callable[[], T]) -> T:
        """The result of `attempt`, tried again with back-off while what it raises may pass, in the right region.

        `attempt` asks for this bucket's client each time.
        """

        def anywhere() -> T:
            client = self.client
            try:
                return attempt()
            except ServiceError as error:
                if not self._move_to(error, client):
                    raise
            return attempt()

        def on_retry(error: Exception) -> None:
            if isinstance(error, ServiceError) and error.slow_down:
                self.slow_downs += 1
                self._on_slow_down()

        return retry.call(anywhere, self._policy, wait=self._wait, random=random.random, on_retry=on_retry)

    def _move_to(self, error: ServiceError, asked: Client) -> bool:
        """Sign for the bucket's own region, if the error says that it is not the one of the client that was asked.

        The address is made anew from the account's settings: where a redirect leads is never asked with a signature.
        """
        if not is_about_region(error):
            return False
        region = region_told(error) or self._region_by_head()
        with self._lock:
            if self.client is not asked:  # another thread was told the same
                return True
            if not region or region == self.client.target.region:
                return False
            moved = self._connect(region)
            if moved.target == self.client.target:  # the region of an access point's ARN holds
                return False
            self.client.transport.retire()  # who still has this client may go on
            self.client = moved
        return True

    def _region_by_head(self) -> str:
        """The bucket's region as any answer to a HEAD of it tells, or empty."""
        try:
            return region_told(self.client.request("HEAD"))
        except ServiceError as refused:
            return region_told(refused)

    def exists(self, key: str) -> bool:
        """Is there an object of this name? One HEAD."""
        try:
            self.request("HEAD", key)
        except ServiceError as error:
            if error.status == 404:
                return False
            raise
        return True

    def cleaner(self) -> Client:
        """A client that works after `abort`, for tidying up: short time-outs."""
        target = self.client.target
        return Client(replace(target, timeout=2.0, connect_timeout=1.0), self._credentials, counts=self.counts)
