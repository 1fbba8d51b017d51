"""What runs on a worker for `Backend.submit`: the call travels as bytes, so that no backend looks into it."""

from __future__ import annotations

import os
import pickle
import socket
import sys
from collections.abc import Callable
from typing import Any


class Run:
    """Calls what was packed; an instance travels by its class's name, which asks for nbsync on the worker."""

    def __call__(self, packed: bytes) -> bytes:
        """`reply` unpacks what this returns."""
        try:
            function, args = pickle.loads(packed)
            answer: tuple[bool, Any] = (True, function(*args))
            return pickle.dumps((*answer, where()))
        except Exception as error:
            return _packed_error(error)


def pack(function: Callable[..., Any], args: tuple[Any, ...]) -> bytes:
    """The call as bytes.

    Raises: what pickle raises for what cannot travel.
    """
    return pickle.dumps((function, args))


def reply(packed: bytes) -> tuple[bool, Any, str]:
    """(True, the value) or (False, the error that was raised), and where it ran."""
    ok, value, place = pickle.loads(packed)
    return bool(ok), value, str(place)


def where() -> str:
    """This worker as its backend calls it, or as `HOST:PROCESS`."""
    distributed = sys.modules.get("distributed")
    if distributed is not None:
        try:
            return short(distributed.get_worker().address)
        except (ValueError, AttributeError):  # it is imported here, but this is no worker of it
            pass
    return f"{socket.gethostname()}:{os.getpid()}"


def short(address: str) -> str:
    """`tcp://10.0.0.1:4321` -> `10.0.0.1:4321`."""
    return address.rpartition("://")[2]


def _packed_error(error: Exception) -> bytes:
    try:
        packed = pickle.dumps((False, error, where()))
        pickle.loads(packed)
        return packed
    except Exception:  # an error that cannot travel
        return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}"), where()))
