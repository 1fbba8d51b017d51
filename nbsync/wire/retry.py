"""When and how often to try again. Pure: waiting, chance and the attempt itself are passed in.

Full jitter as in https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/. Runs in
the thread that makes the request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from nbsync.wire.errors import Aborted, ConnectionLost, ServiceError, TransientError

T = TypeVar("T")

_UNREACHABLE_RETRIES = 2


class RetryPolicy(NamedTuple):
    """`retries` attempts after the first; the n-th waits up to `base` * 2**n seconds, never more than `cap`."""

    retries: int = 5
    base: float = 0.2
    cap: float = 20.0


def call(
    fn: Callable[[], T],
    policy: RetryPolicy,
    *,
    wait: Callable[[float], bool],
    random: Callable[[], float],
    on_retry: Callable[[Exception], None] | None = None,
) -> T:
    """What `fn` returns, tried again after errors that may pass.

    An endpoint that refuses connections, or whose name has no address, and that has never answered,
    is tried three times at most: its address is more likely wrong than its server restarting.

    Args:
        fn: one attempt.
        policy: how often and how slowly.
        wait: waits so many seconds; True if the run was cancelled meanwhile.
        random: 0 <= x < 1.
        on_retry: told the error before each further attempt.

    Raises:
        Aborted: cancelled.
        Exception: the last attempt's, or one that another attempt cannot mend.
    """
    attempt = 0
    while True:
        try:
            return fn()
        except (TransientError, ServiceError) as caught:
            if attempt >= _allowed(caught, policy):
                raise
            error = caught
        if on_retry:
            on_retry(error)
        if wait(_delay(error, attempt, policy, random)):
            raise Aborted("cancelled while waiting to try again") from error
        attempt += 1


def _allowed(error: Exception, policy: RetryPolicy) -> int:
    """How many retries an error is worth."""
    if isinstance(error, Aborted) or (isinstance(error, ServiceError) and not error.retryable):
        return 0
    if isinstance(error, ConnectionLost) and error.unreachable:
        return min(policy.retries, _UNREACHABLE_RETRIES)
    return policy.retries


def _delay(error: Exception, attempt: int, policy: RetryPolicy, random: Callable[[], float]) -> float:
    """Seconds to wait; not less than the service asked for in Retry-After, if that is within the cap."""
    delay = random() * min(policy.cap, policy.base * 2.0 ** min(attempt, 60))
    asked = error.headers.get("retry-after", "") if isinstance(error, ServiceError) else ""
    if asked.isascii() and asked.isdecimal():
        delay = max(delay, min(policy.cap, float(asked)))
    return delay
