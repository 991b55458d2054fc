"""What is asked of a registry and what it answers, within the limits of this module."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

import urllib3

from lamslsa import _codec
from lamslsa._deadline import Deadline
from lamslsa._http import broken, lower_headers, read_at_most
from lamslsa.errors import FormatError, LamslsaError, UnavailableError

__all__ = ["Answer", "Call", "Received", "Stream", "drop", "read_whole", "receiving", "said"]

_BLOCK: Final = 64 * 1024
_LARGE_BLOCK: Final = 1024 * 1024
_MAX_ERROR: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request to the registry.

    Attributes:
        target: path below the registry, or a URL that it gave.
        expected: the statuses that are answers; others are refused.
        body: bytes, or an iterable of them that can be gone through once (``length`` then says how many there are).
        writing: whether it needs the right to push.
        source: another repository of this registry that is read from.
        again: an error code that is tried again, whatever the status.
        limit: the most bytes of an answer.
        finishing: how many bytes the registry goes through before it answers, during which it may be silent.
    """

    method: str
    target: str
    expected: frozenset[int]
    headers: Mapping[str, str] | None = None
    body: bytes | Iterable[bytes | memoryview] | None = None
    length: int = 0
    writing: bool = False
    source: str = ""
    again: str = ""
    limit: int = _BLOCK
    finishing: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the registry said.

    Attributes:
        headers: by name in lower case.
        url: where it came from.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


class Stream:
    """An answer whose body is read by and by: blocks of at most 1 MiB."""

    def __init__(self, response: urllib3.BaseHTTPResponse, deadline: Deadline, shown: str) -> None:
        self.status = response.status
        self.headers = lower_headers(response)
        self._response = response
        self._deadline = deadline
        self._shown = shown

    def __iter__(self) -> Iterator[bytes]:
        """The body to its end.

        Raises:
            UnavailableError: the connection broke, or took too long.
        """
        got = ""
        try:
            while block := self._response.read(_LARGE_BLOCK):
                yield block
        except urllib3.exceptions.HTTPError as err:
            got = broken(err)
        if got or self._deadline.passed:  # or else what was read ends where the connection was shut down
            raise UnavailableError(
                f"expected the whole of {self._shown}, got {got or 'no more of it in time'}",
                reason="registry-interrupted",
                hint="run the same again: it goes on from where it was",
            )

    def close(self) -> None:
        """Let go of the connection; one that was read to its end can be used again."""
        if not self._response.closed:
            self._response.close()
        self._response.release_conn()
        self._deadline.stop()


def drop(response: urllib3.BaseHTTPResponse) -> bytes:
    """The first bytes of a body that is not wanted; the connection is kept when there are no more."""
    try:
        data = response.read(_MAX_ERROR)
    except urllib3.exceptions.HTTPError:
        data = b""
    if not response.closed:
        response.close()
    response.release_conn()
    return data


def said(data: bytes) -> str:
    """The error of a registry: its codes and messages, or the beginning of whatever it is; not fit to be shown yet.

    Whoever shows it takes the secrets out, so nothing is left that spells them in another way.
    """
    text = data.decode("utf-8", "replace")
    try:
        errors = _codec.loads(text.encode())["errors"]
        return "; ".join(f"{error['code']}: {error.get('message', '')}" for error in errors).strip()
    except (LamslsaError, KeyError, TypeError, AttributeError):
        return "" if "\\" in text else text.strip()  # what is spelt with escapes nobody would find secrets in


class Received:
    """How much was read, whether it was any good or not.

    Attributes:
        size: bytes of bodies.
    """

    def __init__(self) -> None:
        self.size = 0


_RECEIVED: Final[ContextVar[Received | None]] = ContextVar("received", default=None)


@contextlib.contextmanager
def receiving() -> Iterator[Received]:
    """Count what this thread reads whole in this block."""
    received = Received()
    token = _RECEIVED.set(received)
    try:
        yield received
    finally:
        _RECEIVED.reset(token)


def read_whole(shown: str, response: urllib3.BaseHTTPResponse, limit: int) -> bytes:
    """A body of at most so many bytes.

    Raises:
        FormatError: more of them.
    """
    if response.length_remaining == 0:  # as after HEAD; a connection whose answer was not read cannot be used again
        return response.read()
    body = read_at_most(response, limit)
    received = _RECEIVED.get()
    if received is not None:
        received.size += limit if body is None else len(body)
    if body is None:
        raise FormatError(f"expected at most {limit} bytes from {shown}, got more", reason="registry-size")
    return body
