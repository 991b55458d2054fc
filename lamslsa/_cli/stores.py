"""What the commands that open stores have in common: options, progress, and how a copy is told."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lamslsa._cli import ui
from lamslsa.artifact import Kind, Progress
from lamslsa.store import ArtifactStore, Store, open_artifact_store, open_store
from lamslsa.store.transfer import Attached, Copied

if TYPE_CHECKING:
    from lamslsa.store.oci import Options

__all__ = ["Stores", "attached_document", "attached_lines", "exit_code", "kind_option", "store_options", "transfer"]

F = TypeVar("F", bound=Callable[..., Any])
_REGISTRY = "oci://"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """Opens stores by their references, as the options of a command say.

    Attributes:
        plain_http: reach a registry on this machine without TLS.
        ca_file: certificate authorities to trust beside the system's; None for no others.
    """

    plain_http: bool
    ca_file: Path | None

    @contextlib.contextmanager
    def artifact(self, reference: str, output: ui.Output, *, kind: Kind = "model") -> Iterator[ArtifactStore]:
        """The store of an artifact; its connections are closed at the end of the block.

        Raises:
            FormatError: no such reference.
        """
        with _closing(open_artifact_store(reference, kind=kind, options=self._options(reference, output))) as store:
            yield store

    @contextlib.contextmanager
    def bundles(self, reference: str, output: ui.Output) -> Iterator[Store]:
        """The store of bundles; its connections are closed at the end of the block.

        Raises:
            FormatError: no such reference.
        """
        with _closing(open_store(reference, options=self._options(reference, output))) as store:
            yield store

    def _options(self, reference: str, output: ui.Output) -> Options | None:
        if not reference.startswith(_REGISTRY):
            return None
        from lamslsa.store.oci import Options

        return Options(
            plain_http=self.plain_http, authorities=self.ca_file, environ=dict(os.environ), notify=output.note
        )


@contextlib.contextmanager
def _closing(store: Any) -> Iterator[Any]:
    try:
        yield store
    finally:
        if hasattr(store, "close"):
            store.close()


def store_options(command: F) -> F:
    """Add ``--plain-http`` and ``--ca-file``, handed on as one `Stores` named ``stores``."""

    @functools.wraps(command)
    def decorated(*args: Any, plain_http: bool, ca_file: Path | None, **kwargs: Any) -> Any:
        return command(*args, stores=Stores(plain_http=plain_http, ca_file=ca_file), **kwargs)

    plain = click.option(
        "--plain-http", is_flag=True, help="Reach a registry without TLS; only if it is on this machine."
    )
    ca_file = click.option(
        "--ca-file",
        type=click.Path(path_type=Path),
        help="Certificates (PEM) of authorities to trust beside the system's, for registries.",
    )
    return plain(ca_file(decorated))  # type: ignore[return-value]  # click keeps the callable


def kind_option(command: F) -> F:
    """``--kind``."""
    return click.option(
        "--kind",
        type=click.Choice(["model", "dataset"]),
        default="model",
        show_default=True,
        help="What a folder or hub repository holds; other stores know.",
    )(command)


def transfer(source: str, target: str, *, stores: Stores, kind: Kind, attestations: bool, output: ui.Output) -> int:
    """Copy an artifact and its bundles, print what came of it, and return the exit code.

    Raises:
        FormatError: there is no artifact, or the target is taken.
        UnavailableError: a store cannot be reached.
    """
    from lamslsa.store.transfer import copy

    line = output.progress()

    def stage(name: str) -> Callable[[Progress], None]:
        return lambda at: line(name, at.bytes_done, at.bytes_total, "B")

    with stores.artifact(source, output, kind=kind) as origin, stores.artifact(target, output, kind=kind) as place:
        copied = copy(origin, place, attestations=attestations, report=stage("copying"), hashing=stage("hashing"))
    output.result("\n".join(_copied_lines(copied, attestations)), _copied_document(copied))
    return exit_code(copied.bundles)


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
            lines.append(f"  hint: {ui.plain(failed.error.hint)}")
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
