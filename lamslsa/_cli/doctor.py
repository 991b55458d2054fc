"""``lamslsa doctor``: whether this installation can do its work, and what it rests on."""

from __future__ import annotations

import datetime as dt
import platform
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import click

from lamslsa import __version__
from lamslsa._cli import ui
from lamslsa._cli.inputs import platform_option, read_capped
from lamslsa.errors import LamslsaError, UnavailableError
from lamslsa.evidence import collateral
from lamslsa.evidence.detect import Machine, available, choose_auto
from lamslsa.evidence.roots import INTEL_SGX_ROOT, VENDOR_ROOTS
from lamslsa.evidence.simulated.open import SIMULATED, platform_folder
from lamslsa.sign.keyless import SigstoreRoot

if TYPE_CHECKING:
    from cryptography import x509

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
    "jinja2": "enclave",
    "python-pkcs11": "pkcs11",
}
_WITH_COLLATERAL: Final = ("simulated", "simulated-tdx", "simulated-snp")
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
    from cryptography import x509

    names = {fingerprint: name for roots in VENDOR_ROOTS.values() for fingerprint, name in roots.items()}
    for fingerprint, name in names.items():
        kinds = ", ".join(kind for kind, roots in VENDOR_ROOTS.items() if fingerprint in roots)
        what, found = f"root of {kinds}: {name}", f"sha256:{fingerprint}"
        if fingerprint == INTEL_SGX_ROOT.sha256:
            yield _certificate(what, found, x509.load_der_x509_certificate(INTEL_SGX_ROOT.der), now)
        else:
            yield Finding(name=what, state="ok", found=f"{found}, comes with the evidence")
    yield _sigstore_root()


def _sigstore_root() -> Finding:
    """The trusted root that keyless signatures are judged under where nothing else is named."""
    name = "root of keyless signatures"
    try:
        root = SigstoreRoot.embedded()
    except LamslsaError as err:
        return Finding(name=name, state="broken", found=str(err), hint="pip install --force-reinstall lamslsa")
    return Finding(name=name, state="ok", found=f"public-good Sigstore, sha256:{root.sha256}, came with its client")


def _certificate(name: str, found: str, certificate: x509.Certificate, now: dt.datetime) -> Finding:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    found = f"{found}, {begins:%Y-%m-%d} to {ends:%Y-%m-%d}, {_days(now - begins)} old"
    if begins <= now <= ends:
        return Finding(name=name, state="ok", found=found)
    return Finding(name=name, state="broken", found=found, hint="set the clock, or install a newer lamslsa")


def _simulated(base: Path, now: dt.datetime) -> Iterator[Finding]:
    from cryptography import x509

    for tee in (*SIMULATED, "simulated-gpu"):
        folder = platform_folder(tee, base)
        if not (folder / "root.pem").exists():
            yield Finding(name=tee, state="note", found=f"none in {folder}, made on first use")
            continue
        try:
            root = x509.load_pem_x509_certificate(read_capped(folder / "root.pem", what="certificate"))
            yield _endorsed(_certificate(tee, str(folder), root, now), _collateral(tee, folder), now)
        except (OSError, ValueError, LamslsaError) as err:
            hint = "name another folder; remove this one if nothing in it is needed"
            yield Finding(name=tee, state="broken", found=f"{folder}, not readable: {err}", hint=hint)


def _collateral(tee: str, folder: Path) -> tuple[dt.datetime, dt.datetime] | None:
    """When a simulated platform's collateral was issued and when it ends; None where it needs none."""
    if tee not in _WITH_COLLATERAL:
        return None
    data = read_capped(folder / "collateral.json", what="collateral")
    if tee != "simulated-snp":
        held = collateral.parse(data)
        return held.issued, held.expires
    from cryptography import x509

    from lamslsa.evidence.snp.collateral import parse

    revocations = x509.load_der_x509_crl(parse(data).revocation_list or b"")
    return revocations.last_update_utc, revocations.next_update_utc or revocations.last_update_utc


def _endorsed(platform: Finding, window: tuple[dt.datetime, dt.datetime] | None, now: dt.datetime) -> Finding:
    """A finding about a simulated platform, with what its collateral adds."""
    if window is None or platform.state == "broken":
        return platform
    issued, expires = window
    found = f"{platform.found}; collateral of {issued:%Y-%m-%d} for {expires:%Y-%m-%d}"
    if now < issued:
        return replace(platform, state="broken", found=f"{found}, which is in the future", hint="set the clock")
    if now > expires:
        return replace(platform, state="note", found=f"{found}, expired, renewed on next use")
    return replace(platform, found=f"{found}, {_days(expires - now)} left")


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
