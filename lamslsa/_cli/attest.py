"""``lamslsa attest``: measure inside a TEE."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from lamslsa import _codec
from lamslsa._cli import ui
from lamslsa._cli.inputs import NamedPaths, platform_option, read_capped, unique
from lamslsa._files import refuse_existing
from lamslsa.evidence import Attester, attester_for
from lamslsa.evidence.collateral import parse as parse_collateral
from lamslsa.evidence.run import Run, write_run
from lamslsa.measure.job import Job, load_job

__all__ = ["command"]

F = TypeVar("F", bound=Callable[..., Any])


@click.group("attest")
def command() -> None:
    """Measure inside a TEE: statements and the quote that vouches for them.

    A run leaves the folder --out, complete or not at all; `lamslsa publish` signs what is in it.

    \b
    Example:
      lamslsa attest evaluation ./model --dataset adult.test --config census.yaml \\
          --tee simulated --out build/evaluation
    """


def _common(command: F) -> F:
    """The options of every measurement."""
    options = [
        click.option("--config", required=True, type=click.Path(path_type=Path), help="Job file: everything declared."),
        click.option("--tee", metavar="TEE", help="Which TEE; 'simulated' must be asked for by name."),
        click.option(
            "--out", required=True, type=click.Path(path_type=Path), help="Folder of the run; must not exist."
        ),
        click.option(
            "--collateral",
            type=click.Path(path_type=Path),
            help="Collateral to travel with the quote; the simulated platform writes its own.",
        ),
        platform_option,
        ui.options,
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _begin(config: Path, tee: str | None, platform: Path, out: Path) -> tuple[Job, Attester]:
    """Refuse what can be refused before anything long begins."""
    refuse_existing(out)
    job = load_job(read_capped(config, what="job"), source=str(config))
    return job, attester_for(tee, simulated_platform=platform)


def _end(run: Run, *, out: Path, collateral: Path | None, tee: str | None, output: ui.Output) -> int:
    if collateral is not None:
        held = read_capped(collateral, what="collateral")
        parse_collateral(held)
        run = replace(run, evidence=replace(run.evidence, collateral=held))
    write_run(run, out)
    digests = {item.name: _codec.sha256_hex(item.payload) for item in run.statements}
    text = [f"{name}.json  sha256:{digest}" for name, digest in digests.items()]
    simulated = tee == "simulated"
    if simulated:
        output.note("simulated TEE: no hardware vouches for these values")
    output.result(
        "\n".join([*text, str(out)]),
        {
            "out": str(out),
            "tee": tee,
            "simulated": simulated,
            "statements": [{"name": name, "sha256": digest} for name, digest in digests.items()],
        },
    )
    return 0


@command.command("dataset")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Name of the dataset in the job file.")
@click.option(
    "--dataset",
    "others",
    multiple=True,
    type=NamedPaths(),
    metavar="NAME=PATH",
    help="A dataset that the job compares this one with; repeatable.",
)
@_common
def dataset(
    path: Path,
    name: str,
    others: tuple[tuple[str, Path], ...],
    config: Path,
    tee: str | None,
    out: Path,
    collateral: Path | None,
    simulated_platform: Path,
    output: ui.Output,
) -> int:
    """Measure a dataset: its datasheet.

    \b
    Example:
      lamslsa attest dataset adult.test --name census-test --dataset census-train=adult.data \\
          --config census.yaml --tee simulated --out build/census-test
    """
    from lamslsa.attest import attest_dataset

    job, attester = _begin(config, tee, simulated_platform, out)
    named = unique(others, "--dataset")
    run = attest_dataset(path, name=name, job=job, others=named, attester=attester, progress=output.progress())
    return _end(run, out=out, collateral=collateral, tee=tee, output=output)


@command.command("training")
@click.option(
    "--dataset",
    "datasets",
    multiple=True,
    required=True,
    type=NamedPaths(),
    metavar="train=PATH",
    help="The training data.",
)
@click.option(
    "--model-out", required=True, type=click.Path(path_type=Path), help="Folder of the model; must not exist."
)
@_common
def training(
    datasets: tuple[tuple[str, Path], ...],
    model_out: Path,
    config: Path,
    tee: str | None,
    out: Path,
    collateral: Path | None,
    simulated_platform: Path,
    output: ui.Output,
) -> int:
    """Train a model and attest how.

    \b
    Example:
      lamslsa attest training --config census.yaml --dataset train=adult.data \\
          --model-out ./model --tee simulated --out build/training
    """
    named = unique(datasets, "--dataset")
    if set(named) != {"train"}:
        raise click.UsageError(f"expected --dataset train=PATH, got {', '.join(sorted(named))}")
    from lamslsa.attest import attest_training

    job, attester = _begin(config, tee, simulated_platform, out)
    run = attest_training(named["train"], job=job, model_out=model_out, attester=attester, progress=output.progress())
    return _end(run, out=out, collateral=collateral, tee=tee, output=output)


@command.command("evaluation")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--dataset", required=True, type=click.Path(path_type=Path), help="The data to evaluate on.")
@_common
def evaluation(
    model: Path,
    dataset: Path,
    config: Path,
    tee: str | None,
    out: Path,
    collateral: Path | None,
    simulated_platform: Path,
    output: ui.Output,
) -> int:
    """Measure a model on a dataset.

    \b
    Example:
      lamslsa attest evaluation ./model --dataset adult.test --config census.yaml \\
          --tee simulated --out build/evaluation
    """
    from lamslsa.attest import attest_evaluation

    job, attester = _begin(config, tee, simulated_platform, out)
    run = attest_evaluation(model, dataset=dataset, job=job, attester=attester, progress=output.progress())
    return _end(run, out=out, collateral=collateral, tee=tee, output=output)
