"""``lamslsa croissant``: datasheets as Croissant metadata, and such metadata as parts of a job file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from lamslsa import statement
from lamslsa._cli import ui
from lamslsa._cli.inputs import read_capped, refuse_secret
from lamslsa.errors import FormatError, LamslsaError
from lamslsa.predicates.dataset import PREDICATE_TYPE

__all__ = ["command"]

_BUNDLES: Final = (".sigstore.json", ".intoto.jsonl")


@click.group("croissant")
def command() -> None:
    """Datasheets as Croissant 1.0 metadata, and such metadata as parts of a job file.

    \b
    Example:
      lamslsa croissant export runs/census > croissant.json
    """


@command.command("export")
@click.argument("source", metavar="STATEMENT|RUN|BUNDLE", type=click.Path(path_type=Path))
@click.option("--name", help="The dataset, where there are several datasheets.")
@ui.options
def export(source: Path, name: str | None, output: ui.Output) -> int:
    """Print a datasheet as Croissant: its files, columns, what was measured of it and what is only declared.

    Nothing is verified; the document names the statement, which `lamslsa verify` can judge.

    \b
    Example:
      lamslsa croissant export runs/census --name census-train > croissant.json
    """
    import json

    from lamslsa.croissant import to_croissant

    refuse_secret(str(source), what="input")
    sheets = [item for item in map(_parsed, _payloads(source)) if item is not None]
    chosen = [item for item in sheets if name is None or item.subjects[0].name == name]
    if len(chosen) != 1:
        names = ", ".join(sorted(item.subjects[0].name for item in sheets))
        raise FormatError(
            f"expected one datasheet in {source}, got {len(chosen)}",
            reason="croissant-datasheets",
            hint=f"there are: {names or 'none'}; choose with --name",
        )
    document = to_croissant(chosen[0].payload)
    output.note(f"measured values are those of the statement sha256:{chosen[0].sha256}, which is NOT verified here")
    output.result(json.dumps(document, indent=2, allow_nan=False), document)
    return 0


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@ui.options
def import_(file: Path, output: ui.Output) -> int:
    """Print the parts of a job file that a Croissant FILE declares: schemas, and datasets with licence and source.

    Nothing is fetched, and no file that it names is opened. What Croissant does not say stands in comments: look at
    them before measuring.

    \b
    Example:
      lamslsa croissant import croissant.json > job.yaml
    """
    from lamslsa.croissant.fragment import job_fragment
    from lamslsa.croissant.read import MAX_DOCUMENT_BYTES, read_croissant

    imported = read_croissant(read_capped(file, what="Croissant file", limit=MAX_DOCUMENT_BYTES))
    fragment = job_fragment(imported)
    output.result(
        fragment,
        {
            "name": imported.name,
            "tables": [
                {
                    "name": table.name,
                    "schema": dict(table.schema),
                    "file": table.file,
                    "sha256": table.sha256,
                    "assumed": list(table.assumed),
                }
                for table in imported.tables
            ],
            "declared": dict(imported.declared),
            "responsible": dict(imported.responsible),
            "leftOut": list(imported.left_out),
            "job": fragment,
        },
    )
    return 0


def _payloads(source: Path) -> Iterator[bytes]:
    """The statements of a run folder, of a file of bundles, or the file itself."""
    from lamslsa.evidence.run import read_run
    from lamslsa.sign import parse_bundles
    from lamslsa.sign.dsse import MAX_BUNDLE_BYTES
    from lamslsa.sign.interface import Envelope

    if source.is_dir():
        yield from (item.payload for item in read_run(source).statements)
        return
    data = read_capped(source, what="input", limit=MAX_BUNDLE_BYTES)
    if not source.name.endswith(_BUNDLES):
        yield data
        return
    for result in parse_bundles(source.name, data):
        if isinstance(result.outcome, LamslsaError):
            raise result.outcome
        if isinstance(result.outcome, Envelope):
            yield result.outcome.payload


def _parsed(payload: bytes) -> statement.Statement | None:
    """The statement, if it is a datasheet."""
    parsed = statement.parse(payload)
    return parsed if parsed.predicate_type == PREDICATE_TYPE else None
