"""``lamslsa enclave measurement``: from every source to a signed reference value, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from lamslsa import predicates, statement
from lamslsa.artifact.package import package_manifest
from lamslsa.evidence.interface import MEASUREMENT_PARTS, Measurement, Tee
from lamslsa.evidence.reference import measurement_of
from lamslsa.evidence.roots import load_root
from lamslsa.predicates import ReferenceValues
from lamslsa.predicates.reference_values import MEASURE_VOUCHES, train_own_vouches
from lamslsa.sign import KeyVerifier, generate, parse_bundle
from lamslsa.sign.key import KeySigner

Run = Any
MEASUREMENT = ("enclave", "measurement")


def parts(tee: Tee) -> dict[str, str]:
    return {name: f"{number:02x}" * size for number, (name, size) in enumerate(MEASUREMENT_PARTS[tee].items(), 1)}


def spelled(values: dict[str, str]) -> list[str]:
    return [word for name, value in values.items() for word in ("--part", f"{name}={value}")]


def values_in(payload: bytes) -> tuple[Measurement, ReferenceValues]:
    parsed = statement.parse(payload)
    values = predicates.parse(parsed)
    assert isinstance(values, ReferenceValues)
    return measurement_of(parsed, values), values


@pytest.fixture(scope="session")
def sigstruct(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .sig file of an enclave that leaves AVX to the host."""
    key = rsa.generate_private_key(public_exponent=3, key_size=3072)
    modulus = key.public_key().public_numbers().n
    data = bytearray(1808)
    for at, text in ((0, "06000000e10000000000010000000000"), (24, "01010000600000006000000001000000"), (512, "03")):
        data[at : at + len(text) // 2] = bytes.fromhex(text)
    data[128:512] = modulus.to_bytes(384, "little")
    data[928:960] = bytes.fromhex("04000000000000000300000000000000" + "ff" * 8 + "fb" + "ff" * 7)
    data[960:992], data[1024:1028] = b"\x11" * 32, bytes.fromhex("01000300")
    signature = key.sign(bytes(data[:128] + data[900:1028]), padding.PKCS1v15(), hashes.SHA256())
    number = int.from_bytes(signature, "big")
    first = number * number // modulus
    second = (number**3 - first * number * modulus) // modulus
    for at, part in ((516, number), (1040, first), (1424, second)):
        data[at : at + 384] = part.to_bytes(384, "little")
    path = tmp_path_factory.mktemp("sigstruct") / "enclave.sig"
    path.write_bytes(data)
    return path


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "release.key"
    path.write_bytes(generate(None))
    return path


def test_a_signed_reference_value_from_a_sigstruct(lamslsa: Run, tmp_path: Path, sigstruct: Path, key: Path) -> None:
    out = tmp_path / "enclave.sigstore.json"
    material = tmp_path / "constraints.txt"
    material.write_text("torch\n")
    attributes = "05000000000000000700000000000000"
    done = lamslsa(
        *(*MEASUREMENT, "--sigstruct", sigstruct, "--part", f"attributes={attributes.upper()}", "--format", "json"),
        *("--release", "0.2.0", "--build", "measure", "--source", "git+https://example.com/x@0123"),
        *("--material", f"packages={material}", "--command", "make enclave", "--key", key, "--out", out),
    )
    assert (done.returncode, done.stderr) == (0, "")
    printed = json.loads(done.stdout)
    signer = KeySigner.load(key.read_bytes(), None)
    envelope = parse_bundle(out.read_bytes())
    KeyVerifier.load(signer.public_pem).verify(envelope)
    measurement, values = values_in(envelope.payload)
    assert measurement.parts == printed["measurement"]
    assert measurement.digest == printed["digest"]
    assert (printed["isvProdId"], printed["isvSvn"], printed["debug"]) == (1, 3, False)
    assert printed["referenceValues"]["file"] == str(out)
    assert printed["referenceValues"]["sha256"] == statement.parse(envelope.payload).sha256
    assert printed["referenceValues"]["keyId"] == signer.key_id
    assert measurement.parts["attributes"] == attributes
    assert measurement.parts["mrEnclave"] == "11" * 32
    assert values.minimum_svns == {"isvSvn": 3}
    assert values.vouches_for == MEASURE_VOUCHES
    assert (values.release, values.build.name, values.build.command) == ("0.2.0", "measure", "make enclave")
    assert values.build.source is not None
    assert values.build.source.uri == "git+https://example.com/x@0123"
    assert [item.name for item in values.build.materials] == ["packages"]


def test_bits_left_open_are_said(lamslsa: Run, sigstruct: Path) -> None:
    done = lamslsa(*MEASUREMENT, "--sigstruct", sigstruct)
    assert done.returncode == 0
    assert "leaves the bits 00000000000000000400000000000000 of ATTRIBUTES" in done.stderr
    assert "05000000000000000300000000000000" in done.stdout
    assert "isvProdId    1" in done.stdout


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ("attributes=0500000000000000e300000000000000", "measurement-part-mask"),
        ("mrEnclave=" + "11" * 32, "measurement-part-twice"),
        ("mrTd=" + "11" * 48, "measurement-part-unknown"),
        ("configId=00", "measurement-parts"),
    ],
)
def test_3_parts_that_do_not_fit(lamslsa: Run, sigstruct: Path, part: str, reason: str) -> None:
    done = lamslsa(*MEASUREMENT, "--sigstruct", sigstruct, "--part", part)
    assert (done.returncode, f"error[{reason}]" in done.stderr) == (3, True)


