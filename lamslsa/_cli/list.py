"""``lamslsa list``: what bundles say of themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from lamslsa import statement
from lamslsa._cli import stores, ui
from lamslsa.errors import FormatError, LamslsaError, UnavailableError
from lamslsa.sign.interface import Envelope
from lamslsa.store import DEFAULT_FOLDER, DirectoryStore, StoredBundle

__all__ = ["command"]

_SHORT = 12
_HEADER = "not verified: this is what the bundles say of themselves"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    predicate_type: str
    subject: str
    digest: str
    signer: str
    size: int
    source: str
    error: str = ""
    exit_code: int = 0


@click.command("list")
@click.argument("reference", metavar="STORE")
@stores.options
@ui.options
def command(reference: str, options: stores.StoreOptions, output: ui.Output) -> int:
    """List the bundles beside the artifact in STORE, or in a folder or file of bundles. Nothing is verified.

    The exit code is 6 when a bundle could not be reached and may be there another time.

    \b
    Example:
      lamslsa list ./model
      lamslsa list oci://registry.example/census:v1 --format json
    """
    is_artifact = (Path(reference) / DEFAULT_FOLDER).is_dir()
    store = stores.open_model(reference, options) if is_artifact else stores.open_bundles(reference, options)
    if isinstance(store, DirectoryStore) and not store.path.exists():
        raise FormatError(
            f"expected a store, got nothing at {reference}",
            reason="list-missing",
            hint="name a model, a folder or file of bundles, or a store",
        )
    rows = [row for found in store.bundles() for row in _rows(found)]
    output.result(_text(rows), {"verified": False, "bundles": [_document(row) for row in rows]})
    return max(row.exit_code for row in rows) if rows else 0


def _text(rows: list[_Row]) -> str:
    if not rows:
        return "no bundles"
    cells = [
        [
            ui.plain(row.predicate_type),
            f"{ui.plain(row.subject)}  {row.digest[:_SHORT]}".strip(),
            ui.plain(row.signer),
            f"{row.size:,}",
            ui.plain(row.source),
        ]
        for row in rows
        if not row.error
    ]
    lines = [_HEADER, "", ui.table(["predicate type", "subject", "signer", "bytes", "source"], cells)]
    lines += [f"unreadable: {ui.plain(row.source)} {ui.plain(row.error)}" for row in rows if row.error]
    return "\n".join(lines)


def _document(row: _Row) -> dict[str, object]:
    if row.error:
        return {"source": row.source, "error": row.error}
    return {
        "predicateType": row.predicate_type,
        "subject": {"name": row.subject, "digest": f"sha256:{row.digest}"},
        "signer": row.signer,
        "bytes": row.size,
        "source": row.source,
    }


def _rows(found: StoredBundle) -> Iterator[_Row]:
    from lamslsa.sign import parse_bundles

    if isinstance(found.data, LamslsaError):
        yield _unreadable(found.source, found.data)
        return
    try:
        results = parse_bundles(found.source, found.data)
    except FormatError as err:
        yield _unreadable(found.source, err)
        return
    for source, outcome in results:
        yield _row(source, outcome) if isinstance(outcome, Envelope) else _unreadable(source, outcome)


def _unreadable(source: str, err: LamslsaError) -> _Row:
    return _Row(
        predicate_type="",
        subject="",
        digest="",
        signer="",
        size=0,
        source=source,
        error=f"[{err.reason}]: {err}",
        exit_code=err.exit_code if isinstance(err, UnavailableError) else 0,
    )


def _row(source: str, envelope: Envelope) -> _Row:
    from lamslsa.sign.claimed import claimed_signer

    try:
        said = statement.parse(envelope.payload)
    except FormatError as err:
        return _unreadable(source, err)
    first, more = said.subjects[0], len(said.subjects) - 1
    return _Row(
        predicate_type=said.predicate_type,
        subject=first.name + (f" and {more} more" if more else ""),
        digest=first.sha256,
        signer=claimed_signer(envelope),
        size=len(envelope.raw),
        source=source,
    )
