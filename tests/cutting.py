"""A network that loses connections, and what is said on them."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from runtime.testing.stack import free_ports


class Cut:
    """A TCP proxy that can be switched off, with all its connections.

    With `piece_bytes`, what the server says comes in such pieces, one after the other.
    """

    def __init__(self, target: int, *, piece_bytes: int = 0) -> None:
        (self.port,) = free_ports(1)
        self._target = target
        self._piece_bytes = piece_bytes
        self._subscribed: list[socket.socket] = []
        self._mute: list[socket.socket] = []
        self._pairs: list[socket.socket] = []
        self._is_on = True
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def off(self) -> None:
        self._is_on = False
        for one in self._pairs:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def on(self) -> None:
        self._is_on = True

    def lose_subscribed(self) -> None:
        """Pass on nothing more of the connections that have subscribed, which stay open."""
        self._mute += self._subscribed

    def close(self) -> None:
        self.off()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for one in self._pairs:
            one.close()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if not self._is_on:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self._target))
            self._pairs += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if b"SUBSCRIBE" in data:
                    self._subscribed += [source, sink]
                if source in self._mute:
                    continue
                if self._piece_bytes and source.getpeername()[1] == self._target:
                    for at in range(0, len(data), self._piece_bytes):
                        sink.sendall(data[at : at + self._piece_bytes])
                        time.sleep(0.001)
                else:
                    sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy(target: int, *, piece_bytes: int = 0) -> Iterator[Cut]:
    cut = Cut(target, piece_bytes=piece_bytes)
    try:
        yield cut
    finally:
        cut.close()
