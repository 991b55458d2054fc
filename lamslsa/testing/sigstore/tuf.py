"""A TUF repository in memory that publishes what relying parties and signers are given.

Specification: theupdateframework.github.io/specification (consistent snapshots).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from lamslsa.testing.sigstore._http import RefusedError, Reply, Request, Route
from lamslsa.testing.sigstore._pki import YEAR
from lamslsa.testing.sigstore.clock import Clock

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]  # documented there

__all__ = ["PATH", "Repository"]

PATH: Final = "/tuf"
_ROOT: Final = "1.root.json"
_LIFETIME: Final = dt.timedelta(days=30)


class Repository:
    """One key signs every role; each publication is a new version of the targets under the same root.

    Args:
        clock: dates metadata, which expires after thirty days; the root's in ten years.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._files: dict[str, bytes] = {}
        self._version = 0

    @property
    def routes(self) -> tuple[Route, ...]:
        """What it answers."""
        return (Route(endpoint="tuf", method="GET", path=f"{PATH}/", answer=self._answer),)

    def _answer(self, request: Request) -> Reply:
        found = self._files.get(request.path.removeprefix(f"{PATH}/"))
        if found is None:
            raise RefusedError("not found", status=404)
        return Reply(body=found, media_type="application/octet-stream")

    def publish(self, targets: Mapping[str, bytes]) -> bytes:
        """Publish files by name, instead of those before; returns the root metadata, to start from."""
        from tuf.api.metadata import (  # type: ignore[attr-defined]  # this is where its documentation has them
            Metadata,
            MetaFile,
            Root,
            Snapshot,
            TargetFile,
            Targets,
            Timestamp,
        )

        self._version += 1
        version, expires = self._version, self.clock.now().replace(microsecond=0) + _LIFETIME
        listed = Targets(version=version, expires=expires)
        for name, data in targets.items():
            target = listed.targets[name] = TargetFile.from_data(name, data, ["sha256"])
            self._files[f"targets/{target.hashes['sha256']}.{name}"] = data
        metadata: dict[str, Any] = {
            f"{version}.targets.json": listed,
            f"{version}.snapshot.json": Snapshot(
                version=version, expires=expires, meta={"targets.json": MetaFile(version)}
            ),
            "timestamp.json": Timestamp(version=version, expires=expires, snapshot_meta=MetaFile(version)),
        }
        if _ROOT not in self._files:
            self._signer = _make_signer()
            root = metadata[_ROOT] = Root(expires=expires + 10 * YEAR)
            for role in ("root", "targets", "snapshot", "timestamp"):
                root.add_key(self._signer.public_key, role)
        for name, signed in metadata.items():
            document = Metadata[Any](signed)
            document.sign(self._signer)
            self._files[name] = document.to_bytes()
        return self._files[_ROOT]


def _make_signer() -> CryptoSigner:
    from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]  # documented there

    signer: CryptoSigner = CryptoSigner.generate_ed25519()
    return signer
