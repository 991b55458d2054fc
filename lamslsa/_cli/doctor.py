"""``lamslsa doctor``: whether this installation can do its work, and what it rests on."""

from __future__ import annotations

import datetime as dt
import platform
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final, Literal

import click

from lamslsa import __version__
from lamslsa._cli import ui
from lamslsa._cli.inputs import platform_option, read_capped
from lamslsa.errors import LamslsaError, UnavailableError
from lamslsa.evidence import collateral
from lamslsa.evidence.detect import Machine, available, choose_auto
from lamslsa.evidence.roots import INTEL_SGX_ROOT, VENDOR_ROOTS

__all__ = ["Finding", "Surroundings", "command"]

State = Literal["ok", "note", "broken"]
_RELEASED: Final = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
"""Day of this release: a clock that shows an earlier one is wrong."""
_DISTRIBUTION: Final = re.compile(r"[A-Za-z0-9._-]+")
_EXTRA: Final = re.compile(r"extra\s*==")
_OPTIONAL: Final = {
    "duckdb": "dataset",
    "torch": "tabular",
    "scikit-learn": "tabular",
    "signxml": "gpu",
    "nvidia-ml-py": "gpu",
    "urllib3": "fetch",
    "jinja2": "enclave",
}
_GRAMINE: Final = ("gramine-manifest", "gramine-sgx-sign", "gramine-sgx", "gramine-direct")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the report.

    Attributes:
        hint: what to do about it; empty where there is nothing to do.
    """

    name: str
    state: State
    found: str
    hint: str = ""


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the report is about; a test puts another machine here.

    Attributes:
        version: the installed version of a distribution, or None.
        now: the wall clock.
        elapsed: a clock that nobody sets.
    """

    machine: Machine = Machine()  # noqa: RUF009 - frozen
    version: Callable[[str], str | None] = _version
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
    elapsed: Callable[[], float] = time.monotonic


@click.command("doctor")
@platform_option
@ui.options
@click.pass_obj
def command(surroundings: Surroundings | None, simulated_platform: Path, output: ui.Output) -> int:
    """Report versions, roots of trust, the clock, optional packages and what there is to attest with.

    Nothing is made or changed, and nothing is asked of the network. The exit code is 6 if something is broken.

    \b
    Example:
      lamslsa doctor
      lamslsa doctor --format json
    """
    around = surroundings or Surroundings()
    began = (around.now(), around.elapsed())
    findings = [
        *_versions(around),
        *_roots(around.now()),
        *_simulated(simulated_platform, around.now()),
        *_optional(around),
        *_tees(around.machine),
        _clock(around, *began),
    ]
    broken = sum(finding.state == "broken" for finding in findings)
    rows = [
        (item.state, item.name, ui.plain(f"{item.found}; {item.hint}" if item.hint else item.found))
        for item in findings
    ]
    output.result(
        "\n".join([ui.table(("state", "what", "found"), rows), "", f"{broken or 'nothing'} broken"]),
        {
            "broken": broken,
            "findings": [
                {"name": item.name, "state": item.state, "found": item.found, "hint": item.hint or None}
                for item in findings
            ],
        },
    )
    return UnavailableError.exit_code if broken else 0


def _versions(around: Surroundings) -> Iterator[Finding]:
    yield Finding(name="lamslsa", state="ok", found=__version__)
    yield Finding(name="python", state="ok", found=platform.python_version())
    yield Finding(name="kernel", state="ok", found=f"{platform.system()} {platform.release()} {platform.machine()}")
    for name in _required():
        version = around.version(name)
        if version is None:
            yield Finding(name=name, state="broken", found="not installed", hint="pip install lamslsa")
        else:
            yield Finding(name=name, state="ok", found=version)
    programs = [name for name in _GRAMINE if around.machine.find(name)]
    found = ", ".join(programs) if programs else "not on PATH"
    yield Finding(name="gramine", state="ok" if len(programs) == len(_GRAMINE) else "note", found=found)


def _required() -> list[str]:
    """The distributions that this one cannot do without, as its own metadata say."""
    requirements = [item for item in metadata.requires("lamslsa") or () if not _EXTRA.search(item)]
    return [name.group() for item in requirements if (name := _DISTRIBUTION.match(item))]


