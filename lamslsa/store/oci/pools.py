"""Pools of connections, direct and through a proxy of the environment (``HTTPS_PROXY``, ``NO_PROXY``).

This machine is never reached through a proxy. A proxy sees the name of the registry and nothing else: what goes through
it is TLS.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

import urllib3

from lamslsa._deadline import POOLS
from lamslsa.errors import FormatError
from lamslsa.store.oci.options import Options
from lamslsa.store.oci.reference import is_loopback

__all__ = ["Pools"]

_CONNECT_S: Final = 10.0


class Pools:
    """The pool for a URL; requests have to be made under a `lamslsa._deadline.Deadline`."""

    def __init__(self, options: Options) -> None:
        self._shared: dict[str, Any] = {
            "retries": False,
            "timeout": urllib3.Timeout(connect=_CONNECT_S, read=options.read_timeout),
            "maxsize": options.workers + 2,
        }
        if not options.plain_http or options.authorities is not None:  # urllib3's own verifies too, once it is needed
            self._shared["ssl_context"] = _context(options.authorities)
        environ = options.environ
        self._bypassed = (environ.get("no_proxy") or environ.get("NO_PROXY", "")).lower().replace(",", " ").split()
        self._direct = urllib3.PoolManager(**self._shared)
        self._direct.pool_classes_by_scheme = POOLS
        proxy = environ.get("https_proxy") or environ.get("HTTPS_PROXY")
        self._proxied = self._through(proxy) if proxy else None

    def of(self, url: str) -> urllib3.PoolManager:
        """The pool that leads to a URL."""
        parts = urlsplit(url)
        if self._proxied is None or parts.scheme != "https" or is_loopback(parts.netloc):
            return self._direct
        return self._direct if self._bypasses(parts) else self._proxied

    def _bypasses(self, parts: SplitResult) -> bool:
        """Whether ``NO_PROXY`` names the host, with or without its port, a domain above it, or everything."""
        host = parts.hostname or ""
        for entry in self._bypassed:
            name = entry.removeprefix("*").removeprefix(".")
            if entry == "*" or name in (host, parts.netloc.lower()) or (name and host.endswith(f".{name}")):
                return True
        return False

    def close(self) -> None:
        """Close what is open."""
        for pool in (self._direct, self._proxied):
            if pool is not None:
                pool.clear()

    def _through(self, proxy: str) -> urllib3.PoolManager:
        text = proxy if "://" in proxy else f"http://{proxy}"
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:
            parts, host, port = urlsplit(""), None, None
        if parts.scheme not in ("http", "https") or not host:
            raise FormatError(
                "expected an http or https URL in HTTPS_PROXY, got something else", reason="registry-proxy"
            )
        headers = None
        if parts.username is not None:
            both = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers = urllib3.make_headers(proxy_basic_auth=both)
        name = f"[{host}]" if ":" in host else host
        url = f"{parts.scheme}://{name}{f':{port}' if port else ''}"
        pool = urllib3.ProxyManager(url, proxy_headers=headers, **self._shared)
        pool.pool_classes_by_scheme = POOLS
        return pool


def _context(authorities: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if authorities is not None:
        try:
            context.load_verify_locations(cafile=authorities)
        except (OSError, ssl.SSLError) as err:
            raise FormatError(
                f"expected certificates in PEM in {authorities}, got {err.strerror or err}",
                reason="registry-authorities",
            ) from err
    return context
