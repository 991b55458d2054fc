"""A tiny OCI 1.1 registry on this machine, and every way in which it can misbehave.

For tests, those of lamslsa and those of its users; **not for production**. It decides nothing about trust: it keeps
and hands out bytes, and whoever reads them verifies them.

Rules:
- Only the loopback interface is listened on. Blobs are streamed to and from the disk, whatever their size.
- What is asked for is answered as the distribution specification (opencontainers/distribution-spec v1.1) says;
  `Behaviour` switches to what else registries are known to do, and `Fault` makes single requests fail.
- Every request is in the log before its answer is sent. Of credentials the log keeps the scheme and nothing else.

>>> import tempfile, urllib3
>>> from pathlib import Path
>>> with tempfile.TemporaryDirectory() as folder, Registry(Path(folder)) as registry:
...     digest = registry.contents.add_blob("demo/model", b"weights")
...     registry.faults.add(Fault("GET", "/blobs/", Answer(status=503)))
...     with urllib3.PoolManager(retries=False) as pool:
...         url = f"{registry.url}/v2/demo/model/blobs/{digest}"
...         [pool.request("GET", url).status for _ in range(2)], registry.count("GET", "/blobs/")
([503, 200], 2)

``python -m lamslsa.testing.registry --folder DIR [--port N]`` serves a folder until it is interrupted.
"""

from __future__ import annotations

from lamslsa.testing.registry.auth import Account, Basic, Bearer
from lamslsa.testing.registry.behaviour import Behaviour
from lamslsa.testing.registry.contents import Contents, KeptManifest
from lamslsa.testing.registry.faults import (
    Action,
    Answer,
    CutRequest,
    CutResponse,
    Delay,
    Fault,
    Faults,
    Flip,
    LoseAnswer,
    LoseTagWrite,
    Meanwhile,
    Redirect,
    Shorten,
    Substitute,
)
from lamslsa.testing.registry.messages import Request
from lamslsa.testing.registry.server import Elsewhere, Registry

__all__ = [
    "Account",
    "Action",
    "Answer",
    "Basic",
    "Bearer",
    "Behaviour",
    "Contents",
    "CutRequest",
    "CutResponse",
    "Delay",
    "Elsewhere",
    "Fault",
    "Faults",
    "Flip",
    "KeptManifest",
    "LoseAnswer",
    "LoseTagWrite",
    "Meanwhile",
    "Redirect",
    "Registry",
    "Request",
    "Shorten",
    "Substitute",
]
