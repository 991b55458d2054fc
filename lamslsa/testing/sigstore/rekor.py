"""Transparency logs: Rekor v1 (dsse 0.0.1 and hashedrekord 0.0.1) and Rekor v2 (hashedrekord 0.0.2).

Both take an entry only if its signature verifies under the certificate or public key that comes with it.

Specifications: github.com/sigstore/rekor openapi.yaml and pkg/types; github.com/sigstore/rekor-tiles CLIENTS.md;
C2SP tlog-checkpoint, signed-note.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Mapping
from typing import Any, Final

import rfc8785
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lamslsa.testing.sigstore._http import RefusedError, Reply, Request, Route, json_reply, object_of
from lamslsa.testing.sigstore._log import AppendOnlyLog, Inclusion
from lamslsa.testing.sigstore._pki import b64, fingerprint, spki
from lamslsa.testing.sigstore._signed import ALGORITHMS, pem_verifier, raw_verifier, verify_digest, verify_message
from lamslsa.testing.sigstore.clock import Clock
from lamslsa.testing.sigstore.faults import Faults
from lamslsa.testing.sigstore.merkle import leaf_hash

__all__ = ["HOST_V1", "HOST_V2", "RekorV1", "RekorV2"]

HOST_V1: Final = "rekor.local"
HOST_V2: Final = "log2025.rekor.local"
_TREE_ID: Final = 1193050959916656506
_ENTRIES_V1: Final = "/api/v1/log/entries"
_KEY_DETAILS: Final = {
    "PKIX_ECDSA_P256_SHA_256": ("SHA2_256", "sha256"),
    "PKIX_ECDSA_P384_SHA_384": ("SHA2_384", "sha384"),
    "PKIX_ECDSA_P521_SHA_512": ("SHA2_512", "sha512"),
    "PKIX_RSA_PKCS1V15_2048_SHA256": ("SHA2_256", "sha256"),
    "PKIX_RSA_PKCS1V15_3072_SHA256": ("SHA2_256", "sha256"),
    "PKIX_RSA_PKCS1V15_4096_SHA256": ("SHA2_256", "sha256"),
}


class RekorV1:
    """Promises inclusion (SET), states a time, and proves inclusion.

    Args:
        faults: what goes wrong.
        clock: the time that it states.
    """

    def __init__(self, faults: Faults, clock: Clock) -> None:
        self.clock = clock
        self._faults = faults
        key, foreign = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        self.public_key = key.public_key()
        self.log_id = fingerprint(self.public_key)
        origin = f"{HOST_V1} - {_TREE_ID}"
        self._log = AppendOnlyLog(
            host=HOST_V1, origin=origin, key=key, foreign=foreign, log_id=self.log_id, faults=faults
        )
        self._lock = threading.Lock()
        self._times: list[int] = []
        self._index: dict[str, int] = {}

    @property
    def routes(self) -> tuple[Route, ...]:
        """What it answers."""
        return (
            Route(endpoint="rekor1", method="POST", path=_ENTRIES_V1, answer=self._add),
            Route(endpoint="rekor1-lookup", method="GET", path="/api/v1/log", answer=self._head),
            Route(endpoint="rekor1-lookup", method="GET", path=_ENTRIES_V1, answer=self._look_up),
            Route(endpoint="rekor1-lookup", method="GET", path=f"{_ENTRIES_V1}/", answer=self._look_up_uuid),
        )

    def _add(self, request: Request) -> Reply:
        proposed = object_of(request.body)
        match proposed.get("kind"), proposed.get("apiVersion"):
            case "dsse", "0.0.1":
                spec = _dsse(proposed["spec"], other=self._faults.lies("entry-other"))
            case "hashedrekord", "0.0.1":
                spec = _hashedrekord(proposed["spec"], other=self._faults.lies("entry-other"))
            case kind, version:
                raise RefusedError(f"expected dsse 0.0.1 or hashedrekord 0.0.1, got {kind} {version}")
        body = rfc8785.dumps({"apiVersion": "0.0.1", "kind": proposed["kind"], "spec": spec})
        return json_reply(self._answer(self._append(body)), status=201)

    def _append(self, body: bytes) -> int:
        uuid = _uuid(body)
        with self._lock:
            if uuid in self._index:
                raise RefusedError(
                    f"an equivalent entry already exists in the transparency log with UUID {uuid}",
                    status=409,
                    headers={"Location": f"{_ENTRIES_V1}/{uuid}"},
                )
            index = self._index[uuid] = self._log.append(body).index
            self._times.append(int(self.clock.now().timestamp()))
        return index

    def _head(self, _: Request) -> Reply:
        size, root, checkpoint = self._log.head()
        tree = {"treeSize": size, "rootHash": root.hex(), "signedTreeHead": checkpoint, "treeID": str(_TREE_ID)}
        return json_reply({**tree, "inactiveShards": []})

    def _look_up(self, request: Request) -> Reply:
        return self._found(int(request.query["logIndex"]))

    def _look_up_uuid(self, request: Request) -> Reply:
        uuid = request.path.removeprefix(f"{_ENTRIES_V1}/")
        return self._found(self._index.get(uuid, -1))

    def _found(self, index: int) -> Reply:
        if not 0 <= index < len(self._times):
            raise RefusedError("entry not found", status=404)
        return json_reply(self._answer(index))

    def _answer(self, index: int) -> dict[str, Any]:
        body, inclusion = self._log.entry(index)
        time = self._times[index]
        promised: dict[str, Any] = {
            "body": b64(body),
            "integratedTime": time,
            "logID": self.log_id.hex(),
            "logIndex": index,
        }
        over = {**promised, "integratedTime": time - 3600} if self._faults.lies("promise-other-time") else promised
        promise = self._log.sign(rfc8785.dumps(over), foreign=self._faults.lies("promise-foreign"))
        verification = {"signedEntryTimestamp": b64(promise), "inclusionProof": _proof_v1(inclusion)}
        if self._faults.lies("promise-missing"):
            del verification["signedEntryTimestamp"]
        return {_uuid(body): {**promised, "verification": verification}}


class RekorV2:
    """Proves inclusion; it states no time.

    Args:
        faults: what goes wrong.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        key, foreign = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
        self.public_key = key.public_key()
        # C2SP signed-note: the id of an Ed25519 key
        self.log_id = hashlib.sha256(HOST_V2.encode() + b"\n\x01" + spki(self.public_key)[-32:]).digest()
        self._log = AppendOnlyLog(
            host=HOST_V2, origin=HOST_V2, key=key, foreign=foreign, log_id=self.log_id, faults=faults
        )

    @property
    def routes(self) -> tuple[Route, ...]:
        """What it answers."""
        return (
            Route(endpoint="rekor2", method="POST", path="/api/v2/log/entries", answer=self._add),
            Route(endpoint="rekor2-lookup", method="GET", path="/api/v2/checkpoint", answer=self._head),
        )

    def _head(self, _: Request) -> Reply:
        return Reply(body=self._log.head()[2].encode(), media_type="text/plain; charset=utf-8")

    def _add(self, request: Request) -> Reply:
        proposed = object_of(request.body)["hashedRekordRequestV002"]
        signature, digest = proposed["signature"], base64.b64decode(proposed["digest"], validate=True)
        verifier = signature["verifier"]
        if verifier.get("keyDetails") not in _KEY_DETAILS:
            raise RefusedError(f"unsupported key details {verifier.get('keyDetails')!r}")
        algorithm, name = _KEY_DETAILS[verifier["keyDetails"]]
        material = "x509Certificate" if verifier.get("x509Certificate") else "publicKey"
        raw = base64.b64decode(verifier[material]["rawBytes"], validate=True)
        key = raw_verifier(raw, certificate=material == "x509Certificate")
        verify_digest(key, base64.b64decode(signature["content"], validate=True), digest, ALGORITHMS[name])
        if self._faults.lies("entry-other"):
            digest = hashlib.new(name, digest).digest()
        logged = {"data": {"algorithm": algorithm, "digest": b64(digest)}, "signature": _without_none(signature)}
        spec: dict[str, Any] = {"hashedRekordV002": logged}
        body = rfc8785.dumps({"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": spec})
        return json_reply(self._entry(body, self._log.append(body)), status=201)

    def _entry(self, body: bytes, inclusion: Inclusion) -> dict[str, Any]:
        return {
            "logIndex": str(inclusion.index),
            "logId": {"keyId": b64(self.log_id)},
            "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
            "integratedTime": "0",
            "inclusionProof": {
                "logIndex": str(inclusion.index),
                "rootHash": b64(inclusion.root),
                "treeSize": str(inclusion.size),
                "hashes": [b64(node) for node in inclusion.path],
                "checkpoint": {"envelope": inclusion.checkpoint},
            },
            "canonicalizedBody": b64(body),
        }


