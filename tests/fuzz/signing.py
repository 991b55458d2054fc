"""What takes signatures, whom they are of, and what they are about: bytes that others chose, one target each.

The mutations know nothing of the keys. So a bundle that verifies has payload, signer and times of one of the originals;
of its times some may have been left out.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from lamslsa import statement
from lamslsa.errors import FormatError
from lamslsa.sign.dsse import parse_bundle, parse_bundles, parse_message_bundle
from lamslsa.sign.interface import Envelope, Signature, SignedMessage, Witnessed
from lamslsa.sign.key import KeyVerifier
from lamslsa.sign.keyless import Certified, FulcioIdentity, KeylessTerms, KeylessVerifier, SigstoreRoot
from tests.fuzz import seeds, signing_seeds
from tests.fuzz.mutate import join, split
from tests.fuzz.parsers import attempt, require
from tests.fuzz.signing_seeds import CONTENT, FILES, PAYLOAD
from tests.fuzz.target import KIB, Target

__all__ = ["TARGETS"]

importlib.import_module("lamslsa.sign.keyless._verifier")  # takes a second, which is no input's fault

_POLICY: Final = Path(__file__).parents[1] / "vectors" / "policy" / "base"
_OWNER: Final = "data-owner: {key: data-owner.pub}"


def _bundle(data: bytes) -> object:
    envelope, message = attempt(parse_bundle, data), attempt(parse_message_bundle, data)
    require(envelope is None or message is None, "an envelope that is a signed file")
    found = envelope or message
    if found is None:
        raise FormatError("expected a bundle, got none", reason="fuzz")
    require(found.raw == data, "a bundle with other bytes")
    require(bool(found.material.key_hint) != bool(found.material.certificates), "a bundle of two signers")
    return found


def _lines(data: bytes) -> object:
    """Each line stands alone: by itself it comes to what it came to among others."""
    found = parse_bundles("a.intoto.jsonl", data)
    lines = data.split(b"\n")
    for result in found[:50]:
        line = lines[int(result.source.rpartition(":")[2]) - 1].strip()
        (alone,) = parse_bundles("a.intoto.jsonl", line)
        same = alone.outcome == result.outcome or isinstance(alone.outcome, FormatError)
        require(same and type(alone.outcome) is type(result.outcome), f"another outcome alone: {result.source}")
    if not any(isinstance(result.outcome, Envelope) for result in found):
        raise FormatError("expected an envelope, got none", reason="fuzz")
    return found


@lru_cache(maxsize=1)
def _roots() -> Sequence[SigstoreRoot]:
    return [SigstoreRoot.load(raw) for raw in (signing_seeds.keyless()[0], *signing_seeds.real_roots())]


def _seen_at_most(found: Witnessed, most: Witnessed) -> bool:
    return set(found.times) <= set(most.times) and (most.logged or not found.logged)


@lru_cache(maxsize=1)
def _certified() -> Sequence[tuple[bytes, bytes, Certified]]:
    """Payload, signature and outcome of every original under the roots that it verifies under."""
    found = []
    for data in (*signing_seeds.envelopes(), *signing_seeds.real_bundles()):
        envelope = parse_bundle(data)
        for root in _roots():
            certified = attempt(root.verify, envelope)
            if certified is not None:
                found.append((envelope.payload, envelope.signature, certified))
    require(len(found) >= 3 + len(signing_seeds.real_bundles()), "an original that does not verify")
    return found


def _require_certified(envelope: Envelope, found: Certified) -> None:
    require(bool(found.witnessed.times) and found.witnessed.logged, "a signature of which nobody knows")
    require(
        any(
            (envelope.payload, envelope.signature, found.certificate) == (payload, signature, known.certificate)
            and _seen_at_most(found.witnessed, known.witnessed)
            for payload, signature, known in _certified()
        ),
        f"a signature that nobody made: {found}",
    )


def _verify_keyless(data: bytes) -> object:
    """Under every root: payload, identity and times are those of an original."""
    envelope = parse_bundle(data)
    outcomes = [attempt(root.verify, envelope) for root in _roots()]
    found = [item for item in outcomes if item is not None]
    for item in found:
        _require_certified(envelope, item)
    return _or_refuse(found)


@lru_cache(maxsize=1)
def _verifiers() -> Sequence[KeyVerifier | KeylessVerifier]:
    """Of the key, of the workflow, and of the other identities."""

    key = KeyVerifier.load(signing_seeds.keyless()[1], _roots()[0])
    terms = [
        KeylessTerms(issuer=item.certificate.issuer, identity=item.certificate.san) for _, _, item in _certified()[:3]
    ]
    return [key, *(KeylessVerifier(terms=item, root=_roots()[0]) for item in terms)]


@lru_cache(maxsize=1)
def _signatures() -> Sequence[tuple[Envelope, Signature]]:
    envelopes = [parse_bundle(data) for data in signing_seeds.envelopes()]
    found = [(item, attempt(verifier.verify, item)) for item in envelopes for verifier in _verifiers()]
    return [(envelope, signature) for envelope, signature in found if signature is not None]


def _verify_identity(data: bytes) -> object:
    """By the key and by terms: who signed what, and who has seen it, is what it was."""
    envelope = parse_bundle(data)
    outcomes = [attempt(verifier.verify, envelope) for verifier in _verifiers()]
    found = [item for item in outcomes if item is not None]
    for item in found:
        require(
            any(
                (envelope.payload, envelope.signature) == (known.payload, known.signature)
                and (item.signer, item.key_id) == (signature.signer, signature.key_id)
                and _seen_at_most(item.witnessed, signature.witnessed)
                for known, signature in _signatures()
            ),
            f"a signature that nobody made: {item}",
        )
    return _or_refuse(found)


def _verify_file(data: bytes) -> object:
    """The signature of a file, by content and by digest; other files have none."""
    message = parse_message_bundle(data)
    signed, other = _file_signatures(message, CONTENT), _file_signatures(message, CONTENT + b"\0")
    require(not other, "a signature of another file")
    for item in signed:
        require(
            any(item.signer == each.signer and _seen_at_most(item.witnessed, each.witnessed) for each in _of_files()),
            f"a signature that nobody made: {item}",
        )
    return _or_refuse(signed)


@lru_cache(maxsize=1)
def _of_files() -> Sequence[Signature]:
    messages = [parse_message_bundle(data) for data in signing_seeds.messages()]
    return [item for message in messages for item in _file_signatures(message, CONTENT)]


def _file_signatures(message: SignedMessage, content: bytes) -> list[Signature]:
    from lamslsa._codec import sha256_hex
    from lamslsa.sign.blob import verify_content, verify_digest

    found = []
    for verifier in _verifiers()[:2]:
        by_content = attempt(verify_content, message, content, verifier)
        by_digest = attempt(verify_digest, message, sha256_hex(content), verifier)
        require(by_content == by_digest, "one file with two outcomes")
        found.append(by_content)
    return [item for item in found if item is not None]


def _trusted_root(data: bytes) -> object:
    """Whatever the root says: nothing but refusals, and nobody signs something else."""
    root = SigstoreRoot.load(data)
    pem = signing_seeds.keyless()[1]
    for bundle in signing_seeds.envelopes()[1:4]:
        envelope = parse_bundle(bundle)
        certified = attempt(root.verify, envelope)
        if certified is not None:
            _require_certified(envelope, certified)
        root.witnessed(envelope, public_pem=pem)
    return root


def _trust_config(data: bytes) -> object:
    from lamslsa.sign.keyless.config import parse_trust_config

    config = parse_trust_config(data)
    require(all(isinstance(url, str) for url in (config.log, config.issuer)), "an address that is no text")
    return SigstoreRoot.load(config.trusted_root)


def _fulcio_certificate(data: bytes) -> object:
    """The identity in a certificate; terms on each of its fields are met by it, and by no other value."""
    try:
        certificate = x509.load_der_x509_certificate(data)
    except Exception as err:
        raise FormatError("expected a certificate, got other bytes", reason="fuzz") from err
    identity = FulcioIdentity.parse(certificate)
    fields = {"identity": identity.san, "workflow": identity.workflow, "ref": identity.ref}
    for name, value in fields.items():
        terms = _terms(issuer=identity.issuer, repository="acme/model", **({name: value} if value else {}))
        others = _terms(issuer=identity.issuer, repository="acme/model", **{name: value + "x"})
        require(others is None or others.mismatch(identity) is not None, f"any {name} will do")
        require(terms is None or terms.mismatch(identity) is None or _is_other(identity), f"{name} is not itself")
    return identity


def _is_other(identity: FulcioIdentity) -> bool:
    return identity.repository != "https://github.com/acme/model"


def _terms(**fields: str) -> KeylessTerms | None:
    return attempt(KeylessTerms, **fields)


def _pattern(data: bytes) -> object:
    """A pattern that is taken comes to an end, whatever it is matched against."""
    from lamslsa.sign.keyless._patterns import MAX_SUBJECT, compiled, matches

    text = data.decode("utf-8", "replace")
    pattern = compiled(text)
    drawn = "".join(char for char in text if char.isalnum() or char in "./@-") or "a"
    for subject in ("", "a" * 120, (drawn * 120)[:120], (drawn[:1] * 119) + "!"):
        matches(pattern, subject)
    require(not matches(pattern, drawn[:1] * (MAX_SUBJECT + 1)), "a subject that is too long")
    return pattern


def _certificate_chain(data: bytes) -> object:
    """A leaf that is taken is the one that signed, as its CA has issued it."""
    leaf, between = split(data, 2)
    found = _chain_signature((leaf, between))
    _, _, known, _, _ = signing_seeds.chain()
    require(
        x509.load_der_x509_certificate(leaf).tbs_certificate_bytes
        == x509.load_der_x509_certificate(known).tbs_certificate_bytes,
        f"a certificate that nobody issued: {found}",
    )
    return found


def _chain_signature(ders: tuple[bytes, ...], pem: bytes | None = None) -> Signature:
    from lamslsa.sign.certificate_chain import CertificateChainVerifier
    from lamslsa.sign.interface import Material
    from lamslsa.statement import PAYLOAD_TYPE

    root, signature, *_ = signing_seeds.chain()
    verifier = CertificateChainVerifier.load(root if pem is None else pem, at=seeds.NOW)
    material = Material(certificates=ders)
    return verifier.verify(Envelope(payload=PAYLOAD, payload_type=PAYLOAD_TYPE, signature=signature, material=material))


def _authority(data: bytes) -> object:
    """Certificates of a CA; whichever they are, they say nothing else of who signed."""
    from lamslsa.sign.certificate_chain import CertificateChainVerifier

    _, _, leaf, between, _ = signing_seeds.chain()
    verifier = CertificateChainVerifier.load(data, at=seeds.NOW)
    found = attempt(_chain_signature, (leaf, between), data)
    require(found is None or found == _chain_signature((leaf, between)), f"another signer: {found}")
    return verifier


def _model_signature(data: bytes) -> object:
    """A list of files; it covers the artifact only if it is the artifact's."""
    from lamslsa.model_signature import covers, parse_predicate, signed_files

    parsed = statement.parse(data)
    predicate = parse_predicate(parsed)
    difference = covers(predicate, parsed, FILES, signature_sha256=None)
    found = signed_files(predicate, parsed)
    same = found == {file.path: file.sha256 for file in FILES}
    require((difference is None) == same, f"covered, or not: {difference}")
    return found


