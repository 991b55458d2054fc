"""OpenSSF model signing, both ways: model_signing verifies what we sign, and we verify what it signs."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lamslsa import statement as statements
from lamslsa._cli.main import main
from lamslsa.artifact import hash_artifact
from lamslsa.errors import VerificationError
from lamslsa.model_signature import covers, parse_predicate, signed_files, statement
from lamslsa.sign import KeyVerifier, parse_bundle
from lamslsa.testing.sigstore import SUBJECT, LocalSigstore, Rekor
from tests.interop.peers import CLOSED, require

Run = Callable[..., subprocess.CompletedProcess[str]]

IDENTITY = "maker@example.test"
SIGNATURE = Path(".attestations", "model.sigstore.json")  # where ours lies


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model whose files model_signing sorts in another way than we do."""
    folder = tmp_path / "model"
    for name in ("layers/0.safetensors", "layers-0.json", "layers.json", "größe.md", "LICENSE", ".hidden"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


@pytest.fixture
def lamslsa(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line within this process: tests/cli runs it as a user does."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))

    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        capsys.readouterr()
        code = main([str(word) for word in words])
        said = capsys.readouterr()
        return subprocess.CompletedProcess(words, code, said.out, said.err)

    return run


@pytest.fixture
def peer(tmp_path: Path) -> Run:
    """model_signing as a process of its own; it reaches loopback and nothing else."""
    program = require("model_signing", package="model-signing")
    environment = (
        CLOSED
        | {"PATH": os.environ.get("PATH", "")}
        | {"HOME": str(tmp_path), "NO_PROXY": "127.0.0.1", "PYTHONWARNINGS": "ignore"}
    )

    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        command = [program, *map(str, words)]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    return run


def accepted(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(done: subprocess.CompletedProcess[str], code: int, word: str) -> None:
    assert done.returncode == code, done.stdout
    assert word in done.stderr


def write_key(path: Path, curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
    key = ec.generate_private_key(curve)
    path.with_suffix(".key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    path.with_suffix(".pub").write_bytes(public)
    return key


def hashing_config() -> Any:
    from model_signing import hashing

    config: Any = hashing.Config
    return config()


def sign(model: Path, signature: Path, key: Path, config: Any) -> None:
    """Sign in this process: a process of its own costs most of a second."""
    from model_signing import signing

    configuration: Any = signing.Config
    configuration().use_elliptic_key_signer(private_key=key).set_hashing_config(config).sign(model, signature)


# the statement


def test_the_same_statement(model: Path) -> None:
    from model_signing import hashing
    from model_signing._signing.signing import Payload, dsse_payload_to_manifest

    theirs = Payload(hashing.hash(model)).statement
    ours = json.loads(statement(hash_artifact(model, "model"), name="model"))
    assert ours["subject"] == [{"name": theirs.pb.subject[0].name, "digest": dict(theirs.pb.subject[0].digest)}]
    assert ours["predicate"]["resources"] == [
        {key: item[key] for key in ("name", "digest", "algorithm")} for item in theirs.pb.predicate["resources"]
    ]
    assert dsse_payload_to_manifest(ours) == hashing.hash(model)


def test_the_same_order_of_any_names() -> None:
    from model_signing._hashing.hashing import Digest
    from model_signing._signing.signing import Payload
    from model_signing.manifest import FileManifestItem, Manifest, _FileSerialization

    from lamslsa.artifact import FileEntry
    from lamslsa.artifact import Manifest as Ours

    seed = random.SystemRandom().getrandbits(64)
    rng = random.Random(seed)
    for _ in range(50):
        names = {"/".join(f"{rng.choice('aBé😀-.~0')}{n % 3}{rng.choice('aBé-. ')}x" for n in range(rng.randint(1, 3)))}
        names |= {f"{rng.choice('mn')}{rng.choice('-/. ~')}{number}" for number in range(12)}
        files = [FileEntry(path=name, sha256=hashlib.sha256(name.encode()).hexdigest(), size=1) for name in names]
        items = [FileManifestItem(path=Path(f.path), digest=Digest("sha256", bytes.fromhex(f.sha256))) for f in files]
        theirs = Payload(Manifest("m", items, _FileSerialization("sha256"))).statement.pb
        ours = statements.parse(statement(Ours.of("model", files), name="m"))
        assert ours.subjects[0].sha256 == theirs.subject[0].digest["sha256"], f"seed {seed}: {sorted(names)}"


# keys


def test_model_signing_verifies_our_key(model: Path, lamslsa: Run, peer: Run, tmp_path: Path) -> None:
    accepted(lamslsa("keygen", "maker"))
    (model / ".attestations").mkdir()
    (model / ".attestations" / "x.sigstore.json").write_text("{}")
    accepted(lamslsa("sign-model", model, "--key", "maker.key"))
    verify = ("verify", "key", model, "--signature", model / SIGNATURE, "--public_key", "maker.pub")
    assert "Verification succeeded" in accepted(peer(*verify))
    assert "6 files signed by key " in accepted(lamslsa("verify-model", model, "--key", "maker.pub"))

    (model / "layers.json").write_text("changed")
    refused(peer(*verify), 1, "Hash mismatch for 'layers.json'")
    refused(lamslsa("verify-model", model, "--key", "maker.pub"), 4, "error[model-signature-files]")


def test_model_signing_verifies_files_that_git_reads_when_told_so(model: Path, lamslsa: Run, peer: Run) -> None:
    (model / ".gitattributes").write_text("*.safetensors filter=lfs")
    accepted(lamslsa("keygen", "maker"))
    done = lamslsa("sign-model", model, "--key", "maker.key")
    assert "model_signing verify needs --no-ignore-git-paths" in done.stderr
    verify = ("verify", "key", model, "--signature", model / SIGNATURE, "--public_key", "maker.pub")
    accepted(peer(*verify, "--no-ignore-git-paths"))


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_we_verify_a_key_of_model_signing(model: Path, tmp_path: Path, curve: ec.EllipticCurve) -> None:
    write_key(tmp_path / "peer", curve)
    write_key(tmp_path / "other", curve)
    sign(model, model / "model.sig", tmp_path / "peer.key", hashing_config().set_ignored_paths(paths=["model.sig"]))
    data = (model / "model.sig").read_bytes()
    envelope = parse_bundle(data)
    KeyVerifier.load((tmp_path / "peer.pub").read_bytes()).verify(envelope)
    with pytest.raises(VerificationError) as caught:
        KeyVerifier.load((tmp_path / "other.pub").read_bytes()).verify(envelope)
    assert caught.value.reason == "signature-key"
    parsed, files = statements.parse(envelope.payload), hash_artifact(model, "model").files
    own = hashlib.sha256(data).hexdigest()
    assert covers(parse_predicate(parsed), parsed, files, signature_sha256=own) is None


def test_ignored_files_are_not_signed(model: Path, lamslsa: Run, peer: Run, tmp_path: Path) -> None:
    write_key(tmp_path / "peer", ec.SECP256R1())
    hidden = model / "layers" / "0.safetensors"
    sign = ("sign", "key", model, "--signature", model / "model.sig", "--private_key", "peer.key")
    accepted(peer(*sign, "--ignore-paths", hidden))
    hidden.write_text("other weights")
    accepted(peer("verify", "key", model, "--signature", model / "model.sig", "--public_key", "peer.pub"))
    ours = ("verify-model", model, "--signature", model / "model.sig", "--key", "peer.pub")
    refused(lamslsa(*ours), 4, "got 'layers/0.safetensors'")


# what else model_signing makes


def test_other_serializations_are_refused_by_name(model: Path, tmp_path: Path) -> None:
    write_key(tmp_path / "peer", ec.SECP256R1())
    expected = {
        "shards": (hashing_config().use_shard_serialization(), "expected serialization method files, got 'shards'"),
        "blake2": (
            hashing_config().use_file_serialization(hashing_algorithm="blake2"),
            "expected hash type sha256, got 'blake2b'",
        ),
        "blake3": (
            hashing_config().use_file_serialization(hashing_algorithm="blake3"),
            "expected hash type sha256, got 'blake3'",
        ),
    }
    for name, (config, words) in expected.items():
        sign(model, tmp_path / name, tmp_path / "peer.key", config)
        parsed = statements.parse(parse_bundle((tmp_path / name).read_bytes()).payload)
        files = hash_artifact(model, "model").files
        assert covers(parse_predicate(parsed), parsed, files, signature_sha256=None) == words


def test_a_single_file_is_refused_by_name(model: Path, tmp_path: Path) -> None:
    write_key(tmp_path / "peer", ec.SECP256R1())
    sign(model / "layers.json", tmp_path / "sig", tmp_path / "peer.key", hashing_config())
    parsed = statements.parse(parse_bundle((tmp_path / "sig").read_bytes()).payload)
    said = covers(parse_predicate(parsed), parsed, hash_artifact(model, "model").files, signature_sha256=None)
    assert said == "expected the signature of a folder, got one of a single file, which it does not name"


def test_a_rename_that_keeps_the_order_keeps_their_root_and_not_our_answer(model: Path, tmp_path: Path) -> None:
    signed = statements.parse(statement(hash_artifact(model, "model"), name="model"))
    other = tmp_path / "other"
    shutil.copytree(model, other)
    (other / "layers.json").rename(other / "layers.yaml")
    renamed = hash_artifact(other, "model")
    assert statements.parse(statement(renamed, name="model")).subjects == signed.subjects
    said = covers(parse_predicate(signed), signed, renamed.files, signature_sha256=None)
    assert said == "expected only signed files in the model, got 'layers.yaml'"


# certificates of an organisation's own


def certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: tuple[str, ec.EllipticCurvePrivateKey], *, ca: bool
) -> bytes:
    def names(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    now = dt.datetime.now(dt.UTC)
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign"), False
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(names(name))
        .issuer_name(names(issuer[0]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not ca, key_cert_sign=ca, encipher_only=False, decipher_only=False, **usage
            ),
            critical=True,
        )
    )
    if not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
    return builder.sign(issuer[1], hashes.SHA256()).public_bytes(Encoding.PEM)


def test_we_verify_a_chain_of_model_signing(model: Path, lamslsa: Run, peer: Run, tmp_path: Path) -> None:
    root, middle = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP256R1())
    leaf = write_key(tmp_path / "leaf", ec.SECP384R1())
    (tmp_path / "root.pem").write_bytes(certificate("root", root, ("root", root), ca=True))
    (tmp_path / "middle.pem").write_bytes(certificate("middle", middle, ("root", root), ca=True))
    (tmp_path / "leaf.pem").write_bytes(certificate("maker", leaf, ("middle", middle), ca=False))
    stranger = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "stranger.pem").write_bytes(certificate("root", stranger, ("root", stranger), ca=True))
    words = ("--private_key", "leaf.key", "--signing_certificate", "leaf.pem", "--certificate_chain", "middle.pem")
    accepted(peer("sign", "certificate", model, "--signature", model / "model.sig", *words))
    accepted(
        peer("verify", "certificate", model, "--signature", model / "model.sig", "--certificate_chain", "root.pem")
    )

    verify = ("verify-model", model, "--signature", model / "model.sig", "--certificate-chain")
    assert "6 files signed by CN=maker (CN=middle)" in accepted(lamslsa(*verify, "root.pem"))
    refused(lamslsa(*verify, "stranger.pem"), 4, "error[chain-path]")
    refused(lamslsa(*verify, "root.pem", "--at", "2040-01-01T00:00:00Z"), 4, "error[chain-window]")
    refused(lamslsa(*verify, "leaf.pem"), 3, "error[ca-certificate]")


# identities


@pytest.mark.parametrize("rekor", [1, 2])
def test_model_signing_verifies_our_identity(
    local_sigstore: LocalSigstore, model: Path, lamslsa: Run, peer: Run, tmp_path: Path, rekor: Rekor
) -> None:
    (tmp_path / "trust.json").write_text(local_sigstore.trust_config_json(rekor))
    (tmp_path / "root.json").write_text(local_sigstore.trusted_root_json())
    (tmp_path / "token").write_text(local_sigstore.token(email=IDENTITY))
    words = ("--keyless", "--identity-token", "@token", "--trust-config", "trust.json", "--yes")
    accepted(lamslsa("sign-model", model, *words))
    who = ("--identity", IDENTITY)
    verify = ("verify", "sigstore", model, "--signature", model / SIGNATURE, "--trust_config", "trust.json")
    accepted(peer(*verify, *who, "--identity_provider", local_sigstore.issuer))
    ours = ("verify-model", model, "--trusted-root", "root.json", "--identity-provider", local_sigstore.issuer)
    assert f"6 files signed by {IDENTITY} ({local_sigstore.issuer}), at the latest 20" in accepted(lamslsa(*ours, *who))
    refused(lamslsa(*ours, "--identity", "mallory@example.test"), 4, "error[signature-identity]")


@pytest.mark.parametrize("rekor", [1, 2])
def test_we_verify_an_identity_of_model_signing(
    local_sigstore: LocalSigstore, model: Path, lamslsa: Run, peer: Run, tmp_path: Path, rekor: Rekor
) -> None:
    (tmp_path / "trust.json").write_text(local_sigstore.trust_config_json(rekor))
    (tmp_path / "root.json").write_text(local_sigstore.trusted_root_json())
    words = ("--trust_config", "trust.json", "--identity_token", local_sigstore.token())
    accepted(peer("sign", "sigstore", model, "--signature", model / "model.sig", *words))
    signature = ("--signature", model / "model.sig", "--trusted-root", "root.json")
    ours = ("verify-model", model, *signature, "--identity-provider", local_sigstore.issuer)
    done = lamslsa(*ours, "--identity", SUBJECT, "--format", "json")
    said = json.loads(accepted(done))
    assert (said["signer"], said["files"], said["logged"]) == (f"{SUBJECT} ({local_sigstore.issuer})", 6, True)
    assert {time["source"] for time in said["times"]} >= {"timestamp" if rekor == 2 else "log"}


def test_a_key_with_witnesses(
    local_sigstore: LocalSigstore, model: Path, lamslsa: Run, peer: Run, tmp_path: Path
) -> None:
    (tmp_path / "trust.json").write_text(local_sigstore.trust_config_json(1))
    (tmp_path / "root.json").write_text(local_sigstore.trusted_root_json())
    accepted(lamslsa("keygen", "maker"))
    witnesses = ("--require-timestamp", "--require-log", "--trust-config", "trust.json", "--yes")
    accepted(lamslsa("sign-model", model, "--key", "maker.key", *witnesses))
    accepted(peer("verify", "key", model, "--signature", model / SIGNATURE, "--public_key", "maker.pub"))
    done = lamslsa("verify-model", model, "--key", "maker.pub", "--trusted-root", "root.json", "--format", "json")
    said = json.loads(accepted(done))
    assert said["logged"]
    assert {time["source"] for time in said["times"]} == {"log", "timestamp"}


def test_what_is_signed_is_the_same_for_both(model: Path, lamslsa: Run, tmp_path: Path) -> None:
    accepted(lamslsa("keygen", "maker"))
    accepted(lamslsa("sign-model", model, "--key", "maker.key", "--signature", "maker.sig"))
    parsed = statements.parse(parse_bundle((tmp_path / "maker.sig").read_bytes()).payload)
    files = {file.path: file.sha256 for file in hash_artifact(model, "model").files}
    assert signed_files(parse_predicate(parsed), parsed) == files
    assert "6 files" in accepted(lamslsa("verify-model", model, "--signature", "maker.sig", "--key", "maker.pub"))