def _roots(now: dt.datetime) -> Iterator[Finding]:
    names = {fingerprint: name for roots in VENDOR_ROOTS.values() for fingerprint, name in roots.items()}
    for fingerprint, name in names.items():
        kinds = ", ".join(kind for kind, roots in VENDOR_ROOTS.items() if fingerprint in roots)
        found = f"{name}, sha256:{fingerprint}"
        if fingerprint == INTEL_SGX_ROOT.sha256:
            yield _certificate(f"root of {kinds}", found, INTEL_SGX_ROOT.der, now)
        else:
            yield Finding(name=f"root of {kinds}", state="ok", found=f"{found}, comes with the evidence")


def _certificate(name: str, found: str, der: bytes, now: dt.datetime) -> Finding:
    from cryptography import x509

    certificate = x509.load_der_x509_certificate(der)
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    found = f"{found}, {begins:%Y-%m-%d} to {ends:%Y-%m-%d}, {_days(now - begins)} old"
    if begins <= now <= ends:
        return Finding(name=name, state="ok", found=found)
    return Finding(name=name, state="broken", found=found, hint="set the clock, or install a newer lamslsa")


def _simulated(folder: Path, now: dt.datetime) -> Iterator[Finding]:
    from lamslsa.evidence.simulated.platform import COLLATERAL_FILE, ROOT_FILE

    name = "simulated platform"
    if not (folder / ROOT_FILE).exists():
        yield Finding(name=name, state="note", found=f"none in {folder}; made on first use")
        return
    try:
        held = collateral.parse(read_capped(folder / COLLATERAL_FILE, what="collateral"))
    except (OSError, LamslsaError) as err:
        hint = "name another folder; rename this one if nothing in it is needed"
        yield Finding(name=name, state="broken", found=f"not readable in {folder}: {err}", hint=hint)
        return
    found = f"{folder}, collateral of {held.issued:%Y-%m-%d} for {held.expires:%Y-%m-%d}"
    if now < held.issued:
        yield Finding(name=name, state="broken", found=f"{found}, which is in the future", hint="set the clock")
    elif now > held.expires:
        yield Finding(name=name, state="note", found=f"{found}, expired; renewed on next use")
    else:
        yield Finding(name=name, state="ok", found=f"{found}, {_days(held.expires - now)} left")


def _optional(around: Surroundings) -> Iterator[Finding]:
    for name, extra in _OPTIONAL.items():
        version = around.version(name)
        if version is None:
            yield Finding(name=name, state="note", found=f"not installed; pip install 'lamslsa[{extra}]'")
        else:
            yield Finding(name=name, state="ok", found=version)


def _tees(machine: Machine) -> Iterator[Finding]:
    for offer in available(machine):
        state: State = "ok" if offer.usable else "note"
        yield Finding(name=f"tee {offer.kind}", state=state, found=offer.why, hint=offer.hint)
    try:
        auto: str = choose_auto(machine)
    except UnavailableError:
        yield Finding(name="tee auto", state="note", found="no hardware here; lamslsa tee says why")
    else:
        yield Finding(name="tee auto", state="ok", found=f"takes {auto}")


def _clock(around: Surroundings, began: dt.datetime, counted: float) -> Finding:
    """The wall clock against the day of the release, and against a clock that nobody sets."""
    now = around.now()
    drift = (now - began).total_seconds() - (around.elapsed() - counted)
    found = f"{now:%Y-%m-%dT%H:%M:%SZ}"
    if now < _RELEASED:
        found += f", before the release of lamslsa {__version__} on {_RELEASED:%Y-%m-%d}"
    elif abs(drift) > 1:
        found += f", moved by {drift:+.0f} s while this ran"
    else:
        return Finding(name="clock", state="ok", found=f"{found}, after the release of {_RELEASED:%Y-%m-%d}")
    return Finding(name="clock", state="broken", found=found, hint="set the clock and keep it with NTP")


def _days(span: dt.timedelta) -> str:
    return f"{span.days} days"
