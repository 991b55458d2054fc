"""What is asked of a registry and what it answers, within the limits of this module."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import urllib3

from lamslsa import _codec
from lamslsa._deadline import Deadline
from lamslsa.errors import FormatError, LamslsaError, UnavailableError

__all__ = ["Answer", "Call", "Stream", "drop", "lower_headers", "read_whole", "said"]

_BLOCK: Final = 64 * 1024
_LARGE_BLOCK: Final = 1024 * 1024
_MAX_ERROR: Final = 4096
_SHOWN: Final = 200


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
        broken = ""
        try:
            while block := self._response.read(_LARGE_BLOCK):
                yield block
        except urllib3.exceptions.HTTPError as err:
            broken = type(err).__name__
        if broken or self._deadline.passed:  # or else what was read ends where the connection was shut down
            raise UnavailableError(
                f"expected the whole of {self._shown}, got {broken or 'no more of it in time'}",
                reason="registry-interrupted",
                hint="run the same again: it goes on from where it was",
            )

    def close(self) -> None:
        """Let go of the connection; one that was read to its end can be used again."""
        if not self._response.closed:
            self._response.close()
        self._response.release_conn()
        self._deadline.stop()


def lower_headers(response: urllib3.BaseHTTPResponse) -> dict[str, str]:
    """The headers by name in lower case."""
    return {name.lower(): value for name, value in response.headers.items()}


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


def said(text: str) -> str:
    """The error of a registry, escaped: its codes and messages, or the beginning of whatever it is."""
    try:
        errors = _codec.loads(text.encode())["errors"]
        text = "; ".join(f"{error['code']}: {error.get('message', '')}" for error in errors)
    except (LamslsaError, KeyError, TypeError, AttributeError):
        pass
    text = text.strip()
    return f": {text[:_SHOWN]!a}" if text else ""


def read_whole(shown: str, response: urllib3.BaseHTTPResponse, limit: int) -> bytes:
    """A body of at most so many bytes.

    Raises:
        FormatError: more of them.
    """
    if response.length_remaining == 0:  # as after HEAD; a connection whose answer was not read cannot be used again
        return response.read()
    body = bytearray()
    declared = response.headers.get("Content-Length", "")
    while not (declared.isdigit() and int(declared[:18]) > limit):
        block = response.read1(_BLOCK)
        if not block:
            return bytes(body)
        body += block
        if len(body) > limit:
            break
    raise FormatError(f"expected at most {limit} bytes from {shown}, got more", reason="registry-size")
