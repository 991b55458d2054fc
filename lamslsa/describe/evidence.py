"""Quotes, reports and documents, the endorsements that go with them, and what else a TEE leaves behind."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from lamslsa.describe.model import Description, Surroundings, plain
from lamslsa.errors import FormatError, LamslsaError, VerificationError
from lamslsa.evidence import EvidenceVerifier, device_verifier_for, verifier_for
from lamslsa.evidence.interface import Claims, DeviceClaims, Measurement
from lamslsa.evidence.roots import VENDOR_ROOTS, RootOf
from lamslsa.predicates.tee_evidence import (
    NITRO_DOCUMENT_MEDIA_TYPE,
    NVIDIA_REPORT_MEDIA_TYPE,
    SGX_QUOTE_MEDIA_TYPE,
    SNP_REPORT_MEDIA_TYPE,
    TDX_QUOTE_MEDIA_TYPE,
)

__all__ = [
    "DEBUG_WORDS",
    "NO_POLICY_WORDS",
    "claims_facts",
    "describe_bare_report",
    "describe_dcap_collateral",
    "describe_device",
    "describe_event_log",
    "describe_manifest",
    "describe_quote",
    "describe_sigstruct",
    "describe_snp_collateral",
    "root_words",
]

_KINDS: Final[Mapping[str, str]] = {
    SGX_QUOTE_MEDIA_TYPE: "SGX quote",
    TDX_QUOTE_MEDIA_TYPE: "TDX quote",
    SNP_REPORT_MEDIA_TYPE: "SEV-SNP attestation report",
    NITRO_DOCUMENT_MEDIA_TYPE: "Nitro attestation document",
}
_PARSERS: Final[Mapping[str, str]] = {
    SGX_QUOTE_MEDIA_TYPE: "lamslsa.evidence.sgx.parse",
    TDX_QUOTE_MEDIA_TYPE: "lamslsa.evidence.tdx.parse",
    SNP_REPORT_MEDIA_TYPE: "lamslsa.evidence.snp.parse",
    NITRO_DOCUMENT_MEDIA_TYPE: "lamslsa.evidence.nitro.parse",
    NVIDIA_REPORT_MEDIA_TYPE: "lamslsa.evidence.nvidia.parse",
}
NO_POLICY_WORDS: Final = "whether root, measurement and patch level are acceptable: a policy decides that"
DEBUG_WORDS: Final = "anything that this TEE says: it is in DEBUG mode, the host can look inside"
_NO_BINDING: Final = "what the report data stands for: that takes the statements and the nonce"


def root_words(sha256: str, of: RootOf) -> str:
    """What a root is: a vendor's by its fingerprint, or simulated."""
    name = VENDOR_ROOTS[of].get(sha256)
    return f"{sha256} ({name})" if name else f"{sha256} (no vendor's: SIMULATED)"


def claims_facts(claims: Claims) -> dict[str, Any]:
    """Claims as JSON, with the digest of the measurement."""
    facts: dict[str, Any] = plain(claims)
    digest = Measurement(tee=claims.tee, parts=claims.measurement).digest
    return {**facts, "root": root_words(claims.root, claims.tee), "measurementDigest": digest}


def describe_quote(data: bytes, media_type: str, around: Surroundings, *, snapshot: bytes | None = None) -> Description:
    """A quote: verified where the endorsements are at hand, else as it says of itself.

    Raises:
        FormatError: not a quote of this format.
    """
    verifier = verifier_for(media_type)
    parsed = _parse(media_type, data)
    options = [item for item in around.held if verifier.concerns(data, item)]
    options += [] if snapshot is None else [snapshot]
    if not options and verifier.collateral_media_type is not None:
        unverified = "anything: there are no endorsements at hand (--collateral); these fields are what the bytes say"
        return Description(kind=_KINDS[media_type], facts=plain(parsed), unverified=(unverified, _NO_BINDING))
    claims, collateral, refused = _verify(verifier, data, options or [None], around)
    if claims is None:
        unverified = f"authenticity: {refused}"
        return Description(kind=_KINDS[media_type], facts=plain(parsed), unverified=(unverified, _NO_BINDING))
    verified = [f"authentic as of {plain(around.at)} up to root {root_words(claims.root, claims.tee)}"]
    unverified_now = [_NO_BINDING, NO_POLICY_WORDS]
    if claims.debug:
        unverified_now.insert(0, DEBUG_WORDS)
    standing = _standing(verifier, data, collateral, around)
    (verified if standing[0] else unverified_now).append(standing[1])
    return Description(
        kind=_KINDS[media_type],
        facts=claims_facts(claims),
        verified=tuple(verified),
        unverified=tuple(unverified_now),
    )


def _verify(
    verifier: EvidenceVerifier, quote: bytes, options: list[bytes] | list[None], around: Surroundings
) -> tuple[Claims | None, bytes | None, str]:
    refused = ""
    for collateral in options:
        try:
            root = verifier.presented_root(quote, collateral)
            claims = verifier.verify(quote, collateral=collateral, roots=(root,), at=around.at)
        except (FormatError, VerificationError) as err:
            refused = f"{err} [{err.reason}]"
        else:
            return claims, collateral, ""
    return None, None, refused