def test_4_a_changed_sigstruct(lamslsa: Run, tmp_path: Path, sigstruct: Path) -> None:
    data = bytearray(sigstruct.read_bytes())
    data[960] ^= 1
    (tmp_path / "changed.sig").write_bytes(data)
    done = lamslsa(*MEASUREMENT, "--sigstruct", tmp_path / "changed.sig")
    assert (done.returncode, "error[evidence-sigstruct-signature]" in done.stderr) == (4, True)
    (tmp_path / "longer.sig").write_bytes(bytes(2000))
    assert lamslsa(*MEASUREMENT, "--sigstruct", tmp_path / "longer.sig").returncode == 3


@pytest.mark.parametrize("tee", ["tdx", "snp", "nitro"])
def test_launch_values(lamslsa: Run, tmp_path: Path, tee: Tee) -> None:
    whole = parts(tee)
    last = list(whole)[-1]
    (tmp_path / "launch.json").write_text(
        json.dumps({"tee": tee, "measurement": {name: value for name, value in whole.items() if name != last}})
    )
    expected = Measurement(tee=tee, parts=whole).digest
    missing = lamslsa(*MEASUREMENT, "--launch", tmp_path / "launch.json")
    assert (missing.returncode, "error[measurement-part-missing]" in missing.stderr) == (3, True)
    assert last in missing.stderr
    done = lamslsa(*MEASUREMENT, "--launch", tmp_path / "launch.json", *spelled({last: whole[last]}))
    assert done.stdout.splitlines()[0] == expected
    alone = lamslsa(*MEASUREMENT, "--tee", tee, *spelled(whole), "--format", "json")
    assert json.loads(alone.stdout) == {"tee": tee, "digest": expected, "measurement": whole}


