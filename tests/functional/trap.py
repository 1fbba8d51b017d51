"""A port of somebody else's, where nobody has any business."""

from __future__ import annotations

import contextlib
import socket
import threading


class Trap:
    """A port that counts who comes."""

    def __init__(self) -> None:
        self.met = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                met, _ = self._server.accept()
                self.met += 1
                met.close()

    def close(self) -> None:
        self._server.close()
