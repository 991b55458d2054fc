"""What the services refuse, and the answers that sigstore never asks for."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from rfc3161_client import TimestampRequestBuilder, VerificationError, VerifierBuilder, decode_timestamp_response
from rfc3161_client.base import HashAlgorithm

from lamslsa.testing.sigstore import LocalSigstore, github_claims

P256 = ec.generate_private_key(ec.SECP256R1())
PAYLOAD = b"{}"
PAE = b"DSSEv1 4 text 2 {}"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def spki(key: Any, encoding: Encoding = Encoding.PEM) -> bytes:
    data: bytes = key.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
    return data


def post(sigstore: LocalSigstore, path: str, body: Any, **headers: str) -> tuple[int, Any]:
    answer = urllib3.request("POST", sigstore.url + path, body=json.dumps(body).encode(), headers=headers)
    return answer.status, answer.json()


def get(sigstore: LocalSigstore, path: str) -> tuple[int, Any]:
    answer = urllib3.request("GET", sigstore.url + path)
    return answer.status, answer.json()


def certify(sigstore: LocalSigstore, csr: bytes | None = None, token: str | None = None) -> tuple[int, Any]:
    if csr is None:
        builder = x509.CertificateSigningRequestBuilder(subject_name=x509.Name([]))
        csr = builder.sign(P256, hashes.SHA256()).public_bytes(Encoding.PEM)
    authorization = f"Bearer {sigstore.token() if token is None else token}"
    body = {"certificateSigningRequest": b64(csr)}
    return post(sigstore, "/api/v2/signingCert", body, Authorization=authorization)


def leaf(answer: Any) -> x509.Certificate:
    chain = answer["signedCertificateEmbeddedSct"]["chain"]["certificates"]
    return x509.load_pem_x509_certificate(chain[0].encode())


class TestFulcio:
    def test_certificate(self, local_sigstore: LocalSigstore) -> None:
        status, answer = certify(local_sigstore)
        assert status == 201
        certificate = leaf(answer)
        assert certificate.public_key() == P256.public_key()
        certificate.verify_directly_issued_by(local_sigstore.fulcio.chain[0])
        local_sigstore.fulcio.chain[0].verify_directly_issued_by(local_sigstore.fulcio.chain[1])
        organization = x509.oid.NameOID.ORGANIZATION_NAME
        assert [name.value for name in certificate.issuer.get_attributes_for_oid(organization)] == ["sigstore.local"]

    def test_extensions(self, local_sigstore: LocalSigstore) -> None:
        _, answer = certify(local_sigstore, token=local_sigstore.token(claims=github_claims()))
        found = {extension.oid.dotted_string: extension.value for extension in leaf(answer).extensions}
        arc = "1.3.6.1.4.1.57264.1"
        assert {f"{arc}.{number}" for number in (*range(1, 7), *range(8, 23))} <= found.keys()
        assert found[f"{arc}.15"].public_bytes() == b"\x0c\x041001"
        assert found[f"{arc}.17"].public_bytes() == b"\x0c\x042002"

    def test_trust_bundle(self, local_sigstore: LocalSigstore) -> None:
        status, answer = get(local_sigstore, "/api/v2/trustBundle")
        assert status == 200
        [chain] = answer["chains"]
        loaded = tuple(x509.load_pem_x509_certificate(text.encode()) for text in chain["certificates"])
        assert loaded == local_sigstore.fulcio.chain

    def test_token_in_the_body(self, local_sigstore: LocalSigstore) -> None:
        """As sigstore-js and cosign send it."""
        builder = x509.CertificateSigningRequestBuilder(subject_name=x509.Name([]))
        body = {
            "credentials": {"oidcIdentityToken": local_sigstore.token()},
            "certificateSigningRequest": b64(builder.sign(P256, hashes.SHA256()).public_bytes(Encoding.PEM)),
        }
        assert post(local_sigstore, "/api/v2/signingCert", body)[0] == 201

    @pytest.mark.parametrize("token", ["", "no token"])
    def test_no_token(self, local_sigstore: LocalSigstore, token: str) -> None:
        assert certify(local_sigstore, token=token)[0] == 401

    def test_unverified_address(self, local_sigstore: LocalSigstore) -> None:
        token = local_sigstore.token(claims={"email": "a@b.example", "email_verified": False})
        status, answer = certify(local_sigstore, token=token)
        assert (status, answer["message"]) == (401, "expected a verified email address")

    def test_possession(self, local_sigstore: LocalSigstore) -> None:
        builder = x509.CertificateSigningRequestBuilder(subject_name=x509.Name([]))
        der = bytearray(builder.sign(P256, hashes.SHA256()).public_bytes(Encoding.DER))
        other = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
        der = der.replace(
            spki(P256, Encoding.DER), other.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )
        pem = x509.load_der_x509_csr(bytes(der)).public_bytes(Encoding.PEM)
        status, answer = certify(local_sigstore, pem)
        assert (status, "could not be verified" in answer["message"]) == (400, True)

    def test_kinds_of_keys(self, local_sigstore: LocalSigstore) -> None:
        builder = x509.CertificateSigningRequestBuilder(subject_name=x509.Name([]))
        accepted = builder.sign(Ed25519PrivateKey.generate(), None).public_bytes(Encoding.PEM)
        assert certify(local_sigstore, accepted)[0] == 201
        refused = builder.sign(Ed448PrivateKey.generate(), None).public_bytes(Encoding.PEM)
        status, answer = certify(local_sigstore, refused)
        assert (status, "of no supported type" in answer["message"]) == (400, True)

    def test_malformed(self, local_sigstore: LocalSigstore) -> None:
        assert certify(local_sigstore, b"no CSR")[0] == 400
        authorization = {"Authorization": f"Bearer {local_sigstore.token()}"}
        bodies: tuple[Any, ...] = ({}, [], None, {"certificateSigningRequest": 3})
        for body in bodies:
            assert post(local_sigstore, "/api/v2/signingCert", body, **authorization)[0] == 400


def dsse(verifier: bytes, signature: bytes, **changed: Any) -> dict[str, Any]:
    envelope = {"payload": b64(PAYLOAD), "payloadType": "text", "signatures": [{"sig": b64(signature)}]} | changed
    content = {"envelope": json.dumps(envelope), "verifiers": [b64(verifier)]}
    return {"kind": "dsse", "apiVersion": "0.0.1", "spec": {"proposedContent": content}}


def hashedrekord(verifier: bytes, signature: bytes, digest: bytes, algorithm: str = "sha256") -> dict[str, Any]:
    data = {"hash": {"algorithm": algorithm, "value": digest.hex()}}
    signed = {"content": b64(signature), "publicKey": {"content": b64(verifier)}}
    return {"kind": "hashedrekord", "apiVersion": "0.0.1", "spec": {"data": data, "signature": signed}}


def ecdsa(data: bytes) -> bytes:
    return P256.sign(data, ec.ECDSA(hashes.SHA256()))


V1 = "/api/v1/log/entries"
V2 = "/api/v2/log/entries"


class TestRekorV1:
    def test_bare_keys(self, local_sigstore: LocalSigstore) -> None:
        ed25519, rsa2048 = Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)
        for key, signature in (
            (P256, ecdsa(PAE)),
            (ed25519, ed25519.sign(PAE)),
            (rsa2048, rsa2048.sign(PAE, padding.PKCS1v15(), hashes.SHA256())),
        ):
            status, answer = post(local_sigstore, V1, dsse(spki(key), signature))
            assert status == 201
            [entry] = answer.values()
            body = json.loads(base64.b64decode(entry["body"]))
            assert body["spec"]["signatures"] == [{"signature": b64(signature), "verifier": b64(spki(key))}]
            assert body["spec"]["payloadHash"]["value"] == hashlib.sha256(PAYLOAD).hexdigest()
        digest = hashlib.sha256(b"file").digest()
        rsa_signature = rsa2048.sign(b"file", padding.PKCS1v15(), hashes.SHA256())
        assert post(local_sigstore, V1, hashedrekord(spki(P256), ecdsa(b"file"), digest))[0] == 201
        assert post(local_sigstore, V1, hashedrekord(spki(rsa2048), rsa_signature, digest))[0] == 201

    def test_look_up(self, faulty_sigstore: LocalSigstore) -> None:
        faulty_sigstore.rekor1.clock.offset = -dt.timedelta(hours=1)
        _, added = post(faulty_sigstore, V1, dsse(spki(P256), ecdsa(PAE)))
        [(uuid, entry)] = added.items()
        faulty_sigstore.rekor1.clock.offset = dt.timedelta(0)
        post(faulty_sigstore, V1, dsse(spki(P256), ecdsa(PAE)))
        for path in (f"{V1}?logIndex={entry['logIndex']}", f"{V1}/{uuid}"):
            status, found = get(faulty_sigstore, path)
            assert status == 200
            assert found[uuid]["integratedTime"] == entry["integratedTime"]
            assert found[uuid]["body"] == entry["body"]
            assert found[uuid]["verification"]["inclusionProof"]["treeSize"] > entry["logIndex"] + 1
        for path in (f"{V1}?logIndex=1000000", f"{V1}?logIndex=-1", f"{V1}/00"):
            assert get(faulty_sigstore, path)[0] == 404
        for path in (V1, f"{V1}?logIndex=x"):
            assert get(faulty_sigstore, path)[0] == 400

    def test_many_at_once(self) -> None:
        with LocalSigstore() as sigstore, ThreadPoolExecutor(8) as pool:
            proposed = [dsse(spki(P256), ecdsa(PAE)) for _ in range(100)]
            entries: dict[int, str] = {}
            for status, answer in pool.map(lambda body: post(sigstore, V1, body), proposed):
                assert status == 201
                entries |= {entry["logIndex"]: entry["body"] for entry in answer.values()}
            assert sorted(entries) == list(range(100))
            for index in (0, 50, 99):
                [found] = get(sigstore, f"{V1}?logIndex={index}")[1].values()
                assert found["body"] == entries[index]

    def test_twice(self, faulty_sigstore: LocalSigstore) -> None:
        proposed = dsse(spki(P256), ecdsa(PAE))
        faulty_sigstore.faults.fail("rekor1", "lose", times=1)
        with pytest.raises(urllib3.exceptions.HTTPError):
            post_once(faulty_sigstore, proposed)
        status, answer = post(faulty_sigstore, V1, proposed)
        assert (status, "equivalent entry already exists" in answer["message"]) == (409, True)

    @pytest.mark.parametrize(
        "proposed",
        [
            dsse(spki(P256), ecdsa(b"other")),
            dsse(spki(P256), b"no signature"),
            dsse(spki(ec.generate_private_key(ec.SECP256R1())), ecdsa(PAE)),
            dsse(spki(P256), ecdsa(PAE), payload=b64(b"other")),
            dsse(spki(P256), ecdsa(PAE), payloadType="other"),
            dsse(spki(P256), ecdsa(PAE), signatures=[]),
            dsse(spki(P256), ecdsa(PAE), signatures=[{"sig": b64(ecdsa(PAE))}, {"sig": b64(ecdsa(b"other"))}]),
            dsse(b"no key", ecdsa(PAE)),
            dsse(spki(Ed448PrivateKey.generate()), ecdsa(PAE)),
            dsse(spki(Ed25519PrivateKey.generate()), b"no signature"),
            hashedrekord(spki(P256), ecdsa(b"file"), hashlib.sha256(b"other").digest()),
            hashedrekord(spki(P256), ecdsa(b"file"), hashlib.sha1(b"file").digest(), "sha1"),
            hashedrekord(spki(Ed25519PrivateKey.generate()), b"", hashlib.sha256(b"file").digest()),
            dsse(spki(P256), ecdsa(PAE)) | {"apiVersion": "0.0.2"},
            dsse(spki(P256), ecdsa(PAE)) | {"kind": "intoto"},
            {},
            [],
            None,
        ],
    )
    def test_refused(self, local_sigstore: LocalSigstore, proposed: Any) -> None:
        before = get(local_sigstore, "/api/v1/log")[1]["treeSize"]
        assert post(local_sigstore, V1, proposed)[0] == 400
        assert get(local_sigstore, "/api/v1/log")[1]["treeSize"] == before


def post_once(sigstore: LocalSigstore, proposed: Any) -> None:
    urllib3.request("POST", sigstore.url + V1, body=json.dumps(proposed).encode(), retries=False)


def request_v2(key: Any, signature: bytes, digest: bytes, details: str, **changed: Any) -> dict[str, Any]:
    verifier = {"publicKey": {"rawBytes": b64(spki(key, Encoding.DER))}, "keyDetails": details} | changed
    signed = {"content": b64(signature), "verifier": verifier}
    return {"hashedRekordRequestV002": {"digest": b64(digest), "signature": signed}}


class TestRekorV2:
    @staticmethod
    def size(sigstore: LocalSigstore) -> bytes:
        return urllib3.request("GET", f"{sigstore.url}/api/v2/checkpoint").data.splitlines()[1]

    def test_bare_keys(self, local_sigstore: LocalSigstore) -> None:
        p384 = ec.generate_private_key(ec.SECP384R1())
        for key, algorithm, details, name in (
            (P256, hashes.SHA256(), "PKIX_ECDSA_P256_SHA_256", "SHA2_256"),
            (p384, hashes.SHA384(), "PKIX_ECDSA_P384_SHA_384", "SHA2_384"),
        ):
            digest = hashlib.new(algorithm.name, PAE).digest()
            signature = key.sign(digest, ec.ECDSA(Prehashed(algorithm)))
            status, entry = post(local_sigstore, V2, request_v2(key, signature, digest, details))
            assert status == 201
            body = json.loads(base64.b64decode(entry["canonicalizedBody"]))["spec"]["hashedRekordV002"]
            assert body["data"] == {"algorithm": name, "digest": b64(digest)}
            assert body["signature"]["verifier"]["publicKey"] == {"rawBytes": b64(spki(key, Encoding.DER))}
            assert entry["inclusionProof"]["checkpoint"]["envelope"].startswith("log2025.rekor.local\n")

    @pytest.mark.parametrize(
        ("signed", "details", "changed"),
        [
            (b"other", "PKIX_ECDSA_P256_SHA_256", {}),
            (PAE, "PKIX_ECDSA_P384_SHA_384", {}),
            (PAE, "PKIX_ED25519", {}),
            (PAE, "PKIX_ECDSA_P256_SHA_256", {"publicKey": {"rawBytes": b64(b"no key")}}),
            (PAE, "PKIX_ECDSA_P256_SHA_256", {"publicKey": None}),
            (PAE, "PKIX_ECDSA_P256_SHA_256", {"x509Certificate": {"rawBytes": b64(b"no certificate")}}),
        ],
    )
    def test_refused(self, local_sigstore: LocalSigstore, signed: bytes, details: str, changed: dict[str, Any]) -> None:
        before = self.size(local_sigstore)
        digest = hashlib.sha256(PAE).digest()
        proposed = request_v2(P256, ecdsa(signed), digest, details, **changed)
        assert post(local_sigstore, V2, proposed)[0] == 400
        assert self.size(local_sigstore) == before

    def test_other_requests(self, local_sigstore: LocalSigstore) -> None:
        requests: tuple[Any, ...] = ({"dsseRequestV002": {}}, {}, None)
        for proposed in requests:
            assert post(local_sigstore, V2, proposed)[0] == 400


class TestTimestamps:
    @staticmethod
    def stamp(sigstore: LocalSigstore, algorithm: HashAlgorithm = HashAlgorithm.SHA256) -> bytes:
        request = TimestampRequestBuilder().data(b"signature").hash_algorithm(algorithm).nonce(nonce=True).build()
        answer = urllib3.request("POST", f"{sigstore.url}/api/v1/timestamp", body=request.as_bytes())
        assert answer.status == 201
        certificate, root = sigstore.tsa.chain
        verifier = VerifierBuilder(nonce=request.nonce).tsa_certificate(certificate).add_root_certificate(root).build()
        response = decode_timestamp_response(answer.data)
        assert verifier.verify_message(response, b"signature")
        return answer.data

    def test_stamp(self, local_sigstore: LocalSigstore) -> None:
        for algorithm in (HashAlgorithm.SHA256, HashAlgorithm.SHA512):
            response = decode_timestamp_response(self.stamp(local_sigstore, algorithm))
            assert abs(response.tst_info.gen_time - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)

    def test_without_nonce(self, local_sigstore: LocalSigstore) -> None:
        request = TimestampRequestBuilder().data(b"signature").nonce(nonce=False).build()
        assert decode_timestamp_response(local_sigstore.tsa.stamp(request.as_bytes())).tst_info.nonce is None

    @pytest.mark.parametrize("lie", ["timestamp-other-nonce", "timestamp-other-data", "timestamp-foreign"])
    def test_lies(self, faulty_sigstore: LocalSigstore, lie: Any) -> None:
        faulty_sigstore.faults.lie(lie)
        with pytest.raises(VerificationError):
            self.stamp(faulty_sigstore)

    def test_refused(self, local_sigstore: LocalSigstore) -> None:
        request = TimestampRequestBuilder().data(b"x").hash_algorithm(HashAlgorithm.SHA256).build().as_bytes()
        sha224 = request.replace(bytes.fromhex("608648016503040201"), bytes.fromhex("608648016503040204"))
        for body in (b"no request", b"", sha224, sha224.replace(b"\x04\x02\x04", b"\x04\x02\x03")):
            answer = urllib3.request("POST", f"{local_sigstore.url}/api/v1/timestamp", body=body)
            assert answer.status == 400
