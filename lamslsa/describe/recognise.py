"""What kind of file is this? Told apart by bytes, then described."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from lamslsa import _codec
from lamslsa.describe.bundles import describe_bundle
from lamslsa.describe.evidence import (
    describe_bare_report,
    describe_dcap_collateral,
    describe_device,
    describe_event_log,
    describe_manifest,
    describe_quote,
    describe_sigstruct,
    describe_snp_collateral,
)
from lamslsa.describe.model import Description, Surroundings
from lamslsa.describe.statements import describe_statement
from lamslsa.errors import FormatError, LamslsaError
from lamslsa.predicates.tee_evidence import (
    NITRO_DOCUMENT_MEDIA_TYPE,
    SGX_QUOTE_MEDIA_TYPE,
    SNP_REPORT_MEDIA_TYPE,
    TDX_QUOTE_MEDIA_TYPE,
)
from lamslsa.sign import parse_bundle, parse_bundles
from lamslsa.sign.dsse import LINES_SUFFIX, MAX_BUNDLE_BYTES
from lamslsa.sign.interface import Envelope

__all__ = ["describe", "describe_evidence"]

_SNP_REPORT_BYTES: Final = 1184
_SIGSTRUCT_BYTES: Final = 1808
_SIGSTRUCT_HEADER: Final = bytes.fromhex("06000000e10000000000010000000000")
_EV_NO_ACTION: Final = bytes.fromhex("03000000")
_EVENT_TYPE: Final = slice(4, 8)
_SPDM_REQUEST: Final = b"11e0"
_HEX_TEXT: Final = re.compile(rb"[0-9a-fA-F\s]+")
_XML: Final = (b"<?xml", b"<SoftwareIdentity", b"<ns0:SoftwareIdentity")
_COSE_SIGN1: Final = (b"\x84", b"\xd2")
_HCL: Final = b"HCLA"
_KEY_TYPES: Final = (2, 3)
_QUOTE_VERSIONS: Final = {3: SGX_QUOTE_MEDIA_TYPE, 4: TDX_QUOTE_MEDIA_TYPE, 5: TDX_QUOTE_MEDIA_TYPE}
_HINT: Final = "name a quote, report, document, collateral, statement or bundle"


def describe_evidence(data: bytes, around: Surroundings) -> Description:
    """A quote, report or document, endorsements, an event log, or a SIGSTRUCT.

    Raises:
        FormatError: none of them, or a malformed one.
    """
    found = _binary(data, around) or _json_evidence(data, around)
    if found is None:
        raise FormatError(
            "expected evidence or endorsements of a known format, got other bytes",
            reason="inspect-unknown",
            hint="lamslsa inspect takes statements and bundles too",
        )
    return found


def describe(data: bytes, around: Surroundings) -> Description:
    """Any file that lamslsa knows.

    Raises:
        FormatError: none, or a malformed one.
    """
    found = _binary(data, around) or _json_evidence(data, around) or _statements(data, around)
    if found is None:
        raise FormatError("expected a file of a known format, got other bytes", reason="inspect-unknown", hint=_HINT)
    return found


def _binary(data: bytes, around: Surroundings) -> Description | None:
    if len(data) == _SIGSTRUCT_BYTES and data.startswith(_SIGSTRUCT_HEADER):
        return describe_sigstruct(data)
    if data[_EVENT_TYPE] == _EV_NO_ACTION:
        return describe_event_log(data)
    if data.lstrip().startswith(_XML):
        return describe_manifest(data, around)
    if data.lstrip().lower().startswith(_SPDM_REQUEST) and _HEX_TEXT.fullmatch(data):
        return describe_bare_report(bytes.fromhex(data.decode("ascii")))
    media_type = _quote_type(data)
    return None if media_type is None else describe_quote(data, media_type, around)


def _quote_type(data: bytes) -> str | None:
    if len(data) == _SNP_REPORT_BYTES or data.startswith(_HCL):  # the parser refuses the latter by name
        return SNP_REPORT_MEDIA_TYPE
    if data.startswith(_COSE_SIGN1):
        return NITRO_DOCUMENT_MEDIA_TYPE
    version, key_type = int.from_bytes(data[:2], "little"), int.from_bytes(data[2:4], "little")
    return _QUOTE_VERSIONS.get(version) if key_type in _KEY_TYPES else None


def _object(data: bytes) -> dict[str, Any] | None:
    if not data.lstrip().startswith(b"{"):
        return None
    try:
        value = _codec.loads(data, max_bytes=MAX_BUNDLE_BYTES)
    except FormatError:
        return None
    return value if isinstance(value, dict) else None


def _json_evidence(data: bytes, around: Surroundings) -> Description | None:
    keys = set(_object(data) or ())
    kinds: tuple[tuple[set[str], Callable[[], Description]], ...] = (
        ({"report", "certificates"}, lambda: describe_device(data, around)),
        ({"tcb_info", "qe_identity"}, lambda: describe_dcap_collateral(data)),
        ({"issuer", "root"}, lambda: describe_snp_collateral(data)),
    )
    return next((render() for wanted, render in kinds if wanted <= keys), None)


def _statements(data: bytes, around: Surroundings) -> Description | None:
    value = _object(data)
    if value is not None:
        if "_type" in value:
            return describe_statement(data, around)
        return describe_bundle(parse_bundle(data), around)
    if b"\n" not in data.strip():
        return None
    parts = [_line(where, outcome, around) for where, outcome in parse_bundles(f"lines{LINES_SUFFIX}", data)]
    if not any(part.verified or part.parts for part in parts):
        return None
    return Description(kind=f"{len(parts)} bundles, one a line", facts={}, parts=tuple(parts))


def _line(where: str, outcome: Envelope | LamslsaError, around: Surroundings) -> Description:
    if isinstance(outcome, Envelope):
        return describe_bundle(outcome, around)
    return Description(kind="a line that is no bundle", facts={"where": where}, unverified=(str(outcome),))
