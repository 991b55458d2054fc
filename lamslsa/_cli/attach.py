"""``lamslsa attach``: keep bundles beside an artifact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from lamslsa._cli import stores, ui
from lamslsa.errors import FormatError
from lamslsa.store import DEFAULT_FOLDER, StoredBundle, open_store

__all__ = ["command"]


@click.command("attach")
@click.argument("reference", metavar="STORE")
@click.argument("bundles", metavar="BUNDLE...", nargs=-1, required=True, type=click.Path())
@stores.options
@ui.options
def command(reference: str, bundles: tuple[str, ...], options: stores.StoreOptions, output: ui.Output) -> int:
    """Keep each BUNDLE beside the artifact in STORE: *.sigstore.json, *.intoto.jsonl, or folders of them.

    Bundles that are there already are left alone. Nothing is verified about them: lamslsa verify does that.

    \b
    Example:
      lamslsa attach oci-layout:./layout:v1 evaluation.sigstore.json
      lamslsa attach oci://registry.example/census:v1 ./model/.attestations
    """
    from lamslsa.store.transfer import attach

    is_folder = Path(reference).name == DEFAULT_FOLDER
    store = stores.open_bundles(reference, options) if is_folder else stores.open_model(reference, options)
    attached = attach(_read(bundles), store, stores.counting(output))
    lines = [*(f"attached  {ui.plain(place)}" for place in attached.copied), *stores.attached_lines(attached)]
    output.result("\n".join(lines), stores.attached_document(attached))
    return stores.exit_code(attached)


def _read(references: Sequence[str]) -> Iterator[StoredBundle]:
    for reference in references:
        if not Path(reference).exists():
            raise FormatError(
                f"expected a bundle file or a folder of them, got nothing at {reference}", reason="attach-missing"
            )
        yield from open_store(reference).bundles()
