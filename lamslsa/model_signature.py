"""Signatures of whole models by OpenSSF model signing (OMS): make the statement, and compare one with an artifact.

The format is not ours: https://github.com/ossf/model-signing-spec and, where it leaves something open, the behaviour of
model_signing 1.1 (PyPI).

Rules:
- A signature is about the files in its list of resources, by name and SHA-256. The root in its subject is no identity:
  it covers digests only, so a rename that keeps the order keeps it, and implementations order files differently. It
  must still be the root over the list as it stands, or else the statement contradicts itself.
- Every file of the artifact is a resource and every resource is a file. ``ignore_paths`` hides nothing: the one file
  that may be missing from the list is the signature itself, told by its digest, under a name that says so.
- Only the method ``files`` with SHA-256; shards, other hashes and the form for a single file (a resource named ``.``)
  are refused by name. So is a name listed twice, of which model_signing takes the last one, and every path that no
  artifact can have.

No I/O and no clock: bytes and manifests are arguments.

>>> from lamslsa.artifact import FileEntry, Manifest
>>> from lamslsa.statement import parse as parse_statement
>>> files = [FileEntry(path="model.safetensors", sha256="ab" * 32, size=3)]
>>> parsed = parse_statement(statement(Manifest.of("model", files), name="m", ignored=["model.sig"]))
>>> covers(parse_predicate(parsed), parsed, files, signature_sha256=None) is None
True
>>> covers(parse_predicate(parsed), parsed, [], signature_sha256=None)
"expected every signed file in the model, got none named 'model.safetensors'"
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from lamslsa import _codec, predicates
from lamslsa.artifact.manifest import EXCLUDED_ROOTS, FileEntry, Manifest, refuse_paths
from lamslsa.errors import FormatError
from lamslsa.predicates.model_signature import PREDICATE_TYPE, ModelSignature, Resource, Serialization
from lamslsa.sign.dsse import MAX_BUNDLE_BYTES, SIGNATURE_SUFFIX, parse_bundle
from lamslsa.sign.key import KeyVerifier
from lamslsa.statement import Statement, Subject, make

__all__ = ["covers", "git_paths", "key_bundle", "parse_predicate", "signed_files", "statement"]

_METHOD: Final = "files"
_HASH: Final = "sha256"
_SINGLE_FILE: Final = "."
_GIT_PATHS: Final = (".gitattributes", ".gitignore", ".github")


def statement(manifest: Manifest, *, name: str, ignored: Collection[str] = ()) -> bytes:
    """The payload of a signature over a model, in the order and with the root of model_signing.

    Args:
        manifest: the model.
        name: of the model; informative.
        ignored: paths relative to the model that are no part of what is signed, such as the signature itself. They,
            and the folders that are no part of any artifact, go into ``ignore_paths``, by which model_signing knows
            what it has to overlook.

    Raises:
        FormatError: no file is left to sign, or there are more than a statement holds.
    """
    left_out = frozenset(ignored)
    files = sorted(
        (file for file in manifest.files if file.path not in left_out), key=lambda file: file.path.split("/")
    )
    refuse_paths([file.path for file in files])
    predicate = ModelSignature(
        serialization=Serialization(
            method=_METHOD,
            hash_type=_HASH,
            allow_symlinks=False,
            ignore_paths=tuple(sorted(left_out | EXCLUDED_ROOTS)),
        ),
        resources=tuple(Resource(name=file.path, digest=file.sha256, algorithm=_HASH) for file in files),
    )
    root = _root(file.sha256 for file in files)
    return make([Subject(name=name, sha256=root)], PREDICATE_TYPE, predicates.to_wire(predicate))


def key_bundle(bundle: bytes, public_pem: bytes) -> bytes:
    """A bundle that a managed key signed, with the key named as model_signing wants it; the signature stays.

    There the hint is hex(SHA-256(PEM)) and the signature's ``keyid`` empty; both only select a key. Timestamps and log
    entries stay good: they are about key, signature and payload. (An entry of Rekor v1 also has a hash of the envelope
    as JSON, with the other name in it; whoever compares that has to be given a bundle in the usual shape.)

    Raises:
        FormatError: not such a bundle.
        VerificationError: another key signed it.
    """
    verifier = KeyVerifier.load(public_pem)
    verifier.verify(parse_bundle(bundle))
    value = _codec.loads(bundle, max_bytes=MAX_BUNDLE_BYTES)
    value["verificationMaterial"]["publicKey"] = {"hint": _codec.sha256_hex(verifier.public_pem)}
    value["dsseEnvelope"]["signatures"][0]["keyid"] = ""
    return _codec.dumps(value)


def parse_predicate(parsed: Statement) -> ModelSignature:
    """The predicate of a statement that has to be a model signature.

    Raises:
        FormatError: another predicate, or not a valid one.
    """
    if parsed.predicate_type != PREDICATE_TYPE:
        raise FormatError(
            f"expected predicate type {PREDICATE_TYPE}, got {parsed.predicate_type[:120]!r}",
            reason="model-signature-predicate",
            hint="attestations about a model are read by: lamslsa verify",
        )
    predicate = predicates.parse(parsed)
    if not isinstance(predicate, ModelSignature):
        raise TypeError(f"expected a ModelSignature for {PREDICATE_TYPE}, got {type(predicate).__name__}")
    return predicate


def signed_files(predicate: ModelSignature, parsed: Statement) -> Mapping[str, str]:
    """Path to SHA-256 of every file that is signed.

    Raises:
        FormatError: a serialization that this module does not compare, a path that no artifact can have or that is
            listed twice, or a subject that is not the root of the list.
    """
    _refuse_serialization(predicate.serialization)
    files: dict[str, str] = {}
    for resource in predicate.resources:
        _refuse_resource(resource)
        if resource.name in files:
            raise FormatError(
                f"expected each file once among the resources, got {_shown(resource.name)} twice",
                reason="model-signature-twice",
            )
        files[resource.name] = resource.digest
    refuse_paths(files)
    root = _root(files.values())
    if len(parsed.subjects) != 1 or not hmac.compare_digest(parsed.subjects[0].sha256, root):
        raise FormatError(
            f"expected one subject with the root of the resources, {root}, got "
            f"{', '.join(subject.sha256 for subject in parsed.subjects[:2])}",
            reason="model-signature-root",
        )
    return files


def covers(
    predicate: ModelSignature, statement: Statement, files: Sequence[FileEntry], *, signature_sha256: str | None
) -> str | None:
    """None when a signature is about exactly these files, or else the first difference in words.

    Args:
        predicate: of the statement.
        statement: whose subject holds the root.
        files: of the artifact.
        signature_sha256: of the bytes of the signature file, which cannot list itself: one file with this digest may
            be missing from the list when its name is in ``ignore_paths`` or ends in ``.sig``. None when the signature
            is kept elsewhere: then no file may be missing.
    """
    try:
        signed = signed_files(predicate, statement)
    except FormatError as err:
        return str(err)
    spare = signature_sha256
    for file in files:
        digest = signed.get(file.path)
        if digest is None:
            if spare is None or file.sha256 != spare or not _may_be_signature(file.path, predicate):
                return f"expected only signed files in the model, got {_shown(file.path)}{_why_unsigned(file.path)}"
            spare = None
        elif not hmac.compare_digest(digest, file.sha256):
            return f"expected {_shown(file.path)} with SHA-256 {digest}, got {file.sha256}"
    missing = sorted(signed.keys() - {file.path for file in files})
    return f"expected every signed file in the model, got none named {_shown(missing[0])}" if missing else None


def git_paths(files: Iterable[FileEntry]) -> tuple[str, ...]:
    """Files of an artifact that model_signing overlooks by default, in signing and in verifying alike."""
    return tuple(file.path for file in files if _is_git_path(file.path))


def _refuse_serialization(serialization: Serialization) -> None:
    if serialization.method != _METHOD:
        raise FormatError(
            f"expected serialization method {_METHOD}, got {_shown(serialization.method)}",
            reason="model-signature-method",
            hint="sign whole files, which is model_signing's default",
        )
    if serialization.hash_type != _HASH:
        raise FormatError(
            f"expected hash type {_HASH}, got {_shown(serialization.hash_type)}",
            reason="model-signature-hash",
            hint="sign with SHA-256, which is model_signing's default",
        )


def _refuse_resource(resource: Resource) -> None:
    if resource.algorithm != _HASH:
        raise FormatError(
            f"expected algorithm {_HASH} for {_shown(resource.name)}, got {_shown(resource.algorithm)}",
            reason="model-signature-hash",
            hint="sign with SHA-256, which is model_signing's default",
        )
    if len(resource.digest) != hashlib.sha256().digest_size * 2:
        raise FormatError(
            f"expected a SHA-256 for {_shown(resource.name)}, got {len(resource.digest)} hexadecimal digits",
            reason="model-signature-digest",
        )
    if resource.name == _SINGLE_FILE:
        raise FormatError(
            "expected the signature of a folder, got one of a single file, which it does not name",
            reason="model-signature-single-file",
            hint="put the file into a folder and sign that",
        )
    if (top := resource.name.partition("/")[0]) in EXCLUDED_ROOTS:
        raise FormatError(
            f"expected no file below {top}, which is no part of a model, got {_shown(resource.name)}",
            reason="model-signature-excluded",
            hint=f"sign with --ignore-paths MODEL/{top}",
        )


def _may_be_signature(path: str, predicate: ModelSignature) -> bool:
    return path.endswith(SIGNATURE_SUFFIX) or path in predicate.serialization.ignore_paths


def _why_unsigned(path: str) -> str:
    left_out = _is_git_path(path)
    return ", which model_signing signs only with --no-ignore-git-paths" if left_out else ""


def _is_git_path(path: str) -> bool:
    return path.partition("/")[0] in _GIT_PATHS


def _root(digests: Iterable[str]) -> str:
    """SHA-256 over the raw digests one after another (model_signing: ``signing.Payload``)."""
    return _codec.sha256_hex(b"".join(map(bytes.fromhex, digests)))


def _shown(text: Any) -> str:
    return ascii(text if len(text) <= 200 else text[:200] + "…")
