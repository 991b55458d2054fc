"""Run a local Sigstore for other programs until it is interrupted."""

from __future__ import annotations

import argparse
import datetime as dt
import signal
import sys
import threading
from pathlib import Path

from lamslsa.testing.sigstore import LocalSigstore

__all__ = ["main"]

_DAY = dt.timedelta(days=1)


def main() -> None:
    """Write what clients need to a folder, say READY and the URL, and serve."""
    parser = argparse.ArgumentParser(prog="python -m lamslsa.testing.sigstore", description=__doc__)
    parser.add_argument("--out", required=True, type=Path, help="folder for trust configurations, roots and a token")
    parser.add_argument("--port", type=int, default=0, help="any that is free by default")
    parser.add_argument("--subject", action="append", default=[], help="a token for this subject; may be repeated")
    arguments = parser.parse_args()
    interrupted = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: interrupted.set())
    with LocalSigstore(port=arguments.port) as sigstore:
        _write(sigstore, arguments.out, arguments.subject)
        sys.stdout.write(f"READY {sigstore.url}\n")
        sys.stdout.flush()
        interrupted.wait()


def _write(sigstore: LocalSigstore, folder: Path, subjects: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for rekor in (1, 2):
        (folder / f"trust_config_v{rekor}.json").write_text(sigstore.trust_config_json(rekor), encoding="utf-8")
    (folder / "trusted_root.json").write_text(sigstore.trusted_root_json(), encoding="utf-8")
    (folder / "root.json").write_bytes(sigstore.make_tuf())
    tokens = {"token": sigstore.token(lifetime=_DAY)}
    tokens |= {f"token{number}": sigstore.token(subject, lifetime=_DAY) for number, subject in enumerate(subjects)}
    for name, token in tokens.items():
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(token, encoding="utf-8")


if __name__ == "__main__":
    main()
