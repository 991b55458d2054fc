"""Copy an artifact and its bundles from one store to another.

Rules:
- The artifact first, since bundles are kept beside one; then every bundle, unfiltered: a store never decides.
- Of a file with several bundles each becomes one of its own.
- A bundle that cannot be read, or that the target does not take, is told and never hides the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lamslsa import _codec
from lamslsa.artifact.manifest import Manifest
from lamslsa.errors import FormatError, LamslsaError
from lamslsa.store.arrival import each_file, read_through
from lamslsa.store.contents import about, each
from lamslsa.store.interface import ArtifactStore, Report, Store, StoredBundle

__all__ = ["Attached", "Copied", "FailedBundle", "attach", "compare", "copy"]

_UNNAMED = "attestation"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedBundle:
    """A bundle that was not copied, and why."""

    source: str
    error: LamslsaError


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """What became of a set of bundles.

    Attributes:
        copied: where each bundle is now.
        present: sources of those that the target held already.
    """

    copied: tuple[str, ...] = ()
    present: tuple[str, ...] = ()
    failed: tuple[FailedBundle, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """An artifact in its new place.

    Attributes:
        reference: of the artifact there, with its digest.
    """

    reference: str
    manifest: Manifest
    bundles: Attached


def copy(
    source: ArtifactStore,
    target: ArtifactStore,
    *,
    attestations: bool = True,
    report: Report | None = None,
    hashing: Report | None = None,
) -> Copied:
    """Copy an artifact, and the bundles beside it.

    Args:
        source: where it is.
        target: where it is to be, too.
        attestations: copy the bundles too.
        report: told how far the files are.
        hashing: told how far the manifest of the source is, where that is computed from its files.

    Raises:
        FormatError: there is no artifact, its bytes are others than its manifest says, or the target is taken.
        UnavailableError: one of the stores cannot be reached.
    """
    manifest = source.manifest(hashing)
    reference = target.receive(manifest, source, report)
    bundles = attach(source.bundles(), target) if attestations else Attached()
    return Copied(reference=reference, manifest=manifest, bundles=bundles)


def compare(source: ArtifactStore, manifest: Manifest, report: Report | None = None) -> None:
    """Read every file of an artifact and compare it with the manifest; nothing is kept.

    Raises:
        FormatError: a file has other bytes.
        UnavailableError: the store cannot be reached.
    """
    each_file(manifest.files, lambda file, counted: read_through(file, source, counted), report)


def attach(bundles: Iterable[StoredBundle], target: Store) -> Attached:
    """Keep bundles in a store.

    Raises:
        FormatError: a listing is over the limits, or there is no artifact to keep bundles beside.
        UnavailableError: a store cannot be listed.
    """
    listed = (item.data for found in target.bundles() for item in each(found))
    held = {_codec.sha256_hex(data) for data in listed if isinstance(data, bytes)}
    copied: list[str] = []
    present: list[str] = []
    failed: list[FailedBundle] = []
    for bundle in (item for found in bundles for item in each(found)):
        if isinstance(bundle.data, LamslsaError):
            failed.append(FailedBundle(source=bundle.source, error=bundle.data))
            continue
        digest = _codec.sha256_hex(bundle.data)
        if digest in held:
            present.append(bundle.source)
            continue
        try:
            copied.append(target.put(bundle.data, name=_name(bundle.data)))
        except LamslsaError as err:
            failed.append(FailedBundle(source=bundle.source, error=err.with_traceback(None)))
        else:
            held.add(digest)
    return Attached(copied=tuple(copied), present=tuple(present), failed=tuple(failed))


def _name(bundle: bytes) -> str:
    try:
        return about(bundle).name
    except FormatError:
        return _UNNAMED
