r"""What every HTTP client here agrees on: which host a URL names, how much is read, what a broken connection says.

Parsers of URLs differ: for ``http://registry.example\[::1]/`` one takes ``[::1]`` for the host and another connects to
``registry.example``. Who may be reached, and who gets credentials, is therefore asked of `authority` alone, which reads
only what all parsers read alike.

>>> authority("https://registry.example/v2/")
Authority(scheme='https', host='registry.example', port=443)
>>> authority("http://registry.example\\[::1]/")
Traceback (most recent call last):
    ...
lamslsa.errors.FormatError: expected a URL with a host that every reader finds, got a backslash
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from lamslsa.errors import FormatError

if TYPE_CHECKING:
    import urllib3

__all__ = ["HOST", "Authority", "authority", "broken", "lower_headers", "read_at_most"]

_LABEL: Final = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
HOST: Final = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:.]+\])"
"""Regular expression of a host, without a port."""

_AUTHORITY: Final = re.compile(rf"(https?)://({HOST})(?::([0-9]{{1,5}}))?(?=[/?#]|\Z)", re.IGNORECASE)
_VISIBLE: Final = re.compile(r"[\x21-\x7e]+")
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_MAX_URL: Final = 8192
_MAX_PORT: Final = 65535
_BLOCK: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Authority:
    """Whom a URL asks; two URLs with the same one have the same origin (RFC 6454).

    Attributes:
        scheme: ``http`` or ``https``.
        host: in lower case; of an IPv6 address without brackets.
        port: the scheme's own where none is named.
    """

    scheme: str
    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether this is this machine by its very name."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == _DEFAULT_PORTS[self.scheme] else f"{name}:{self.port}"


def authority(url: str) -> Authority:
    """Whom a URL asks, see the module.

    Raises:
        FormatError: it is no http or https URL, or has anything that readers of URLs differ about: a user or password,
            a backslash, other characters than visible ASCII, a host beyond the grammar of `HOST`, a port that is none.
    """
    if not _VISIBLE.fullmatch(url) or len(url) > _MAX_URL:
        _refuse("other characters than visible ASCII, or too many of them" if url else "nothing")
    if "\\" in url:
        _refuse("a backslash")
    found = _AUTHORITY.match(url)
    if found is None:
        user = "@" in re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]
        _refuse("a user or password" if user else "another scheme, host or port")
    scheme, host = found[1].lower(), found[2].lower()
    port = int(found[3]) if found[3] else _DEFAULT_PORTS[scheme]
    if not 0 < port <= _MAX_PORT:
        _refuse("a port that is none")
    if host.startswith("["):
        try:
            host = str(ipaddress.IPv6Address(host[1:-1]))
        except ValueError:
            _refuse("an address that is none")
    return Authority(scheme, host, port)


def _refuse(got: str) -> NoReturn:
    raise FormatError(
        f"expected a URL with a host that every reader finds, got {got}",
        reason="url-authority",
        hint="name the server as https://host[:port], without user or password",
    )


def lower_headers(response: urllib3.BaseHTTPResponse) -> dict[str, str]:
    """The headers by name in lower case."""
    return {name.lower(): value for name, value in response.headers.items()}


def read_at_most(response: urllib3.BaseHTTPResponse, limit: int) -> bytes | None:
    """A body of at most so many bytes; None for a longer one, of which hardly more than that is read."""
    declared = response.headers.get("Content-Length", "")
    if declared.isdigit() and int(declared[:18]) > limit:
        return None
    body = bytearray()
    while block := response.read1(_BLOCK):
        body += block
        if len(body) > limit:
            return None
    return bytes(body)


def broken(err: BaseException) -> str:
    """What broke a connection, for people: the system's words where it has some, and never those of a server."""
    import urllib3.exceptions as kinds

    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [err]
    while waiting:
        cause = waiting.pop(0)
        if cause is None or cause in seen:
            continue
        seen.append(cause)
        waiting += [cause.__cause__, cause.__context__, *(arg for arg in cause.args if isinstance(arg, BaseException))]
    for cause in seen:
        if isinstance(cause, OSError) and cause.errno is not None and cause.strerror:
            return cause.strerror.lower()
    if isinstance(err, kinds.ProxyError):
        return "a proxy that does not connect"
    if isinstance(err, kinds.NewConnectionError | kinds.ConnectTimeoutError):
        return "no connection in time" if isinstance(err, kinds.ConnectTimeoutError) else "no connection"
    if isinstance(err, kinds.TimeoutError):
        return "no answer in time"
    return "a broken connection"