def _audit_archive(data: bytes) -> object:
    from lamslsa import archive

    taken = archive.is_archive(data)
    found = archive.read(data)
    require(taken, "an archive that is none")
    require(archive.read(archive.write(found)) == found, "an archive that reads back as another one")
    require(all("/" not in name for name in found.bundles), "a bundle in a folder")
    return found


def _policy_identity(data: bytes) -> object:
    """A policy that says this of one of its identities."""
    from lamslsa.policy import load_policy

    text = data.decode("utf-8", "replace")
    policy = load_policy(
        _base_policy().replace(_OWNER, f"data-owner: {text}").encode("utf-8", "replace"),
        source="policy.yaml",
        directory=_POLICY,
        trusted_root=_roots()[0],
    )
    return policy.identities


@lru_cache(maxsize=1)
def _base_policy() -> str:
    text = (_POLICY / "policy.yaml").read_text(encoding="utf-8")
    require(_OWNER in text, "another base policy")
    return text


def _pkcs11_uri(data: bytes) -> object:
    from lamslsa.sign.pkcs11_uri import TokenAddress

    address = TokenAddress.parse(data.decode("utf-8", "replace"))
    require(bool(address.token and (address.label or address.key_id)), "an address of anything")
    return address


def _pkcs11_uris() -> list[bytes]:
    return [
        b"pkcs11:token=release;object=2026?module-path=/usr/lib/hsm.so&pin-source=file:/run/pin",
        b"pkcs11:token=a%20b;serial=01;id=%01%FF;type=private",
    ]


