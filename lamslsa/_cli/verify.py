"""``lamslsa verify``: may this model be deployed?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from lamslsa._cli import outputs as to
from lamslsa._cli import stores, ui
from lamslsa._cli.appraise import Request, inputs
from lamslsa._cli.gathered import Gathered
from lamslsa.reports import render
from lamslsa.store import FolderStore

__all__ = ["command"]


@click.command("verify")
@inputs
@to.options
@click.option(
    "--explain",
    metavar="RULE",
    multiple=True,
    help="Print every attestation that a rule considered, and why each did or did not count, in place of the result. "
    "Repeatable.",
)
@click.option(
    "--materialize",
    "target",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Copy the model there once it is accepted: exactly the files that were judged, all of them or none.",
)
@ui.options
def command(
    request: Request, explain: tuple[str, ...], target: Path | None, outputs: to.Outputs, output: ui.Output
) -> int:
    """Appraise MODEL and its attestations against a policy; the exit code is the verdict.

    MODEL is a folder or file, oci://HOST/REPO@sha256:…, oci-layout:PATH, hub:PATH, or an archive of lamslsa export. Of
    a model in a registry the manifest is enough, and no layer is read without --pull; everything else works offline.
    0 accepted, 3 policy or model unreadable, 4 a required attestation is missing or not authentic, 5 authentic and
    refused.

    Each --output is written whole, of an acceptance and of a refusal. vsa and svr are in-toto statements, signed into
    a bundle where --key or --keyless is given; svr lists what holds, and there is none of a refusal.

    FOLDER of --materialize does not exist yet, is empty, or holds this very model. A file that is no more what was
    judged leaves nothing there.

    \b
    Example:
      lamslsa verify ./model --policy policy.yaml
      lamslsa verify ./model --policy policy.yaml --collateral collateral --challenge challenge.json
      lamslsa verify ./model --policy policy.yaml --output junit=verify.xml --output markdown=summary.md
      lamslsa verify ./model --policy policy.yaml --output vsa=vsa.sigstore.json --key keys/deployer.key
      lamslsa verify ./model --policy policy.yaml --explain accurate
      lamslsa verify oci://registry.example/census@sha256:… --policy policy.yaml
      lamslsa verify /mnt/models --policy policy.yaml --materialize ./verified
      lamslsa verify audit.zip
    """
    if explain and outputs.on_stdout:
        raise click.UsageError("--explain and --output FORMAT=- both go to stdout: leave one out")
    names = tuple(dict.fromkeys(explain))
    with outputs.complete_or_absent(request.files):
        request.refuse_summaries(outputs.summaries)
        gathered = request.gather(output)
        if target is not None and gathered.origin is not None:
            raise click.UsageError("--materialize goes with a model: an archive has none of its bytes")
        appraisal = gathered.appraise(names)
        if target is not None and appraisal.accepted:
            gathered = _materialized(request, gathered, target, output)
        about = to.about(request, gathered, verifier=outputs.verifier)
        outputs.write(appraisal, about, output)
    if names:
        from lamslsa.reports.explanation import explain as explained

        ui.write(explained(appraisal, names, about, as_json=output.as_json))
    elif not outputs.on_stdout:
        ui.write(render(appraisal, format="json" if output.as_json else "text", about=about))
    return appraisal.exit_code


def _materialized(request: Request, gathered: Gathered, target: Path, output: ui.Output) -> Gathered:
    """Copy the model that was accepted; each file is compared while it is read, and so all of them have been then.

    Raises:
        FormatError: a file has other bytes by now, or something else is in the way.
        UnavailableError: the model cannot be read, or the folder not be written.
    """
    line = output.progress()
    FolderStore(path=target).receive(
        gathered.manifest,
        stores.open_model(request.model, request.options),
        lambda at: line("copying", at.bytes_done, at.bytes_total, "B"),
    )
    output.note(f"{ui.plain(str(target))}: the files that were accepted")
    return replace(gathered, files_read=True)
