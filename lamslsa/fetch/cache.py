"""Answers kept between calls, so that one platform is asked about once in the life of its collateral.

Rules:
- An entry is found by its URL and used until what it holds has to be replaced: that time is read from the content
  again each time, so an entry cannot outlive it.
- An entry that cannot be read, or not as what was asked for, is asked for anew. Nothing here is trusted: what comes out
  is authenticated by whoever verifies with it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from lamslsa import _codec
from lamslsa._files import open_regular, replace_file
from lamslsa.errors import FormatError
from lamslsa.fetch.interface import Client, Notify, Response

__all__ = ["Cache", "Fetcher"]

T = TypeVar("T")
_MAX_ENTRY_BYTES: Final = 16 * 1024 * 1024
_KEPT: Final = "issuer-chain"  # the only headers that mean anything


class Cache:
    """Answers in a folder, one file each; the folder is made on first use."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def load(self, url: str) -> Response | None:
        """The answer kept for a URL; None where there is none that can be read."""
        try:
            with open_regular(self._path(url), what="cache") as file:
                data = file.read(_MAX_ENTRY_BYTES + 1)
            match _codec.loads(data, max_bytes=_MAX_ENTRY_BYTES):
                case {"url": found, "headers": {**headers}, "body": str(body)} if found == url:
                    texts = {str(name): str(value) for name, value in headers.items()}
                    return Response(body=_codec.decode_base64(body, what="cache"), headers=texts)
        except (OSError, FormatError):
            pass
        return None

    def store(self, url: str, response: Response) -> None:
        """Keep an answer.

        Raises:
            OSError: the file system refused.
        """
        headers = {name: value for name, value in response.headers.items() if name.endswith(_KEPT)}
        entry = {"url": url, "headers": headers, "body": _codec.encode_base64(response.body)}
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace_file(self._path(url), _codec.dumps(entry), mode=0o600)

    def _path(self, url: str) -> Path:
        return self._directory / f"{_codec.sha256_hex(url.encode('utf-8'))}.json"


class Fetcher:
    """Asks a client for what the cache does not hold.

    Args:
        cache: None keeps nothing.
        now: entries that have to be replaced by then are not used; timezone-aware.
        refresh: ask for everything anew, and keep that.
        notify: told when an answer cannot be kept.
    """

    def __init__(
        self,
        client: Client,
        *,
        cache: Cache | None = None,
        now: dt.datetime,
        refresh: bool = False,
        notify: Notify = lambda _: None,
    ) -> None:
        self._client = client
        self._cache = cache
        self._now = now
        self._refresh = refresh
        self._notify = notify

    def get(self, url: str, *, limit: int, read: Callable[[Response], tuple[T, dt.datetime]]) -> tuple[T, dt.datetime]:
        """What ``read`` makes of the answer at a URL, and when that has to be replaced.

        Raises:
            FormatError: ``read`` refused the answer, or it is too long.
            UnavailableError: no answer.
        """
        if self._cache is not None and not self._refresh and (kept := self._cache.load(url)) is not None:
            try:
                value, expires = read(kept)
            except FormatError:
                pass
            else:
                if self._now < expires:
                    return value, expires
        response = self._client.get(url, limit=limit)
        try:
            value, expires = read(response)
        except FormatError as err:
            raise FormatError(f"{url}: {err}", reason=err.reason, hint=err.hint) from err
        if self._cache is not None:
            try:
                self._cache.store(url, response)
            except OSError as err:
                self._notify(f"the answer is not kept: {err.strerror or err}")
        return value, expires
