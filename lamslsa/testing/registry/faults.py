"""What single requests meet instead of a registry that works.

>>> faults = Faults()
>>> faults.add(Fault("PUT", "/manifests/", LoseTagWrite(), times=2))
>>> faults.take("GET", "/v2/a/manifests/v1"), faults.take("PUT", "/v2/a/manifests/v1"), len(faults)
(None, LoseTagWrite(), 1)
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

__all__ = [
    "Action",
    "Answer",
    "CutRequest",
    "CutResponse",
    "Delay",
    "Fault",
    "Faults",
    "Flip",
    "LoseAnswer",
    "LoseTagWrite",
    "Meanwhile",
    "Redirect",
    "Shorten",
    "Substitute",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """This answer, and nothing happens."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CutRequest:
    """The connection is reset after so many bytes of the request's body; what an upload received so far it keeps."""

    after: int = 0


@dataclass(frozen=True, slots=True)
class CutResponse:
    """The right answer with its whole length, and the connection closed after so many bytes of its body."""

    after: int = 0


@dataclass(frozen=True, slots=True)
class LoseAnswer:
    """What was asked for is done, and the connection closed without an answer."""


@dataclass(frozen=True, slots=True)
class LoseTagWrite:
    """A manifest is taken and the answer says so, but its tag stays where it was: the write that lost a race."""


@dataclass(frozen=True, slots=True)
class Shorten:
    """The first bytes of the right answer as if they were all of it."""

    to: int


@dataclass(frozen=True, slots=True)
class Flip:
    """The right answer with the lowest bit of one byte changed; of a blob, whatever range of it is asked for."""

    offset: int = 0


@dataclass(frozen=True, slots=True)
class Substitute:
    """Another body under the headers of the right answer, its digest included."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Redirect:
    """A redirect in place of a success: to the same path of another host.

    Args:
        to: scheme and host; `Registry.elsewhere` by default.
        status: 301, 302, 303, 307 or 308.
    """

    to: str | None = None
    status: int = 307


@dataclass(frozen=True, slots=True)
class Delay:
    """The request waits, in seconds, and is then answered."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Meanwhile:
    """Something else happens before the request is answered, such as another writer's request."""

    run: Callable[[], object]


Action = (
    Answer
    | CutRequest
    | CutResponse
    | Delay
    | Flip
    | LoseAnswer
    | LoseTagWrite
    | Meanwhile
    | Redirect
    | Shorten
    | Substitute
)


@dataclass(frozen=True, slots=True)
class Fault:
    """Which requests meet what.

    Args:
        method: regular expression of the whole method.
        path: regular expression that is found somewhere in path and query.
        action: what they meet.
        times: how many requests do; None for all.
        after: how many that fit are left alone before.
    """

    method: str
    path: str
    action: Action
    times: int | None = 1
    after: int = 0

    def fits(self, method: str, target: str) -> bool:
        """Whether a request is meant, by its method and its path with query."""
        return re.fullmatch(self.method, method) is not None and re.search(self.path, target) is not None


class Faults:
    """The faults that wait for a request, oldest first; a request meets the first one that is due."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []

    def add(self, *faults: Fault) -> None:
        """Let these wait behind those that wait already."""
        with self._lock:
            self._waiting += [_Waiting(fault, fault.after, fault.times) for fault in faults]

    def clear(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._waiting.clear()

    def take(self, method: str, target: str) -> Action | None:
        """What this request meets; used up by it."""
        with self._lock:
            for waiting in self._waiting:
                if not waiting.fault.fits(method, target):
                    continue
                if waiting.skip:
                    waiting.skip -= 1
                    continue
                if waiting.left is not None:
                    waiting.left -= 1
                    if waiting.left <= 0:
                        self._waiting.remove(waiting)
                return waiting.fault.action
        return None

    def __len__(self) -> int:
        """How many faults have not been used up."""
        with self._lock:
            return len(self._waiting)


@dataclass(slots=True, eq=False)
class _Waiting:
    fault: Fault
    skip: int
    left: int | None
