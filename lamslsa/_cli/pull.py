"""``lamslsa pull``: get an artifact from a store into a folder."""

from __future__ import annotations

import click

from lamslsa._cli import stores, ui
from lamslsa.artifact import Kind

__all__ = ["command"]


@click.command("pull")
@click.argument("source", metavar="SRC")
@click.argument("folder", metavar="FOLDER", type=click.Path())
@stores.kind_option
@click.option("--no-attestations", is_flag=True, help="Leave the bundles behind.")
@stores.options
@ui.options
def command(
    source: str, folder: str, kind: Kind, no_attestations: bool, options: stores.StoreOptions, output: ui.Output
) -> int:
    """Get the artifact SRC and its bundles into FOLDER, which is new, empty, or holds this very artifact.

    Every file is compared with its digest. A pull that was interrupted is repeated and goes on where it stopped.
    Nothing is verified about the bundles: lamslsa verify does that.

    \b
    Example:
      lamslsa pull oci-layout:./layout:v1 ./model
      lamslsa pull oci://registry.example/census:v1 ./model --no-attestations
    """
    return stores.transfer(source, folder, options=options, kind=kind, attestations=not no_attestations, output=output)