def _standing(
    verifier: EvidenceVerifier, quote: bytes, collateral: bytes | None, around: Surroundings
) -> tuple[bool, str]:
    try:
        roots = (verifier.presented_root(quote, collateral),)
        found = verifier.standing(quote, collateral=collateral, roots=roots, now=around.now)
    except (FormatError, VerificationError) as err:
        return False, f"how the platform stands now: {err}"
    if found.revoked:
        return False, f"anything as of {plain(around.now)}: the platform has been REVOKED"
    advisories = f", advisories {', '.join(found.advisories)}" if found.advisories else ""
    return True, f"not revoked as of {plain(around.now)}{advisories}"


def _parse(media_type: str, data: bytes) -> Any:
    parse: Callable[[bytes], Any] = importlib.import_module(_PARSERS[media_type]).parse
    return parse(data)


def describe_device(data: bytes, around: Surroundings, *, nonce: bytes | None = None) -> Description:
    """The report of a GPU; without the nonce that follows from a run, under the nonce that it says itself.

    Raises:
        FormatError: not a report.
    """
    verifier = device_verifier_for(NVIDIA_REPORT_MEDIA_TYPE)
    parsed = _parse(NVIDIA_REPORT_MEDIA_TYPE, data)
    asked = parsed.report.nonce if nonce is None else nonce
    unverified = ["golden values: no reference manifest at hand", "revocation: NVIDIA answers that online only"]
    if nonce is None:
        unverified.insert(0, "the nonce: it follows from the run that the report belongs to")
    try:
        root = verifier.presented_root(data)
        claims = verifier.verify(data, nonce=asked, roots=(root,), manifests=(), at=around.at)
    except (FormatError, VerificationError) as err:
        refused = f"authenticity: {err} [{err.reason}]"
        return Description(kind="NVIDIA GPU report", facts=plain(parsed), unverified=(refused, *unverified))
    return Description(
        kind="NVIDIA GPU report",
        facts=device_facts(claims),
        verified=(f"authentic as of {plain(around.at)} up to root {root_words(claims.root, 'nvidia-gpu')}",),
        unverified=tuple(unverified),
    )


def device_facts(claims: DeviceClaims) -> dict[str, Any]:
    """Claims of a device as JSON."""
    return {**plain(claims), "root": root_words(claims.root, "nvidia-gpu")}


def describe_bare_report(data: bytes) -> Description:
    """The messages of a GPU without the certificates of the key that signed them.

    Raises:
        FormatError: not a report.
    """
    from lamslsa.evidence.nvidia.parse import parse_report

    return Description(
        kind="NVIDIA GPU report, bare",
        facts=plain(parse_report(data)),
        unverified=("anything: the certificates of the GPU are not in it",),
    )


def describe_manifest(data: bytes, around: Surroundings) -> Description:
    """A reference integrity manifest of a GPU's driver or VBIOS.

    Raises:
        FormatError: not a manifest.
    """
    from lamslsa.evidence.nvidia import rim

    presented = rim.parse(data)
    kind = "NVIDIA reference integrity manifest"
    try:
        found = rim.verify(presented, roots=VENDOR_ROOTS["nvidia-rim"], at=around.at)
    except VerificationError as err:
        return Description(kind=kind, facts={}, unverified=(f"its signature: {err} [{err.reason}]",))
    return Description(
        kind=kind,
        facts=plain(found),
        verified=(f"signed by NVIDIA, as of {plain(around.at)}",),
        unverified=("that any GPU measures this: reports say so",),
    )


def describe_dcap_collateral(data: bytes) -> Description:
    """Intel's endorsements.

    Raises:
        FormatError: not collateral.
    """
    from lamslsa.evidence.collateral import parse

    found = parse(data)
    return Description(
        kind="DCAP quote collateral",
        facts={
            "fmspc": found.fmspc,
            "pceId": found.pce_id,
            "tcbEvaluationDataNumber": found.tcb_evaluation_data_number,
            "issued": plain(found.issued),
            "expires": plain(found.expires),
        },
        unverified=("its signatures: they are verified together with a quote",),
    )


def describe_snp_collateral(data: bytes) -> Description:
    """AMD's certificates and revocation list.

    Raises:
        FormatError: not collateral.
    """
    from lamslsa.evidence.snp.collateral import parse

    found = parse(data)
    facts = {
        field.name: plain(value) if value is None else f"{len(value)} bytes"
        for field in dataclasses.fields(found)
        if isinstance(value := getattr(found, field.name), bytes | None)
    }
    return Description(
        kind="SEV-SNP collateral", facts=facts, unverified=("its signatures: they are verified together with a report",)
    )


def describe_event_log(data: bytes) -> Description:
    """A boot event log, replayed.

    Raises:
        FormatError: not an event log.
    """
    from lamslsa.evidence.tdx.ccel import parse, replay

    events = parse(data)
    registers = replay(events)
    return Description(
        kind="CCEL event log",
        facts={
            "events": len(events),
            **{f"rtmr{number}": register.hex() for number, register in enumerate(registers)},
        },
        unverified=("that these are the registers of a TD: its quote says so",),
    )


def describe_sigstruct(data: bytes) -> Description:
    """What an enclave's signer states about it.

    Raises:
        FormatError: not a SIGSTRUCT.
    """
    from lamslsa.evidence.sgx import sigstruct

    try:
        found = sigstruct.verify(data)
    except LamslsaError as err:
        if isinstance(err, FormatError):
            raise
        return Description(kind="SIGSTRUCT", facts={}, unverified=(f"its signature: {err}",))
    return Description(
        kind="SIGSTRUCT",
        facts=plain(found),
        verified=("signed with the key whose digest is MRSIGNER",),
        unverified=("whose key that is", "that any enclave runs: only a quote says so"),
    )
