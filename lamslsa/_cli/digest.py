"""``lamslsa digest``: the identity of a model or dataset."""

from __future__ import annotations

from pathlib import Path

import click

from lamslsa._cli import ui
from lamslsa.artifact import Kind, hash_artifact, materialize

__all__ = ["command"]


@click.command("digest")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--kind", type=click.Choice(["model", "dataset"]), default="model", show_default=True, help="What it is.")
@click.option("--manifest", is_flag=True, help="Print the canonical manifest, the bytes whose SHA-256 is the identity.")
@click.option(
    "--materialize",
    "target",
    type=click.Path(path_type=Path),
    help="First copy the tree to this new folder with links resolved (Hugging Face cache snapshots).",
)
@ui.options
def command(path: Path, kind: Kind, manifest: bool, target: Path | None, output: ui.Output) -> int:
    """Print the identity of a model or dataset: the SHA-256 of its canonical manifest.

    \b
    Example:
      lamslsa digest ./model
      lamslsa digest adult.data --kind dataset
      lamslsa digest ./model --manifest > m.json
    """
    if manifest and output.as_json:
        raise click.UsageError("expected --manifest or --format json, got both: the manifest is exact bytes")
    if target is not None:
        materialize(path, target)
        path = target
    line = output.progress()
    artifact = hash_artifact(path, kind, progress=lambda at: line("hashing", at.bytes_done, at.bytes_total, "B"))
    if manifest:
        ui.write(artifact.canonical)
        return 0
    output.result(
        f"sha256:{artifact.sha256}",
        {
            "kind": kind,
            "digest": f"sha256:{artifact.sha256}",
            "files": [
                {"path": file.path, "digest": f"sha256:{file.sha256}", "size": file.size} for file in artifact.files
            ],
        },
    )
    return 0
