"""Pools of connections, direct and through a proxy of the environment (``HTTPS_PROXY``, ``NO_PROXY``).

This machine is never reached through a proxy. A proxy sees the name of the registry and nothing else: what goes through
it is TLS.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import urllib3

from lamslsa import _codec
from lamslsa._deadline import POOLS
from lamslsa._http import Authority, authority
from lamslsa.errors import FormatError
from lamslsa.store.oci.options import Options

__all__ = ["Pools"]

_CONNECT_S: Final = 10.0


class Pools:
    """The pool for a URL; requests have to be made under a `lamslsa._deadline.Deadline`."""

    def __init__(self, options: Options) -> None:
        self._shared: dict[str, Any] = {
            "retries": False,
            "timeout": self.silence(options.read_timeout),
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
        """The pool that leads to a URL.

        Raises:
            FormatError: it is none that every reader reads alike.
        """
        there = authority(url)
        if self._proxied is None or there.scheme != "https" or there.is_loopback:
            return self._direct
        return self._direct if self._bypasses(there) else self._proxied

    @staticmethod
    def silence(seconds: float) -> urllib3.Timeout:
        """How long a connection may take to be made, and then be silent."""
        return urllib3.Timeout(connect=_CONNECT_S, read=seconds)

    def _bypasses(self, there: Authority) -> bool:
        """Whether ``NO_PROXY`` names the host, with or without its port, a domain above it, or everything."""
        host = there.host
        for entry in self._bypassed:
            name = entry.removeprefix("*").removeprefix(".")
            if entry == "*" or name in (host, f"{host}:{there.port}") or (name and host.endswith(f".{name}")):
                return True
        return False

    def close(self) -> None:
        """Close what is open."""
        for pool in (self._direct, self._proxied):
            if pool is not None:
                pool.clear()

    def _through(self, proxy: str) -> urllib3.PoolManager:
        scheme, _, rest = (proxy if "://" in proxy else f"http://{proxy}").partition("://")
        user, has_user, place = rest.rpartition("@")
        try:
            there = authority(f"{scheme}://{place}")
        except FormatError as err:
            raise FormatError(
                "expected an http or https URL in HTTPS_PROXY, got something else", reason="registry-proxy"
            ) from err
        headers = None
        if has_user:
            name, _, password = user.partition(":")
            both = f"{unquote(name)}:{unquote(password)}".encode()
            headers = {"Proxy-Authorization": f"Basic {_codec.encode_base64(both)}"}
        name = f"[{there.host}]" if ":" in there.host else there.host
        url = f"{there.scheme}://{name}:{there.port}"
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
