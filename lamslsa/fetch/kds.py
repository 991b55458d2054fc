"""AMD's certificates and revocation lists from its key distribution service (KDS), or from a mirror with its paths.

Rules:
- A VCEK certificate is asked for by chip and patch level; AMD makes it on request, and answers 429 when it is asked too
  often. The certificate of a VLEK is served by nobody: it comes with the platform.
- Issuer and root are taken as they come. Whether they are AMD's is the verifier's question, by fingerprint.

Spec: AMD 57230, VCEK Certificate and KDS Interface Specification, chapter 4.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
from typing import Final

from cryptography import x509

from lamslsa.errors import FormatError
from lamslsa.evidence._x509 import MAX_CERTIFICATE_BYTES, load_certificate, load_revocation_list
from lamslsa.evidence.roots import root_of
from lamslsa.evidence.snp.collateral import render
from lamslsa.fetch.cache import Fetcher
from lamslsa.fetch.http import refuse_url
from lamslsa.fetch.interface import AmdPlatform, Chip, Collateral, Response

__all__ = ["AMD_KDS", "KeyDistributionService"]

AMD_KDS: Final = "https://kdsintf.amd.com"
_MAX_CHAIN_BYTES: Final = 64 * 1024
_MAX_LIST_BYTES: Final = 1024 * 1024
_BLOCK: Final = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")


class KeyDistributionService:
    """A KDS.

    Args:
        base: scheme, host and port.

    Raises:
        FormatError: not a URL that may be asked.
    """

    def __init__(self, fetcher: Fetcher, *, base: str = AMD_KDS) -> None:
        self._fetcher = fetcher
        self._base = base.rstrip("/")
        refuse_url(self._base)

    def collateral(self, platform: AmdPlatform) -> Collateral:
        """The certificates of a platform, as `lamslsa.evidence.snp` reads them.

        Raises:
            FormatError: the server sent something else than certificates and a revocation list.
            UnavailableError: the server does not answer, or does not know the chip.
        """
        product = f"{self._base}/{platform.key}/v1/{platform.product}"
        (issuer, root), first = self._fetcher.get(f"{product}/cert_chain", limit=_MAX_CHAIN_BYTES, read=_chain)
        revoked, second = self._fetcher.get(f"{product}/crl", limit=_MAX_LIST_BYTES, read=_revocation_list)
        leaf, third = platform.leaf, first
        if leaf is not None:
            third = _expires(leaf)
        elif platform.chip is not None:
            leaf, third = self._fetcher.get(
                f"{product}/{_query(platform.chip)}", limit=MAX_CERTIFICATE_BYTES, read=_leaf
            )
        return Collateral(
            platform=platform,
            data=render(leaf=leaf, issuer=issuer, root=root, revocation_list=revoked),
            root=root_of(root).sha256,
            expires=min(first, second, third),
        )


def _query(chip: Chip) -> str:
    return f"{chip.hardware_id}?" + "&".join(f"{name}={number:02d}" for name, number in chip.versions)


def _chain(answer: Response) -> tuple[tuple[bytes, bytes], dt.datetime]:
    try:
        ders = [base64.b64decode(b"".join(block.split()), validate=True) for block in _BLOCK.findall(answer.body)]
    except binascii.Error as err:
        raise FormatError(f"expected certificates in PEM, got {err}", reason="fetch-answer") from err
    if len(ders) != 2:
        raise FormatError(f"expected the certificates of issuer and root, got {len(ders)}", reason="fetch-answer")
    return (ders[0], ders[1]), min(_expires(der) for der in ders)


def _leaf(answer: Response) -> tuple[bytes, dt.datetime]:
    return answer.body, _expires(answer.body)


def _expires(der: bytes) -> dt.datetime:
    return load_certificate(der, what="the answer").not_valid_after_utc


def _revocation_list(answer: Response) -> tuple[bytes, dt.datetime]:
    loaded: x509.CertificateRevocationList = load_revocation_list(answer.body, what="the revocation list")
    if loaded.next_update_utc is None:
        raise FormatError("expected a revocation list that says when it is renewed, got none", reason="fetch-answer")
    return answer.body, loaded.next_update_utc
