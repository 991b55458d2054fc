"""Reference values: which measurements a policy accepts, and what each of them may vouch for.

Rules:
- A file of reference values counts only with a signature of the identity that the policy names for it, over every
  statement in it.
- Whoever signs reference values signs no attestations: else one key could both make up code and its results.
- A measurement that the policy spells out itself says the same: what it may vouch for, and of which release it is. Its
  digest alone is left to simulated platforms, which prove nothing anyway.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from lamslsa import predicates, statement
from lamslsa._yaml import Mapping_, Node
from lamslsa.errors import FormatError, VerificationError
from lamslsa.evidence.appraise import AcceptedCode, Vouches
from lamslsa.evidence.reference import measurement_of
from lamslsa.policy import _values
from lamslsa.policy._files import Files
from lamslsa.policy.identities import Identity
from lamslsa.predicates import ReferenceValues, dataset, evaluation, inference, model, provenance
from lamslsa.sign import parse_bundles
from lamslsa.sign.interface import Envelope, Signature

__all__ = ["CodeReader"]

_KEYS: Final = ("measurements", "referenceValues", "unsafeAnyMeasurement")
_HEX: Final = re.compile(r"[0-9a-f]{64}")
_RELEASE: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,127}")
_MEASURED: Final = (
    dataset.PREDICATE_TYPE,
    evaluation.PREDICATE_TYPE,
    inference.PREDICATE_TYPE,
    model.PREDICATE_TYPE,
)
_PREDICATE_TYPES: Final = (*_MEASURED, provenance.PREDICATE_TYPE)
_BUILD_TYPES: Final = (
    provenance.TRAINING_BUILD_TYPE,
    provenance.OWN_TRAINING_BUILD_TYPE,
    provenance.TRANSFORM_BUILD_TYPE,
)
_MAX_FILE_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeReader:
    """Reads which measurements a platform accepts, and remembers whose reference values they are.

    Attributes:
        signatures: on the reference values that were read, each with the policy's name of who signed.
    """

    identities: Mapping[str, Identity]
    files: Files
    signatures: list[tuple[str, Signature]] = field(default_factory=list)
    _signers: dict[str, Node] = field(default_factory=dict)

    def read(self, node: Mapping_, *, tees: frozenset[str], simulated: bool) -> tuple[AcceptedCode, ...]:
        """The measurements of a platform; empty where the author gave them up in so many words.

        Raises:
            FormatError: with line and column.
        """
        given = {key: value for key in _KEYS if (value := node.get(key)) is not None}
        if len(given) != 1:
            node.refuse(
                f"expected exactly one of {', '.join(_KEYS)} at {node.where}, got {' and '.join(given) or 'none'}",
                reason="policy-measurement",
                hint="lamslsa enclave measurement prints the measurement of this installation",
            )
        ((key, value),) = given.items()
        if key == "measurements":
            return _values.each(value, lambda item: _measurement(item, simulated=simulated))
        if key == "referenceValues":
            return self._reference_values(value, tees)
        if not value.boolean():
            value.refuse("expected true, got false", reason="policy-measurement", hint="list measurements instead")
        return ()

    def _reference_values(self, value: Node, tees: frozenset[str]) -> tuple[AcceptedCode, ...]:
        nodes = (value,) if isinstance(value, Mapping_) else value.sequence()
        found: list[AcceptedCode] = []
        for item in nodes:
            node = item.mapping()
            signer = node.take("signedBy")
            name = signer.choice(self.identities)
            file = node.take("file")
            node.finish()
            self._signers.setdefault(name, signer)
            codes = self.files.load(
                file,
                functools.partial(self._signed_values, file.string(), name),
                what="reference values",
                limit=_MAX_FILE_BYTES,
            )
            if not any(code.tee in tees for code in codes):
                file.refuse(
                    f"expected reference values of {' or '.join(sorted(tees))}, got none", reason="policy-measurement"
                )
            found += codes
        return tuple(found)

    def _signed_values(self, path: str, name: str, data: bytes) -> tuple[AcceptedCode, ...]:
        """Every reference value of a file, each with a signature of the identity.

        1. Each entry is a bundle with a signature of the identity, and of no other one.
        2. What was signed is a reference-values statement.
        3. It is about the measurement whose parts it lists, and could vouch for something.
        """
        codes: list[AcceptedCode] = []
        for source, outcome in parse_bundles(path, data):
            if not isinstance(outcome, Envelope):
                raise outcome
            try:
                signature = self.identities[name].verify(outcome)  # (1)
            except VerificationError as err:
                raise FormatError(f"{source}: {err}", reason="policy-reference-signature") from err
            self._refuse_overlap(source, outcome, name)
            self.signatures.append((name, signature))
            parsed = statement.parse(outcome.payload)
            values = predicates.parse(parsed)
            if not isinstance(values, ReferenceValues):  # (2)
                raise FormatError(
                    f"{source}: expected reference values, got a statement of type {parsed.predicate_type}",
                    reason="policy-measurement",
                )
            codes.append(_code(values, measurement_of(parsed, values).digest))  # (3)
        return tuple(codes)

    def _refuse_overlap(self, source: str, envelope: Envelope, name: str) -> None:
        """Refuse reference values whose signature is at the same time one of another identity of the policy.

        Keys are never shared, but the terms of two keyless identities may overlap.
        """
        for other, identity in self.identities.items():
            if other == name:
                continue
            try:
                identity.verify(envelope)
            except (FormatError, VerificationError):
                continue
            raise FormatError(
                f"{source}: expected a signature of {name} alone, got one that is also of {other}",
                reason="policy-reference-signer",
                hint="narrow the terms of the keyless identities: workflow, ref, identity",
            )

    def refuse_shared_signers(self, signers: Iterable[str]) -> None:
        """Return if nobody who signs reference values is among the signers of attestations.

        Raises:
            FormatError: somebody is; with line and column.
        """
        for name in sorted(set(signers) & set(self._signers)):
            self._signers[name].refuse(
                f"expected an identity that signs reference values and nothing else, got {name!r}, "
                "who also signs attestations",
                reason="policy-reference-signer",
                hint="reference values need a key of their own",
            )


def _code(values: ReferenceValues, digest: str) -> AcceptedCode:
    vouches = values.vouches_for
    return AcceptedCode(
        measurement=digest,
        tee=values.tee,
        release=values.release,
        vouches=Vouches(
            predicate_types=frozenset(vouches.predicate_types),
            build_types=frozenset(vouches.build_types),
            measurers=frozenset(vouches.measurers),
            own_code=frozenset(vouches.own_code),
        ),
        minimum_svns=values.minimum_svns,
    )


def _measurement(item: Node, *, simulated: bool) -> AcceptedCode:
    if isinstance(item, Mapping_):
        return _spelled_out(item)
    if not simulated:
        item.refuse(
            f"expected digest, release and what it may vouch for at {item.where}, got the digest alone",
            reason="policy-measurement",
            hint="name signed referenceValues, or write {digest, release, predicateTypes, measurers, buildTypes, …}",
        )
    return AcceptedCode(measurement=_digest(item))


def _digest(item: Node) -> str:
    value = item.string()
    if not _HEX.fullmatch(value):
        item.refuse(
            f"expected 64 lower-case hexadecimal digits at {item.where}, got {value[:80]!r}",
            reason="policy-measurement",
        )
    return value


def _spelled_out(node: Mapping_) -> AcceptedCode:
    digest = _digest(node.take("digest"))
    release = node.take("release")
    if not _RELEASE.fullmatch(release.string()):
        release.refuse(f"expected a release at {release.where}, got {release.string()[:80]!r}", reason="policy-release")
    types = _values.choices(node.take("predicateTypes"), _PREDICATE_TYPES)
    given_types, measurers, own_code = node.get("buildTypes"), node.get("measurers"), node.get("ownCode")
    node.finish()
    build_types = frozenset() if given_types is None else _values.choices(given_types, _BUILD_TYPES)
    needed = {
        "buildTypes": (given_types, provenance.PREDICATE_TYPE in types),
        "measurers": (measurers, bool(types & set(_MEASURED))),
        "ownCode": (own_code, provenance.OWN_TRAINING_BUILD_TYPE in build_types),
    }
    for key, (given, asked) in needed.items():
        if (given is not None) != asked:
            node.refuse(
                f"expected {'the key' if asked else 'no'} {key} with these types at {node.where}, "
                f"got {'none' if asked else 'one'}",
                reason="policy-vouches",
                hint="provenance goes with buildTypes, own-training/v1 with ownCode, all else with measurers",
            )
    return AcceptedCode(
        measurement=digest,
        release=release.string(),
        vouches=Vouches(
            predicate_types=types,
            build_types=build_types,
            measurers=frozenset() if measurers is None else frozenset(_values.each(measurers, _values.measurer)),
            own_code=frozenset() if own_code is None else frozenset(_values.each(own_code, _digest)),
        ),
    )
