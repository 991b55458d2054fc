"""What relying parties and signers are given: trusted root, signing configuration, client trust configuration.

Specification: github.com/sigstore/protobuf-specs, sigstore_trustroot.proto.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from lamslsa.testing.sigstore._pki import ORGANIZATION, YEAR, PublicKey, b64, der, fingerprint, spki
from lamslsa.testing.sigstore.fulcio import CertificateAuthority
from lamslsa.testing.sigstore.rekor import HOST_V1, HOST_V2, RekorV1, RekorV2
from lamslsa.testing.sigstore.tsa import PATH, TimestampAuthority

__all__ = ["client_trust_config", "signing_config", "trusted_root"]

_CT_HOST: Final = "ctfe.local"


def trusted_root(
    url: str,
    now: dt.datetime,
    *,
    fulcio: CertificateAuthority,
    rekor1: RekorV1,
    rekor2: RekorV2,
    tsa: TimestampAuthority,
) -> dict[str, Any]:
    """A ``TrustedRoot`` with every key and certificate of one instance.

    A log's host is the origin of its checkpoints: sigstore-js and sigstore-go find the key by it.
    """
    valid = {"start": _time(now - YEAR)}
    ct_key = fulcio.log.public_key
    return {
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": [
            _log(HOST_V1, rekor1.public_key, rekor1.log_id, valid),
            _log(HOST_V2, rekor2.public_key, rekor2.log_id, valid),
        ],
        "certificateAuthorities": [_authority(url, "sigstore", fulcio.chain, valid)],
        "ctlogs": [_log(_CT_HOST, ct_key, fingerprint(ct_key), valid)],
        "timestampAuthorities": [_authority(url, "tsa", tsa.chain, valid)],
    }


def signing_config(url: str, issuer: str, now: dt.datetime, *, rekor: int, tsa: bool) -> dict[str, Any]:
    """A ``SigningConfig`` that names the services of one instance, one version of Rekor, and maybe its TSA."""
    valid = {"start": _time(now - YEAR)}

    def service(url: str, version: int) -> dict[str, Any]:
        return {"url": url, "majorApiVersion": version, "validFor": valid, "operator": ORGANIZATION}

    return {
        "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
        "caUrls": [service(url, 1)],
        "oidcUrls": [service(issuer, 1)],
        "rekorTlogUrls": [service(url, rekor)],
        "rekorTlogConfig": {"selector": "ANY"},
        "tsaUrls": [service(url + PATH, 1)] if tsa else [],
        "tsaConfig": {"selector": "ANY"},
    }


def client_trust_config(root: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """A ``ClientTrustConfig``."""
    media_type = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"
    return {"mediaType": media_type, "trustedRoot": root, "signingConfig": config}


def _log(host: str, key: PublicKey, log_id: bytes, valid: dict[str, str]) -> dict[str, Any]:
    details = "PKIX_ECDSA_P256_SHA_256" if isinstance(key, ec.EllipticCurvePublicKey) else "PKIX_ED25519"
    return {
        "baseUrl": f"https://{host}",
        "hashAlgorithm": "SHA2_256",
        "publicKey": {"rawBytes": b64(spki(key)), "keyDetails": details, "validFor": valid},
        "logId": {"keyId": b64(log_id)},
    }


def _authority(url: str, name: str, chain: Sequence[x509.Certificate], valid: dict[str, str]) -> dict[str, Any]:
    return {
        "subject": {"organization": ORGANIZATION, "commonName": name},
        "uri": url,
        "certChain": {"certificates": [{"rawBytes": b64(der(certificate))} for certificate in chain]},
        "validFor": valid,
    }


def _time(at: dt.datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
