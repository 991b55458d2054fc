"""What the services answer with, and what they are asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lamslsa.testing.sigstore.faults import Endpoint

__all__ = ["RefusedError", "Reply", "Request", "Route", "json_reply", "object_of"]


class RefusedError(Exception):
    """A service refuses what it was asked for.

    Args:
        message: why.
        status: of the answer.
        headers: that go with it.
    """

    def __init__(self, message: str, *, status: int = 400, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request that was read whole.

    Attributes:
        headers: names in lower case.
        query: the first value of each parameter.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)

    @property
    def bearer(self) -> str:
        """The token in the Authorization header; empty where there is none."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token if scheme.lower() == "bearer" else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer."""

    status: int = 200
    body: bytes = b""
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What one endpoint answers.

    Attributes:
        endpoint: its name, for faults.
        path: exact, or the start of it where it ends in a slash.
    """

    endpoint: Endpoint
    method: str
    path: str
    answer: Callable[[Request], Reply]

    def matches(self, request: Request) -> bool:
        """Whether this endpoint was asked."""
        found = request.path.startswith(self.path) if self.path.endswith("/") else request.path == self.path
        return found and request.method == self.method


def json_reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """An answer in JSON."""
    return Reply(status=status, body=json.dumps(value).encode(), headers=headers or {})


def object_of(body: bytes) -> dict[str, Any]:
    """The JSON object that was sent.

    Raises:
        ValueError: anything else was sent.
    """
    value = json.loads(body)
    if not isinstance(value, dict):
        raise ValueError("expected a JSON object")  # noqa: TRY004 the server answers ValueErrors with 400
    return value
