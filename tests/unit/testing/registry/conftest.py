from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
import urllib3

from lamslsa.testing.registry import Registry


class Ask(Protocol):
    def __call__(
        self,
        method: str,
        target: str,
        *,
        body: Any = None,
        headers: dict[str, str] | None = None,
        chunked: bool = False,
    ) -> urllib3.BaseHTTPResponse: ...


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Registry]]:
    """Starts a registry; in the same folder each time."""
    with contextlib.ExitStack() as stack:
        yield lambda **given: stack.enter_context(Registry(tmp_path / "registry", **given))


@pytest.fixture
def registry(serve: Callable[..., Registry]) -> Registry:
    return serve()


@pytest.fixture
def pool() -> Iterator[urllib3.PoolManager]:
    """Neither tries again nor follows a redirect."""
    with urllib3.PoolManager(retries=False, timeout=10) as manager:
        yield manager


@pytest.fixture
def ask(pool: urllib3.PoolManager, request: pytest.FixtureRequest) -> Ask:
    """Asks the registry of the test, or any URL."""

    def ask(
        method: str, target: str, *, body: Any = None, headers: dict[str, str] | None = None, chunked: bool = False
    ) -> urllib3.BaseHTTPResponse:
        url = target if target.startswith("http") else request.getfixturevalue("registry").url + target
        return pool.urlopen(method, url, body=body, headers=headers or {}, redirect=False, chunked=chunked)

    return ask


@pytest.fixture
def manifest() -> Callable[..., bytes]:
    """Makes a manifest without config and layers, with whatever members are given."""

    def manifest(**members: Any) -> bytes:
        return json.dumps({"schemaVersion": 2, **members}).encode()

    return manifest


@pytest.fixture
def digest() -> Callable[[bytes], str]:
    return lambda data: "sha256:" + hashlib.sha256(data).hexdigest()