def test_an_unsigned_statement_for_an_own_build(lamslsa: Run, tmp_path: Path) -> None:
    out, lists = tmp_path / "statement.json", tmp_path / "vouches.json"
    words = (*MEASUREMENT, "--tee", "tdx", *spelled(parts("tdx")), "--release", "0.2.0", "--statement", out)
    unnamed = lamslsa(*words, "--build", "mine")
    assert (unnamed.returncode, "--vouches-for" in unnamed.stderr) == (2, True)
    lists.write_text(json.dumps({"predicateTypes": ["https://slsa.dev/provenance/v1"], "buildTypes": ["https://b"]}))
    done = lamslsa(*words, "--build", "mine", "--vouches-for", lists, "--min-svn", "tdxModule=5")
    assert done.returncode == 0, done.stderr
    measurement, values = values_in(out.read_bytes())
    assert measurement.parts == parts("tdx")
    assert values.vouches_for.build_types == ("https://b",)
    assert values.minimum_svns == {"tdxModule": 5}
    again = lamslsa(*words, "--build", "measure")
    assert (again.returncode, "error[output-exists]" in again.stderr) == (3, True)


def test_a_build_with_training_code_vouches_for_that_code(lamslsa: Run, tmp_path: Path) -> None:
    out, code, lists = tmp_path / "statement.json", tmp_path / "code", tmp_path / "vouches.json"
    words = (*MEASUREMENT, "--tee", "tdx", *spelled(parts("tdx")), "--release", "0.2.0", "--statement", out)
    unnamed = lamslsa(*words, "--build", "train-own")
    assert (unnamed.returncode, "--code DIR" in unnamed.stderr) == (2, True)
    code.mkdir()
    (code / "train.py").write_text("1\n")
    digest = package_manifest(code).sha256
    assert lamslsa(*words, "--build", "train-own", "--code", code).returncode == 0
    assert values_in(out.read_bytes())[1].vouches_for == train_own_vouches(digest)
    out.unlink()
    own = {"predicateTypes": ["https://slsa.dev/provenance/v1"], "buildTypes": ["https://lamslsa.dev/own-training/v1"]}
    for listed, reason in ((None, "reference-values-empty"), (["0" * 64], "vouches-for"), (["x"], "predicate-schema")):
        lists.write_text(json.dumps(own if listed is None else own | {"ownCode": listed}))
        given = () if listed is None else ("--code", code)
        done = lamslsa(*words, "--build", "train-own", *given, "--vouches-for", lists)
        assert (done.returncode, f"error[{reason}]" in done.stderr) == (3, True), done.stderr
    lists.write_text(json.dumps(own | {"ownCode": ["0" * 64, digest]}))
    assert lamslsa(*words, "--build", "train-own", "--code", code, "--vouches-for", lists).returncode == 0
    assert values_in(out.read_bytes())[1].vouches_for.own_code == ("0" * 64, digest)
    (code / "__pycache__").mkdir()
    out.unlink()
    done = lamslsa(*words, "--build", "train-own", "--code", code)
    assert (done.returncode, "error[own-training-code]" in done.stderr) == (3, True)


@pytest.mark.parametrize(
    ("lists", "reason"),
    [
        ({}, "predicate-schema"),
        ([], "predicate-schema"),
        ({"predicateTypes": []}, "predicate-schema"),
        ({"predicateTypes": ["https://slsa.dev/provenance/v1"]}, "reference-values-empty"),
        ({"predicateTypes": ["x", "x"]}, "reference-values-duplicate"),
        ({"predicateTypes": ["x"], "measurer": ["m/1"]}, "vouches-for"),
    ],
)
def test_3_lists_that_do_not_fit(lamslsa: Run, tmp_path: Path, lists: Any, reason: str) -> None:
    (tmp_path / "vouches.json").write_text(json.dumps(lists))
    done = lamslsa(
        *(*MEASUREMENT, "--tee", "nitro", *spelled(parts("nitro")), "--release", "0.2.0", "--build", "measure"),
        *("--vouches-for", tmp_path / "vouches.json", "--statement", tmp_path / "statement.json"),
    )
    assert (done.returncode, f"error[{reason}]" in done.stderr) == (3, True)
    assert not (tmp_path / "statement.json").exists()


