"""A path to a server that breaks, again and again."""

from __future__ import annotations

import random
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_RESET = struct.pack("ii", 1, 0)


class Cutter:
    """Forwards connections to `upstream`, and cuts `cuts` of them, each after some
    bytes, by chance about `mean`: in either direction, cleanly or by a reset."""

    def __init__(self, upstream: tuple[str, int], cuts: int, mean: int) -> None:
        self.left = cuts
        self._upstream = upstream
        self._mean = mean
        self._chance = random.Random(cuts * mean)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def close(self) -> None:
        """Accept no more, and wait for what is under way."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                threading.Thread(target=self._forward, args=(here,)).start()

    def _forward(self, here: socket.socket) -> None:
        with here, suppress(OSError), socket.create_connection(self._upstream) as there:
            budget = [self._chance.expovariate(1 / self._mean)]
            back = threading.Thread(target=self._pump, args=(there, here, budget))
            back.start()
            self._pump(here, there, budget)
            back.join()

    def _pump(
        self, source: socket.socket, target: socket.socket, budget: list[float]
    ) -> None:
        with suppress(OSError):
            while data := source.recv(16 * 1024):
                budget[0] -= len(data)
                if budget[0] <= 0 and self.left > 0:
                    self.left -= 1
                    target.sendall(data[: self._chance.randrange(len(data) + 1)])
                    self._cut(source, target)
                    return
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def _cut(self, *ends: socket.socket) -> None:
        for end in ends:
            if self._chance.random() < 0.5:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def cutting(upstream: tuple[str, int], cuts: int, mean: int) -> Iterator[Cutter]:
    cutter = Cutter(upstream, cuts, mean)
    try:
        yield cutter
    finally:
        cutter.close()
