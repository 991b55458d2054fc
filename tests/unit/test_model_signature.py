"""Model signatures: what is made, and one refusal per rule of lamslsa/model_signature.py."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from lamslsa import _codec, model_signature
from lamslsa import statement as statements
from lamslsa.artifact import FileEntry, Manifest
from lamslsa.errors import FormatError, LamslsaError, VerificationError
from lamslsa.model_signature import covers, git_paths, key_bundle, parse_predicate, signed_files
from lamslsa.predicates.model_signature import PREDICATE_TYPE
from lamslsa.sign import KeySigner, KeyVerifier, generate, parse_bundle
from lamslsa.statement import Statement


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def entry(path: str, content: str | None = None) -> FileEntry:
    return FileEntry(path=path, sha256=digest(path if content is None else content), size=1)


FILES = [entry("LICENSE"), entry("a-b"), entry("a/b"), entry("config.json"), entry("model.safetensors")]
MANIFEST = Manifest.of("model", FILES)
SIGNATURE = digest("the bundle")

Edit = Callable[[dict[str, Any]], None]


def payload(files: Sequence[FileEntry] = FILES, *, ignored: Sequence[str] = ("model.sig",)) -> bytes:
    return model_signature.statement(Manifest.of("model", files), name="m", ignored=ignored)


def parse(data: bytes) -> Statement:
    return statements.parse(data)


def edited(edit: Edit, *, root: bool = True) -> Statement:
    """The statement over FILES after an edit of its predicate, with the root that goes with it."""
    value = json.loads(payload())
    edit(value["predicate"])
    if root:
        digests = b"".join(bytes.fromhex(item["digest"]) for item in value["predicate"]["resources"])
        value["subject"][0]["digest"]["sha256"] = hashlib.sha256(digests).hexdigest()
    return parse(json.dumps(value).encode())


def difference(
    files: Sequence[FileEntry], signed: Statement | None = None, *, signature: str | None = SIGNATURE
) -> str | None:
    signed = parse(payload()) if signed is None else signed
    return covers(parse_predicate(signed), signed, files, signature_sha256=signature)


def reason(signed: Statement) -> str:
    with pytest.raises(FormatError) as caught:
        signed_files(parse_predicate(signed), signed)
    said = str(caught.value)
    assert difference(FILES, signed) == said
    return caught.value.reason


# what is made


def test_the_statement() -> None:
    value = json.loads(payload())
    assert value["_type"] == "https://in-toto.io/Statement/v1"
    assert value["predicateType"] == PREDICATE_TYPE
    order = ["LICENSE", "a/b", "a-b", "config.json", "model.safetensors"]  # by parts of the path, as pathlib sorts
    root = hashlib.sha256(b"".join(bytes.fromhex(digest(name)) for name in order)).hexdigest()
    assert value["subject"] == [{"name": "m", "digest": {"sha256": root}}]
    assert value["predicate"] == {
        "serialization": {
            "method": "files",
            "hash_type": "sha256",
            "allow_symlinks": False,
            "ignore_paths": [".attestations", ".git", "model.sig"],
        },
        "resources": [{"name": name, "digest": digest(name), "algorithm": "sha256"} for name in order],
    }


def test_what_is_ignored_is_not_signed() -> None:
    signed = parse(payload([*FILES, entry("model.sig")]))
    assert "model.sig" not in signed_files(parse_predicate(signed), signed)


def test_a_statement_over_nothing() -> None:
    with pytest.raises(FormatError) as caught:
        payload([entry("model.sig")])
    assert caught.value.reason == "artifact-empty"


def test_the_files_that_are_signed() -> None:
    signed = parse(payload())
    assert signed_files(parse_predicate(signed), signed) == {file.path: file.sha256 for file in FILES}


def test_as_many_files_as_an_artifact_has() -> None:
    files = [entry(f"layers/{number:05}.safetensors") for number in range(15_000)]
    assert difference(files, parse(payload(files))) is None


# what is covered


def test_the_same_files() -> None:
    assert difference(FILES) is None
    assert difference(FILES[::-1]) is None


def test_the_signature_itself() -> None:
    own = FileEntry(path="model.sig", sha256=SIGNATURE, size=1)
    assert difference([*FILES, own]) is None
    assert difference([own, *FILES]) is None


def test_the_signature_under_a_name_of_its_own() -> None:
    own = FileEntry(path="signatures/maker", sha256=SIGNATURE, size=1)
    assert difference([*FILES, own], parse(payload(ignored=["signatures/maker"]))) is None
    assert difference([*FILES, own]) == "expected only signed files in the model, got 'signatures/maker'"


def test_the_signature_in_the_place_of_a_file_that_a_loader_looks_for() -> None:
    own = FileEntry(path="generation_config.json", sha256=SIGNATURE, size=1)
    assert difference([*FILES, own]) == "expected only signed files in the model, got 'generation_config.json'"


def test_the_signature_twice() -> None:
    own = [FileEntry(path=name, sha256=SIGNATURE, size=1) for name in ("model.sig", "other.sig")]
    assert difference([*FILES, *own]) == "expected only signed files in the model, got 'other.sig'"


def test_another_file_in_the_place_of_the_signature() -> None:
    assert difference([*FILES, entry("model.sig")]) == "expected only signed files in the model, got 'model.sig'"


def test_a_signature_that_is_kept_elsewhere_excuses_nothing() -> None:
    own = FileEntry(path="model.sig", sha256=SIGNATURE, size=1)
    assert difference([*FILES, own], signature=None) == "expected only signed files in the model, got 'model.sig'"


@pytest.mark.parametrize("index", range(len(FILES)))
def test_a_file_changed(index: int) -> None:
    files = [*FILES]
    files[index] = entry(FILES[index].path, "something else")
    path, was, now = FILES[index].path, FILES[index].sha256, files[index].sha256
    assert difference(files) == f"expected '{path}' with SHA-256 {was}, got {now}"


@pytest.mark.parametrize("index", range(len(FILES)))
def test_a_file_removed(index: int) -> None:
    said = f"expected every signed file in the model, got none named '{FILES[index].path}'"
    assert difference(FILES[:index] + FILES[index + 1 :]) == said


@pytest.mark.parametrize("path", ["evil.py", "zz", ".hidden", "a/c", "a/b.py"])
def test_a_file_added(path: str) -> None:
    assert difference([*FILES, entry(path)]) == f"expected only signed files in the model, got '{path}'"


def test_a_file_renamed_where_order_and_root_stay() -> None:
    files = [*FILES[:-1], entry("model.pickle", "model.safetensors")]
    before, after = parse(payload()), parse(payload(files))
    assert before.subjects == after.subjects
    assert difference(files) == "expected only signed files in the model, got 'model.pickle'"


def test_two_names_swapped() -> None:
    files = [*FILES[:3], entry("config.json", "model.safetensors"), entry("model.safetensors", "config.json")]
    assert str(difference(files)).startswith("expected 'config.json' with SHA-256 ")


def test_the_same_path_twice_in_the_model() -> None:
    assert difference([entry("config.json", "other"), *FILES]) is not None
    assert difference([*FILES, entry("config.json", "other")]) is not None


def test_the_signature_of_another_model() -> None:
    other = parse(payload([entry("model.safetensors", "another model")]))
    assert difference(FILES, other) is not None


def test_no_files_at_all() -> None:
    assert difference([]) is not None


def test_ignore_paths_hide_nothing() -> None:
    def hide(predicate: dict[str, Any]) -> None:
        predicate["serialization"]["ignore_paths"] = ["model.safetensors", "a", "."]
        predicate["resources"] = [item for item in predicate["resources"] if item["name"] != "model.safetensors"]

    signed = edited(hide)
    assert difference(FILES, signed) == "expected only signed files in the model, got 'model.safetensors'"


def test_files_that_git_reads() -> None:
    files = [*FILES, entry(".gitattributes"), entry(".github/ci.yml"), entry(".githubx")]
    said = difference(files)
    assert said is not None
    assert said.endswith("'.gitattributes', which model_signing signs only with --no-ignore-git-paths")
    assert git_paths(files) == (".gitattributes", ".github/ci.yml")


# what is refused by name


def resource(name: str, content: str = "x", **other: str) -> dict[str, str]:
    return {"name": name, "digest": digest(content), "algorithm": "sha256"} | other


def listed(*items: dict[str, str]) -> Edit:
    return lambda predicate: predicate["resources"].extend(items)


def serialized(**fields: Any) -> Edit:
    return lambda predicate: predicate["serialization"].update(fields)


REFUSED: dict[str, tuple[Edit, str]] = {
    "shards": (serialized(method="shards", shard_size=1_000_000_000), "model-signature-method"),
    "an unknown method": (serialized(method="tensors"), "model-signature-method"),
    "blake2b": (serialized(hash_type="blake2b"), "model-signature-hash"),
    "blake3": (serialized(hash_type="blake3"), "model-signature-hash"),
    "a resource in blake3": (listed(resource("z", algorithm="blake3")), "model-signature-hash"),
    "a resource in blake2b": (listed(resource("z", algorithm="blake2b", digest="ab" * 64)), "model-signature-hash"),
    "a digest too long": (listed(resource("z", digest="ab" * 64)), "model-signature-digest"),
    "a single file": (listed(resource(".")), "model-signature-single-file"),
    "a file listed twice": (listed(resource("config.json", "other")), "model-signature-twice"),
    "a file listed twice alike": (listed(resource("LICENSE", "LICENSE")), "model-signature-twice"),
    "bundles": (listed(resource(".attestations/x.sigstore.json")), "model-signature-excluded"),
    "git": (listed(resource(".git/config")), "model-signature-excluded"),
    "..": (listed(resource("../z")), "path-relative"),
    "a way round": (listed(resource("a/../z")), "path-relative"),
    "./": (listed(resource("./z")), "path-relative"),
    "two separators": (listed(resource("a//z")), "path-relative"),
    "absolute": (listed(resource("/etc/passwd")), "path-relative"),
    "empty": (listed(resource("")), "path-relative"),
    "backslash": (listed(resource("a\\z")), "path-character"),
    "a line end": (listed(resource("z\n")), "path-character"),
    "NUL": (listed(resource("z\0")), "path-character"),
    "not NFC": (listed(resource("U\u0308")), "path-nfc"),
    "case alone": (listed(resource("CONFIG.json")), "path-collision"),
    "a folder and a file": (listed(resource("config.json/z")), "path-collision"),
    "no files": (lambda predicate: predicate["resources"].clear(), "artifact-empty"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(name: str) -> None:
    edit, expected = REFUSED[name]
    assert reason(edited(edit)) == expected


def test_too_many_files() -> None:
    assert reason(edited(listed(*(resource(f"{number}") for number in range(15_000))))) == "artifact-files"


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda predicate: predicate["resources"].reverse(), id="order"),
        pytest.param(lambda predicate: predicate["resources"].pop(), id="one less"),
        pytest.param(listed(resource("z")), id="one more"),
        pytest.param(lambda predicate: predicate["resources"][0].update(digest="ab" * 32), id="other content"),
    ],
)
def test_a_root_over_something_else(edit: Edit) -> None:
    assert reason(edited(edit, root=False)) == "model-signature-root"


def test_the_order_is_what_the_root_says() -> None:
    assert difference(FILES, edited(lambda predicate: predicate["resources"].reverse())) is None


def test_two_subjects() -> None:
    signed = parse(payload())
    predicate = parse_predicate(signed)
    value = json.loads(signed.payload)
    value["subject"].append({"name": "other", "digest": {"sha256": "0" * 64}})
    double = parse(json.dumps(value).encode())
    with pytest.raises(FormatError) as caught:
        parse_predicate(double)
    assert caught.value.reason == "statement-one-subject"
    assert covers(predicate, double, FILES, signature_sha256=None) is not None


def test_another_predicate() -> None:
    value = json.loads(payload())
    value["predicateType"] = "https://model_signing/Digests/v0.1"
    with pytest.raises(FormatError) as caught:
        parse_predicate(parse(json.dumps(value).encode()))
    assert caught.value.reason == "model-signature-predicate"


# the name of the key


@pytest.fixture(scope="module")
def signer() -> KeySigner:
    return KeySigner.load(generate(None), None)


def test_a_key_as_model_signing_names_it(signer: KeySigner) -> None:
    bundle = key_bundle(signer.sign(payload()), signer.public_pem)
    value = json.loads(bundle)
    assert value["verificationMaterial"]["publicKey"] == {"hint": hashlib.sha256(signer.public_pem).hexdigest()}
    assert value["dsseEnvelope"]["signatures"][0]["keyid"] == ""
    envelope = parse_bundle(bundle)
    assert envelope.payload == payload()
    assert KeyVerifier.load(signer.public_pem).verify(envelope).key_id == signer.key_id


def test_a_bundle_of_another_key(signer: KeySigner) -> None:
    other = KeySigner.load(generate(None), None)
    with pytest.raises(VerificationError) as caught:
        key_bundle(signer.sign(payload()), other.public_pem)
    assert caught.value.reason == "signature-key"


def test_witnesses_stay(signer: KeySigner) -> None:
    value = json.loads(signer.sign(payload()))
    witnesses = {
        "tlogEntries": [{"logIndex": "1"}],
        "timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": "AAAA"}]},
    }
    value["verificationMaterial"] |= witnesses
    named = json.loads(key_bundle(_codec.dumps(value), signer.public_pem))["verificationMaterial"]
    assert {name: part for name, part in named.items() if name != "publicKey"} == witnesses


@pytest.mark.parametrize("data", [b"", b"[]", b'{"mediaType": "x"}'])
def test_what_is_no_bundle(signer: KeySigner, data: bytes) -> None:
    with pytest.raises(LamslsaError):
        key_bundle(data, signer.public_pem)
