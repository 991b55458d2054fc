"""``lamslsa attest``: measure inside a TEE."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from lamslsa import _codec
from lamslsa._cli import ui
from lamslsa._cli.inputs import NamedPaths, platform_option, read_capped, unique
from lamslsa._files import refuse_existing
from lamslsa.evidence import Attester, attester_for
from lamslsa.evidence.collateral import parse as parse_collateral
from lamslsa.evidence.run import Run, staged_run
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setup:
    """What every measurement needs, read and refused before anything long begins."""

    job: Job
    attester: Attester
    collateral: bytes | None
    simulated: bool
    out: Path

    @classmethod
    def of(cls, *, config: Path, tee: str | None, platform: Path, out: Path, collateral: Path | None) -> _Setup:
        refuse_existing(out)
        job = load_job(read_capped(config, what="job"), source=str(config))
        held = None if collateral is None else read_capped(collateral, what="collateral")
        if held is not None:
            parse_collateral(held)
        attester = attester_for(tee, simulated_platform=platform)
        return cls(job=job, attester=attester, collateral=held, simulated=tee == "simulated", out=out)

    def write(self, run: Run, output: ui.Output, *, model: Callable[[], None] | None = None) -> int:
        """Write the run, and before it gets its name what the run is about."""
        if self.collateral is not None:
            run = replace(run, evidence=replace(run.evidence, collateral=self.collateral))
        with staged_run(run, self.out):
            if model is not None:
                model()
        digests = {item.name: _codec.sha256_hex(item.payload) for item in run.statements}
        if self.simulated:
            output.note("simulated TEE: no hardware vouches for these values")
        output.result(
            "\n".join([*(f"{name}.json  sha256:{digest}" for name, digest in digests.items()), str(self.out)]),
            {
                "out": str(self.out),
                "tee": self.attester.tee,
                "simulated": self.simulated,
                "statements": [{"name": name, "sha256": digest} for name, digest in digests.items()],
            },
        )
        return 0


def _common(command: F) -> F:
    """The options of every measurement, handed on as ``prepare``, which refuses what can be refused at once."""

    @functools.wraps(command)
    def prepared(
        *args: Any,
        config: Path,
        tee: str | None,
        out: Path,
        collateral: Path | None,
        simulated_platform: Path,
        **kwargs: Any,
    ) -> Any:
        prepare = functools.partial(
            _Setup.of, config=config, tee=tee, platform=simulated_platform, out=out, collateral=collateral
        )
        return command(*args, prepare=prepare, **kwargs)

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
    result: Any = prepared
    for option in reversed(options):
        result = option(result)
    return result  # type: ignore[no-any-return]  # click keeps the callable


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
    prepare: Callable[[], _Setup],
    output: ui.Output,
) -> int:
    """Measure a dataset: its datasheet.

    \b
    Example:
      lamslsa attest dataset adult.test --name census-test --dataset census-train=adult.data \\
          --config census.yaml --tee simulated --out build/census-test
    """
    from lamslsa.attest import attest_dataset

    named = unique(others, "--dataset")
    setup = prepare()
    line = output.progress()
    run = attest_dataset(path, name=name, job=setup.job, others=named, attester=setup.attester, progress=line)
    return setup.write(run, output)


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
    prepare: Callable[[], _Setup],
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

    refuse_existing(model_out)
    setup = prepare()
    run_folder, model_folder = setup.out.absolute(), model_out.absolute()
    if run_folder == model_folder or run_folder in model_folder.parents or model_folder in run_folder.parents:
        raise click.UsageError("expected --out and --model-out apart, got one inside the other")
    run, trained = attest_training(named["train"], job=setup.job, attester=setup.attester, progress=output.progress())
    return setup.write(run, output, model=lambda: trained.write(model_out))


@command.command("evaluation")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--dataset", required=True, type=click.Path(path_type=Path), help="The data to evaluate on.")
@_common
def evaluation(
    model: Path,
    dataset: Path,
    prepare: Callable[[], _Setup],
    output: ui.Output,
) -> int:
    """Measure a model on a dataset.

    \b
    Example:
      lamslsa attest evaluation ./model --dataset adult.test --config census.yaml \\
          --tee simulated --out build/evaluation
    """
    from lamslsa.attest import attest_evaluation

    setup = prepare()
    line = output.progress()
    run = attest_evaluation(model, dataset=dataset, job=setup.job, attester=setup.attester, progress=line)
    return setup.write(run, output)
