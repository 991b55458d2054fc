"""Copy an artifact and its bundles from one store to another.

Rules:
- The artifact first, since bundles are kept beside one; then every bundle, unfiltered: a store never decides.
- Of a file with several bundles each becomes one of its own.
- A bundle that cannot be read, that holds no statement, or that the target does not take, is told and never hides the
  others.
- A target that can say so is asked before anything is hashed whether it would take an artifact at all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from lamslsa.artifact.manifest import Manifest
from lamslsa.errors import LamslsaError
from lamslsa.store.arrival import each_file, read_through
from lamslsa.store.contents import about, each
from lamslsa.store.detached import detached
from lamslsa.store.interface import ArtifactStore, Report, Store, StoredBundle
from lamslsa.store.keeping import NamedBundle, put_all

__all__ = ["Attached", "Copied", "Expects", "FailedBundle", "attach", "compare", "copy"]


@runtime_checkable
class Expects(Protocol):
    """A store that knows before an artifact comes whether it would take one."""

    def expect(self) -> None:
        """Refuse what `receive` would refuse whatever the artifact.

        Raises:
            FormatError: no place for an artifact.
            UnavailableError: it cannot be reached, or refuses.
        """
        ...


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
    attaching: Callable[[int], None] | None = None,
) -> Copied:
    """Copy an artifact, and the bundles beside it.

    Args:
        source: where it is.
        target: where it is to be, too.
        attestations: copy the bundles too.
        report: told how far the files are.
        hashing: told how far the manifest of the source is, where that is computed from its files.
        attaching: told how many bundles are done.

    Raises:
        FormatError: there is no artifact, its bytes are others than its manifest says, or the target is taken.
        UnavailableError: one of the stores cannot be reached.
    """
    if isinstance(target, Expects):
        target.expect()
    manifest = source.manifest(hashing)
    reference = target.receive(manifest, source, report)
    bundles = attach(source.bundles(), target, attaching) if attestations else Attached()
    return Copied(reference=reference, manifest=manifest, bundles=bundles)


def compare(source: ArtifactStore, manifest: Manifest, report: Report | None = None) -> None:
    """Read every file of an artifact and compare it with the manifest; nothing is kept.

    Raises:
        FormatError: a file has other bytes.
        UnavailableError: the store cannot be reached.
    """
    each_file(manifest.files, lambda file, counted: read_through(file, source, counted), report)


def attach(bundles: Iterable[StoredBundle], target: Store, attaching: Callable[[int], None] | None = None) -> Attached:
    """Keep bundles in a store.

    Args:
        bundles: to keep.
        target: where.
        attaching: told how many bundles are done.

    Raises:
        FormatError: there is no artifact to keep bundles beside.
        UnavailableError: a store cannot be listed.
    """
    copied: list[str] = []
    present: list[str] = []
    failed: list[FailedBundle] = []
    waiting: deque[str] = deque()

    def named() -> Iterator[NamedBundle]:
        for item in (item for found in bundles for item in each(found)):
            try:
                bundle = _named(item)
            except LamslsaError as err:
                failed.append(FailedBundle(source=item.source, error=detached(err)))
                continue
            waiting.append(item.source)
            yield bundle

    for outcome in put_all(target, named()):
        source = waiting.popleft()
        if isinstance(outcome, LamslsaError):
            failed.append(FailedBundle(source=source, error=outcome))
        elif outcome.new:
            copied.append(outcome.place)
        else:
            present.append(source)
        if attaching is not None:
            attaching(len(copied) + len(present) + len(failed))
    return Attached(copied=tuple(copied), present=tuple(present), failed=tuple(failed))


def _named(found: StoredBundle) -> NamedBundle:
    if isinstance(found.data, LamslsaError):
        raise found.data
    return NamedBundle(data=found.data, name=about(found.data).name)