def test_the_minimum_of_the_user_goes_before_that_of_the_file(lamslsa: Run, tmp_path: Path, sigstruct: Path) -> None:
    out = tmp_path / "statement.json"
    words = (*MEASUREMENT, "--sigstruct", sigstruct, "--release", "0.2.0", "--build", "measure", "--statement", out)
    assert lamslsa(*words, "--min-svn", "isvSvn=4").returncode == 0
    assert values_in(out.read_bytes())[1].minimum_svns == {"isvSvn": 4}
    other = (*words[:-1], tmp_path / "other.json", "--min-svn", "guest=4")
    refused = lamslsa(*other)
    assert (refused.returncode, "error[reference-values-svn]" in refused.stderr) == (3, True)


@pytest.mark.parametrize(
    ("tee", "kind"),
    [("simulated", "sgx"), ("simulated-tdx", "tdx"), ("simulated-snp", "snp"), ("simulated-nitro", "nitro")],
)
def test_simulated_platforms(lamslsa: Run, tmp_path: Path, key: Path, tee: str, kind: str) -> None:
    out, root = tmp_path / "simulated.sigstore.json", tmp_path / "root.pem"
    done = lamslsa(
        *(*MEASUREMENT, "--tee", tee, "--simulated-platform", tmp_path / "platform", "--root", root),
        *("--release", "0.2.0", "--build", "measure", "--key", key, "--out", out, "--format", "json"),
    )
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert (printed["tee"], printed["simulated"]) == (tee, True)
    assert b"BEGIN CERTIFICATE" in root.read_bytes()
    measurement, values = values_in(parse_bundle(out.read_bytes()).payload)
    assert (values.tee, measurement.digest) == (kind, printed["digest"])
    assert load_root(root.read_bytes()).sha256 == printed["root"]
    suffix = tee.removeprefix("simulated")
    assert (tmp_path / f"platform{suffix}" / "root.pem").read_bytes() == root.read_bytes()


def corim(**more: Any) -> bytes:
    tag = cbor2.CBORTag
    measurements = [
        {0: 2, 1: {4: tag(560, (0x30000).to_bytes(8, "little"))}},
        {0: 5, 1: {4: tag(560, bytes(4))}},
        {0: 641, 1: {2: [[7, b"\x41" * 48]]}},
        *({0: key, 1: {1: tag(552, 1)}} for key in range(1000, 1020)),
    ]
    triples = [[{0: {0: tag(37, bytes.fromhex("d05e6d1b9f464ae2a610ce3e6ee7e153"))}}, measurements]]
    inner = cbor2.dumps({1: {0: "an id"}, 4: {0: triples}})
    profile = tag(32, "tag:amd.com,2024:snp-corim-profile")
    document: Any = tag(501, {0: "a corim", 1: [tag(506, inner)], 3: profile})
    if more.get("signed"):
        protected = cbor2.dumps({1: -7, 3: "application/rim+cbor"})
        document = tag(18, [protected, {}, cbor2.dumps(document), bytes(64)])
    return cbor2.dumps(document)


def test_a_corim_is_a_proposal(lamslsa: Run, tmp_path: Path) -> None:
    path = tmp_path / "vendor.corim"
    path.write_bytes(corim())
    missing = lamslsa(*MEASUREMENT, "--corim", path)
    assert (missing.returncode, "hostData" in missing.stderr) == (3, True)
    done = lamslsa(*MEASUREMENT, "--corim", path, "--part", "hostData=" + "00" * 32, "--format", "json")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert printed["signature"] == "none"
    assert printed["measurement"]["measurement"] == "41" * 48
    lines = done.stderr.splitlines()
    assert lines[0] == "not taken over from the CoRIM: measurement 1000, value 1"
    assert (len(lines), lines[-1]) == (17, "not taken over from the CoRIM: 4 more")


