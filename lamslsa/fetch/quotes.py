"""Quotes on disk, and the platforms that they are about: what to ask for. Nothing is authenticated here.

A file is a quote or report as the TEE gave it, or bundles; a folder is a run of `lamslsa attest`, or holds bundles. Of
bundles, the tee-evidence statements count. A forged quote can make this machine ask for another platform's collateral,
and nothing more; how many platforms one call asks about is capped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lamslsa import _codec, statement
from lamslsa._files import open_regular
from lamslsa.errors import FormatError, LamslsaError, UnavailableError
from lamslsa.evidence.run import read_run
from lamslsa.evidence.snp import collateral as endorsements
from lamslsa.evidence.snp import parse as snp
from lamslsa.evidence.snp.parse import REPORT_BYTES, Product
from lamslsa.fetch.interface import CAS, AmdPlatform, Chip, IntelPlatform, Notify, Platform
from lamslsa.predicates import TeeEvidence
from lamslsa.predicates import parse as parse_predicate
from lamslsa.predicates.tee_evidence import (
    NITRO_DOCUMENT_MEDIA_TYPE,
    SGX_QUOTE_MEDIA_TYPE,
    SNP_REPORT_MEDIA_TYPE,
    TDX_QUOTE_MEDIA_TYPE,
    Content,
)
from lamslsa.sign import parse_bundles
from lamslsa.store import StoredBundle, open_store
from lamslsa.store.naming import is_bundle_name

__all__ = ["MAX_PLATFORMS", "Quote", "Request", "platform_of", "read_quotes", "requests"]

MAX_PLATFORMS: Final = 64
_MAX_QUOTE_BYTES: Final = 64 * 1024
_RUN_INDEX: Final = "evidence.json"
_INTEL: Final = frozenset({SGX_QUOTE_MEDIA_TYPE, TDX_QUOTE_MEDIA_TYPE})
_COSE_SIGN1: Final = (b"\x84\x44", b"\xd2\x84")
# The bytes after the version: zero in an SNP report, the type of the attestation key in a DCAP quote.
_AFTER_VERSION: Final = slice(2, 4)
_QUOTE_HINT: Final = "name a quote or report, a run of lamslsa attest, a folder of attestations, or a bundle file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A quote or report.

    Attributes:
        source: where it was found.
        collateral: what travels with it.
    """

    source: str
    media_type: str
    data: bytes
    collateral: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A platform to ask about, and the quotes that want to know."""

    platform: Platform
    quotes: tuple[Quote, ...] = ()


def read_quotes(path: Path, *, notify: Notify = lambda _: None) -> tuple[Quote, ...]:
    """Every quote at a path.

    Args:
        path: a file or folder.
        notify: told of bundles that cannot be read.

    Raises:
        FormatError: no quote there, or not what its name says.
        UnavailableError: a folder that cannot be listed.
        OSError: a file that cannot be read.
    """
    if path.is_dir() and (path / _RUN_INDEX).is_file():
        evidence = read_run(path).evidence
        found = evidence.collateral
        return (Quote(source=str(path), media_type=evidence.media_type, data=evidence.quote, collateral=found),)
    if path.is_dir() or is_bundle_name(path.name):
        quotes = tuple(_in_bundles(open_store(str(path)).bundles(), notify))
        if not quotes:
            raise FormatError(f"expected TEE evidence in {path}, got none", reason="fetch-no-quote", hint=_QUOTE_HINT)
        return quotes
    with open_regular(path, what="quote") as file:
        data = file.read(_MAX_QUOTE_BYTES + 1)
    if len(data) > _MAX_QUOTE_BYTES:
        raise FormatError(
            f"expected at most {_MAX_QUOTE_BYTES} bytes of quote in {path}, got more",
            reason="quote-size",
            hint=_QUOTE_HINT,
        )
    return (Quote(source=str(path), media_type=_media_type(data), data=data),)


def requests(
    quotes: Iterable[Quote], *, product: Product | None = None, leaf: bytes | None = None
) -> tuple[Request, ...]:
    """One request a platform, in the order in which the platforms are met; Nitro documents need none.

    Args:
        quotes: what was found.
        product: of the processor, for SNP reports that do not say.
        leaf: certificate of the VLEK in DER, for reports that do not travel with it.

    Raises:
        FormatError: a quote that is none, or does not say what to ask for; or more than `MAX_PLATFORMS` platforms.
    """
    found: dict[Platform, list[Quote]] = {}
    for quote in quotes:
        if quote.media_type != NITRO_DOCUMENT_MEDIA_TYPE:
            found.setdefault(platform_of(quote, product=product, leaf=leaf), []).append(quote)
        if len(found) > MAX_PLATFORMS:
            raise FormatError(
                f"expected quotes of at most {MAX_PLATFORMS} platforms, got more",
                reason="fetch-platforms",
                hint="name fewer files at a time",
            )
    return tuple(Request(platform=platform, quotes=tuple(of)) for platform, of in found.items())


def platform_of(quote: Quote, *, product: Product | None = None, leaf: bytes | None = None) -> Platform:
    """The platform that a quote says it is from.

    Raises:
        FormatError: not a quote of its media type, or one that does not say what to ask for.
    """
    try:
        if quote.media_type in _INTEL:
            return _intel(quote.data)
        if quote.media_type == SNP_REPORT_MEDIA_TYPE:
            return _amd(quote, product, leaf)
    except FormatError as err:
        raise FormatError(f"{quote.source}: {err}", reason=err.reason, hint=err.hint) from err
    raise FormatError(
        f"expected evidence whose collateral can be fetched, got {quote.media_type[:120]!r} in {quote.source}",
        reason="evidence-media-type",
    )


def _in_bundles(bundles: Iterable[StoredBundle], notify: Notify) -> Iterator[Quote]:
    for bundle in bundles:
        try:
            if isinstance(bundle.data, LamslsaError):
                raise bundle.data
            results = parse_bundles(bundle.source, bundle.data)
        except (FormatError, UnavailableError) as err:
            notify(f"{bundle.source} is not read: {err}")
            continue
        for source, outcome in results:
            try:
                if isinstance(outcome, FormatError):
                    raise outcome
                predicate = parse_predicate(statement.parse(outcome.payload))
                if isinstance(predicate, TeeEvidence):
                    yield Quote(
                        source=source,
                        media_type=predicate.quote.media_type,
                        data=_decode(predicate.quote, limit=_MAX_QUOTE_BYTES),
                        collateral=None if predicate.collateral is None else _decode(predicate.collateral),
                    )
            except FormatError as err:
                notify(f"{source} is not read: {err}")


def _decode(content: Content, *, limit: int = _codec.MAX_JSON_BYTES) -> bytes:
    return _codec.decode_base64(content.content, what="evidence", max_bytes=limit)


def _media_type(data: bytes) -> str:
    """What a file without a media type is, by its first bytes."""
    if len(data) == REPORT_BYTES and not any(data[_AFTER_VERSION]):
        return SNP_REPORT_MEDIA_TYPE
    if data.startswith(_COSE_SIGN1):
        return NITRO_DOCUMENT_MEDIA_TYPE
    import dcap_qvl

    try:
        quote = dcap_qvl.parse_quote(data)
    except ValueError as err:
        message = " ".join(str(err).split())
        raise FormatError(
            f"expected a quote or report, got {message}", reason="fetch-no-quote", hint=_QUOTE_HINT
        ) from err
    return TDX_QUOTE_MEDIA_TYPE if quote.is_tdx() else SGX_QUOTE_MEDIA_TYPE


def _intel(data: bytes) -> IntelPlatform:
    """Family and CA stand in the PCK certificate, which a quote carries in certification data of type 5."""
    import dcap_qvl

    try:
        quote = dcap_qvl.parse_quote(data)
        fmspc, ca = quote.fmspc().lower(), next((ca for ca in CAS if ca == quote.ca()), None)
    except ValueError as err:
        raise FormatError(
            f"expected a quote with its PCK certificate, got {' '.join(str(err).split())}",
            reason="fetch-pck-certificate",
            hint="a quote with an encrypted platform id in place of the certificate is not supported: have the "
            "platform fetch its PCK certificate before it quotes",
        ) from err
    if ca is None:
        raise FormatError("expected a PCK certificate of a known CA, got another", reason="fetch-pck-certificate")
    return IntelPlatform(tee="tdx" if quote.is_tdx() else "sgx", fmspc=fmspc, ca=ca)


def _amd(quote: Quote, product: Product | None, leaf: bytes | None) -> AmdPlatform:
    """Chip and patch level stand in the report, and since version 3 the product."""
    report = snp.parse(quote.data)
    product = report.product or product
    if product is None:
        raise FormatError(
            f"expected a report that says which product it is from, got one of version {report.version}",
            reason="fetch-product",
            hint=f"name the product with --product: {', '.join(snp.PRODUCTS)}",
        )
    if report.signing_key == "vlek":
        return AmdPlatform(product=product, key="vlek", leaf=_travelling_leaf(quote) or leaf)
    tcb = snp.parse_tcb(report.reported_tcb, product)
    versions = (("blSPL", tcb.bootloader), ("teeSPL", tcb.tee), ("snpSPL", tcb.snp), ("ucodeSPL", tcb.microcode))
    first = () if tcb.fmc is None else (("fmcSPL", tcb.fmc),)
    return AmdPlatform(
        product=product,
        key="vcek",
        chip=Chip(hardware_id=report.hardware_id(product).hex(), versions=(*first, *versions)),
    )


def _travelling_leaf(quote: Quote) -> bytes | None:
    if quote.collateral is None:
        return None
    try:
        return endorsements.parse(quote.collateral).leaf
    except FormatError:
        return None
