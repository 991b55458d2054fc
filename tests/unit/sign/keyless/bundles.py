"""Bundles straight from the services of a local Sigstore, without a client that would notice what is wrong."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from rfc3161_client import TimestampRequestBuilder

from lamslsa.sign.dsse import MEDIA_TYPE, pae
from lamslsa.statement import PAYLOAD_TYPE
from lamslsa.testing.sigstore import LocalSigstore, Rekor, github_claims
from lamslsa.testing.timestamps import timestamp_info, timestamp_response

PAYLOAD = b'{"_type":"https://in-toto.io/Statement/v1","predicate":{"accuracy":0.85}}'
CONTENT = b"a file of weights"


def base64_text(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass
class Signing:
    """One key, and the certificate for it if it is of an identity."""

    sigstore: LocalSigstore
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    certificate: x509.Certificate | None = None
    digest: hashes.HashAlgorithm = field(default_factory=hashes.SHA256)
    details: str = "PKIX_ECDSA_P256_SHA_256"

    @classmethod
    def of(cls, sigstore: LocalSigstore, claims: Mapping[str, Any] | None = None) -> Signing:
        """A certificate for the identity of these claims, a job of GitHub where None."""
        signing = cls(sigstore)
        named = {"iss": sigstore.issuer, **(github_claims() if claims is None else claims)}
        signing.certificate = sigstore.fulcio.issue(signing.key.public_key(), named)
        return signing

    @property
    def public_der(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def public_pem(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def envelope(
        self,
        payload: bytes = PAYLOAD,
        *,
        payload_type: str = PAYLOAD_TYPE,
        rekor: Rekor | None = 1,
        stamped: bool = False,
        edit: Callable[[dict[str, Any]], object] = lambda bundle: None,
    ) -> bytes:
        """A bundle of an attestation."""
        signature = self.key.sign(pae(payload_type, payload), ec.ECDSA(self.digest))
        envelope = {
            "payload": base64_text(payload),
            "payloadType": payload_type,
            "signatures": [{"sig": base64_text(signature)}],
        }
        entry = None
        if rekor == 1:
            proposed = {"envelope": json.dumps(envelope), "verifiers": [base64_text(self._pem)]}
            entry = self._log_v1("dsse", {"proposedContent": proposed})
        elif rekor == 2:
            entry = self._log_v2(signature, self._digest(pae(payload_type, payload)))
        return self._bundle({"dsseEnvelope": envelope}, signature, entry, stamped=stamped, edit=edit)

    def message(
        self,
        content: bytes = CONTENT,
        *,
        rekor: Rekor | None = 1,
        stamped: bool = False,
        edit: Callable[[dict[str, Any]], object] = lambda bundle: None,
    ) -> bytes:
        """A bundle of a signed file."""
        signature = self.key.sign(content, ec.ECDSA(self.digest))
        sha256 = hashlib.sha256(content)
        stated = {"algorithm": "SHA2_256", "digest": base64_text(sha256.digest())}
        entry = None
        if rekor == 1:
            hashed = {"hash": {"algorithm": "sha256", "value": sha256.hexdigest()}}
            signed = {"content": base64_text(signature), "publicKey": {"content": base64_text(self._pem)}}
            entry = self._log_v1("hashedrekord", {"data": hashed, "signature": signed})
        elif rekor == 2:
            entry = self._log_v2(signature, self._digest(content))
        body = {"messageSignature": {"messageDigest": stated, "signature": base64_text(signature)}}
        return self._bundle(body, signature, entry, stamped=stamped, edit=edit)

    def stamp(self, signature: bytes) -> str:
        """A timestamp over a signature."""
        query = TimestampRequestBuilder().data(signature).nonce(nonce=True).build().as_bytes()
        return base64_text(self.sigstore.tsa.stamp(query))

    def stamp_at(self, signature: bytes, at: dt.datetime, *, signers: int = 1, carry: bool = True) -> str:
        """A timestamp over a signature, of another time or with other signers than the authority would give it."""
        authority = self.sigstore.tsa._authority
        info = timestamp_info(at, hashlib.sha256(signature).digest(), serial=7)
        return base64_text(timestamp_response(info, authority.key, authority.certificate, signers=signers, carry=carry))

    @property
    def _pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM) if self.certificate else self.public_pem

    def _digest(self, data: bytes) -> bytes:
        return hashlib.new(self.digest.name, data).digest()

    def _bundle(
        self,
        content: dict[str, Any],
        signature: bytes,
        entry: dict[str, Any] | None,
        *,
        stamped: bool,
        edit: Callable[[dict[str, Any]], object],
    ) -> bytes:
        material: dict[str, Any] = {"tlogEntries": [entry] if entry else []}
        if self.certificate:
            material["certificate"] = {"rawBytes": base64_text(self.certificate.public_bytes(Encoding.DER))}
        else:
            material["publicKey"] = {"hint": base64_text(hashlib.sha256(self.public_der).digest())}
        if stamped:
            stamps = [{"signedTimestamp": self.stamp(signature)}]
            material["timestampVerificationData"] = {"rfc3161Timestamps": stamps}
        bundle = {"mediaType": MEDIA_TYPE, "verificationMaterial": material, **content}
        edit(bundle)
        return json.dumps(bundle).encode()

    def _log_v1(self, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
        (entry,) = self._post("/api/v1/log/entries", {"apiVersion": "0.0.1", "kind": kind, "spec": spec}).values()
        return self.entry_v1(entry, kind, "0.0.1")

    @staticmethod
    def entry_v1(entry: dict[str, Any], kind: str, version: str) -> dict[str, Any]:
        """What Rekor v1 answers, as a bundle has it."""
        proof = entry["verification"]["inclusionProof"]
        result = {
            "logIndex": str(entry["logIndex"]),
            "logId": {"keyId": base64_text(bytes.fromhex(entry["logID"]))},
            "kindVersion": {"kind": kind, "version": version},
            "integratedTime": str(entry["integratedTime"]),
            "inclusionProof": {
                "logIndex": str(proof["logIndex"]),
                "rootHash": base64_text(bytes.fromhex(proof["rootHash"])),
                "treeSize": str(proof["treeSize"]),
                "hashes": [base64_text(bytes.fromhex(node)) for node in proof["hashes"]],
                "checkpoint": {"envelope": proof["checkpoint"]},
            },
            "canonicalizedBody": entry["body"],
        }
        if promise := entry["verification"].get("signedEntryTimestamp"):
            result["inclusionPromise"] = {"signedEntryTimestamp": promise}
        return result

    def _log_v2(self, signature: bytes, digest: bytes) -> dict[str, Any]:
        if self.certificate:
            raw = base64_text(self.certificate.public_bytes(Encoding.DER))
            verifier: dict[str, Any] = {"x509Certificate": {"rawBytes": raw}, "keyDetails": self.details}
        else:
            verifier = {"publicKey": {"rawBytes": base64_text(self.public_der)}, "keyDetails": self.details}
        signed = {"content": base64_text(signature), "verifier": verifier}
        request = {"hashedRekordRequestV002": {"digest": base64_text(digest), "signature": signed}}
        return self._post("/api/v2/log/entries", request)

    def _post(self, path: str, value: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(self.sigstore.url + path, json.dumps(value).encode())
        with urllib.request.urlopen(request) as reply:
            answer: dict[str, Any] = json.load(reply)
        return answer


def put(*path: str | int, value: Any) -> Callable[[dict[str, Any]], None]:
    """An edit that sets one value of a bundle."""

    def edit(bundle: dict[str, Any]) -> None:
        target: Any = bundle
        for part in path[:-1]:
            target = target[part]
        target[path[-1]] = value

    return edit


def drop(*path: str | int) -> Callable[[dict[str, Any]], None]:
    """An edit that takes one value out of a bundle."""

    def edit(bundle: dict[str, Any]) -> None:
        target: Any = bundle
        for part in path[:-1]:
            target = target[part]
        del target[path[-1]]

    return edit
