"""One deadline for an attempt, from the connection to the last byte of the answer.

The timeouts of a socket start anew with each byte, so a server that lets its handshake, its headers or the length of a
chunk drip is never given up on. When a deadline passes, the connections that are watched are shut down: whoever waits
for them reads their end. That may look like the end of an answer, so whoever reads asks `Deadline.passed` at the end.

The search for an address, and the connection to each address found, have limits of their own. What several threads do
is also over when it is stopped (`lamslsa._attempts.Stop`): that is a deadline that has come.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Final, Self

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from lamslsa._attempts import current_stop

__all__ = ["POOLS", "Deadline"]

_LONGEST_S: Final = 30 * 86400.0  # a timer takes no number of seconds that there is


class Deadline:
    """For the block of a ``with``: every connection that is made or taken up in it is shut down ``seconds`` later.

    Attributes:
        passed: whether it passed before the block ended.
    """

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self._lock = threading.Lock()
        self._watched: list[socket.socket] = []
        self._stop = current_stop()
        self._timer = threading.Timer(min(seconds, _LONGEST_S), self._pass)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._token = _CURRENT.set(self)
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _CURRENT.reset(self._token)
        self.stop()

    @contextlib.contextmanager
    def covering(self) -> Iterator[None]:
        """Watch what is connected in this block, for an answer that is read after it; between `start` and `stop`."""
        token = _CURRENT.set(self)
        try:
            yield
        finally:
            _CURRENT.reset(token)

    def start(self) -> None:
        """Let the time run."""
        self._timer.start()
        if self._stop is not None:
            self._stop.add(self._pass)

    def stop(self) -> None:
        """Let go of the connections; from any thread, and more than once."""
        self._timer.cancel()
        if self._stop is not None:
            self._stop.discard(self._pass)
        with self._lock:
            for line in self._watched:
                line.close()
            self._watched.clear()

    def watch(self, connection: socket.socket) -> None:
        """Watch a connection by a handle of its own, which outlives the wrapping of the connection in TLS."""
        line = socket.fromfd(connection.fileno(), connection.family, connection.type)
        with self._lock:
            self._watched.append(line)
            if self.passed:
                _shut_down(line)

    def _pass(self) -> None:
        with self._lock:
            self.passed = True
            for line in self._watched:
                _shut_down(line)


def _shut_down(line: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it has gone already
        line.shutdown(socket.SHUT_RDWR)


_CURRENT: Final[ContextVar[Deadline]] = ContextVar("deadline")


class _Connection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        made = super()._new_conn()
        _CURRENT.get().watch(made)
        return made

    def request(self, *args: Any, **options: Any) -> None:
        """Send a request, if need be over the connection of an earlier one."""
        if self.sock is not None:
            _CURRENT.get().watch(self.sock)
        super().request(*args, **options)


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


POOLS: Final[dict[str, type]] = {"http": _Pool, "https": _TlsPool}
"""By scheme, what `urllib3.PoolManager` takes; requests have to be made in the block of a `Deadline`."""
