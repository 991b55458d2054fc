"""``lamslsa enclave``: what identifies an enclave build, and the reference value that says so."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click

from lamslsa._cli import enclave_build, ui
from lamslsa._cli.inputs import NamedPaths, passphrase_option, platform_option, read_capped
from lamslsa._cli.reference_values import Wanted, pairs
from lamslsa._files import replace_file
from lamslsa.errors import FormatError
from lamslsa.evidence.interface import TEES, Measurement, Tee
from lamslsa.evidence.simulated.open import SIMULATED, open_platform
from lamslsa.predicates.reference_values import TRAIN_OWN_BUILD

if TYPE_CHECKING:
    from lamslsa.evidence.reference import Proposal

__all__ = ["command"]

_MAX_NOTES: Final = 16


@click.group("enclave")
def command() -> None:
    """Build enclaves, and say which measurement they have.

    \b
    Example:
      lamslsa enclave measurement --sigstruct lamslsa-measure.sig
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A measurement, and what else its source says.

    Attributes:
        facts: what JSON has beside the parts.
        lines: what text has below them.
    """

    measurement: Measurement
    facts: Mapping[str, Any] = field(default_factory=dict)
    lines: Mapping[str, Any] = field(default_factory=dict)
    minimum_svns: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()


@command.command("measurement")
@click.option(
    "--tee",
    type=click.Choice([*SIMULATED, *TEES]),
    help="This installation on a simulated platform; or a kind of TEE, whose parts all come with --part.",
)
@click.option("--sigstruct", type=click.Path(path_type=Path), help="An SGX enclave's .sig file.")
@click.option("--launch", type=click.Path(path_type=Path), help="JSON file of launch values.")
@click.option("--corim", type=click.Path(path_type=Path), help="CoRIM of the Intel or AMD SEV-SNP profile.")
@click.option("--corim-key", type=click.Path(path_type=Path), help="Public key, PEM, that must have signed the CoRIM.")
@click.option("--part", "parts", metavar="NAME=HEX", multiple=True, help="A part that the source leaves open.")
@click.option("--root", "root_file", type=click.Path(path_type=Path), help="Also write the root certificate, PEM.")
@platform_option
@click.option("--measurers", metavar="DISTRIBUTION", help="Simulated: with the measurers of this distribution beside.")
@click.option("--code", type=click.Path(path_type=Path), help="Your own training code: what train-own vouches for.")
@click.option("--release", help="Make a reference value: the lamslsa release in the enclave.")
@click.option("--build", "build_name", metavar="NAME", help="Which build: measure, train-own, or one of your own.")
@click.option(
    "--vouches-for",
    type=click.Path(path_type=Path),
    help="JSON file: what it may vouch for; measure, and train-own with --code, have defaults.",
)
@click.option("--source", metavar="URI", help="Where the code is, such as git+https://…@<commit>.")
@click.option("--material", "materials", type=NamedPaths(), multiple=True, help="What else went in: NAME=FILE, hashed.")
@click.option("--command", "built_with", metavar="TEXT", help="What was run to build it.")
@click.option("--min-svn", "minimums", metavar="NAME=N", multiple=True, help="Smallest security version that counts.")
@click.option(
    "--key", metavar="REF", help="Private key that signs the reference value, with --out: a file, env://NAME, pkcs11:…."
)
@passphrase_option
@click.option("--out", type=click.Path(path_type=Path), help="Signed reference value: a new *.sigstore.json file.")
@click.option("--statement", type=click.Path(path_type=Path), help="Unsigned statement: a new file.")
@ui.options
def measurement(simulated_platform: Path, root_file: Path | None, output: ui.Output, **options: Any) -> int:
    """Print the measurement of an enclave build, and make the reference value that vouches for it.

    A policy names the signed reference value under trust.platforms.*.referenceValues. For rehearsals it may name the
    digest under measurements, and the root certificate of the simulated platform under roots.

    A SIGSTRUCT fixes MRENCLAVE and MRSIGNER, and those bits of ATTRIBUTES and MISCSELECT that its masks cover. The
    rest has defaults: ATTRIBUTES as signed and initialised, CONFIGID zeros. The processor features (XFRM) that the
    mask leaves open are the host's choice: quote the enclave once, and pass --part attributes=HEX as quoted.

    Launch values are {"tee": …, "measurement": {part: hex, …}}; what is missing in them comes with --part.

    \b
    Example:
      lamslsa enclave measurement --tee simulated --root simulated-root.pem
      lamslsa enclave measurement --sigstruct lamslsa-measure.sig --part attributes=0500000000000000e700000000000000 \\
          --release 0.2.0 --build measure --key enclave-release.key --out enclave.sigstore.json
      lamslsa enclave measurement --launch tdx.json --part rtmr3=$ZEROS --release 0.2.0 --build measure \\
          --statement enclave.json
    """
    given = {name: value.lower() for name, value in pairs(options["parts"], "--part").items()}
    wanted = Wanted.of(options)
    found = _source(
        {name: options[name] for name in ("tee", "sigstruct", "launch", "corim") if options[name] is not None},
        given,
        corim_key=options["corim_key"],
        platform=simulated_platform,
        root_file=root_file,
        beside=_beside(options),
        named_code=options["build_name"] == TRAIN_OWN_BUILD and options["code"] is not None,
    )
    _refuse_other_build(options["build_name"], found)
    for text in found.notes:
        output.note(text)
    claimed = found.measurement
    document: dict[str, Any] = {
        "tee": claimed.tee,
        "digest": claimed.digest,
        "measurement": dict(claimed.parts),
        **found.facts,
    }
    if wanted is not None:
        document["referenceValues"] = wanted.write(claimed, minimum_svns=found.minimum_svns)
    shown = {**claimed.parts, **found.lines, **document.get("referenceValues", {})}
    lines = [f"  {name:<12} {value}" for name, value in shown.items() if value is not None]
    output.result("\n".join([claimed.digest, *lines]), document)
    return 0


def _refuse_other_build(build: str | None, found: _Found) -> None:
    """A SIGSTRUCT says which of our builds it is of: the other one must not be vouched for in its name."""
    from lamslsa.enclave.manifest import PRODUCT_IDS

    expected = {str(name): number for name, number in PRODUCT_IDS.items()}.get(build or "")
    actual = found.facts.get("isvProdId")
    if expected is not None and actual is not None and actual != expected:
        raise FormatError(
            f"expected ISVPRODID {expected} in the SIGSTRUCT of the build {build}, got {actual}",
            reason="sigstruct-build",
            hint="name the build that the file is of; a build of your own has a name of its own, and --vouches-for",
        )


def _source(
    named: Mapping[str, Any],
    given: Mapping[str, str],
    *,
    corim_key: Path | None,
    platform: Path,
    root_file: Path | None,
    beside: bytes,
    named_code: bool,
) -> _Found:
    """The measurement from the one source that was named."""
    if len(named) != 1:
        raise click.UsageError("expected one of --tee, --sigstruct, --launch and --corim, got another number")
    if corim_key is not None and "corim" not in named:
        raise click.UsageError("expected --corim-key with --corim only")
    simulated = named.get("tee") in SIMULATED
    if root_file is not None and not simulated:
        raise click.UsageError("expected --root with a simulated --tee only")
    if given and simulated:
        raise click.UsageError("expected no --part with a simulated --tee, whose measurement is complete")
    if beside and not (simulated or named_code):
        raise click.UsageError(
            f"expected --measurers or --code with a simulated --tee, or --code with --build {TRAIN_OWN_BUILD}"
        )
    ((kind, value),) = named.items()
    if simulated:
        return _simulated(value, platform, root_file, beside)
    if kind == "corim":
        return _corim(value, corim_key, given)
    sources: dict[str, Callable[[Any, Mapping[str, str]], _Found]] = {
        "tee": _parts,
        "sigstruct": _sigstruct,
        "launch": _launch,
    }
    return sources[kind](value, given)


def _beside(options: Mapping[str, Any]) -> bytes:
    """Digest of the code that shares the process with ours; none where there is none."""
    from lamslsa.measure.plugins import find
    from lamslsa.measure.training.own_code import code_manifest

    code, measurers = options["code"], options["measurers"]
    if code is not None and measurers is not None:
        raise click.UsageError("expected --measurers or --code, got both")
    if measurers is not None:
        return find(measurers).digest
    return b"" if code is None else bytes.fromhex(code_manifest(code).sha256)


def _simulated(tee: str, directory: Path, root_file: Path | None, beside: bytes) -> _Found:
    platform = open_platform(tee, directory, now=dt.datetime.now(dt.UTC))
    if root_file is not None:
        replace_file(root_file, platform.root_pem)
    return _Found(
        measurement=platform.measurement(beside=beside),
        facts={"tee": tee, "simulated": True, "root": platform.root.sha256},
        lines={"root": f"{platform.root.sha256} (simulated)"},
    )


def _parts(tee: str, given: Mapping[str, str]) -> _Found:
    from lamslsa.evidence.reference import Proposal

    return _completed(Proposal(tee=cast("Tee", tee), parts={}), given)


def _launch(path: Path, given: Mapping[str, str]) -> _Found:
    from lamslsa.evidence import launch

    return _completed(launch.parse(read_capped(path, what="launch values", limit=launch.MAX_LAUNCH_BYTES)), given)


def _sigstruct(path: Path, given: Mapping[str, str]) -> _Found:
    from lamslsa.evidence.sgx import sigstruct

    signed = sigstruct.verify(read_capped(path, what="SIGSTRUCT", limit=sigstruct.SIGSTRUCT_BYTES))
    notes = []
    if any(signed.open_bits) and "attributes" not in given:
        notes.append(
            f"the signature leaves the bits {signed.open_bits.hex()} of ATTRIBUTES to the host; they are taken as they "
            "stand in the file: pass --part attributes=HEX as quoted on your processors"
        )
    facts = {
        "isvProdId": signed.isv_prod_id,
        "isvSvn": signed.isv_svn,
        "date": None if signed.date is None else signed.date.isoformat(),
        "debug": signed.debug,
    }
    return _completed(signed.proposal(), given, facts=facts, notes=notes)


def _corim(path: Path, key: Path | None, given: Mapping[str, str]) -> _Found:
    from lamslsa.evidence import corim

    pem = None if key is None else read_capped(key, what="key")
    data = read_capped(path, what="CoRIM", limit=corim.MAX_CORIM_BYTES)
    read = corim.read(data, key=pem, at=dt.datetime.now(dt.UTC))
    left_out = read.proposal.left_out
    notes = [f"not taken over from the CoRIM: {text}" for text in left_out[:_MAX_NOTES]]
    if len(left_out) > _MAX_NOTES:
        notes.append(f"not taken over from the CoRIM: {len(left_out) - _MAX_NOTES} more")
    if read.signature == "not verified":
        notes.append("the CoRIM is signed and nobody looked at the signature: pass --corim-key")
    return _completed(read.proposal, given, facts={"signature": read.signature}, notes=notes)


def _completed(
    proposal: Proposal,
    given: Mapping[str, str],
    *,
    facts: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> _Found:
    return _Found(
        measurement=proposal.complete(given),
        facts=facts or {},
        lines=facts or {},
        minimum_svns=proposal.minimum_svns,
        notes=notes,
    )


for _command in enclave_build.COMMANDS:
    command.add_command(_command)
