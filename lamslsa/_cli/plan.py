"""``lamslsa plan``: say which evaluation is going to be made, and sign that before it is."""

from __future__ import annotations

from pathlib import Path

import click

from lamslsa import _codec
from lamslsa._cli import signing, ui
from lamslsa._cli.inputs import read_capped
from lamslsa._files import refuse_existing, write_file
from lamslsa.artifact import Kind, hash_artifact
from lamslsa.statement import Subject

__all__ = ["command"]

_PATH = click.Path(path_type=Path)


@click.command("plan")
@click.argument("dataset", type=_PATH)
@click.option("--config", required=True, type=_PATH, help="The job file.")
@click.option("--evaluation", "name", metavar="NAME", help="Which of the job's evaluations, where it has several.")
@click.option("--model", type=_PATH, help="The only model that the plan is about; any model without it.")
@click.option("--hypothesis", metavar="TEXT", help="What is expected, for people.")
@click.option("--thresholds", metavar="TEXT", help="What will be good enough, for people.")
@click.option("--out", required=True, type=_PATH, help="New file: a bundle, or the bare statement without a signer.")
@signing.optional
@ui.options
def command(
    dataset: Path,
    config: Path,
    name: str | None,
    model: Path | None,
    hypothesis: str | None,
    thresholds: str | None,
    out: Path,
    make_signer: signing.MakeSigner | None,
    output: ui.Output,
) -> int:
    """Say which evaluation is going to be made on DATASET, before it is.

    Sign it with a timestamp: a policy that asks for a plan asks since when it is known. `lamslsa attest evaluation
    --plan` names it in the evaluation. `lamslsa attach` keeps it beside the model, where `lamslsa verify` looks for it.

    \b
    Example:
      lamslsa plan adult.test --config census.yaml --key keys/auditor.key --require-timestamp \\
          --thresholds "accuracy at least 0.84" --out plan.sigstore.json
    """
    from lamslsa.measure import load_job
    from lamslsa.measure.evaluation.planned import plan_payload
    from lamslsa.measure.registry import BUILT_IN

    refuse_existing(out)
    job = load_job(read_capped(config, what="job"), source=str(config), catalogue=BUILT_IN)
    plans = job.plans("evaluation", name)
    if len(plans) != 1:
        raise click.UsageError(f"expected --evaluation NAME, one of {', '.join(sorted(plans))}, got none")
    (plan,) = plans.values()
    line = output.progress()

    def digest_of(path: Path, kind: Kind) -> str:
        return hash_artifact(path, kind, progress=lambda at: line("hashing", at.bytes_done, at.bytes_total, "B")).sha256

    sha256 = digest_of(dataset, "dataset")
    only = None if model is None else Subject(name=model.resolve().name, sha256=digest_of(model, "model"))
    payload = plan_payload(plan, dataset_sha256=sha256, model=only, hypothesis=hypothesis, thresholds=thresholds)
    described, signed, data = {}, "unsigned", payload
    if make_signer is not None:
        with make_signer(output, [payload]) as signer:
            data, described, identity = signer.sign(payload), signing.described(signer), signer.identity
        signed = f"signed by {ui.plain(identity)}"
    write_file(out, data)
    planned, on = _codec.sha256_hex(payload), f"sha256:{sha256}" + (f" of model sha256:{only.sha256}" if only else "")
    output.result(
        f"{out}\nplan sha256:{planned} of {plan.measurer} on {on}, {signed}",
        {
            "file": str(out),
            "plan": planned,
            "measurer": str(plan.measurer),
            "dataset": sha256,
            "model": only and only.sha256,
            **described,
        },
    )
    return 0
