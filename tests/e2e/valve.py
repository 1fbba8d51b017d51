"""A valve in front of an S3 server: what it answers passes only as far as the test has allowed.

A slow server without a clock: a run stands still, half done, until the test has seen what it wanted to see.
Runs its own asyncio loop in a daemon thread; the methods may be called from any thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from urllib.parse import urlsplit

_BLOCK = 16 * 1024
_FREE = 64 * 1024  # bytes of each connection's answers that always pass: listings, small files, the start of large ones
_UNLIMITED = 1 << 62


class Valve:
    """A proxy on a free port of the loopback, open at first.

    Args:
        endpoint_url: the server behind it.
    """

    def __init__(self, endpoint_url: str) -> None:
        target = urlsplit(endpoint_url)
        self._target = (str(target.hostname), int(target.port or 80))
        self._left = _UNLIMITED
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Condition()
        self._thread = threading.Thread(target=self._loop.run_forever, name="valve", daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop
        ).result(10)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def let_through(self, count: int) -> None:
        """From now on only `count` more bytes of long answers pass, over all connections."""
        asyncio.run_coroutine_threadsafe(self._set(count), self._loop).result(10)

    def open(self) -> None:
        """Let everything pass."""
        self.let_through(_UNLIMITED)

    def stop(self) -> None:
        """End the proxy and its connections."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _set(self, count: int) -> None:
        async with self._changed:
            self._left = count
            self._changed.notify_all()

    async def _close(self) -> None:
        self._server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Either end may go away in the middle: that is what an interrupt looks like from here.
        with contextlib.suppress(OSError, asyncio.CancelledError):
            back_reader, back_writer = await asyncio.open_connection(*self._target)
            try:
                answers = asyncio.create_task(self._answers(back_reader, writer))
                await _copy(reader, back_writer)
                await answers
            finally:
                answers.cancel()
                back_writer.close()
        writer.close()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := await reader.read(_BLOCK):
                passed += len(data)
                if passed > _FREE:
                    await self._pay(len(data))
                writer.write(data)
                await writer.drain()
        writer.close()

    async def _pay(self, count: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._left > 0)
            self._left -= count


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_BLOCK):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