def _or_refuse(found: Sequence[Any]) -> Sequence[Any]:
    if not found:
        raise FormatError("expected something, got nothing", reason="fuzz")
    return found


def _every_bundle() -> list[bytes]:
    return [*signing_seeds.envelopes(), *signing_seeds.messages(), *seeds.bundles()[:1]]


def _joined_lines() -> list[bytes]:
    return [b"\n".join(json.dumps(json.loads(data)).encode() for data in signing_seeds.envelopes()[:3]) + b"\n"]


TARGETS: Final[Mapping[str, Target]] = {
    "bundle": Target(take=_bundle, seeds=_every_bundle, real=signing_seeds.real_bundles, max_bytes=64 * KIB),
    "bundle-lines": Target(take=_lines, seeds=_joined_lines, max_bytes=64 * KIB),
    "verify-keyless": Target(
        take=_verify_keyless,
        seeds=lambda: [*signing_seeds.envelopes()[:3], *signing_seeds.real_bundles()],
        max_bytes=32 * KIB,
    ),
    "verify-identity": Target(take=_verify_identity, seeds=signing_seeds.envelopes, max_bytes=32 * KIB),
    "verify-file": Target(take=_verify_file, seeds=signing_seeds.messages, max_bytes=32 * KIB),
    "trusted-root": Target(
        take=_trusted_root,
        seeds=lambda: signing_seeds.keyless()[:1],
        real=signing_seeds.real_roots,
        max_bytes=32 * KIB,
    ),
    "trust-config": Target(take=_trust_config, seeds=signing_seeds.trust_configs, max_bytes=32 * KIB),
    "fulcio-certificate": Target(take=_fulcio_certificate, seeds=signing_seeds.certificates, max_bytes=4 * KIB),
    "keyless-pattern": Target(take=_pattern, seeds=signing_seeds.patterns, max_bytes=512),
    "certificate-chain": Target(
        take=_certificate_chain,
        seeds=lambda: [join(*signing_seeds.chain()[2:4]), signing_seeds.chain()[4]],
        parts=2,
        max_bytes=4 * KIB,
    ),
    "certificate-authority": Target(take=_authority, seeds=lambda: signing_seeds.chain()[:1], max_bytes=4 * KIB),
    "model-signature": Target(take=_model_signature, seeds=signing_seeds.model_signatures),
    "audit-archive": Target(take=_audit_archive, seeds=signing_seeds.archives),
    "policy-identity": Target(take=_policy_identity, seeds=signing_seeds.policies, max_bytes=2 * KIB),
    "pkcs11-uri": Target(take=_pkcs11_uri, seeds=_pkcs11_uris, max_bytes=2 * KIB),
}
