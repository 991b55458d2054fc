"""The one place that opens a connection.

Rules:
- ``https`` with the certificate verified; ``http`` to this machine alone. No redirect is followed, no credential sent.
- Sizes are capped before and while a body is read; an encoding is neither asked for nor undone.
- An attempt has one deadline, from the connection to the last byte (`lamslsa._deadline`), whatever of its answer
  a server lets drip; within it a server may be silent for a while, and no longer.
- Tried again, with growing pauses of random length: connections that fail, 408, 429 and 5xx. A server that says when
  to come back (``Retry-After``, RFC 9110 section 10.2.3) is believed up to a minute. Any other answer is final.

>>> refuse_url("http://192.0.2.1/sgx")
Traceback (most recent call last):
    ...
lamslsa.errors.FormatError: expected an https URL, or http to this machine, got 'http://192.0.2.1/sgx'
"""

from __future__ import annotations

import datetime as dt
import email.utils
import ipaddress
import secrets
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import urllib3

from lamslsa import __version__
from lamslsa._deadline import POOLS, Deadline
from lamslsa.errors import FormatError, LamslsaError, UnavailableError
from lamslsa.fetch.interface import Notify, Response

__all__ = ["MAX_ATTEMPTS", "MAX_PAUSE_S", "HttpClient", "refuse_url"]

