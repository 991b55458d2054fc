"""Intel's collateral from its provisioning service (PCS), or from a caching service with the same paths (PCCS).

Rules:
- TCB info and QE identity are cut out of the answer as they stand, since their signatures cover those very bytes.
- What comes back has to be what was asked for: family, kind of TEE, CA. Whether it is authentic is the verifier's
  question.
- Revocation lists come in DER (PCS) or as its hexadecimal digits (PCCS).

Spec: Intel SGX and TDX Provisioning Certification Service API, version 4; PCCS: Intel SGX DCAP Caching Service Design
Guide.

>>> cut('{"tcbInfo": {"a":[1, "}"]},"signature":"00"}', "tcbInfo")
'{"a":[1, "}"]}'
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from lamslsa import _codec
from lamslsa.errors import FormatError
from lamslsa.evidence import collateral as endorsements
from lamslsa.evidence._pem import render_chain
from lamslsa.evidence._x509 import load_revocation_list
from lamslsa.evidence.roots import root_of
from lamslsa.fetch.cache import Fetcher
from lamslsa.fetch.http import refuse_url
from lamslsa.fetch.interface import Collateral, IntelPlatform, IntelTee, Response, Update

__all__ = ["INTEL_PCS", "ProvisioningService", "cut"]

INTEL_PCS: Final = "https://api.trustedservices.intel.com"
_INTEL_HOST: Final = "api.trustedservices.intel.com"
# The one revocation list that Intel serves from another host; a PCCS has it beside the others.
_INTEL_ROOT_LIST: Final = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"
_PATH: Final = "certification/v4"

_MAX_JSON_BYTES: Final = 1024 * 1024
_MAX_LIST_BYTES: Final = 2 * 1024 * 1024  # 1 MiB of DER, in hexadecimal
_MAX_CHAIN: Final = 64 * 1024
_TCB_CHAIN: Final = ("tcb-info-issuer-chain", "sgx-tcb-info-issuer-chain")
_QE_CHAIN: Final = ("sgx-enclave-identity-issuer-chain",)
_LIST_CHAIN: Final = ("sgx-pck-crl-issuer-chain",)
_TCB_IDS: Final[Mapping[IntelTee, str]] = {"sgx": "SGX", "tdx": "TDX"}
_QE_IDS: Final[Mapping[IntelTee, str]] = {"sgx": "QE", "tdx": "TD_QE"}
_BLOCK: Final = re.compile(r"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")
_HEX: Final = re.compile(rb"(?:[0-9a-fA-F]{2})+")
_SPACE: Final = re.compile(r"[ \t\r\n]*")

_Signed = tuple[str, str, str]  # document, signature, issuer chain


class ProvisioningService:
    """A PCS or PCCS.

    Args:
        base: scheme, host and port; the paths of the API are added, and may stand there already.
        update: ``early`` asks for TCB info as soon as a TCB recovery is published, ``standard`` some months later.

    Raises:
        FormatError: not a URL that may be asked.
    """

    def __init__(self, fetcher: Fetcher, *, base: str = INTEL_PCS, update: Update = "standard") -> None:
        self._base = base.rstrip("/").removesuffix(f"/sgx/{_PATH}")
        self._fetcher = fetcher
        self._update = update
        refuse_url(self._base)
        self._root_list = f"{self._base}/sgx/{_PATH}/rootcacrl"
        if urlsplit(self._base).hostname == _INTEL_HOST:
            self._root_list = _INTEL_ROOT_LIST

    def collateral(self, platform: IntelPlatform) -> Collateral:
        """The collateral of a platform, as `lamslsa.evidence.collateral` reads it.

        Raises:
            FormatError: the server sent something else than what was asked for.
            UnavailableError: the server does not answer, or does not know the platform.
        """
        tee, certification = platform.tee, f"{self._base}/{platform.tee}/{_PATH}"
        (tcb_info, tcb_signature, tcb_chain), first = self._fetcher.get(
            f"{certification}/tcb?fmspc={platform.fmspc.upper()}&update={self._update}",
            limit=_MAX_JSON_BYTES,
            read=lambda answer: _signed(answer, "tcbInfo", {"id": _TCB_IDS[tee], "fmspc": platform.fmspc}, _TCB_CHAIN),
        )
        (identity, qe_signature, qe_chain), second = self._fetcher.get(
            f"{certification}/qe/identity?update={self._update}",
            limit=_MAX_JSON_BYTES,
            read=lambda answer: _signed(answer, "enclaveIdentity", {"id": _QE_IDS[tee]}, _QE_CHAIN),
        )
        (pck_list, pck_list_chain), third = self._fetcher.get(
            f"{self._base}/sgx/{_PATH}/pckcrl?ca={platform.ca}&encoding=der",
            limit=_MAX_LIST_BYTES,
            read=lambda answer: _pck_list(answer, platform),
        )
        root_list, fourth = self._fetcher.get(
            self._root_list, limit=_MAX_LIST_BYTES, read=lambda answer: _revocation_list(answer, "root CA CRL")
        )
        data = _codec.dumps(
            {
                "pck_crl_issuer_chain": pck_list_chain,
                "root_ca_crl": root_list.hex(),
                "pck_crl": pck_list.hex(),
                "tcb_info_issuer_chain": tcb_chain,
                "tcb_info": tcb_info,
                "tcb_info_signature": tcb_signature,
                "qe_identity_issuer_chain": qe_chain,
                "qe_identity": identity,
                "qe_identity_signature": qe_signature,
            }
        )
        parsed = endorsements.parse(data)
        root = root_of(parsed.chains["tcb_info_issuer_chain"][-1])
        return Collateral(
            platform=platform, data=data, root=root.sha256, expires=min(first, second, third, fourth, parsed.expires)
        )


def cut(text: str, key: str) -> str:
    """The member ``key`` of a JSON object exactly as it is written there.

    Args:
        text: an object that strict parsing has accepted and that has such a member.
        key: name of the member.
    """
    decoder = json.JSONDecoder()
    at = _skip(text, _skip(text, 0) + 1)
    while True:
        name, at = decoder.raw_decode(text, at)
        start = _skip(text, _skip(text, at) + 1)  # past the colon
        _, end = decoder.raw_decode(text, start)
        if name == key:
            return text[start:end]
        at = _skip(text, _skip(text, end) + 1)  # past the comma


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return at if match is None else match.end()


def _signed(
    answer: Response, key: str, expected: Mapping[str, str], headers: tuple[str, ...]
) -> tuple[_Signed, dt.datetime]:
    """A signed document, its signature and the chain that stands in the headers; and when the document is renewed."""
    value = _codec.loads(answer.body, max_bytes=_MAX_JSON_BYTES)
    match value:
        case {"signature": str(signature)} if isinstance(document := value.get(key), dict):
            pass
        case _:
            raise FormatError(f"expected {key} and signature in the answer, got other members", reason="fetch-answer")
    for name, wanted in expected.items():
        found = document.get(name)
        if not isinstance(found, str) or found.casefold() != wanted.casefold():
            raise FormatError(f"expected {name} {wanted} in {key}, got {found!r:.80}", reason="fetch-mismatch")
    raw = cut(answer.body.decode("utf-8"), key)
    return (raw, signature, _chain(answer, headers)), _next_update(document)


def _next_update(document: Mapping[str, Any]) -> dt.datetime:
    text = document.get("nextUpdate")
    try:
        expires = dt.datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        expires = None
    if expires is None or expires.tzinfo is None:
        raise FormatError(f"expected a time as nextUpdate, got {text!r:.80}", reason="fetch-answer")
    return expires


def _chain(answer: Response, names: tuple[str, ...]) -> str:
    """The issuer chain of a header, percent-encoded there, as PEM in the spelling that the verifier takes."""
    header = next((answer.headers[name] for name in names if name in answer.headers), "")
    try:
        if len(header) > _MAX_CHAIN:
            raise ValueError("a longer header")
        blocks = _BLOCK.findall(unquote(header, errors="strict"))
        certificates = [base64.b64decode("".join(block.split()), validate=True) for block in blocks]
    except (ValueError, binascii.Error) as err:
        raise FormatError(f"expected an issuer chain in {names[0]}, got {err}", reason="fetch-answer") from err
    if not certificates:
        raise FormatError(f"expected an issuer chain in {names[0]}, got none", reason="fetch-answer")
    return render_chain(certificates).decode("ascii")


def _pck_list(answer: Response, platform: IntelPlatform) -> tuple[tuple[bytes, str], dt.datetime]:
    der, expires = _revocation_list(answer, "PCK CRL")
    chain = _chain(answer, _LIST_CHAIN)
    issuer = load_revocation_list(der, what="PCK CRL").issuer.rfc4514_string()
    if f"PCK {platform.ca} CA".casefold() not in issuer.casefold():
        raise FormatError(
            f"expected the revocation list of the {platform.ca} CA, got that of {issuer[:120]!r}",
            reason="fetch-mismatch",
        )
    return (der, chain), expires


def _revocation_list(answer: Response, what: str) -> tuple[bytes, dt.datetime]:
    body, digits = answer.body, answer.body.strip().strip(b'"')
    if _HEX.fullmatch(digits):  # DER never is: its second byte is past ASCII
        body = bytes.fromhex(digits.decode("ascii"))
    loaded = load_revocation_list(body, what=what)
    if loaded.next_update_utc is None:
        raise FormatError(f"expected a {what} that says when it is renewed, got none", reason="fetch-answer")
    return body, loaded.next_update_utc
