"""``lamslsa verify``: may this model be deployed?"""

from __future__ import annotations

import click

from lamslsa._cli import outputs as to
from lamslsa._cli import ui
from lamslsa._cli.appraise import Request, inputs
from lamslsa.reports import render

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
@ui.options
def command(request: Request, explain: tuple[str, ...], outputs: to.Outputs, output: ui.Output) -> int:
    """Appraise MODEL and its attestations against a policy; the exit code is the verdict.

    MODEL is a folder or file, oci://HOST/REPO@sha256:…, oci-layout:PATH, hub:PATH, or an archive of lamslsa export. Of
    a model in a registry the manifest is enough, and no layer is read without --pull; everything else works offline.
    0 accepted, 3 policy or model unreadable, 4 a required attestation is missing or not authentic, 5 authentic and
    refused.

    Each --output is written whole, of an acceptance and of a refusal. vsa and svr are in-toto statements, signed into
    a bundle where --key or --keyless is given; svr lists what holds, and there is none of a refusal.

    \b
    Example:
      lamslsa verify ./model --policy policy.yaml
      lamslsa verify ./model --policy policy.yaml --collateral collateral --challenge challenge.json
      lamslsa verify ./model --policy policy.yaml --output junit=verify.xml --output markdown=summary.md
      lamslsa verify ./model --policy policy.yaml --output vsa=vsa.sigstore.json --key keys/deployer.key
      lamslsa verify ./model --policy policy.yaml --explain accurate
      lamslsa verify oci://registry.example/census@sha256:… --policy policy.yaml
      lamslsa verify audit.zip
    """
    if explain and outputs.on_stdout:
        raise click.UsageError("--explain and --output FORMAT=- both go to stdout: leave one out")
    names = tuple(dict.fromkeys(explain))
    with outputs.complete_or_absent(request.files):
        request.refuse_summaries(outputs.summaries)
        gathered = request.gather(output)
        appraisal = gathered.appraise(names)
        about = to.about(request, gathered, verifier=outputs.verifier)
        outputs.write(appraisal, about, output)
    if names:
        from lamslsa.reports.explanation import explain as explained

        ui.write(explained(appraisal, names, about, as_json=output.as_json))
    elif not outputs.on_stdout:
        ui.write(render(appraisal, format="json" if output.as_json else "text", about=about))
    return appraisal.exit_code
