"""``lamslsa fetch-collateral``: what the TEE's manufacturer says about a platform, as a file."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from lamslsa._cli import ui
from lamslsa._cli.inputs import read_capped
from lamslsa._files import replace_file
from lamslsa.errors import FormatError
from lamslsa.evidence import verifier_for
from lamslsa.evidence._pem import parse_chain
from lamslsa.evidence._x509 import MAX_CERTIFICATE_BYTES, load_certificate
from lamslsa.evidence.roots import is_vendor_root
from lamslsa.evidence.snp.parse import PRODUCTS, Product
from lamslsa.fetch.cache import Cache, Fetcher
from lamslsa.fetch.collect import Fetched, collect
from lamslsa.fetch.http import HttpClient
from lamslsa.fetch.interface import CAS, UPDATES, AmdPlatform, Ca, IntelPlatform, IntelTee, Update
from lamslsa.fetch.kds import AMD_KDS, KeyDistributionService
from lamslsa.fetch.pcs import INTEL_PCS, ProvisioningService
from lamslsa.fetch.quotes import Quote, Request, read_quotes, requests

__all__ = ["command"]


def _default_cache() -> str:
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return str(Path(cache) / "lamslsa" / "collateral")


@click.command("fetch-collateral")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="File to write; of one platform.")
@click.option(
    "--to", "folder", type=click.Path(path_type=Path), help="Folder to write into, one file a platform; made if absent."
)
@click.option("--tee", type=click.Choice(["sgx", "tdx"]), help="Without FILE: which kind of Intel TEE.")
@click.option("--fmspc", metavar="HEX", help="Without FILE: the family of Intel platforms.")
@click.option("--ca", type=click.Choice(CAS), help="Without FILE: which CA issued the PCK certificate.")
@click.option(
    "--product", type=click.Choice(PRODUCTS), help="AMD product, for SNP reports that do not say or without FILE."
)
@click.option(
    "--leaf",
    type=click.Path(path_type=Path),
    help="Certificate of the VLEK, which comes with the platform; DER or PEM.",
)
@click.option("--pcs", default=INTEL_PCS, show_default=True, metavar="URL", help="Intel's service, or a PCCS.")
@click.option("--kds", default=AMD_KDS, show_default=True, metavar="URL", help="AMD's service, or a mirror.")
@click.option(
    "--tls-ca", type=click.Path(path_type=Path), help="Certificate authorities to trust beside the system's, PEM."
)
@click.option(
    "--update",
    type=click.Choice(UPDATES),
    default="standard",
    show_default=True,
    help="How soon a TCB recovery counts.",
)
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    default=_default_cache,
    show_default="~/.cache/lamslsa/collateral",
    help="Folder that keeps answers until they have to be replaced.",
)
@click.option("--no-cache", is_flag=True, help="Keep nothing, and use nothing kept.")
@click.option("--refresh", is_flag=True, help="Ask anew for what is kept, and keep the answer.")
@ui.options
def command(
    files: tuple[Path, ...],
    out: Path | None,
    folder: Path | None,
    tee: IntelTee | None,
    fmspc: str | None,
    ca: Ca | None,
    product: Product | None,
    leaf: Path | None,
    pcs: str,
    kds: str,
    tls_ca: Path | None,
    update: Update,
    cache: Path,
    no_cache: bool,
    refresh: bool,
    output: ui.Output,
) -> int:
    """Get the collateral that quotes need, so that verify and attest can work without the network.

    FILE is a quote or report, a run of `lamslsa attest`, a folder of attestations, or a bundle file. Intel's servers
    learn which family of platforms is asked about, AMD's which chip. What is written is authenticated by whoever
    verifies with it.

    \b
    Example:
      lamslsa fetch-collateral build/evaluation --out collateral.json
      lamslsa fetch-collateral model/.attestations --to collateral
      lamslsa fetch-collateral --tee tdx --fmspc b0c06f000000 --ca platform --out tdx.json
    """
    if (out is None) == (folder is None):
        raise click.UsageError("expected one of --out and --to")
    now = dt.datetime.now(dt.UTC)
    wanted = _wanted(files, tee=tee, fmspc=fmspc, ca=ca, product=product, leaf=leaf, output=output)
    if out is not None and len(wanted) != 1:
        raise click.UsageError(f"expected one platform with --out, got {len(wanted)}: name a folder with --to")
    if pcs == INTEL_PCS:
        _refuse_simulated(wanted)
    fetcher = Fetcher(
        HttpClient(authorities=tls_ca, notify=output.note),
        cache=None if no_cache else Cache(cache),
        now=now,
        refresh=refresh,
        notify=output.note,
    )
    intel, amd = ProvisioningService(fetcher, base=pcs, update=update), KeyDistributionService(fetcher, base=kds)
    written: list[_Written] = []
    line = output.progress()
    for number, request in enumerate(wanted, 1):
        fetched = collect(request, pcs=intel, kds=amd, now=now)
        written.append(_write(request, fetched, out=out, folder=folder))
        line("fetching collateral", number, len(wanted), "platforms")
        for remark in fetched.remarks:
            output.note(f"{written[-1].path}: {remark}")
    if any(item.fetched.verified < len(item.request.quotes) for item in written) and not (no_cache or refresh):
        output.note("some of it may have been kept from an earlier call: --refresh asks anew")
    output.result(_table(written), {"collateral": [item.document for item in written]})
    return 0


def _refuse_simulated(wanted: Sequence[Request]) -> None:
    """Intel has no collateral for quotes under another root: say so before its servers are asked six times."""
    for request in wanted:
        for quote in request.quotes if isinstance(request.platform, IntelPlatform) else ():
            root = verifier_for(quote.media_type).presented_root(quote.data, None)
            if not is_vendor_root(root.sha256, of=request.platform.tee):
                raise FormatError(
                    f"expected a quote that Intel endorses, got one under root {root.sha256} in {quote.source}",
                    reason="fetch-simulated",
                    hint="a simulated platform writes its collateral into the run; of another service name the --pcs",
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """A file of collateral, and what asked for it."""

    path: Path
    request: Request
    fetched: Fetched

    @property
    def document(self) -> dict[str, Any]:
        """What ``--format json`` says."""
        return {
            "file": str(self.path),
            "platform": self.request.platform.name,
            "root": self.fetched.collateral.root,
            "expires": f"{self.fetched.collateral.expires:%Y-%m-%dT%H:%M:%SZ}",
            "quotes": [quote.source for quote in self.request.quotes],
            "quotesVerified": self.fetched.verified,
            "remarks": list(self.fetched.remarks),
        }


def _write(request: Request, fetched: Fetched, *, out: Path | None, folder: Path | None) -> _Written:
    path = out
    if path is None:
        path = (folder or Path()) / f"{request.platform.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, fetched.collateral.data)
    return _Written(path=path, request=request, fetched=fetched)


def _table(written: Sequence[_Written]) -> str:
    rows = [
        [
            item.request.platform.name,
            f"{item.fetched.collateral.expires:%Y-%m-%d}",
            f"{item.fetched.verified} of {len(item.request.quotes)}",
            ui.plain(str(item.path)),
        ]
        for item in written
    ]
    return ui.table(["platform", "until", "quotes verified", "file"], rows)


def _wanted(
    files: tuple[Path, ...],
    *,
    tee: IntelTee | None,
    fmspc: str | None,
    ca: Ca | None,
    product: Product | None,
    leaf: Path | None,
    output: ui.Output,
) -> tuple[Request, ...]:
    """What to ask for: by the quotes in the files, or by what the options name."""
    if leaf is not None and not files:
        raise click.UsageError("expected FILE with --leaf, got none")
    if files:
        if tee or fmspc or ca:
            raise click.UsageError("expected FILE or --tee, --fmspc and --ca, got both")
        quotes: list[Quote] = []
        for path in files:
            quotes += read_quotes(path, notify=output.note)
        wanted = requests(quotes, product=product, leaf=None if leaf is None else _certificate(leaf))
        if not wanted:
            raise click.UsageError("expected evidence that needs collateral, got Nitro documents, which carry theirs")
        return wanted
    if tee and fmspc and ca:
        return (Request(platform=IntelPlatform(tee=tee, fmspc=fmspc.lower(), ca=ca)),)
    if product and not (tee or fmspc or ca):
        return tuple(Request(platform=AmdPlatform(product=product, key=key)) for key in ("vcek", "vlek"))
    raise click.UsageError("expected FILE, or --tee, --fmspc and --ca, or --product")


def _certificate(path: Path) -> bytes:
    """One certificate in DER, out of its PEM where it is in one."""
    data = read_capped(path, what="certificate", limit=MAX_CERTIFICATE_BYTES)
    if data.startswith(b"-----BEGIN"):
        data, *others = parse_chain(data, what=str(path))
        if others:
            raise FormatError(f"expected one certificate in {path}, got {1 + len(others)}", reason="fetch-leaf")
    load_certificate(data, what=str(path))
    return data