def test_the_signature_of_a_corim(lamslsa: Run, tmp_path: Path, key: Path) -> None:
    path, public = tmp_path / "vendor.corim", tmp_path / "vendor.pub"
    public.write_bytes(KeySigner.load(key.read_bytes(), None).public_pem)
    words = (*MEASUREMENT, "--corim", path, "--part", "hostData=" + "00" * 32)
    path.write_bytes(corim(signed=True))
    done = lamslsa(*words)
    assert (done.returncode, "nobody looked at the signature" in done.stderr) == (0, True)
    refused = lamslsa(*words, "--corim-key", public)
    assert (refused.returncode, "error[evidence-corim-signature]" in refused.stderr) == (4, True)
    path.write_bytes(corim())
    unsigned = lamslsa(*words, "--corim-key", public)
    assert (unsigned.returncode, "error[evidence-corim-unsigned]" in unsigned.stderr) == (4, True)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--tee", "sev"),
        ("--tee", "simulated", "--sigstruct", "x"),
        ("--launch", "x", "--corim", "x"),
        ("--tee", "simulated", "--part", "a=b"),
        ("--tee", "simulated-snp", "--part", "a=b"),
        ("--tee", "snp", "--root", "x"),
        ("--launch", "x", "--root", "x"),
        ("--launch", "x", "--corim-key", "x"),
        ("--launch", "x", "--part", "a"),
        ("--launch", "x", "--part", "a="),
        ("--launch", "x", "--part", "=a"),
        ("--launch", "x", "--part", "a=b", "--part", "a=b"),
        ("--tee", "simulated", "--release", "0.2.0"),
        ("--tee", "simulated", "--build", "measure", "--statement", "x"),
        ("--tee", "simulated", "--release", "0.2.0", "--statement", "x"),
        ("--tee", "simulated", "--release", "0.2.0", "--build", "measure"),
        ("--tee", "simulated", "--release", "0.2.0", "--build", "measure", "--out", "x.sigstore.json"),
        ("--tee", "simulated", "--release", "0.2.0", "--build", "measure", "--statement", "x", "--key", "k"),
        ("--tee", "simulated", "--release", "0.2.0", "--build", "measure", "--out", "x.json", "--key", "k"),
        (
            *("--tee", "simulated", "--release", "0.2.0", "--build", "measure", "--statement", "x"),
            *("--passphrase-file", "p"),
        ),
        (
            *("--tee", "simulated", "--release", "0.2.0", "--build", "measure", "--key", "k"),
            *("--out", "x.sigstore.json", "--statement", "x"),
        ),
        ("--tee", "simulated", "--release", "0", "--build", "measure", "--statement", "x", "--min-svn", "isvSvn=x"),
        ("--tee", "simulated", "--release", "0", "--build", "measure", "--statement", "x", "--min-svn", "isvSvn=-1"),
    ],
)
def test_2_usage(lamslsa: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    done = lamslsa(*MEASUREMENT, "--simulated-platform", tmp_path / "platform", *words)
    assert done.returncode == 2, done.stderr
    assert not (tmp_path / "platform").exists()


@pytest.mark.parametrize("release", ["", "0.2.0/x", "-x"])
def test_3_release(lamslsa: Run, tmp_path: Path, release: str) -> None:
    words = (*MEASUREMENT, "--tee", "nitro", *spelled(parts("nitro")), "--build", "measure")
    done = lamslsa(*words, f"--release={release}", "--statement", tmp_path / "statement.json")
    assert done.returncode == 3, done.stderr
    assert not (tmp_path / "statement.json").exists()


def test_a_sigstruct_of_one_build_is_not_vouched_for_as_the_other(
    lamslsa: Run, tmp_path: Path, sigstruct: Path
) -> None:
    out = tmp_path / "statement.json"
    words = (*MEASUREMENT, "--sigstruct", sigstruct, "--release", "0.2.0", "--statement", out)
    (tmp_path / "train.py").write_text("1\n")
    done = lamslsa(*words, "--build", "train-own", "--code", tmp_path)
    assert done.returncode == 3
    assert "sigstruct-build" in done.stderr
    assert not out.exists()
    assert lamslsa(*words, "--build", "measure").returncode == 0
