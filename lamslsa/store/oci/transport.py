"""The one place that opens a connection to a registry.

Rules:
- ``https`` with the certificate verified; ``http`` to this machine alone, and only when asked for.
- Credentials go to the registry's own origin. Redirects of what is read are followed without them, a few times, and
  never from https to http.
- Sizes are capped before and while a body is read; an encoding is neither asked for nor undone.
- An attempt has one deadline (`lamslsa._deadline`), longer where many bytes are carried.
- Tried again (`lamslsa._attempts`): connections that fail, 408, 429 and 5xx. 401 after a login, 403 and any
  other answer are final.
- What a server says is shown as `Transport.quoted` has it, short, escaped, and without secrets; of a URL never the
  query, which may be signed. Whom a URL asks is what `lamslsa._http.authority` says, and nothing else.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator, Mapping
from typing import Any, Final, NoReturn
from urllib.parse import urljoin, urlsplit

import urllib3

from lamslsa import __version__
from lamslsa._attempts import RETRIED, TryAgainError, refuse_stopped
from lamslsa._deadline import Deadline
from lamslsa._http import authority, broken, lower_headers
from lamslsa.errors import FormatError, LamslsaError, UnavailableError
from lamslsa.store.oci.answers import Answer, Call, Stream, drop, read_whole, said
from lamslsa.store.oci.attempts import Attempts
from lamslsa.store.oci.credentials import find_credential, login_hint
from lamslsa.store.oci.login import Login
from lamslsa.store.oci.options import Options
from lamslsa.store.oci.pools import Pools
from lamslsa.store.oci.reference import Reference, is_loopback

__all__ = ["Transport"]

_SLOWEST: Final = 64 * 1024  # bytes a second
_MAX_HOPS: Final = 5
_FASTER: Final = 16 * 1024 * 1024  # bytes a second that a registry goes through by itself
_HEADERS: Final = {"User-Agent": f"lamslsa/{__version__}", "Accept-Encoding": "identity"}
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_BROKEN: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


class Transport:
    """Connections to one registry on behalf of one repository; see the module for its rules. Threads may share it."""

    def __init__(self, reference: Reference, options: Options) -> None:
        if options.plain_http and not is_loopback(reference.registry):
            raise FormatError(
                f"expected https for {reference.host}, got a request for plain http",
                reason="registry-plain-http",
                hint="plain http is for registries on this machine",
            )
        self.attempts = Attempts(options)
        self._repository = reference.repository
        self._host = reference.host
        self._base = f"{'http' if options.plain_http else 'https'}://{reference.registry}"
        self._home = authority(self._base)
        self._hint = login_hint(reference, options.environ)
        self._options = options
        self._pools = Pools(options)
        self._login = Login(
            reference.host,
            secure=not options.plain_http,
            find=lambda: find_credential(reference, options.environ),
            ask=self._ask,
            hint=self._hint,
        )

    def path(self, tail: str) -> str:
        """A path of the distribution specification in this repository."""
        return f"/v2/{self._repository}/{tail}"

    def request(self, call: Call) -> Answer:
        """The answer to a request whose body, if any, is bytes.

        Raises:
            UnavailableError: no answer that was expected.
            FormatError: an answer that is too long.
        """
        return self.attempts.persist(lambda: self.once(call), what=self.shown(call.target))

    def once(self, call: Call) -> Answer:
        """One attempt at it, and at a request whose body can be gone through once.

        Raises:
            TryAgainError: it failed, and another attempt may not.
            UnavailableError: an answer that was not expected.
            FormatError: an answer that is too long.
        """
        refuse_stopped()
        deadline = Deadline(self._seconds(call))
        with self._translated(deadline), deadline:
            response, url = self._response(call)
            try:
                body = read_whole(self.shown(url), response, 0 if call.method == "HEAD" else call.limit)
            except BaseException:
                response.close()
                raise
            response.release_conn()
        return Answer(status=response.status, headers=lower_headers(response), body=body, url=url)

    def stream(self, call: Call) -> Stream:
        """An answer of ``call.limit`` bytes or fewer whose body is read later; to be closed.

        Raises:
            UnavailableError: no answer that was expected.
        """
        return self.attempts.persist(lambda: self._stream(call), what=self.shown(call.target))

    def _stream(self, call: Call) -> Stream:
        refuse_stopped()
        deadline = Deadline(self._seconds(call))
        deadline.start()
        try:
            with self._translated(deadline), deadline.covering():
                response, url = self._response(call)
        except BaseException:
            deadline.stop()
            raise
        return Stream(response, deadline, self.shown(url))

    def follow(self, url: str, location: str, *, own: bool = False) -> str:
        """The URL that an answer from ``url`` leads to.

        Args:
            url: where the answer came from.
            location: what it says.
            own: whether it has to be at the registry itself.

        Raises:
            UnavailableError: nowhere, to plain http, or elsewhere.
        """
        got = "no address"
        if location and location.isascii() and location.isprintable() and " " not in location:  # `urljoin` drops some
            with contextlib.suppress(FormatError, ValueError):
                target = urljoin(url, location)
                there = authority(target)
                local = self._options.plain_http and there.is_loopback
                if (there.scheme == "https" or local) and (not own or there == self._home):
                    return target
                got = self.quoted(f"{there.scheme}://{there}")
        raise UnavailableError(
            f"expected {self.shown(url)} to lead on {'at the registry' if own else 'with https'}, got {got}",
            reason="registry-redirect",
        )

    def shown(self, target: str) -> str:
        """A URL for messages: without its query, which may hold a signature."""
        url = urljoin(self._base, target)
        there = authority(url)
        return self.quoted(f"{there.scheme}://{there}{urlsplit(url).path}")[1:-1]

    def quoted(self, text: str, most: int = 200) -> str:
        """A text of a server as messages show it, see `Login.quoted`."""
        return self._login.quoted(text, most)

    @contextlib.contextmanager
    def redacting(self) -> Iterator[None]:
        """What a parser of a server's document says in this block is said without secrets."""
        try:
            yield
        except FormatError as err:
            text = self._login.redacted(str(err))
            if text == str(err):
                raise
            raise FormatError(text, reason=err.reason, hint=err.hint) from None

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._pools.close()

    def _seconds(self, call: Call) -> float:
        carried = (call.length + call.limit) / _SLOWEST
        return self._options.attempt_timeout + carried + call.finishing / _FASTER

    def _is_own(self, url: str) -> bool:
        return authority(url) == self._home

    def _response(self, call: Call) -> tuple[urllib3.BaseHTTPResponse, str]:
        """An answer of an expected status, with its body unread, and where it came from."""
        url = urljoin(self._base, call.target)
        scope = self._scope(call)
        logged_in = False
        for _ in range(_MAX_HOPS + 2):
            headers = {**_HEADERS, **(call.headers or {})}
            authorization = self._login.header(scope) if self._is_own(url) else None
            if authorization is not None:
                headers["Authorization"] = authorization
            # Whoever has to go through what was sent may be silent for as long as the attempt lasts.
            silent = {"timeout": self._pools.silence(self._seconds(call))} if call.finishing else {}
            response = self._urlopen(call.method, url, headers, call.body, call.length, **silent)
            status = response.status
            if status == _UNAUTHORIZED and self._is_own(url) and not logged_in:
                challenge = response.headers.get("WWW-Authenticate", "")
                drop(response)
                self._login.answer(challenge, scope, sent=authorization)
                if call.body is not None and not isinstance(call.body, bytes):
                    raise TryAgainError("a login that had ended", 0.0)
                logged_in = True
            elif status in call.expected:
                return response, url
            elif status in _REDIRECTS and call.method in ("GET", "HEAD"):
                location = response.headers.get("Location", "")
                drop(response)
                url = self.follow(url, location)
            else:
                self._refuse(call, url, response)
        raise UnavailableError(
            f"expected at most {_MAX_HOPS} redirects from {self.shown(call.target)}, got more",
            reason="registry-redirects",
        )

    def _scope(self, call: Call) -> str:
        scope = f"repository:{self._repository}:{'pull,push' if call.writing else 'pull'}"
        return f"{scope} repository:{call.source}:pull" if call.source else scope

    def _urlopen(
        self, method: str, url: str, headers: Mapping[str, str], body: Any, length: int, **options: Any
    ) -> urllib3.BaseHTTPResponse:
        if body is not None and not isinstance(body, bytes):
            headers = {**headers, "Content-Length": str(length)}
        try:
            return self._pools.of(url).urlopen(
                method,
                url,
                body=body,
                headers=headers,
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
                **options,
            )
        except urllib3.exceptions.SSLError:
            raise
        except urllib3.exceptions.HTTPError as err:
            raise TryAgainError(f"{broken(err)} at {authority(url)}") from err

    def _ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, limit: int
    ) -> tuple[int, bytes]:
        response = self._urlopen(method, url, {**_HEADERS, **headers}, body, 0)
        if response.status in RETRIED:
            pause = self.attempts.retry_after(response.headers.get("Retry-After", ""))
            drop(response)
            raise TryAgainError(f"status {response.status} from its token service", pause)
        try:
            data = read_whole(self.shown(url), response, limit)
        except BaseException:
            response.close()
            raise
        response.release_conn()
        return response.status, data

    def _refuse(self, call: Call, url: str, response: urllib3.BaseHTTPResponse) -> NoReturn:
        status = response.status
        pause = self.attempts.retry_after(response.headers.get("Retry-After", ""))
        error = said(drop(response))
        heard = f": {self.quoted(error)}" if error else ""
        if status in RETRIED or (call.again and call.again in error):
            raise TryAgainError(f"status {status}{heard}", pause)
        shown = self.shown(url)
        if status in (_UNAUTHORIZED, _FORBIDDEN):
            raise UnavailableError(
                f"expected to be let in by {self._host}, got status {status} at {shown}{heard}",
                reason="registry-denied",
                hint=self._hint,
            )
        if status == _NOT_FOUND:
            raise UnavailableError(
                f"expected an answer from {shown}, got status 404{heard}",
                reason="registry-not-found",
                hint="see whether the reference is right",
            )
        raise UnavailableError(f"expected an answer from {shown}, got status {status}{heard}", reason="registry-status")

    @contextlib.contextmanager
    def _translated(self, deadline: Deadline) -> Iterator[None]:
        late = "no whole answer in time"
        try:
            yield
        except urllib3.exceptions.SSLError as err:
            if deadline.passed or (err.args and isinstance(err.args[0], _BROKEN)):
                raise TryAgainError(late if deadline.passed else "a broken connection") from err
            plain = "; --plain-http does without TLS on this machine" if self._home.is_loopback else ""
            raise UnavailableError(
                f"expected a TLS server that can be verified at {self._host}, got {self.quoted(str(err))}",
                reason="registry-tls",
                hint="--ca-file names the authority of a registry of one's own" + plain,
            ) from err
        except urllib3.exceptions.HTTPError as err:
            raise TryAgainError(late if deadline.passed else broken(err)) from err
        except (LamslsaError, TryAgainError) as err:
            if deadline.passed:
                raise TryAgainError(late) from err
            raise
        if deadline.passed:  # or else what was read ends where the connection was shut down
            raise TryAgainError(late)