def _dsse(spec: Mapping[str, Any], *, other: bool) -> dict[str, Any]:
    """What is kept of an envelope: digests and signatures."""
    proposed = spec["proposedContent"]
    text: str = proposed["envelope"]
    envelope = json.loads(text)
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"].encode()
    message = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    if len(proposed["verifiers"]) != 1 or not envelope["signatures"]:
        raise RefusedError("expected one verifier and a signature")
    key, verifier = pem_verifier(proposed["verifiers"][0])
    for signature in envelope["signatures"]:
        verify_message(key, base64.b64decode(signature["sig"]), message)
    if other:
        text, payload = f"{text} ", payload + b" "
    return {
        "envelopeHash": _sha256(text.encode()),
        "payloadHash": _sha256(payload),
        "signatures": [{"signature": each["sig"], "verifier": verifier} for each in envelope["signatures"]],
    }


def _hashedrekord(spec: Mapping[str, Any], *, other: bool) -> dict[str, Any]:
    """What is kept of a file's signature: the file's digest, the signature, the key."""
    digest, signature = spec["data"]["hash"], spec["signature"]
    name, value = digest["algorithm"], bytes.fromhex(digest["value"])
    if name not in ALGORITHMS:
        raise RefusedError(f"unsupported digest {name!r}")
    key, verifier = pem_verifier(signature["publicKey"]["content"])
    verify_digest(key, base64.b64decode(signature["content"]), value, ALGORITHMS[name])
    if other:
        value = hashlib.new(name, value).digest()
    return {
        "data": {"hash": {"algorithm": name, "value": value.hex()}},
        "signature": {"content": signature["content"], "publicKey": {"content": verifier}},
    }


def _proof_v1(inclusion: Inclusion) -> dict[str, Any]:
    return {
        "logIndex": inclusion.index,
        "rootHash": inclusion.root.hex(),
        "treeSize": inclusion.size,
        "hashes": [node.hex() for node in inclusion.path],
        "checkpoint": inclusion.checkpoint,
    }


def _uuid(body: bytes) -> str:
    """How an entry of Rekor v1 is called: by tree and leaf."""
    return f"{_TREE_ID:016x}{leaf_hash(body).hex()}"


def _sha256(data: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_none(item) for name, item in value.items() if item is not None}
    return value
