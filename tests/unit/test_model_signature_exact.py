"""Model signatures: what only a test of its own sees, and how verification hands them over."""

from __future__ import annotations

import datetime as dt
import hashlib

import pytest

from lamslsa import model_signature
from lamslsa.artifact import FileEntry, Manifest
from lamslsa.errors import FormatError
from lamslsa.predicates.model_signature import ModelSignature, Resource, Serialization
from lamslsa.sign import KeySigner, generate
from lamslsa.statement import Subject, parse
from lamslsa.statement import make as make_statement
from lamslsa.store import StoredBundle
from lamslsa.verification import TrustMaterial, verify_bundles

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
MANIFEST = Manifest.of("model", [FileEntry(path="model.safetensors", sha256="ab" * 32, size=3)])


def signed(name: str) -> tuple[ModelSignature, bytes]:
    """A signature over one file of this name."""
    predicate = ModelSignature(
        serialization=Serialization(method="files", hash_type="sha256", allow_symlinks=False),
        resources=(Resource(name=name, digest="ab" * 32, algorithm="sha256"),),
    )
    root = hashlib.sha256(bytes.fromhex("ab" * 32)).hexdigest()
    payload = make_statement([Subject(name="m", sha256=root)], "https://model_signing/signature/v1.0", {"a": 1})
    return predicate, payload


@pytest.mark.parametrize("name", [".git/config", ".git/hooks/deep/pre-commit", ".attestations/a/b.sigstore.json"])
def test_files_that_are_no_part_of_a_model_at_any_depth(name: str) -> None:
    predicate, payload = signed(name)
    with pytest.raises(FormatError) as caught:
        model_signature.signed_files(predicate, parse(payload))
    assert caught.value.reason == "model-signature-excluded"


@pytest.mark.parametrize(("length", "shown"), [(200, 200), (201, 200), (300, 200)])
def test_how_much_of_a_name_is_shown(length: int, shown: int) -> None:
    text = model_signature._shown("a" * length)
    assert text == ("'" + "a" * shown + ("\\u2026'" if length > shown else "'"))


def test_verification_says_what_was_signed() -> None:
    signer = KeySigner.load(generate(None), None)
    payload = model_signature.statement(MANIFEST, name="m")
    data = signer.sign(payload)
    bundle = StoredBundle(source="model.sigstore.json", data=data)
    trust = TrustMaterial(identities={"trainer": signer.verifier()}, at=NOW, now=NOW)
    (found,) = verify_bundles([bundle], trust).model_signatures
    assert found.statement == parse(payload)
    assert found.predicate == model_signature.parse_predicate(found.statement)
    (signature,) = found.signatures
    assert (signature.identity, signature.bundle) == ("trainer", hashlib.sha256(data).hexdigest())
    assert signature.signature.key_id == signer.key_id
