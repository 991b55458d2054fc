"""The one place that opens a connection.

Rules:
- ``https`` with the certificate verified; ``http`` to this machine alone. No redirect is followed, no credential sent.
- Sizes are capped before and while a body is read; an encoding is neither asked for nor undone.
- An attempt has one deadline, from the connection to the last byte (`lamslsa._deadline`), whatever of its answer
  a server lets drip; within it a server may be silent for a while, and no longer.
- Tried again (`lamslsa._attempts`): connections that fail, 408, 429 and 5xx. Any other answer is final.

>>> refuse_url("http://192.0.2.1/sgx")
Traceback (most recent call last):
    ...
lamslsa.errors.FormatError: expected an https URL, or http to this machine, got 'http://192.0.2.1/sgx'
"""

from __future__ import annotations

import datetime as dt
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

import urllib3

from lamslsa import __version__
from lamslsa._attempts import MAX_ATTEMPTS, RETRIED, TryAgainError, pause_after, retry_after
from lamslsa._deadline import POOLS, Deadline
from lamslsa._http import authority, broken, lower_headers, read_at_most
from lamslsa.errors import FormatError, LamslsaError, UnavailableError
from lamslsa.fetch.interface import Notify, Response

__all__ = ["HttpClient", "refuse_url"]

_FIRST_PAUSE_S: Final = 1.0
_CONNECT_S: Final = 10.0
_READ_S: Final = 30.0
_ATTEMPT_S: Final = 120.0
_MAX_URL: Final = 2048
_HEADERS: Final = {"User-Agent": f"lamslsa/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}
_SUCCESS: Final = 200
_NOT_FOUND: Final = frozenset({404, 410})


def refuse_url(url: str) -> None:
    """Refuse a URL that must not be asked.

    Raises:
        FormatError: neither https nor http to this machine, or with credentials.
    """
    try:
        asked = authority(url)
    except FormatError as err:
        _refuse_url(str(err).partition(", got ")[2])  # the URL itself may show a password
    if not (asked.scheme == "https" or asked.is_loopback) or "#" in url or len(url) > _MAX_URL:
        _refuse_url(repr(url[:120]))


def _refuse_url(got: str) -> NoReturn:
    raise FormatError(
        f"expected an https URL, or http to this machine, got {got}",
        reason="fetch-url",
        hint="name the server as https://host[:port], without user or password",
    )


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
            except TryAgainError as err:
                if attempt == MAX_ATTEMPTS:
                    raise UnavailableError(
                        f"expected an answer from {url}, got {err} after {attempt} attempts",
                        reason="fetch-connection",
                        hint="try again later, or ask another server",
                    ) from err
                pause = pause_after(attempt, err.pause, first=_FIRST_PAUSE_S)
                self._notify(f"{url}: {err}; trying again in {pause:.1f} s")
                self._sleep(pause)
        raise AssertionError("unreachable")

    def _attempt(self, url: str, limit: int) -> Response:
        deadline = Deadline(self._attempt_timeout)
        try:
            with deadline:
                answer = self._answer(url, limit)
        except (LamslsaError, TryAgainError):
            if not deadline.passed:
                raise
        else:
            if not deadline.passed:  # or else what was read ends where the connection was shut down
                return answer
        raise TryAgainError(f"no whole answer in {self._attempt_timeout:g} s")

    def _answer(self, url: str, limit: int) -> Response:
        try:
            response = self._pool.request("GET", url, redirect=False, preload_content=False, decode_content=False)
            try:
                self._refuse_status(url, response)
                body = read_at_most(response, limit)
            except BaseException:
                response.close()
                raise
            if body is None:
                response.close()
                raise FormatError(f"expected at most {limit} bytes from {url}, got more", reason="fetch-size")
            response.release_conn()
        except urllib3.exceptions.SSLError as err:
            raise UnavailableError(
                f"expected a TLS server that can be verified at {url}, got {err}",
                reason="fetch-tls",
                hint="name the authority of a server of your own with --tls-ca",
            ) from err
        except urllib3.exceptions.HTTPError as err:
            raise TryAgainError(broken(err)) from err
        return Response(body=body, headers=lower_headers(response))

    def _refuse_status(self, url: str, response: urllib3.BaseHTTPResponse) -> None:
        status = response.status
        if status == _SUCCESS:
            return
        if status in RETRIED:
            pause = retry_after(response.headers.get("Retry-After", ""), self._clock())
            raise TryAgainError(f"status {status}", pause)
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


def _load_authorities(context: ssl.SSLContext, path: Path) -> None:
    try:
        context.load_verify_locations(cafile=path)
    except ssl.SSLError as err:
        raise FormatError(f"expected certificates in PEM in {path}, got {err}", reason="fetch-authorities") from err
