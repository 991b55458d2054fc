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
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from lamslsa import predicates, statement
from lamslsa._yaml import Node
from lamslsa.errors import FormatError, VerificationError
from lamslsa.evidence.appraise import AcceptedCode, Vouches
from lamslsa.evidence.reference import measurement_of
from lamslsa.policy._files import Files
from lamslsa.policy.document_trust import MEASURED, PlatformKeys, ReferenceValuesKeys, SpelledOutKeys
from lamslsa.policy.identities import Identity
from lamslsa.predicates import ReferenceValues, provenance
from lamslsa.sign import parse_bundles
from lamslsa.sign.interface import Envelope, Signature

__all__ = ["CodeReader"]

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

    def read(self, keys: PlatformKeys, *, tees: frozenset[str]) -> tuple[AcceptedCode, ...]:
        """The measurements of a platform; empty where the author gave them up in so many words.

        Raises:
            FormatError: with line and column.
        """
        if keys.measurements is not None:
            items = zip(keys.measurements, keys.at("measurements").sequence(), strict=True)
            return tuple(_measurement(item, node, simulated=keys.simulated) for item, node in items)
        if keys.reference_values is None:
            return ()
        given = keys.reference_values
        files = (given,) if isinstance(given, ReferenceValuesKeys) else given
        return tuple(code for file in files for code in self._reference_values(file, tees))

    def _reference_values(self, keys: ReferenceValuesKeys, tees: frozenset[str]) -> tuple[AcceptedCode, ...]:
        name, file = keys.at("signed_by").choice(self.identities), keys.at("file")
        self._signers.setdefault(name, keys.at("signed_by"))
        codes = self.files.load(
            file,
            functools.partial(self._signed_values, keys.file, name),
            what="reference values",
            limit=_MAX_FILE_BYTES,
        )
        if not any(code.tee in tees for code in codes):
            file.refuse(
                f"expected reference values of {' or '.join(sorted(tees))}, got none", reason="policy-measurement"
            )
        return codes

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


def _measurement(keys: str | SpelledOutKeys, node: Node, *, simulated: bool) -> AcceptedCode:
    if isinstance(keys, SpelledOutKeys):
        return _spelled_out(keys)
    if not simulated:
        node.refuse(
            f"expected digest, release and what it may vouch for at {node.where}, got the digest alone",
            reason="policy-measurement",
            hint="name signed referenceValues, or write {digest, release, predicateTypes, measurers, buildTypes, …}",
        )
    return AcceptedCode(measurement=keys)


def _spelled_out(keys: SpelledOutKeys) -> AcceptedCode:
    types, build_types = frozenset(keys.predicate_types), frozenset(keys.build_types or ())
    needed = {
        "buildTypes": (keys.build_types, provenance.PREDICATE_TYPE in types),
        "measurers": (keys.measurers, bool(types & set(MEASURED))),
        "ownCode": (keys.own_code, provenance.OWN_TRAINING_BUILD_TYPE in build_types),
    }
    for key, (given, asked) in needed.items():
        if (given is not None) != asked:
            keys.node.refuse(
                f"expected {'the key' if asked else 'no'} {key} with these types at {keys.node.where}, "
                f"got {'none' if asked else 'one'}",
                reason="policy-vouches",
                hint="provenance goes with buildTypes, own-training/v1 with ownCode, all else with measurers",
            )
    return AcceptedCode(
        measurement=keys.digest,
        release=keys.release,
        vouches=Vouches(
            predicate_types=types,
            build_types=build_types,
            measurers=frozenset(keys.measurers or ()),
            own_code=frozenset(keys.own_code or ()),
        ),
    )
