"""``lamslsa push``: put a model or dataset into a store."""

from __future__ import annotations

import click

from lamslsa._cli import stores, ui
from lamslsa.artifact import Kind

__all__ = ["command"]


@click.command("push")
@click.argument("model", metavar="MODEL")
@click.argument("destination", metavar="DEST")
@stores.kind_option
@click.option("--no-attestations", is_flag=True, help="Leave the bundles beside it behind.")
@stores.options
@ui.options
def command(
    model: str, destination: str, kind: Kind, no_attestations: bool, options: stores.StoreOptions, output: ui.Output
) -> int:
    """Put MODEL and the bundles beside it into the store DEST, and print the reference that names exactly this.

    Its digest there is its identity. A push that was interrupted is repeated; files that have arrived are not sent
    again, one that arrived in part is sent from its start.

    \b
    Example:
      lamslsa push ./model oci-layout:./layout:v1
      lamslsa push adult.data oci://registry.example/census:train --kind dataset
    """
    return stores.transfer(
        model, destination, options=options, kind=kind, attestations=not no_attestations, output=output
    )
