"""Intel's endorsements, as JSON in the shape of DCAP's quote collateral version 3: parsed here, authenticated later.

Rules:
- Strict JSON of at most 4 MiB, with nine required strings; further keys are ignored. A PCK chain that travels in
  collateral is among them: the quote carries its own.
- TCB info and QE identity are strings that hold JSON, since their signatures cover those very bytes; they are never
  serialised again. Here only what tells one collateral from another is read from them; the rest is judged by whoever
  verifies the signatures, which also refuses members that stand there twice.
- The window is what TCB info and QE identity state. Those of CRLs and certificates are judged when they are verified.

Spec: Intel SGX and TDX Provisioning Certification Service API, version 4.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Any, Final, TypeVar

import msgspec

from lamslsa import _codec
from lamslsa.errors import FormatError
from lamslsa.evidence._pem import parse_chain

__all__ = ["KEYS", "MAX_COLLATERAL_BYTES", "Collateral", "parse"]

MAX_COLLATERAL_BYTES: Final = 4 * 1024 * 1024
KEYS: Final = (
    "pck_crl_issuer_chain",
    "root_ca_crl",
    "pck_crl",
    "tcb_info_issuer_chain",
    "tcb_info",
    "tcb_info_signature",
    "qe_identity_issuer_chain",
    "qe_identity",
    "qe_identity_signature",
)
_CHAINS: Final = ("pck_crl_issuer_chain", "tcb_info_issuer_chain", "qe_identity_issuer_chain")
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_TCB_INFO_VERSION: Final = 3
# A flat object; the brackets in its strings count towards the depth until there are more of them than this.
_MAX_DEPTH: Final = 4096
# The same few serve quote after quote, and one verification asks several times: parsing is pure, so the last answers
# are kept. Larger than any of Intel's are not.
_REMEMBERED: Final = 8
_REMEMBERED_BYTES: Final = 128 * 1024

_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Count = Annotated[int, msgspec.Meta(ge=0)]


class _Document(msgspec.Struct, rename="camel"):
    id: _Text
    version: int
    issue_date: _Text
    next_update: _Text
    tcb_evaluation_data_number: _Count


class _TcbInfo(_Document, rename="camel"):
    fmspc: _Text
    pce_id: _Text


_D = TypeVar("_D", bound=_Document)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collateral:
    """Endorsements with the right shape; nothing here is authenticated.

    Attributes:
        chains: DER certificates of each issuer chain, by key.
        tcb_info_id: what kind of platform the TCB info is about: ``SGX`` or ``TDX``.
        qe_identity_id: which quoting enclave the QE identity is about: ``QE`` or ``TD_QE``.
        fmspc: the family of platforms that the TCB info is about, lower-case hexadecimal.
        pce_id: the provisioning enclave that it is about, lower-case hexadecimal.
        tcb_evaluation_data_number: the lower one of TCB info and QE identity; it grows with each TCB recovery.
        issued: when the later one of the two was issued.
        expires: when the earlier one of the two has to be replaced.
    """

    pck_crl_issuer_chain: str
    root_ca_crl: bytes
    pck_crl: bytes
    tcb_info_issuer_chain: str
    tcb_info: str
    tcb_info_signature: bytes
    qe_identity_issuer_chain: str
    qe_identity: str
    qe_identity_signature: bytes
    chains: Mapping[str, tuple[bytes, ...]]
    tcb_info_id: str
    qe_identity_id: str
    fmspc: str
    pce_id: str
    tcb_evaluation_data_number: int
    issued: dt.datetime
    expires: dt.datetime


def parse(data: bytes) -> Collateral:
    """Parse collateral.

    Raises:
        FormatError: not collateral of this shape.
    """
    return _parse_remembered(data) if len(data) <= _REMEMBERED_BYTES else _parse(data)


def _parse(data: bytes) -> Collateral:
    value = _codec.loads(data, max_bytes=MAX_COLLATERAL_BYTES, max_depth=_MAX_DEPTH)
    if not isinstance(value, dict):
        raise FormatError("expected a JSON object of collateral, got another value", reason="collateral-shape")
    texts = {key: _text(value, key) for key in KEYS}
    tcb_info = _document(texts["tcb_info"], _TcbInfo, "tcb_info")
    qe_identity = _document(texts["qe_identity"], _Document, "qe_identity")
    if tcb_info.version != _TCB_INFO_VERSION:
        raise FormatError(
            f"expected tcb_info of version {_TCB_INFO_VERSION}, got {tcb_info.version!r:.80}",
            reason="collateral-version",
        )
    return Collateral(
        pck_crl_issuer_chain=texts["pck_crl_issuer_chain"],
        root_ca_crl=_unhex(texts["root_ca_crl"], "root_ca_crl"),
        pck_crl=_unhex(texts["pck_crl"], "pck_crl"),
        tcb_info_issuer_chain=texts["tcb_info_issuer_chain"],
        tcb_info=texts["tcb_info"],
        tcb_info_signature=_unhex(texts["tcb_info_signature"], "tcb_info_signature"),
        qe_identity_issuer_chain=texts["qe_identity_issuer_chain"],
        qe_identity=texts["qe_identity"],
        qe_identity_signature=_unhex(texts["qe_identity_signature"], "qe_identity_signature"),
        chains=_chains(texts),
        tcb_info_id=tcb_info.id,
        qe_identity_id=qe_identity.id,
        fmspc=_unhex(tcb_info.fmspc, "fmspc").hex(),
        pce_id=_unhex(tcb_info.pce_id, "pceId").hex(),
        tcb_evaluation_data_number=min(tcb_info.tcb_evaluation_data_number, qe_identity.tcb_evaluation_data_number),
        issued=max(_time(tcb_info.issue_date, "issueDate"), _time(qe_identity.issue_date, "issueDate")),
        expires=min(_time(tcb_info.next_update, "nextUpdate"), _time(qe_identity.next_update, "nextUpdate")),
    )


_parse_remembered = lru_cache(maxsize=_REMEMBERED)(_parse)


def _document(text: str, kind: type[_D], what: str) -> _D:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError as err:
        raise FormatError(f"expected {what} of Intel's shape, got: {err}", reason="collateral-shape") from err
    except (ValueError, RecursionError) as err:
        raise FormatError(f"expected JSON in {what}, got {err}", reason="json-syntax") from err


def _chains(texts: Mapping[str, str]) -> Mapping[str, tuple[bytes, ...]]:
    """Each issuer chain; TCB info and QE identity usually share theirs, which is then parsed once."""
    parsed: dict[str, tuple[bytes, ...]] = {}
    for key in _CHAINS:
        if texts[key] not in parsed:
            parsed[texts[key]] = parse_chain(texts[key].encode("utf-8"), what=key)
    return MappingProxyType({key: parsed[texts[key]] for key in _CHAINS})


def _text(value: Mapping[str, Any], key: str) -> str:
    text = value.get(key)
    if not isinstance(text, str) or not text:
        raise FormatError(f"expected a string {key} in collateral, got none", reason="collateral-shape")
    return text


def _unhex(text: str, what: str) -> bytes:
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    if 2 * len(data) != len(text):  # white space between the digits is skipped
        raise FormatError(f"expected hexadecimal {what}, got other characters", reason="collateral-hex")
    return data


def _time(text: str, key: str) -> dt.datetime:
    try:
        if _TIME.fullmatch(text):
            return dt.datetime.fromisoformat(text)
    except ValueError:
        pass
    raise FormatError(f"expected {key} as YYYY-MM-DDThh:mm:ssZ, got {text[:40]!r}", reason="collateral-time")
