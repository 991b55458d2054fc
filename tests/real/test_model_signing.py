"""Real signatures of models by OpenSSF model signing: what each of them signs, and what it does not cover."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from lamslsa import statement as statements
from lamslsa._cli.main import main
from lamslsa.artifact import FileEntry
from lamslsa.errors import FormatError, VerificationError
from lamslsa.model_signature import covers, parse_predicate, signed_files
from lamslsa.predicates import ModelSignature
from lamslsa.sign import parse_bundle
from lamslsa.sign.certificate_chain import CertificateChainVerifier
from lamslsa.sign.keyless import KeylessTerms, KeylessVerifier, SigstoreRoot
from lamslsa.statement import Statement

IDENTITY, ISSUER = "stefanb@us.ibm.com", "https://sigstore.verify.ibm.com/oauth2"
BY_IDENTITY = {
    "signme-1": "f6310066c7320497ea554260c32c43660bff648cb2a61194832cc086077085e1",
    "signme-2": "32dcb1f8e1ae52d5963e56a6ba06ab58b424c15ed2a6b70d2feca1d089370028",
}
BY_KEY = BY_IDENTITY | {"signme-1": "bc9a717db6064a32cbe9eae6fc40651dd6d36ef1757183f590eff2b1765d7ebc"}
SIGNED = {
    "v1.0.0-sigstore/model.sig": BY_IDENTITY,
    "v1.1.0-sigstore/model.sig": BY_IDENTITY,
    "v1.1.0-elliptic-key/model.sig": BY_KEY,
    "spec-v1.0/valid/certificate.bundle.json": BY_KEY,
    "spec-v1.0/valid/key.bundle.json": BY_KEY,
    "spec-v1.0/valid/sigstore.bundle.json": BY_IDENTITY,
}
REFUSED = {
    "v1.0.0-elliptic-key/model.sig": "model-signature-single-file",
    "spec-v1.0/invalid-payload/wrong-predicate.bundle.json": "model-signature-predicate",
    "spec-v1.0/invalid/empty.bundle.json": "json-syntax",
    "spec-v1.0/invalid/missing-envelope.bundle.json": "bundle-shape",
    "spec-v1.0/invalid/missing-tlog-entries.bundle.json": "bundle-log-entries",
    "spec-v1.0/invalid/missing-verification-material.bundle.json": "bundle-shape",
}
KEYLESS = [name for name in SIGNED if "sigstore" in name]


@pytest.fixture(scope="module")
def signatures(shared: Path) -> Path:
    return shared / "sigstore" / "model_signing"


def read(file: Path) -> tuple[ModelSignature, Statement]:
    parsed = statements.parse(parse_bundle(file.read_bytes()).payload)
    return parse_predicate(parsed), parsed


def entries(files: dict[str, str]) -> list[FileEntry]:
    return [FileEntry(path=path, sha256=sha256, size=1) for path, sha256 in files.items()]


def test_every_file_is_listed(signatures: Path) -> None:
    found = {path.relative_to(signatures).as_posix() for path in signatures.rglob("*") if path.is_file()}
    assert found == SIGNED.keys() | REFUSED.keys()


@pytest.mark.parametrize("name", SIGNED)
def test_what_is_signed(signatures: Path, name: str) -> None:
    predicate, parsed = read(signatures / name)
    assert signed_files(predicate, parsed) == SIGNED[name]
    assert covers(predicate, parsed, entries(SIGNED[name]), signature_sha256=None) is None


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(signatures: Path, name: str) -> None:
    with pytest.raises(FormatError) as caught:
        signed_files(*read(signatures / name))
    assert caught.value.reason == REFUSED[name]


@pytest.mark.parametrize("name", SIGNED)
def test_files_that_are_not_signed(signatures: Path, name: str) -> None:
    """``ignore-me`` is among the ignored paths of later versions, and hides nothing here."""
    files = SIGNED[name] | {"ignore-me": "0" * 64}
    assert covers(*read(signatures / name), entries(files), signature_sha256=None) is not None
    swapped = dict(zip(SIGNED[name], reversed(SIGNED[name].values()), strict=True))
    assert covers(*read(signatures / name), entries(swapped), signature_sha256=None) is not None


def test_a_single_file_covers_nothing(signatures: Path) -> None:
    predicate, parsed = read(signatures / "v1.0.0-elliptic-key" / "model.sig")
    files = entries({"signme-1": predicate.resources[0].digest})
    assert covers(predicate, parsed, files, signature_sha256=None) is not None


@pytest.mark.parametrize("name", KEYLESS)
def test_who_signed(signatures: Path, name: str) -> None:
    envelope, root = parse_bundle((signatures / name).read_bytes()), SigstoreRoot.embedded()
    signature = KeylessVerifier(terms=KeylessTerms(issuer=ISSUER, identity=IDENTITY), root=root).verify(envelope)
    assert signature.signer == f"{IDENTITY} ({ISSUER})"
    assert signature.witnessed.logged
    with pytest.raises(VerificationError) as caught:
        KeylessVerifier(terms=KeylessTerms(issuer=ISSUER, identity="a@b.test"), root=root).verify(envelope)
    assert caught.value.reason == "signature-identity"


def test_an_identity_is_no_chain(signatures: Path) -> None:
    chained = parse_bundle((signatures / "spec-v1.0/valid/certificate.bundle.json").read_bytes())
    keyless = parse_bundle((signatures / "v1.1.0-sigstore/model.sig").read_bytes())
    terms, at = KeylessTerms(issuer=ISSUER, identity=IDENTITY), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    with pytest.raises(VerificationError) as caught:
        KeylessVerifier(terms=terms, root=SigstoreRoot.embedded()).verify(chained)
    assert caught.value.reason == "signature-key"
    authority = x509.load_der_x509_certificate(chained.material.certificates[1]).public_bytes(Encoding.PEM)
    with pytest.raises(VerificationError) as caught:
        CertificateChainVerifier.load(authority, at=at).verify(keyless)
    assert caught.value.reason == "chain-path"


def test_a_chain(signatures: Path) -> None:
    """Its root is not among the files; its intermediate is, and a user could name that."""
    envelope = parse_bundle((signatures / "spec-v1.0/valid/certificate.bundle.json").read_bytes())
    leaf, intermediate = map(x509.load_der_x509_certificate, envelope.material.certificates)
    authority = intermediate.public_bytes(Encoding.PEM)
    during, after = (dt.datetime(year, 1, 1, tzinfo=dt.UTC) for year in (2026, 2036))
    signature = CertificateChainVerifier.load(authority, at=during).verify(envelope)
    assert signature.signer == "CN=intermediate-ca (CN=intermediate-ca)"
    with pytest.raises(VerificationError) as caught:
        CertificateChainVerifier.load(authority, at=after).verify(envelope)
    assert caught.value.reason == "chain-window"
    with pytest.raises(FormatError) as refused:
        CertificateChainVerifier.load(leaf.public_bytes(Encoding.PEM), at=during)
    assert refused.value.reason == "ca-certificate"


def test_the_command_line(signatures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "signme-1").write_text("not what was signed")
    signature = str(signatures / "v1.1.0-sigstore" / "model.sig")
    words = ["verify-model", str(tmp_path / "model"), "--signature", signature, "--identity-provider", ISSUER]
    assert main([*words, "--identity", IDENTITY]) == 4
    assert "error[model-signature-files]: expected 'signme-1' with SHA-256 f6310066" in capsys.readouterr().err
    assert main([*words, "--identity", "mallory@example.test"]) == 4
    assert "error[signature-identity]" in capsys.readouterr().err
