"""``lamslsa policy init``: a policy out of attestations that verify."""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from lamslsa._cli import endorsements, stores, ui
from lamslsa._cli.inputs import NamedPaths, UtcTime, read_trusted_root, refuse_secret, unique
from lamslsa._files import refuse_existing, write_file
from lamslsa.store import ArtifactStore, StoredBundle

if TYPE_CHECKING:
    from lamslsa.policy.init import IdentityWanted, PlatformWanted
    from lamslsa.sign.keyless import SigstoreRoot

__all__ = ["command"]

_TEES: Final = ("sgx", "tdx", "snp", "nitro")
_SIMULATED: Final = {"simulated": "sgx", **{f"simulated-{tee}": tee for tee in _TEES[1:]}}
_LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_MINIMUM: Final = re.compile(r"([a-z]+)\.([a-z]+)=([0-9]{1,5})", re.ASCII)
_YEAR: Final = dt.timedelta(days=365)


@click.command("init")
@click.argument("model")
@click.option(
    "--attestations",
    multiple=True,
    metavar="STORE",
    help="Store of attestations: folder, bundle file, oci://…; repeatable.  [default: beside MODEL]",
)
@click.option(
    "--identity",
    "keys",
    type=NamedPaths(),
    multiple=True,
    metavar="NAME=KEY.pub",
    help="Who signed, with which public key; repeatable.",
)
@click.option(
    "--keyless",
    nargs=3,
    multiple=True,
    metavar="NAME ISSUER IDENTITY",
    help="Who signed with a certificate of Sigstore: the issuer, and the identity exactly as it has it; repeatable.",
)
@click.option(
    "--platform",
    type=click.Choice([*_TEES, *_SIMULATED]),
    required=True,
    help="Where it was measured; simulated is simulated SGX.",
)
@click.option("--root", "roots", type=click.Path(path_type=Path), multiple=True, help="Root of a simulated platform.")
@click.option("--tcb", multiple=True, metavar="STATUS", help="Accepted TCB status of sgx and tdx; repeatable.")
@click.option(
    "--min-svn",
    "minimums",
    multiple=True,
    metavar="PRODUCT.NAME=N",
    help="Least security version of snp, such as milan.microcode=213; repeatable.",
)
@click.option(
    "--reference-values",
    multiple=True,
    metavar="FILE@NAME",
    help="Signed reference values, and the name of the identity that signed them; repeatable.",
)
@click.option(
    "--measurement", "measurements", multiple=True, metavar="HEX", help="Instead, of a simulated platform: its code."
)
@click.option("--trusted-root", type=click.Path(path_type=Path), help="Trusted root of Sigstore that the policy names.")
@click.option(
    "--margin",
    type=click.FloatRange(0, 0.5),
    default=0.01,
    show_default=True,
    help="How far limits are from what was attested: 0.01 is one point.",
)
@click.option("--name", help="Name of the policy.  [default: that of the model]")
@click.option("--expires", type=UtcTime(), help="From when on the policy accepts nothing.  [default: in a year]")
@click.option(
    "--at", type=UtcTime(), help="Judge the expiry of what no trusted time dates as of this time.  [default: now]"
)
@click.option(
    "--collateral",
    multiple=True,
    type=click.Path(path_type=Path),
    help="What manufacturers say of platforms today: a file, or a folder of *.json; repeatable.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="New file for the policy.")
@stores.options
@ui.options
def command(
    model: str,
    attestations: tuple[str, ...],
    margin: float,
    name: str | None,
    expires: dt.datetime | None,
    at: dt.datetime | None,
    collateral: tuple[Path, ...],
    trusted_root: Path | None,
    out: Path,
    options: stores.StoreOptions,
    output: ui.Output,
    **trust: Any,
) -> int:
    """Write a policy that accepts MODEL, out of its attestations that verify.

    You say whose word counts, and from which platform; no bundle is believed for what it says of itself. Ingredients,
    transforms and overlaps are as attested; each metric has a limit a margin below what was attested. What every number
    comes from stands in comments. It says what is, and not what ought to be: read it before others rely on it.

    \b
    Example:
      lamslsa policy init ./model --identity trainer=trainer.pub --identity auditor=auditor.pub \\
        --identity data-owner=data-owner.pub --identity enclave-release=enclave-release.pub \\
        --platform sgx --tcb UpToDate --reference-values enclave.sigstore.json@enclave-release --out policy.yaml
    """
    from lamslsa.policy import read_file
    from lamslsa.policy.init import Draft, TrustWanted

    refuse_existing(out)
    folder = out.absolute().parent
    wanted = TrustWanted(
        identities=_identities(trust["keys"], trust["keyless"], folder),
        platform=_platform(trust, folder),
        trusted_root=None if trusted_root is None else _beside(trusted_root, folder),
    )
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    store = stores.open_model(model, options)
    line = output.progress()
    manifest = store.manifest(lambda done: line("hashing", done.bytes_done, done.bytes_total, "B"))
    model_name = stores.name_of(store)
    drafted = Draft(
        name=_label(name or _fitting(model_name), "--name"),
        model=manifest,
        model_name=model_name,
        bundles=_bundles(store, attestations, options),
        trust=wanted,
        expires=expires or now + _YEAR,
        margin=margin,
        read=read_file,
        directory=folder,
        root=_root(trusted_root),
        at=at or now,
        now=now,
        held=endorsements.read(collateral),
    ).write()
    write_file(out, drafted.text.encode())
    rules, left = len(drafted.policy.require), len(drafted.left_out)
    output.result(
        f"{out}\n{rules} rules; in comments: {left} {'value' if left == 1 else 'values'} that no rule is made of. "
        "Read it before others rely on it",
        {
            "policy": str(out),
            "name": drafted.policy.name,
            "sha256": drafted.policy.sha256,
            "closure": drafted.policy.closure,
            "rules": rules,
            "leftOut": list(drafted.left_out),
        },
    )
    return 0


def _identities(
    keys: Sequence[tuple[str, Path]], keyless: Sequence[tuple[str, str, str]], folder: Path
) -> Mapping[str, IdentityWanted]:
    from lamslsa.policy.init import IdentityWanted

    found: dict[str, IdentityWanted] = {}
    for name, path in unique(keys, "--identity").items():
        refuse_secret(str(path), what="public key")
        found[_label(name, "--identity")] = IdentityWanted(key=_beside(path, folder))
    for name, issuer, identity in keyless:
        if name in found:
            raise click.UsageError(f"expected each name once in --identity and --keyless, got {name!r} twice")
        found[_label(name, "--keyless")] = IdentityWanted(issuer=issuer, identity=identity)
    if not found:
        raise click.UsageError("expected --identity or --keyless: somebody's word has to count")
    return found


def _platform(trust: Mapping[str, Any], folder: Path) -> PlatformWanted:
    """The platform; that every option goes with its kind, the reader of policies finds out."""
    from lamslsa.policy.init import PlatformWanted

    simulated = trust["platform"] in _SIMULATED
    if simulated != bool(trust["roots"]):
        raise click.UsageError("expected --root with a simulated platform, and only there")
    if bool(trust["reference_values"]) == bool(trust["measurements"]):
        raise click.UsageError("expected either --reference-values or --measurement: which code counts")
    values: list[tuple[str, str]] = []
    for text in trust["reference_values"]:
        file, sign, name = text.rpartition("@")
        if not (file and sign and name):
            raise click.UsageError(f"expected FILE@NAME in --reference-values, got {text!r}")
        values.append((_beside(Path(file), folder), name))
    return PlatformWanted(
        name="rehearsal" if simulated else "production",
        tee=_SIMULATED.get(trust["platform"], trust["platform"]),
        simulated=simulated,
        roots=[_beside(path, folder) for path in trust["roots"]],
        tcb=trust["tcb"],
        reference_values=values,
        measurements=trust["measurements"],
        minimum_svns=_minimums(trust["minimums"]),
    )


def _minimums(texts: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for text in texts:
        match = _MINIMUM.fullmatch(text)
        if match is None:
            raise click.UsageError(f"expected PRODUCT.NAME=N in --min-svn, got {text!r}")
        found.setdefault(match[1], {})[match[2]] = int(match[3])
    return found


def _bundles(store: ArtifactStore, references: Sequence[str], options: stores.StoreOptions) -> tuple[StoredBundle, ...]:
    if not references:
        return tuple(store.bundles())
    return tuple(bundle for item in references for bundle in stores.open_bundles(item, options).bundles())


def _beside(path: Path, folder: Path) -> str:
    """A file as the policy names it: relative to the folder that the policy is going to lie in."""
    return Path(os.path.relpath(path.absolute(), folder)).as_posix()


def _root(path: Path | None) -> SigstoreRoot:
    from lamslsa.sign.keyless import SigstoreRoot

    return SigstoreRoot.embedded() if path is None else SigstoreRoot.load(read_trusted_root(path))


def _label(name: str, option: str) -> str:
    if not _LABEL.fullmatch(name):
        raise click.UsageError(f"expected at most 64 letters, digits, dots, dashes in {option}, got {name!r:.80}")
    return name


def _fitting(name: str) -> str:
    """The name of a model as that of a policy."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", name).lstrip("._-")[:64] or "policy"
