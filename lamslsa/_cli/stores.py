"""What the commands that open stores have in common: options, progress, and how a copy is told."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from lamslsa._cli import ui
from lamslsa.artifact import Kind, Progress
from lamslsa.artifact.manifest import Manifest
from lamslsa.store import (
    ArtifactStore,
    FolderStore,
    HubStore,
    ImageLayoutStore,
    Store,
    is_scheme,
    open_artifact_store,
    open_store,
)
from lamslsa.store.interface import Report
from lamslsa.store.naming import REGISTRY
from lamslsa.store.transfer import Attached, Copied, compare, copy

if TYPE_CHECKING:
    from lamslsa.store.oci import Options

__all__ = [
    "StoreOptions",
    "attached_document",
    "attached_lines",
    "counting",
    "exit_code",
    "is_absent",
    "is_scheme",
    "kind_option",
    "name_of",
    "open_bundles",
    "open_model",
    "options",
    "reads_files",
    "registry_options",
    "transfer",
    "verify_files",
]

F = TypeVar("F", bound=Callable[..., Any])
S = TypeVar("S", bound=Store)
_TOLD_EVERY: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """How registries are reached.

    Attributes:
        plain_http: without TLS; only on this machine.
        ca_file: certificate authorities to trust beside the system's; None for no others.
    """

    plain_http: bool = False
    ca_file: Path | None = None


def options(command: F) -> F:
    """Add ``--plain-http`` and ``--ca-file``, handed on as one `StoreOptions` named ``options``."""

    @functools.wraps(command)
    def decorated(*args: Any, plain_http: bool, ca_file: Path | None, **kwargs: Any) -> Any:
        return command(*args, options=StoreOptions(plain_http=plain_http, ca_file=ca_file), **kwargs)

    plain = click.option(
        "--plain-http", is_flag=True, help="Reach a registry without TLS; only if it is on this machine."
    )
    ca_file = click.option(
        "--ca-file",
        type=click.Path(path_type=Path),
        help="Certificates (PEM) of authorities to trust beside the system's, for registries.",
    )
    return plain(ca_file(decorated))  # type: ignore[return-value]  # click keeps the callable


def open_model(reference: str, options: StoreOptions, *, kind: Kind = "model") -> ArtifactStore:
    """The store of an artifact; its connections are closed when the command ends.

    Raises:
        FormatError: no such reference.
    """
    return _closed_at_the_end(open_artifact_store(reference, kind=kind, options=_registry_options(reference, options)))


def open_bundles(reference: str, options: StoreOptions) -> Store:
    """The store of bundles that a reference names; its connections are closed when the command ends.

    Raises:
        FormatError: no such reference.
    """
    return _closed_at_the_end(open_store(reference, options=_registry_options(reference, options)))


def is_absent(reference: str) -> bool:
    """Whether a reference is a path with nothing there."""
    return not is_scheme(reference) and not Path(reference).exists()


def name_of(store: ArtifactStore) -> str:
    """The name of an artifact, for people: that of its folder, file or repository."""
    if isinstance(store, FolderStore | HubStore | ImageLayoutStore):
        return store.path.resolve().name
    return store.reference.partition("@")[0].rpartition("/")[2].partition(":")[0]


def verify_files(store: ArtifactStore, manifest: Manifest, report: Report) -> None:
    """Read every file of an artifact whose manifest was not computed from its files, and compare it.

    Raises:
        FormatError: a file has other bytes than the manifest says.
        UnavailableError: the store cannot be reached.
    """
    if not reads_files(store):
        compare(store, manifest, report)


def reads_files(store: ArtifactStore) -> bool:
    """Whether the manifest of an artifact was computed from its files."""
    return isinstance(store, FolderStore | HubStore)


def _closed_at_the_end(store: S) -> S:
    context, close = click.get_current_context(silent=True), getattr(store, "close", None)
    if context is not None and close is not None:
        context.call_on_close(close)
    return store


def _registry_options(reference: str, options: StoreOptions) -> Options | None:
    if not reference.startswith(REGISTRY):
        return None
    context = click.get_current_context(silent=True)
    quiet = context is not None and context.params.get("quiet")
    return registry_options(options, notify=(lambda _: None) if quiet else ui.note)


def registry_options(options: StoreOptions, *, notify: Callable[[str], None]) -> Options:
    """How a registry is reached: as the user says, with the credentials of the environment."""
    from lamslsa.store.oci import Options

    return Options(plain_http=options.plain_http, authorities=options.ca_file, environ=dict(os.environ), notify=notify)


def kind_option(command: F) -> F:
    """``--kind``."""
    return click.option(
        "--kind",
        type=click.Choice(["model", "dataset"]),
        default="model",
        show_default=True,
        help="What a folder or hub repository holds; other stores know.",
    )(command)


def transfer(
    source: str, target: str, *, options: StoreOptions, kind: Kind, attestations: bool, output: ui.Output
) -> int:
    """Copy an artifact and its bundles, print what came of it, and return the exit code.

    Raises:
        FormatError: there is no artifact, or the target is taken.
        UnavailableError: a store cannot be reached.
    """
    line = output.progress()

    def stage(name: str) -> Callable[[Progress], None]:
        return lambda at: line(name, at.bytes_done, at.bytes_total, "B")

    copied = copy(
        open_model(source, options, kind=kind),
        open_model(target, options, kind=kind),
        attestations=attestations,
        report=stage("copying"),
        hashing=stage("hashing"),
        attaching=counting(output),
    )
    output.result("\n".join(_copied_lines(copied, attestations)), _copied_document(copied))
    return exit_code(copied.bundles)


def counting(output: ui.Output) -> Callable[[int], None]:
    """Says how many bundles are done, of many; how many there will be nobody knows before."""

    def done(count: int) -> None:
        if count % _TOLD_EVERY == 0:
            output.note(f"  attestations: {count:,} done")

    return done


def exit_code(attached: Attached) -> int:
    """0 when nothing failed; 6 when something is worth retrying."""
    return max((failed.error.exit_code for failed in attached.failed), default=0)


def _copied_lines(copied: Copied, attestations: bool) -> list[str]:
    files = copied.manifest.files
    size = sum(file.size for file in files)
    lines = [
        f"{copied.manifest.kind}  {ui.plain(copied.reference)}",
        f"files  {len(files):,}, {size:,} bytes",
    ]
    return lines + (attached_lines(copied.bundles) if attestations else ["attestations  left out"])


def _copied_document(copied: Copied) -> dict[str, Any]:
    files = copied.manifest.files
    return {
        "reference": copied.reference,
        "kind": copied.manifest.kind,
        "digest": f"sha256:{copied.manifest.sha256}",
        "files": len(files),
        "bytes": sum(file.size for file in files),
        "attestations": attached_document(copied.bundles),
    }


def attached_lines(attached: Attached) -> list[str]:
    """What became of the bundles, for people."""
    counts = f"{len(attached.copied)} copied, {len(attached.present)} already there, {len(attached.failed)} failed"
    lines = [f"attestations  {counts}"]
    for failed in attached.failed:
        lines.append(f"failed: {ui.plain(failed.source)} [{failed.error.reason}]: {ui.plain(str(failed.error))}")
        if failed.error.hint:
            lines.append(f"  hint: {ui.hanging(failed.error.hint, 8)}")
    return lines


def attached_document(attached: Attached) -> dict[str, Any]:
    """What became of the bundles, for programs."""
    return {
        "copied": list(attached.copied),
        "present": list(attached.present),
        "failed": [
            {
                "source": failed.source,
                "reason": failed.error.reason,
                "message": str(failed.error),
                "hint": failed.error.hint,
            }
            for failed in attached.failed
        ],
    }
