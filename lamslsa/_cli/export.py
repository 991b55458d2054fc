"""``lamslsa export``: everything that a verdict rests on, in one file for an auditor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from lamslsa import _codec, archive
from lamslsa._cli import outputs, ui
from lamslsa._cli.appraise import Request, inputs
from lamslsa._cli.gathered import Gathered
from lamslsa._files import replace_file
from lamslsa.reports import json as report
from lamslsa.reports import render
from lamslsa.sign.dsse import BUNDLE_SUFFIX, LINES_SUFFIX
from lamslsa.store import StoredBundle

__all__ = ["command"]


@click.command("export")
@inputs
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), help="Archive to write (*.zip).")
@ui.options
def command(request: Request, target: Path, output: ui.Output) -> int:
    """Write MODEL's manifest, attestations, policy, roots and collateral into one archive that verifies offline.

    The model's bytes stay where they are; its manifest names every one of them. An archive is also written for a model
    that the policy refuses; the verdict is printed, and the exit code is that of `lamslsa verify`.

    \b
    Example:
      lamslsa export ./model --policy policy.yaml --to audit.zip
      lamslsa verify audit.zip
    """
    if target.suffix.lower() != ".zip":
        raise click.UsageError(f"expected a name that ends in .zip after --to, got {target.name!r}")
    gathered = request.gather(output)
    appraisal = gathered.appraise()
    bundles, left_out = _named(gathered.bundles)
    for bundle, reason in left_out:
        output.note(f"left out, since it cannot be read: {bundle} [{reason}]")
    data = archive.write(_archive(gathered, bundles))
    replace_file(target, data)
    digest = _codec.sha256_hex(data)
    about = outputs.about(request, gathered)
    shown = render(appraisal, format="text", about=about).decode()
    output.result(
        f"{shown}written {ui.plain(str(target))}  sha256:{digest}  {len(data):,} bytes",
        {
            "archive": {
                "path": str(target),
                "sha256": digest,
                "bytes": len(data),
                "leftOut": [{"source": source, "reason": reason} for source, reason in left_out],
            },
            "appraisal": report.values(appraisal, about),
        },
    )
    return appraisal.exit_code


def _archive(gathered: Gathered, bundles: Mapping[str, bytes]) -> archive.Archive:
    from lamslsa.sign.keyless import SigstoreRoot

    return archive.Archive(
        now=gathered.now,
        at=gathered.at,
        model_name=gathered.model_name,
        manifest=gathered.manifest,
        bundles=bundles,
        policy=gathered.policy_bytes,
        policy_files=gathered.policy_files,
        trusted_root=gathered.trusted_root or SigstoreRoot.embedded().raw,
        collateral=(*gathered.held, *gathered.carried),
    )


def _named(bundles: Sequence[StoredBundle]) -> tuple[dict[str, bytes], list[tuple[str, str]]]:
    """Bundles under names of their content; and those that cannot be read, which a verdict sets aside anyway."""
    named: dict[str, bytes] = {}
    left_out: list[tuple[str, str]] = []
    for bundle in bundles:
        if not isinstance(bundle.data, bytes):
            left_out.append((bundle.source, bundle.data.reason))
            continue
        suffix = LINES_SUFFIX if bundle.source.endswith(LINES_SUFFIX) else BUNDLE_SUFFIX
        named[f"{_codec.sha256_hex(bundle.data)}{suffix}"] = bundle.data
    return named, left_out
