"""``lamslsa verify``: may this model be deployed?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import click

from lamslsa._cli import ui
from lamslsa._cli.appraise import Request, inputs
from lamslsa._cli.gathered import Gathered
from lamslsa.policy import Appraisal, RuleResult, report

__all__ = ["command", "document", "text"]

_SHOWN: Final = 20


@click.command("verify")
@inputs
@ui.options
def command(request: Request, output: ui.Output) -> int:
    """Appraise MODEL and its attestations against a policy; the exit code is the verdict.

    MODEL is a folder or file, oci://HOST/REPO@sha256:…, oci-layout:PATH, hub:PATH, or an archive of lamslsa export. Of
    a model in a registry the manifest is enough, and no layer is read without --pull; everything else works offline.
    0 accepted, 3 policy or model unreadable, 4 a required attestation is missing or not authentic, 5 authentic and
    refused.

    \b
    Example:
      lamslsa verify ./model --policy policy.yaml
      lamslsa verify ./model --policy policy.yaml --collateral collateral --challenge challenge.json
      lamslsa verify oci://registry.example/census@sha256:… --policy policy.yaml
      lamslsa verify audit.zip
    """
    gathered = request.gather(output)
    appraisal = gathered.appraise()
    output.result(text(appraisal, gathered), document(appraisal, gathered))
    return appraisal.exit_code


def document(appraisal: Appraisal, gathered: Gathered) -> dict[str, Any]:
    """The appraisal as JSON values, what of the model was read, and the archive that it came from, if it did."""
    found = report.document(appraisal)
    found["model"]["filesRead"] = gathered.files_read
    archive = gathered.origin
    if archive is not None:
        found["archive"] = {
            "sha256": archive.sha256,
            "exportedAt": f"{archive.now:%Y-%m-%dT%H:%M:%SZ}",
            "ownPolicy": gathered.own_policy,
            "asExported": gathered.as_exported,
        }
    return found


def text(appraisal: Appraisal, gathered: Gathered) -> str:
    """The appraisal for people."""
    cells = [[ui.plain(cell) for cell in row] for row in report.rows(appraisal)]
    lines = [
        f"model   {ui.plain(appraisal.model_name)}  sha256:{appraisal.model}"
        + ("" if gathered.files_read else "  (its manifest; no file was read)"),
        f"policy  {ui.plain(appraisal.policy_name)}  sha256:{appraisal.policy_sha256}",
        f"        with the files it names  sha256:{appraisal.policy_closure}",
        *([] if gathered.origin is None else [f"archive sha256:{gathered.origin.sha256}"]),
        "",
        ui.table(report.COLUMNS, cells),
        "",
    ]
    for names, rule in _refusals(appraisal):
        lines.append(f"refused: {ui.plain(', '.join(names))} [{rule.reason}]: {ui.plain(rule.message)}")
        if rule.mend:
            lines.append(f"   mend: {ui.plain(rule.mend)}")
    for item in appraisal.set_aside[:_SHOWN]:
        lines.append(f"set aside: {ui.plain(item.source)} [{item.reason}]: {ui.plain(item.message)}")
        if item.hint:
            lines.append(f"   mend: {ui.plain(item.hint)}")
    if len(appraisal.set_aside) > _SHOWN:
        lines.append(f"set aside: {len(appraisal.set_aside) - _SHOWN} more; --format json lists them")
    lines += [f"warning: {ui.plain(warning)}" for warning in appraisal.warnings]
    if any(rule.simulated for rule in appraisal.rules):
        lines.append(ui.style("SIMULATED TEE: no hardware vouches for these values", "yellow", bold=True))
    lines.append(ui.style(report.verdict(appraisal), "green" if appraisal.accepted else "red", bold=True))
    return "\n".join(lines)


def _refusals(appraisal: Appraisal) -> Iterator[tuple[list[str], RuleResult]]:
    """Refused rules, those with the same reason, message and mend together."""
    together: dict[tuple[str | None, str, str], list[RuleResult]] = {}
    for rule in appraisal.rules:
        if rule.outcome == "refused":
            together.setdefault((rule.reason, rule.message, rule.mend), []).append(rule)
    for rules in together.values():
        yield [rule.name for rule in rules], rules[0]
