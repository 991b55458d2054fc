"""Faults on request: a service that fails, and a service that lies.

A failure is seen on the wire; a lie is well-formed and signed, and only whoever verifies can see it.

Rules:
- A fault stays until it is cleared, or for as many requests as it was asked for.
- Of two failures of one endpoint the later one counts.

>>> faults = Faults()
>>> faults.fail("rekor1", 503, skip=1, times=1)
>>> [faults.failure("rekor1") for _ in range(3)]
[None, 503, None]
>>> faults.lie("sct-missing")
>>> faults.lies("sct-missing"), faults.lies("sct-foreign")
(True, False)
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

__all__ = ["ENDPOINTS", "LIES", "Endpoint", "Failure", "Faults", "Lie"]

Endpoint: TypeAlias = Literal[
    "oidc-configuration",
    "oidc-keys",
    "oidc-authorization",
    "oidc-token",
    "github-token",
    "fulcio",
    "trust-bundle",
    "rekor1",
    "rekor1-lookup",
    "rekor2",
    "rekor2-lookup",
    "tsa",
    "tuf",
]
"""What can fail on its own; rekor1 and rekor2 take entries, the lookups read."""

_Word: TypeAlias = Literal["drop", "lose", "garble", "cut", "hang"]
Failure: TypeAlias = int | _Word
"""How an endpoint fails:

- a status: that, and nothing done;
- drop: the connection is closed, nothing done;
- lose: the service does what was asked, and the connection is closed instead of answering;
- garble: what was asked is done and the answer is of the right type, but not what it should be;
- cut: the answer ends half-way;
- hang: nothing done and no answer until faults are cleared or the server ends, then as drop.
"""

Lie: TypeAlias = Literal[
    "token-expired",
    "token-other-audience",
    "token-other-issuer",
    "token-foreign",
    "certificate-other-identity",
    "certificate-other-issuer",
    "certificate-other-key",
    "certificate-foreign",
    "sct-missing",
    "sct-foreign",
    "sct-other-certificate",
    "entry-other",
    "promise-missing",
    "promise-foreign",
    "promise-other-time",
    "proof-wrong",
    "checkpoint-foreign",
    "timestamp-refused",
    "timestamp-other-data",
    "timestamp-other-nonce",
    "timestamp-foreign",
]
"""What a service can lie about.

- token-…: the tokens that CI gets: expired, for another audience, of another issuer, signed with another key;
- certificate-…: for another identity, naming another issuer of the token, over another key, by an unknown authority;
- sct-…: no SCT, one by an unknown log, one over another certificate;
- entry-other: the entry is of another bundle, and included;
- promise-…: the SET (Rekor v1) is missing, signed with another key, over another time;
- proof-wrong, checkpoint-foreign: the inclusion proof leads elsewhere; the checkpoint is signed with another key;
- timestamp-…: the request is refused; the timestamp is over other data, answers another nonce, is by another authority.
"""

ENDPOINTS: Final[tuple[Endpoint, ...]] = get_args(Endpoint)
_WORDS: Final[tuple[_Word, ...]] = get_args(_Word)
LIES: Final[tuple[Lie, ...]] = get_args(Lie)


@dataclass(slots=True)
class _Planned:
    failure: Failure
    skip: int
    times: int | None

    def next(self) -> Failure | None:
        if self.skip:
            self.skip -= 1
            return None
        if self.times == 0:
            return None
        if self.times is not None:
            self.times -= 1
        return self.failure


class Faults:
    """The faults of one local Sigstore; safe to use from every thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: dict[Endpoint, _Planned] = {}
        self._lies: dict[Lie, _Planned] = {}
        self._cleared = threading.Event()

    def fail(self, endpoint: Endpoint, failure: Failure = 503, *, skip: int = 0, times: int | None = None) -> None:
        """Let an endpoint fail.

        Args:
            endpoint: which one.
            failure: how, see `Failure`.
            skip: how many requests are answered well before that.
            times: how many then fail; all, where None.
        """
        if endpoint not in ENDPOINTS:
            raise ValueError(f"expected one of {', '.join(ENDPOINTS)}, got {endpoint!r}")
        if failure not in _WORDS and not (isinstance(failure, int) and 200 <= failure <= 599):
            raise ValueError(f"expected an HTTP status from 200 to 599, or one of {', '.join(_WORDS)}, got {failure!r}")
        with self._lock:
            self._failures[endpoint] = _Planned(failure, skip, times)

    def lie(self, lie: Lie, *, skip: int = 0, times: int | None = None) -> None:
        """Let a service lie; the arguments are those of `fail`."""
        if lie not in LIES:
            raise ValueError(f"expected one of {', '.join(LIES)}, got {lie!r}")
        with self._lock:
            self._lies[lie] = _Planned(200, skip, times)

    def clear(self) -> None:
        """From now on everything works and is true; requests that hang are dropped."""
        with self._lock:
            self._failures.clear()
            self._lies.clear()
            self._cleared.set()
            self._cleared = threading.Event()

    def failure(self, endpoint: Endpoint) -> Failure | None:
        """How the request that just came in fails; each call stands for one request."""
        with self._lock:
            planned = self._failures.get(endpoint)
            return planned.next() if planned else None

    def lies(self, lie: Lie) -> bool:
        """Whether the answer that is being made lies in this way; each call stands for one answer."""
        with self._lock:
            planned = self._lies.get(lie)
            return planned is not None and planned.next() is not None

    def wait(self, endpoint: Endpoint) -> None:
        """Until the failure of an endpoint is cleared, which may have happened already."""
        with self._lock:
            if endpoint not in self._failures:
                return
            cleared = self._cleared
        cleared.wait()
