"""How a registry is reached: what the caller decides, and nothing that is read from the machine by itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from lamslsa import _attempts

__all__ = ["Options"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a registry is reached.

    Attributes:
        plain_http: without TLS; refused unless the registry is on this machine.
        authorities: PEM file of certificate authorities to trust beside the system's.
        environ: where credentials, configuration files and proxies are looked up; nothing by default.
        workers: how many manifests and bundles are read at a time.
        single_bytes: files up to this size are sent in one request.
        chunk_bytes: how many bytes the requests of larger files have; a proxy on the way may take fewer than 64 MiB.
        notify: told of each pause, and of a tag that is moved.
        sleep: pauses, in seconds; by default one that ends early when a transfer is given up.
        clock: for the time in annotations, and for a ``Retry-After`` that is a date.
        read_timeout: how long the registry may be silent, in seconds.
        attempts: how often what fails is tried, the first time included.
        attempt_timeout: how long an attempt may take, in seconds, beside what its bytes need at 64 KiB/s.
    """

    plain_http: bool = False
    authorities: Path | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False, hash=False)
    workers: int = 4
    single_bytes: int = 8 * 1024 * 1024
    chunk_bytes: int = 64 * 1024 * 1024
    notify: Callable[[str], None] = field(default=lambda _: None, repr=False)
    sleep: Callable[[float], None] = field(default=_attempts.sleep, repr=False)
    clock: Callable[[], dt.datetime] = field(default=lambda: dt.datetime.now(dt.UTC), repr=False)
    read_timeout: float = 30.0
    attempts: int = _attempts.MAX_ATTEMPTS
    attempt_timeout: float = 120.0
