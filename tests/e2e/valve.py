"""A valve in front of an S3 server: what it answers passes only as far as the test has allowed.

A slow server without a clock: a run stands still, half done, until the test has seen what it wanted to see.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from tests.servers.proxy import Exchange, Proxy

_BLOCK_BYTES = 16 * 1024
_FREE_BYTES = 64 * 1024  # of each answer always pass: listings, small files, the start of large ones
_UNLIMITED = 1 << 62


class Valve(Proxy):
    """A proxy that is open at first."""

    def __init__(self, endpoint_url: str) -> None:
        super().__init__(endpoint_url)
        self._left = _UNLIMITED
        self._changed = asyncio.Condition()
        self.on(self, times=-1)

    def let_through(self, count: int) -> None:
        """From now on only `count` more bytes of long answers pass, over all connections."""
        self._call(self._set(count))

    def open(self) -> None:
        """Let everything pass."""
        self.let_through(_UNLIMITED)

    async def strike(self, exchange: Exchange) -> None:
        """Serve a request, its answer metered."""
        answer = await exchange.ask()
        await exchange.relay(answer._replace(body=self._metered(answer.body)))

    async def _metered(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        passed = 0
        async for block in body:
            for at in range(0, len(block), _BLOCK_BYTES):
                piece = block[at : at + _BLOCK_BYTES]
                passed += len(piece)
                if passed > _FREE_BYTES:
                    await self._pay(len(piece))
                yield piece

    async def _set(self, count: int) -> None:
        async with self._changed:
            self._left = count
            self._changed.notify_all()

    async def _pay(self, count: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._left > 0)
            self._left -= count
