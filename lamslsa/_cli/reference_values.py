"""The options of ``lamslsa enclave measurement`` that make a reference value, read before anything is written."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import click

from lamslsa import _codec
from lamslsa._cli.inputs import read_capped, read_passphrase, refuse_secret, unique
from lamslsa._cli.signing import described
from lamslsa._files import open_regular, refuse_existing, write_file
from lamslsa.errors import FormatError
from lamslsa.evidence.interface import Measurement
from lamslsa.evidence.reference import make_statement
from lamslsa.predicates._common import Digest, ResourceDescriptor, convert
from lamslsa.predicates.reference_values import (
    MEASURE_BUILD,
    MEASURE_VOUCHES,
    TRAIN_OWN_BUILD,
    EnclaveBuild,
    VouchesFor,
    train_own_vouches,
)
from lamslsa.sign.dsse import BUNDLE_SUFFIX
from lamslsa.sign.sources import ManagedSigner, open_key

__all__ = ["Wanted", "pairs"]

_VOUCHES_FIELDS: Final = frozenset({"predicateTypes", "buildTypes", "measurers", "ownCode"})
_MAX_FILE_BYTES: Final = 64 * 1024


def pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """``NAME=VALUE`` options as a mapping; a name given twice is a usage error."""
    result: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise click.UsageError(f"expected NAME=VALUE in {option}, got {text!r}")
        if name in result:
            raise click.UsageError(f"expected each name once in {option}, got {name!r} twice")
        result[name] = value
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A reference value to be made.

    Attributes:
        minimum_svns: given by the user; they stand in place of what the source of the measurement asks for.
        signer: None for an unsigned statement.
        path: the file to write.
    """

    OPTIONS: ClassVar = (
        *("release", "build_name", "vouches_for", "source", "materials", "built_with", "minimums"),
        *("key", "passphrase_file", "out", "statement"),
    )

    release: str
    build: EnclaveBuild
    vouches_for: VouchesFor
    minimum_svns: Mapping[str, int]
    signer: ManagedSigner | None
    path: Path

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Wanted | None:
        """What the options ask for; None where they ask for no reference value.

        Raises:
            FormatError: a file is not what it should be, or the output exists.
            UnavailableError: the key cannot be reached.
        """
        given = {name for name in cls.OPTIONS if options[name] not in (None, ())}
        if not given:
            return None
        if len(given & {"out", "statement"}) != 1:
            raise click.UsageError("expected one of --out and --statement for a reference value")
        if not {"release", "build_name"} <= given:
            raise click.UsageError("expected --release and --build for a reference value")
        if ("out" in given) != ("key" in given) or ("passphrase_file" in given and "key" not in given):
            raise click.UsageError("expected --key with --out, and only there")
        path: Path = options["out"] or options["statement"]
        if "out" in given and not path.name.endswith(BUNDLE_SUFFIX):
            raise click.UsageError(f"expected a name that ends in {BUNDLE_SUFFIX} in --out, got {path.name!r}")
        refuse_existing(path)
        signer = None
        if options["key"] is not None:
            refuse_secret(options["key"], what="private key")
            passphrase = read_passphrase(options["passphrase_file"])
            opened = open_key(options["key"], passphrase=passphrase, environment=os.environ)
            signer = click.get_current_context().with_resource(opened)
        return cls(
            release=options["release"],
            build=_build(options),
            vouches_for=_vouches_for(options["build_name"], options["vouches_for"], options["code"]),
            minimum_svns=_minimums(options["minimums"]),
            signer=signer,
            path=path,
        )

    def write(self, measurement: Measurement, *, minimum_svns: Mapping[str, int]) -> dict[str, Any]:
        """Write the reference value for a measurement, and say what was written.

        Raises:
            FormatError: the measurement cannot have such a reference value, or the output exists.
        """
        payload = make_statement(
            measurement,
            release=self.release,
            build=self.build,
            vouches_for=self.vouches_for,
            minimum_svns={**minimum_svns, **self.minimum_svns},
        )
        refuse_existing(self.path)
        write_file(self.path, payload if self.signer is None else self.signer.sign(payload))
        signed_by = {"signer": None, "keyId": None} if self.signer is None else described(self.signer)
        return {"file": str(self.path), "sha256": _codec.sha256_hex(payload), **signed_by}


def _build(options: Mapping[str, Any]) -> EnclaveBuild:
    materials = tuple(
        ResourceDescriptor(name=name, digest=Digest(sha256=_hashed(path)))
        for name, path in unique(options["materials"], "--material").items()
    )
    source = None if options["source"] is None else ResourceDescriptor(uri=options["source"])
    return EnclaveBuild(name=options["build_name"], source=source, materials=materials, command=options["built_with"])


def _hashed(path: Path) -> str:
    with open_regular(path, what="a material") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # a BinaryIO of os.fdopen has all


def _vouches_for(build: str, path: Path | None, code: Path | None) -> VouchesFor:
    """What a build may vouch for: what a file lists, or what ours are for; training code is named by its digest."""
    own = None if code is None else _code_digest(code)
    if path is not None:
        vouches = _listed(path)
        if build == TRAIN_OWN_BUILD and own is not None and own not in vouches.own_code:
            raise FormatError(
                f"expected {own}, the digest of --code, in ownCode of {path}, got others", reason="vouches-for"
            )
        return vouches
    if build == MEASURE_BUILD:
        return MEASURE_VOUCHES
    if build == TRAIN_OWN_BUILD and own is not None:
        return train_own_vouches(own)
    if build == TRAIN_OWN_BUILD:
        raise click.UsageError(f"expected --code DIR with --build {build}, which vouches for that code alone")
    raise click.UsageError(f"expected --vouches-for for a build of your own, got only the name {build!r}")


def _code_digest(code: Path) -> str:
    from lamslsa.measure.training.own_code import code_manifest

    return code_manifest(code).sha256


def _listed(path: Path) -> VouchesFor:
    value = _codec.loads(read_capped(path, what="list", limit=_MAX_FILE_BYTES), max_bytes=_MAX_FILE_BYTES)
    if isinstance(value, dict) and not value.keys() <= _VOUCHES_FIELDS:
        raise FormatError(
            f"expected the fields {', '.join(sorted(_VOUCHES_FIELDS))} in {path}, got others", reason="vouches-for"
        )
    return convert(value, VouchesFor, what=f"list of what a measurement may vouch for in {path}")


def _minimums(texts: Sequence[str]) -> dict[str, int]:
    result = {}
    for name, value in pairs(texts, "--min-svn").items():
        if not (value.isascii() and value.isdigit() and len(value) <= 10):
            raise click.UsageError(f"expected NAME=N in --min-svn, got {name}={value}")
        result[name] = int(value)
    return result
