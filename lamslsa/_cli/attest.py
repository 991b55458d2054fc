"""``lamslsa attest``: measure inside a TEE."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from lamslsa import _codec
from lamslsa._cli import ui
from lamslsa._cli.inputs import NamedPaths, platform_option, read_capped, unique
from lamslsa._cli.nonce import nonce_options, read_nonce
from lamslsa._files import refuse_existing
from lamslsa.errors import FormatError
from lamslsa.evidence import Attester, attester_for
from lamslsa.evidence.attesters import HARDWARE, SIMULATED
from lamslsa.evidence.collateral import parse as parse_collateral
from lamslsa.evidence.detect import choose_auto
from lamslsa.evidence.nonce import Nonce
from lamslsa.evidence.run import Run, staged_run
from lamslsa.measure import Context, Job, load_job
from lamslsa.publish import with_collateral

if TYPE_CHECKING:
    from lamslsa.enclave.run import Finished

__all__ = ["command"]

F = TypeVar("F", bound=Callable[..., Any])
_DIRECT: Final = "gramine-direct"
_HOST: Final = "sgx-host"
_TEES: Final = {"simulated": "sgx", _DIRECT: "sgx", _HOST: "sgx"}
_SETUP: Final = ("config", "tee", "gpu", "enclave", "nonce", "beacon", "out", "collateral")


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
    """What every measurement needs, read and refused before anything long begins.

    Attributes:
        attester: None where an enclave build does the measuring.
        config: bytes of the job file.
    """

    job: Job
    config: bytes
    attester: Attester | None
    nonce: Nonce
    collateral: bytes | None
    tee: str
    enclave: Path | None
    platform: Path
    out: Path

    @property
    def simulated(self) -> bool:
        """Whether no hardware vouches for anything."""
        return self.tee == _DIRECT or self.tee in SIMULATED

    @classmethod
    def of(
        cls,
        *,
        config: Path,
        tee: str,
        gpu: str | None,
        enclave: Path | None,
        nonce: str | None,
        beacon: Path | None,
        platform: Path,
        out: Path,
        collateral: Path | None,
    ) -> _Setup:
        refuse_existing(out)
        declared = read_capped(config, what="job")
        job = load_job(declared, source=str(config))
        held = None if collateral is None else read_capped(collateral, what="collateral")
        asked = read_nonce(nonce, beacon)
        if tee == "auto":
            tee = choose_auto()
        inside = enclave is not None or tee in (_DIRECT, _HOST)
        if inside and enclave is None:
            raise click.UsageError(f"expected --enclave DIR with --tee {tee}, got none (lamslsa enclave build)")
        if enclave is not None and tee not in (_DIRECT, _HOST, "sgx"):
            raise click.UsageError(f"expected --enclave with --tee sgx or {_DIRECT}, got --tee {tee}")
        if inside and gpu is not None:
            raise click.UsageError(
                "expected --gpu with a confidential guest, got an enclave, which cannot vouch for it"
            )
        attester = None if inside else attester_for(tee, simulated_platform=platform, gpu=gpu)
        if held is not None:
            _refuse_other_collateral(held, _TEES.get(tee, tee.removeprefix("simulated-")))
        return cls(
            job=job,
            config=declared,
            attester=attester,
            nonce=asked,
            collateral=held,
            tee=tee,
            enclave=enclave,
            platform=platform,
            out=out,
        )

    def inside(self, output: ui.Output, **request: Any) -> AbstractContextManager[Finished]:
        """Have the enclave build do what ``request`` says (`lamslsa.enclave.run.Request`)."""
        from lamslsa.enclave.run import Request, run_job

        if self.enclave is None:
            raise TypeError("expected an enclave build")
        beacon = self.nonce.beacon
        return run_job(
            Request(
                config=self.config,
                challenge=self.nonce.value if beacon is None else None,
                beacon=None if beacon is None else beacon.data,
                **request,
            ),
            build_dir=self.enclave,
            runner="gramine-direct" if self.tee == _DIRECT else "gramine-sgx",
            simulated_platform=self.platform if self.tee == _DIRECT else None,
            workspace=self.out.absolute().parent,
            say=output.note,
        )

    def write(self, run: Run, output: ui.Output, *, model: Callable[[], None] | None = None) -> int:
        """Write the run, and before it gets its name what the run is about."""
        if self.collateral is not None:
            run = with_collateral(run, self.collateral)
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
                "tee": self.tee,
                "simulated": self.simulated,
                "devices": len(run.devices),
                "statements": [{"name": name, "sha256": digest} for name, digest in digests.items()],
            },
        )
        return 0


def _refuse_other_collateral(data: bytes, tee: str) -> None:
    """Refuse what no verifier would take with this TEE's evidence, before anything long begins."""
    match tee:
        case "nitro":
            raise FormatError(
                "expected no collateral with nitro, whose evidence carries its endorsements, got some",
                reason="evidence-media-type",
            )
        case "snp":
            from lamslsa.evidence.snp.collateral import parse as parse_snp

            parse_snp(data)
        case _:
            parse_collateral(data)