MAX_ATTEMPTS: Final = 6
MAX_PAUSE_S: Final = 60.0
_FIRST_PAUSE_S: Final = 1.0
_CONNECT_S: Final = 10.0
_READ_S: Final = 30.0
_ATTEMPT_S: Final = 120.0
_BLOCK: Final = 64 * 1024
_MAX_URL: Final = 2048
_HEADERS: Final = {"User-Agent": f"lamslsa/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}
_SUCCESS: Final = 200
_NOT_FOUND: Final = frozenset({404, 410})
_RETRIED: Final = frozenset({408, 429, *range(500, 600)})


class _TryAgainError(Exception):
    """This attempt failed in a way that another one may not.

    Args:
        message: what happened.
        pause: what the server asked for, in seconds.
    """

    def __init__(self, message: str, pause: float | None = None) -> None:
        super().__init__(message)
        self.pause = pause


def refuse_url(url: str) -> None:
    """Refuse a URL that must not be asked.

    Raises:
        FormatError: neither https nor http to this machine, or with credentials.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    printable = len(url) <= _MAX_URL and url.isascii() and url.isprintable() and " " not in url
    allowed = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))
    if not (printable and host and allowed) or "@" in parts.netloc or parts.fragment:
        raise FormatError(
            f"expected an https URL, or http to this machine, got {url[:120]!r}",
            reason="fetch-url",
            hint="name the server as https://host[:port], without user or password",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class HttpClient:
    """A client that keeps its connections open; see the module for its rules.

    Args:
        authorities: PEM file of certificate authorities to trust beside the system's, for a server of one's own.
        notify: told of each pause.
        sleep: pauses, in seconds.
        clock: for a ``Retry-After`` that is a date.
        read_timeout: how long the server may be silent, in seconds.
        attempt_timeout: how long an attempt may take, in seconds.
    """

    def __init__(
        self,
        *,
        authorities: Path | None = None,
        notify: Notify = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
        read_timeout: float = _READ_S,
        attempt_timeout: float = _ATTEMPT_S,
    ) -> None:
        context = ssl.create_default_context()
        if authorities is not None:
            _load_authorities(context, authorities)
        self._pool = urllib3.PoolManager(
            headers=_HEADERS,
            ssl_context=context,
            retries=False,
            timeout=urllib3.Timeout(connect=_CONNECT_S, read=read_timeout),
        )
        self._pool.pool_classes_by_scheme = POOLS
        self._attempt_timeout = attempt_timeout
        self._notify = notify
        self._sleep = sleep
        self._clock = clock

    def get(self, url: str, *, limit: int) -> Response:
        """The body at a URL, of at most ``limit`` bytes.

        Raises:
            FormatError: a URL that must not be asked (fetch-url), or an answer that is too long (fetch-size).
            UnavailableError: fetch-connection, fetch-tls, fetch-not-found, fetch-redirect or fetch-status.
        """
        refuse_url(url)
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                return self._attempt(url, limit)
            except _TryAgainError as err:
                if attempt == MAX_ATTEMPTS:
                    raise UnavailableError(
                        f"expected an answer from {url}, got {err} after {attempt} attempts",
                        reason="fetch-connection",
                        hint="try again later, or ask another server",
                    ) from err
                pause = _pause(attempt) if err.pause is None else min(err.pause, MAX_PAUSE_S)
                self._notify(f"{url}: {err}; trying again in {pause:.1f} s")
                self._sleep(pause)
        raise AssertionError("unreachable")

    def _attempt(self, url: str, limit: int) -> Response:
        deadline = Deadline(self._attempt_timeout)
        try:
            with deadline:
                answer = self._answer(url, limit)
        except (LamslsaError, _TryAgainError):
            if not deadline.passed:
                raise
        else:
            if not deadline.passed:  # or else what was read ends where the connection was shut down
                return answer
        raise _TryAgainError(f"no whole answer in {self._attempt_timeout:g} s")

    def _answer(self, url: str, limit: int) -> Response:
        try:
            response = self._pool.request("GET", url, redirect=False, preload_content=False, decode_content=False)
            try:
                self._refuse_status(url, response)
                body = _read(url, response, limit)
            except BaseException:
                response.close()
                raise
            response.release_conn()
        except urllib3.exceptions.SSLError as err:
            raise UnavailableError(
                f"expected a TLS server that can be verified at {url}, got {err}",
                reason="fetch-tls",
                hint="name the authority of a server of your own with --tls-ca",
            ) from err
        except urllib3.exceptions.HTTPError as err:
            raise _TryAgainError(f"{type(err).__name__}: {err}") from err
        return Response(body=body, headers={name.lower(): value for name, value in response.headers.items()})

    def _refuse_status(self, url: str, response: urllib3.BaseHTTPResponse) -> None:
        status = response.status
        if status == _SUCCESS:
            return
        if status in _RETRIED:
            raise _TryAgainError(f"status {status}", self._retry_after(response.headers.get("Retry-After", "")))
        if status in _NOT_FOUND:
            raise UnavailableError(
                f"expected an answer from {url}, got status {status}: the server does not know what was asked for",
                reason="fetch-not-found",
                hint="see whether the platform is meant for this server",
            )
        if status in range(300, 400):
            raise UnavailableError(
                f"expected an answer from {url}, got a redirect, which is not followed",
                reason="fetch-redirect",
                hint="name the server that answers",
            )
        raise UnavailableError(f"expected an answer from {url}, got status {status}", reason="fetch-status")

    def _retry_after(self, text: str) -> float | None:
        """The pause that a server asks for, as seconds or as a date; None where it asks for none that can be read."""
        if text.isascii() and text.isdigit():
            return float(text[:9])
        try:
            return max(0.0, (email.utils.parsedate_to_datetime(text) - self._clock()).total_seconds())
        except (TypeError, ValueError, OverflowError):  # a date without time zone cannot be subtracted
            return None


def _load_authorities(context: ssl.SSLContext, path: Path) -> None:
    try:
        context.load_verify_locations(cafile=path)
    except ssl.SSLError as err:
        raise FormatError(f"expected certificates in PEM in {path}, got {err}", reason="fetch-authorities") from err


def _pause(attempt: int) -> float:
    """Twice as long each time, and between half and all of that, so that clients do not come back together."""
    doubled: float = _FIRST_PAUSE_S * 2 ** (attempt - 1)
    return min(MAX_PAUSE_S, doubled) * secrets.SystemRandom().uniform(0.5, 1)


def _read(url: str, response: urllib3.BaseHTTPResponse, limit: int) -> bytes:
    body = bytearray()
    declared = response.headers.get("Content-Length", "")
    while not (declared.isdigit() and int(declared[:18]) > limit):
        block = response.read1(_BLOCK)
        if not block:
            return bytes(body)
        body += block
        if len(body) > limit:
            break
    raise FormatError(f"expected at most {limit} bytes from {url}, got more", reason="fetch-size")
