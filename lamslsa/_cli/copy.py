"""``lamslsa copy``: copy an artifact from one store to another."""

from __future__ import annotations

import click

from lamslsa._cli import stores, ui
from lamslsa.artifact import Kind

__all__ = ["command"]


@click.command("copy")
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DEST")
@stores.kind_option
@click.option("--no-attestations", is_flag=True, help="Leave the bundles behind.")
@stores.options
@ui.options
def command(
    source: str, destination: str, kind: Kind, no_attestations: bool, options: stores.StoreOptions, output: ui.Output
) -> int:
    """Copy the artifact SRC and its bundles to the store DEST.

    A store is PATH, hub:PATH, oci-layout:PATH[:TAG] or oci://HOST/REPOSITORY[:TAG], each with an optional
    @sha256:DIGEST that names exactly one artifact. Bundles are copied unfiltered and are not verified.

    \b
    Example:
      lamslsa copy oci://registry.example/census:v1 oci-layout:./layout:v1
      lamslsa copy hub:./clone ./model
    """
    return stores.transfer(
        source, destination, options=options, kind=kind, attestations=not no_attestations, output=output
    )