def _common(command: F) -> F:
    """The options of every measurement, handed on as ``prepare``, which refuses what can be refused at once."""

    @functools.wraps(command)
    def prepared(*args: Any, simulated_platform: Path, **kwargs: Any) -> Any:
        own = {name: kwargs.pop(name) for name in _SETUP}
        return command(*args, prepare=functools.partial(_Setup.of, platform=simulated_platform, **own), **kwargs)

    options = [
        click.option("--config", required=True, type=click.Path(path_type=Path), help="Job file: everything declared."),
        click.option(
            "--tee",
            type=click.Choice(["auto", *HARDWARE, _DIRECT, *SIMULATED]),
            default="auto",
            show_default=True,
            metavar="TEE",
            help="Which TEE (lamslsa tee); 'auto' takes hardware only, 'simulated' must be asked for by name.",
        ),
        click.option(
            "--gpu", type=click.Choice(["nvidia", "simulated"]), help="Have the GPUs of a TDX or SEV-SNP guest answer."
        ),
        click.option(
            "--enclave",
            type=click.Path(path_type=Path),
            help="Enclave build to measure in, with --tee sgx on a host or --tee gramine-direct.",
        ),
        nonce_options,
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
    from lamslsa.attest import Planned, attest
    from lamslsa.measure.dataset.tabular import COMPARED

    named = unique(others, "--dataset")
    setup = prepare()
    line = output.progress()
    if setup.attester is None:
        with setup.inside(output, kind="dataset", inputs={"dataset": path}, name=name, others=named) as finished:
            return setup.write(finished.run, output)
    compared = {f"{COMPARED}{other}": where for other, where in named.items()}
    planned = Planned(plan=setup.job.sheet(name), paths={"dataset": path, **compared})
    run, _ = attest([planned], attester=setup.attester, nonce=setup.nonce, context=Context(progress=line))
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
    from lamslsa.attest import Planned, attest

    refuse_existing(model_out)
    setup = prepare()
    run_folder, model_folder = setup.out.absolute(), model_out.absolute()
    if run_folder == model_folder or run_folder in model_folder.parents or model_folder in run_folder.parents:
        raise click.UsageError("expected --out and --model-out apart, got one inside the other")
    if setup.attester is None:
        with setup.inside(output, kind="training", inputs={"dataset": named["train"]}) as finished:
            return setup.write(finished.run, output, model=lambda: finished.write_model(model_out))
    planned = Planned(plan=setup.job.require_training(), paths=named)
    context = Context(progress=output.progress())
    run, made = attest([planned], attester=setup.attester, nonce=setup.nonce, context=context)
    (model,) = made.outputs.values()
    return setup.write(run, output, model=lambda: model.write(model_out))


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
    from lamslsa.attest import Planned, attest

    setup = prepare()
    line = output.progress()
    if setup.attester is None:
        with setup.inside(output, kind="evaluation", inputs={"dataset": dataset, "model": model}) as finished:
            return setup.write(finished.run, output)
    planned = [
        Planned(plan=plan, paths={"model": model, "dataset": dataset})
        for plan in setup.job.require_evaluations().values()
    ]
    run, _ = attest(planned, attester=setup.attester, nonce=setup.nonce, context=Context(progress=line))
    return setup.write(run, output)
