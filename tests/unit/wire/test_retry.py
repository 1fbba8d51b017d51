"""When another attempt is made, and how long it waits."""

from __future__ import annotations

import pytest

from nbsync.wire.errors import Aborted, ConnectionLost, ServiceError, SourceChanged, TransientError
from nbsync.wire.retry import RetryPolicy, call

POLICY = RetryPolicy(retries=4, base=1.0, cap=5.0)


def unreachable() -> ConnectionLost:
    error = ConnectionLost("nobody there", refused=True)
    error.unreachable = True
    return error


class Run:
    """`call` with errors to come, then an answer; waits are written down."""

    def __init__(self, *errors: Exception, random: float = 1.0, cancelled_at: int = -1) -> None:
        self.errors = list(errors)
        self.waits: list[float] = []
        self.told: list[Exception] = []
        self._random = random
        self._cancelled_at = cancelled_at

    def _attempt(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "answer"

    def _wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return len(self.waits) - 1 == self._cancelled_at

    def go(self) -> str:
        return call(self._attempt, POLICY, wait=self._wait, random=lambda: self._random, on_retry=self.told.append)


def test_backs_off_up_to_the_cap_with_jitter():
    errors = [ConnectionLost("x"), ServiceError(503, "SlowDown"), TransientError("y"), ConnectionLost("z")]
    run = Run(*errors)
    assert run.go() == "answer"
    assert run.waits == [1.0, 2.0, 4.0, 5.0]
    assert run.told == errors
    half = Run(*errors, random=0.5)
    half.go()
    assert half.waits == [0.5, 1.0, 2.0, 2.5]


def test_gives_up_with_the_last_error():
    run = Run(*[ConnectionLost(str(n)) for n in range(9)])
    with pytest.raises(ConnectionLost, match="4"):
        run.go()
    assert len(run.waits) == 4


@pytest.mark.parametrize("error", [ServiceError(403, "AccessDenied"), SourceChanged("x"), Aborted("x"), KeyError("x")])
def test_what_no_other_attempt_can_mend_is_raised_at_once(error):
    run = Run(error)
    with pytest.raises(type(error)):
        run.go()
    assert run.waits == []


def test_retry_after_is_honoured_within_the_cap():
    def slow(seconds: str) -> ServiceError:
        return ServiceError(503, "SlowDown", headers={"retry-after": seconds})

    run = Run(slow("3"), slow("3600"), slow("Wed, 21 Oct 2026 07:28:00 GMT"), random=0.0)
    run.go()
    assert run.waits == [3.0, 5.0, 0.0]


def test_cancelled_while_waiting():
    run = Run(ConnectionLost("x"), ConnectionLost("y"), cancelled_at=1)
    with pytest.raises(Aborted):
        run.go()
    assert len(run.waits) == 2


def test_an_endpoint_that_never_answered_is_given_up_sooner():
    run = Run(*[unreachable() for _ in range(9)])
    with pytest.raises(ConnectionLost):
        run.go()
    assert len(run.waits) == 2
