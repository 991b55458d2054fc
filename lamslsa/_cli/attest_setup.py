"""The options of every ``lamslsa attest``, and what can be refused before anything long begins."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from lamslsa._cli import ui
from lamslsa._cli.attest_inputs import memory_options, refuse_spool
from lamslsa._cli.inputs import platform_option, read_capped
from lamslsa._cli.nonce import nonce_options, read_nonce
from lamslsa.artifact.spool import Spool
from lamslsa.errors import FormatError, UnavailableError
from lamslsa.evidence import Attester, attester_for
from lamslsa.evidence.attesters import HARDWARE, SIMULATED
from lamslsa.evidence.collateral import parse as parse_collateral
from lamslsa.evidence.detect import choose_auto
from lamslsa.evidence.nonce import Nonce
from lamslsa.measure import Context
from lamslsa.measure.interface import Device, Progress

__all__ = ["Options", "Setup", "common", "refuse_unmeasured_code", "require_device"]

F = TypeVar("F", bound=Callable[..., Any])
_DIRECT: Final = "gramine-direct"
_HOST: Final = "sgx-host"
_TEES: Final = {"simulated": "sgx", _DIRECT: "sgx", _HOST: "sgx"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of every measurement, as they were given."""

    config: Path
    tee: str
    gpu: str | None
    enclave: Path | None
    nonce: str | None
    beacon: Path | None
    out: Path | None
    collateral: Path | None
    device: Device
    checkpoints: Path | None
    memory_limit: int
    spool: Path | None
    private: Path | None
    measurers: str | None
    dry_run: bool
    platform: Path

    @property
    def required_out(self) -> Path:
        """The folder of the run.

        Raises:
            click.UsageError: none was named; only a dry run does without.
        """
        if self.out is None:
            raise click.UsageError("Missing option '--out'.")
        return self.out


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What measuring needs, read and refused before anything long begins.

    Attributes:
        config: bytes of the job file.
        attester: None where an enclave build does the measuring.
        tee: what was asked for, with ``auto`` resolved.
        beside: digest of other code that shares this process.
    """

    config: bytes
    attester: Attester | None
    nonce: Nonce
    collateral: bytes | None
    tee: str
    enclave: Path | None
    platform: Path
    device: Device
    checkpoints: Path | None
    memory_limit: int
    spool: Path | None
    beside: bytes

    @property
    def simulated(self) -> bool:
        """Whether no hardware vouches for anything."""
        return self.tee == _DIRECT or self.tee in SIMULATED

    @property
    def direct(self) -> bool:
        """Whether the enclave build runs without SGX."""
        return self.tee == _DIRECT

    @classmethod
    def of(cls, options: Options, config: bytes, *, beside: bytes = b"") -> Setup:
        """Read what the options name, and find the TEE.

        Args:
            options: as given.
            config: bytes of the job file.
            beside: digest of other code that shares this process.

        Raises:
            FormatError: a file is not what it should be.
            UnavailableError: no such TEE, device, sealing key or spool.
            click.UsageError: options that contradict each other.
        """
        held = None if options.collateral is None else read_capped(options.collateral, what="collateral")
        asked = read_nonce(options.nonce, options.beacon)
        tee = choose_auto() if options.tee == "auto" else options.tee
        inside = options.enclave is not None or tee in (_DIRECT, _HOST)
        if inside and options.enclave is None:
            raise click.UsageError(f"expected --enclave DIR with --tee {tee}, got none (lamslsa enclave build)")
        if options.enclave is not None and tee not in (_DIRECT, _HOST, "sgx"):
            raise click.UsageError(f"expected --enclave with --tee sgx or {_DIRECT}, got --tee {tee}")
        if inside and options.gpu is not None:
            raise click.UsageError(
                "expected --gpu with a confidential guest, got an enclave, which cannot vouch for it"
            )
        if inside and options.device != "cpu":
            raise click.UsageError("expected --device cpu with an enclave, which no GPU is part of")
        attester = (
            None if inside else attester_for(tee, simulated_platform=options.platform, gpu=options.gpu, beside=beside)
        )
        if held is not None:
            _refuse_other_collateral(held, _TEES.get(tee, tee.removeprefix("simulated-")))
        require_device(options.device)
        refuse_spool(options.spool)
        setup = cls(
            config=config,
            attester=attester,
            nonce=asked,
            collateral=held,
            tee=tee,
            enclave=options.enclave,
            platform=options.platform,
            device=options.device,
            checkpoints=options.checkpoints,
            memory_limit=options.memory_limit,
            spool=options.spool,
            beside=beside,
        )
        if not inside:
            setup.context(ui.ProgressLine(silent=True))  # a sealing key that is missing is told now
        return setup

    def context(self, progress: Progress) -> Context:
        """What surrounds a measurement in this process.

        Raises:
            UnavailableError: checkpoints are asked for, and this TEE has no sealing key.
        """
        context = Context(
            progress=progress,
            device=self.device,
            memory_limit=self.memory_limit,
            spool=None if self.spool is None else Spool(self.spool),
        )
        if self.checkpoints is None:
            return context
        from lamslsa.attest import sealed_checkpoints

        kept = sealed_checkpoints(self.checkpoints, tee=self.tee, simulated_platform=self.platform, beside=self.beside)
        return replace(context, checkpoints=kept)


def refuse_unmeasured_code(tee: str, *, reason: str, build: str) -> None:
    """Return if a TEE measures code of others that is to run in this process.

    Args:
        tee: as it was asked for.
        reason: of the refusal.
        build: the enclave build that has the code in it, in words.

    Raises:
        UnavailableError: it is hardware, whose measurement was made before.
    """
    if tee in (*HARDWARE, "auto"):
        raise UnavailableError(
            f"expected a TEE that measures code that is not ours before it runs, got {tee}",
            reason=reason,
            hint=f"lamslsa enclave build {build}, and --enclave; or rehearse with --tee simulated",
        )


def require_device(device: Device) -> None:
    """Return if tensors can live there.

    Raises:
        UnavailableError: there is no such device.
    """
    if device != "cuda":
        return
    import torch

    if not torch.cuda.is_available():
        raise UnavailableError(
            "expected a CUDA device that torch can use, got none",
            reason="device-missing",
            hint="measure with --device cpu, or install torch for CUDA and its driver",
        )


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


def common(command: F) -> F:
    """Add the options of every measurement, handed on as one `Options` named ``options``."""

    @functools.wraps(command)
    def gathered(*args: Any, simulated_platform: Path, **kwargs: Any) -> Any:
        own = {name: kwargs.pop(name) for name in _NAMES}
        return command(*args, options=Options(platform=simulated_platform, **own), **kwargs)

    path = click.Path(path_type=Path)
    options = [
        click.option("--config", required=True, type=path, help="Job file: everything declared."),
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
            type=path,
            help="Enclave build to measure in, with --tee sgx on a host or --tee gramine-direct.",
        ),
        nonce_options,
        click.option("--out", type=path, help="Folder of the run; must not exist. Required but for --dry-run."),
        click.option(
            "--private", type=path, help="Folder for what only you may see, such as openings; must not exist."
        ),
        click.option(
            "--collateral",
            type=path,
            help="Collateral to travel with the quote; the simulated platform writes its own.",
        ),
        click.option(
            "--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True, help="Where tensors live."
        ),
        click.option(
            "--checkpoints", type=path, help="Folder for sealed checkpoints, from which the same work is resumed."
        ),
        memory_options,
        click.option(
            "--measurers", metavar="DISTRIBUTION", help="Also take the measurers of this installed distribution."
        ),
        click.option(
            "--dry-run", is_flag=True, help="Say what would be read and measured, and roughly how long; write nothing."
        ),
        platform_option,
        ui.options,
    ]
    result: Any = gathered
    for option in reversed(options):
        result = option(result)
    return result  # type: ignore[no-any-return]  # click keeps the callable


_NAMES: Final = tuple(name for name in Options.__dataclass_fields__ if name != "platform")
