"""Serve a folder until interrupted; see `lamslsa.testing.registry`."""

from __future__ import annotations

import argparse
import contextlib
import threading
from pathlib import Path

from lamslsa.testing.registry.server import Registry


def _main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m lamslsa.testing.registry", description="A tiny OCI registry on this machine, for tests only."
    )
    parser.add_argument("--folder", type=Path, required=True, help="where everything is kept")
    parser.add_argument("--port", type=int, default=0, help="0 for any that is free")
    given = parser.parse_args()
    with Registry(given.folder, port=given.port) as registry, contextlib.suppress(KeyboardInterrupt):
        print(registry.host, flush=True)  # noqa: T201 - the one thing that the caller has to know
        threading.Event().wait()


if __name__ == "__main__":
    _main()
