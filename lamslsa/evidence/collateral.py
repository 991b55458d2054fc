"""Intel's endorsements, as JSON in the shape of DCAP's quote collateral version 3: parsed here, authenticated by `sgx`.

Rules:
- Strict JSON of at most 4 MiB, with nine required strings; further keys are ignored. A PCK chain that travels in
  collateral is among them: the quote carries its own.
- TCB info and QE identity are strings that hold JSON, since their signatures cover those very bytes; they are never
  serialised again.
- The window is what TCB info and QE identity state. Those of CRLs and certificates are judged when they are verified.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

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
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2})*")
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_TCB_INFO_VERSION: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Collateral:
    """Endorsements with the right shape; nothing here is authenticated.

    Attributes:
        chains: DER certificates of each issuer chain, by key.
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
    value = _codec.loads(data, max_bytes=MAX_COLLATERAL_BYTES)
    if not isinstance(value, dict):
        raise FormatError("expected a JSON object of collateral, got another value", reason="collateral-shape")
    texts = {key: _text(value, key, what="collateral") for key in KEYS}
    tcb_info = _document(texts["tcb_info"], "tcb_info")
    qe_identity = _document(texts["qe_identity"], "qe_identity")
    if (version := tcb_info.get("version")) != _TCB_INFO_VERSION:
        raise FormatError(
            f"expected tcb_info of version {_TCB_INFO_VERSION}, got {version!r:.80}", reason="collateral-version"
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
        chains={key: parse_chain(texts[key].encode("utf-8"), what=key) for key in _CHAINS},
        fmspc=_unhex(_text(tcb_info, "fmspc", what="tcb_info"), "fmspc").hex(),
        pce_id=_unhex(_text(tcb_info, "pceId", what="tcb_info"), "pceId").hex(),
        tcb_evaluation_data_number=min(_count(tcb_info, "tcb_info"), _count(qe_identity, "qe_identity")),
        issued=max(_time(tcb_info, "issueDate"), _time(qe_identity, "issueDate")),
        expires=min(_time(tcb_info, "nextUpdate"), _time(qe_identity, "nextUpdate")),
    )


def _document(text: str, what: str) -> dict[str, Any]:
    value = _codec.loads(text.encode("utf-8"), max_bytes=MAX_COLLATERAL_BYTES)
    if not isinstance(value, dict):
        raise FormatError(f"expected a JSON object in {what}, got another value", reason="collateral-shape")
    return value


def _text(value: Mapping[str, Any], key: str, *, what: str) -> str:
    text = value.get(key)
    if not isinstance(text, str) or not text:
        raise FormatError(f"expected a string {key} in {what}, got none", reason="collateral-shape")
    return text


def _unhex(text: str, what: str) -> bytes:
    if not _HEX.fullmatch(text):
        raise FormatError(f"expected hexadecimal {what}, got other characters", reason="collateral-hex")
    return bytes.fromhex(text)


def _count(value: Mapping[str, Any], what: str) -> int:
    number = value.get("tcbEvaluationDataNumber")
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise FormatError(f"expected a tcbEvaluationDataNumber in {what}, got none", reason="collateral-shape")
    return number


def _time(value: Mapping[str, Any], key: str) -> dt.datetime:
    text = _text(value, key, what="collateral")
    try:
        if _TIME.fullmatch(text):
            return dt.datetime.fromisoformat(text)
    except ValueError:
        pass
    raise FormatError(f"expected {key} as YYYY-MM-DDThh:mm:ssZ, got {text[:40]!r}", reason="collateral-time")
