"""The faults of the proxy: each serves one request wrongly, in one way, at one moment. Used with `Proxy.on`."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TypeAlias

from tests.servers.messages import Answer
from tests.servers.proxy import Exchange


class At(Enum):
    """The moments of an exchange at which it can break."""

    REQUEST_HEAD = auto()  # the head of the request was read
    REQUEST_BODY = auto()  # so many bytes of its body were read
    REQUEST_END = auto()  # all of it was read; the server has not seen it
    ANSWER = auto()  # the server has done it; nothing of its answer was sent
    ANSWER_HEAD = auto()  # so many bytes of the answer's head were sent
    ANSWER_BODY = auto()  # so many bytes of the answer's body were sent


@dataclass(frozen=True)
class _Breaking:
    """Something that happens to the connection at one moment of an exchange; `after` counts bytes."""

    at: At
    after: int = 0

    async def strike(self, exchange: Exchange) -> None:
        """Serve as usual, with the break in it."""
        if self.at is At.REQUEST_HEAD:
            await self._now(exchange)
        if self.at in (At.REQUEST_BODY, At.REQUEST_END):
            await self._in_request(exchange)
            return
        if not exchange.over:
            await self._in_answer(exchange, await exchange.ask())

    async def _in_request(self, exchange: Exchange) -> None:
        read = bytearray()
        wanted = self.after if self.at is At.REQUEST_BODY else exchange.request.length
        upload = exchange.upload()
        async for block in upload:
            read += block
            if len(read) >= wanted:
                break
        await self._now(exchange)
        if not exchange.over:
            await exchange.relay(await exchange.ask(_after(bytes(read), upload)))

    async def _in_answer(self, exchange: Exchange, answer: Answer) -> None:
        if self.at is At.ANSWER:
            await self._now(exchange)
        if self.at not in (At.ANSWER_HEAD, At.ANSWER_BODY) or exchange.over:
            if not exchange.over:
                await exchange.relay(answer)
            return
        head, body = answer.head(), b"".join([block async for block in answer.body])
        cut = self.after if self.at is At.ANSWER_HEAD else len(head) + self.after
        whole = head + body
        await exchange.send(whole[:cut])
        await self._now(exchange)
        if not exchange.over:
            await exchange.send(whole[cut:])
            exchange.close()

    async def _now(self, exchange: Exchange) -> None:
        raise NotImplementedError


class Reset(_Breaking):
    """RST: what was on its way is lost."""

    async def _now(self, exchange: Exchange) -> None:
        exchange.reset()
        exchange.rule.strike_now()


class Close(_Breaking):
    """FIN, in the middle of things."""

    async def _now(self, exchange: Exchange) -> None:
        exchange.close()
        exchange.rule.strike_now()


class Stall(_Breaking):
    """Silence until the rule is released; then it goes on as if nothing had been."""

    async def _now(self, exchange: Exchange) -> None:
        exchange.rule.strike_now()
        if not await exchange.rule.released():
            exchange.reset()


@dataclass(frozen=True)
class Refusal:
    """An error of S3's instead of the server's answer; the server never sees the request."""

    status: int
    code: str
    headers: dict[str, str] = field(default_factory=dict)

    async def strike(self, exchange: Exchange) -> None:
        """Take the request, answer the error."""
        body = f"<Error><Code>{self.code}</Code><Message>a fault of the proxy's</Message></Error>"
        await exchange.answer(self.status, self.headers, b"" if exchange.request.method == "HEAD" else body.encode())
        exchange.rule.strike_now()


def slow_down(retry_after: str = "") -> Refusal:
    """503 SlowDown, perhaps with a Retry-After (seconds)."""
    return Refusal(503, "SlowDown", {"Retry-After": retry_after} if retry_after else {})


@dataclass(frozen=True)
class Told:
    """An answer of another status or body than the server would give, without asking it."""

    status: int
    body: bytes

    async def strike(self, exchange: Exchange) -> None:
        """Take the request, answer."""
        await exchange.answer(self.status, {}, self.body)
        exchange.rule.strike_now()


Bytes: TypeAlias = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Changed:
    """The answer's body with a change made to it, under a right Content-Length."""

    change: Bytes

    async def strike(self, exchange: Exchange) -> None:
        """Ask, change, answer."""
        answer = await exchange.ask()
        body = self.change(b"".join([block async for block in answer.body]))
        await exchange.send(answer.head(len(body)) + body)
        exchange.rule.strike_now()
        exchange.over = exchange.over or answer.header("connection").lower() == "close"


@dataclass(frozen=True)
class ChangedUpload:
    """The request's body with a change made to it that keeps its length."""

    change: Bytes

    async def strike(self, exchange: Exchange) -> None:
        """Change, ask, answer."""
        changed = self.change(await exchange.whole_upload())
        await exchange.relay(await exchange.ask(_after(changed)))
        exchange.rule.strike_now()


@dataclass(frozen=True)
class WrongLength:
    """A Content-Length that is `by` bytes off; then the connection is closed."""

    by: int

    async def strike(self, exchange: Exchange) -> None:
        """Ask, answer with another length."""
        answer = await exchange.ask()
        body = b"".join([block async for block in answer.body])
        await exchange.send(answer.head(max(0, len(body) + self.by)) + body)
        exchange.close()
        exchange.rule.strike_now()


@dataclass(frozen=True)
class Meanwhile:
    """Something else happens in the world: `before` the server gets the request, or `after` it has answered.

    Both run in a thread of their own, and may ask the server.
    """

    before: Callable[[], object] | None = None
    after: Callable[[], object] | None = None

    async def strike(self, exchange: Exchange) -> None:
        """Serve as usual, with the event in it."""
        if self.before:
            await asyncio.to_thread(self.before)
        answer = await exchange.ask()
        if self.after:
            await asyncio.to_thread(self.after)
        await exchange.relay(answer)
        exchange.rule.strike_now()


@dataclass(frozen=True)
class Slow:
    """`seconds` before the request passes, and `each` seconds before each block of the answer's body."""

    seconds: float = 0.0
    each: float = 0.0

    async def strike(self, exchange: Exchange) -> None:
        """Serve as usual, slowly."""
        await asyncio.sleep(self.seconds)
        answer = await exchange.ask()
        await exchange.relay(answer._replace(body=_slowly(answer.body, self.each)))
        exchange.rule.strike_now()


async def _slowly(body: AsyncIterator[bytes], each: float) -> AsyncIterator[bytes]:
    async for block in body:
        await asyncio.sleep(each)
        yield block


async def _after(first: bytes, rest: AsyncIterator[bytes] | None = None) -> AsyncIterator[bytes]:
    yield first
    if rest is not None:
        async for block in rest:
            yield block


def flipped(at: int) -> Bytes:
    """One bit of the byte at `at` flips (of the last one, if there are not so many)."""

    def change(body: bytes) -> bytes:
        where = min(at, len(body) - 1)
        return body[:where] + bytes([body[where] ^ 1]) + body[where + 1 :] if body else body

    return change


def begun_now(body: bytes) -> bytes:
    """No fault: moto says of each unfinished upload that it began in 2010; S3 says when it did."""
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    return re.sub(rb"<Initiated>[^<]*</Initiated>", f"<Initiated>{now}</Initiated>".encode(), body)
