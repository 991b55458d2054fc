"""Valid inputs about signatures: bundles of a Sigstore on loopback and of a CA of one's own, and real ones in place."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from lamslsa import statement
from lamslsa.artifact import FileEntry, Manifest
from tests.fuzz.mutate import join
from tests.fuzz.seeds import NOW, SHARED, kept

__all__ = [
    "CONTENT",
    "FILES",
    "PAYLOAD",
    "archives",
    "audit",
    "certificates",
    "chain",
    "envelopes",
    "keyless",
    "messages",
    "model_signatures",
    "patterns",
    "policies",
    "real_bundles",
    "real_roots",
    "trust_configs",
]

CONTENT: Final = b"a file of weights"
PAYLOAD: Final = statement.make(
    [statement.Subject(name="model", sha256="22" * 32)], "https://lamslsa.dev/evaluation/v1", {"accuracy": 1}
)
FILES: Final = tuple(
    FileEntry(path=path, sha256=hashlib.sha256(path.encode()).hexdigest(), size=1)
    for path in ("LICENSE", "a/b", "config.json", "model.safetensors")
)


@kept("keyless", 11)
def keyless() -> list[bytes]:
    """Trusted root, public key in PEM; five envelopes, three signed files; a trust configuration.

    Of the envelopes the last two are of the key, the others of identities; so is the last of the files.
    """
    from lamslsa.testing.sigstore import LocalSigstore
    from tests.unit.sign.keyless.bundles import Signing

    with LocalSigstore() as sigstore:
        job, person, key = (
            Signing.of(sigstore),
            Signing.of(sigstore, {"sub": "1", "email": "me@example.test", "email_verified": True}),
            Signing(sigstore),
        )
        return [
            sigstore.trusted_root_json().encode(),
            key.public_pem,
            job.envelope(PAYLOAD, stamped=True),
            job.envelope(PAYLOAD, rekor=2, stamped=True),
            person.envelope(PAYLOAD),
            key.envelope(PAYLOAD, stamped=True),
            key.envelope(PAYLOAD, rekor=2, stamped=True),
            job.message(CONTENT, stamped=True),
            job.message(CONTENT, rekor=2, stamped=True),
            key.message(CONTENT, stamped=True),
            sigstore.trust_config_json().encode(),
        ]


def envelopes() -> list[bytes]:
    """Envelopes of identities; of the key."""
    return keyless()[2:7]


def messages() -> list[bytes]:
    """Signed files: of an identity; of the key."""
    return keyless()[7:10]


def trust_configs() -> list[bytes]:
    """Services and trusted root in one document."""
    return keyless()[10:]


def real_bundles() -> list[bytes]:
    """Keyless envelopes of the public-good instance and of its staging, as far as they are there."""
    names = (
        "conformance/happy-path-intoto-in-dsse-v3/bundle.sigstore.json",
        "conformance/rekor2-dsse-happy-path/bundle.sigstore.json",
        "model_signing/v1.1.0-sigstore/model.sig",
        "other/pypi_attestation_models-0.0.4a2.tar.gz.sigstore",
    )
    return [path.read_bytes() for name in names if (path := SHARED / "sigstore" / name).is_file()]


@lru_cache(maxsize=1)
def real_roots() -> list[bytes]:
    """Trusted roots for them: the public-good one, that of staging."""
    from lamslsa.sign.keyless import SigstoreRoot

    staging = SHARED / "sigstore" / "conformance" / "rekor2-dsse-happy-path" / "trusted_root.json"
    return [SigstoreRoot.embedded().raw, *([staging.read_bytes()] if staging.is_file() else [])]


def certificates() -> list[bytes]:
    """Certificates of Fulcio in DER: of a workflow, of a person, and real ones."""
    from lamslsa.sign.dsse import parse_bundle

    found = [parse_bundle(data).material.certificates for data in (*envelopes()[:3], *real_bundles()) if data]
    return [ders[0] for ders in found]


def patterns() -> list[bytes]:
    """Patterns of policies."""
    texts = (
        r"https://github\.com/acme/.+/\.github/workflows/(train|eval)\.yml@refs/tags/v[0-9]+",
        r"[a-z]+@example\.com",
        r"(?:a|b|c)d?[^]\w]{2,3}.*",
        r"\d{1,4}-\w+\s?x|y",
    )
    return [text.encode() for text in texts]


@kept("certificate-chain", 5)
def chain() -> list[bytes]:
    """CA in PEM; signature; leaf and intermediate in DER; the chain of another signer, joined."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    from lamslsa.sign.dsse import pae
    from lamslsa.statement import PAYLOAD_TYPE
    from tests.unit.sign.test_certificate_chain import authority, signer

    times: dict[str, Any] = {"start": NOW - dt.timedelta(days=1), "end": NOW + dt.timedelta(days=1)}
    root = authority("root", **times)
    between = authority("between", root, **times)
    leaf, other = signer(between, **times), signer(root, "other", **times)
    signature = leaf.key.sign(pae(PAYLOAD_TYPE, PAYLOAD), ec.ECDSA(hashes.SHA256()))
    return [root.pem, signature, leaf.der, between.der, join(other.der, between.der)]


def model_signatures() -> list[bytes]:
    """Statements about `FILES` by OpenSSF model signing, with and without what is left out."""
    from lamslsa.model_signature import statement as sign

    manifest = Manifest.of("model", FILES)
    return [sign(manifest, name="m", ignored=ignored) for ignored in ((), ("model.sig",))]


def archives() -> list[bytes]:
    """Audit archives: with everything, and with what has to be there."""
    return [data for data, _ in audit()]


@lru_cache(maxsize=1)
def audit() -> Sequence[tuple[bytes, Any]]:
    """The same with what they were written from."""
    from lamslsa.archive import Archive, write

    parts: dict[str, Any] = {
        "at": NOW,
        "now": NOW,
        "model_name": "m",
        "manifest": Manifest.of("model", FILES),
        "policy": b"kind: IngredientsPolicy\n",
    }
    whole = Archive(
        bundles={"0123.sigstore.json": b"{}", "4567.intoto.jsonl": b"{}\n"},
        policy_files={"keys/auditor.pub": b"pem", "root.pem": b"root"},
        trusted_root=b"{}",
        collateral=[b"one", b"two"],
        **parts,
    )
    bare = Archive(bundles={}, policy_files={}, trusted_root=None, collateral=[], **parts)
    return [(write(archive), archive) for archive in (whole, bare)]


KEY_WITH_TIMES: Final = (
    "{key: data-owner.pub, validFrom: 2026-01-01T00:00:00Z, validUntil: 2026-06-01T00:00:00Z, "
    "revokedAt: 2026-03-01T00:00:00Z, requireTimestamp: true, requireLog: true}"
)
WORKFLOW: Final = (
    "{keyless: {issuer: https://a.example, repository: acme/census, repositoryId: 123456, ownerId: '77', "
    "workflow: .github/workflows/train.yml, ref: refs/heads/main, runnerEnvironment: github-hosted}}"
)
SEVERAL: Final = (
    "{requireTimestamp: true, credentials: [{key: data-owner.pub, revokedAt: 2026-03-01T00:00:00Z}, "
    "{key: enclave-release.pub}, {keyless: {issuer: https://a.example, identityRegex: '[a-z]+@a\\.example'}}]}"
)


def policies() -> list[bytes]:
    """What a policy says of an identity, in every way there is."""
    return [text.encode() for text in (KEY_WITH_TIMES, WORKFLOW, SEVERAL)]
