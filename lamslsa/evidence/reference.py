"""Reference values: from what a builder knows of a measurement to a complete one, and from a statement back to it.

Rules:
- A measurement has every part; what is not known is named and refused, never filled in.
- Where a builder's file leaves bits open (a mask), a value from elsewhere must agree with it under the mask.
- A reference-values statement is its subject: parts that have another digest refuse, and so does a statement that could
  vouch for nothing.

>>> proposal = Proposal(tee="nitro", parts={"pcr0": "00" * 48, "pcr1": "11" * 48, "pcr2": "22" * 48})
>>> proposal.complete({"pcr8": "33" * 48}).digest[:16]
'1fdb48bbe084d905'
>>> proposal.complete({})
Traceback (most recent call last):
lamslsa.errors.FormatError: expected every part of a measurement of nitro, got none for pcr8
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from lamslsa import statement as statements
from lamslsa.errors import FormatError
from lamslsa.evidence.interface import MEASUREMENT_PARTS, SECURITY_VERSIONS, Measurement, Tee
from lamslsa.predicates import dataset, evaluation, inference, model, provenance
from lamslsa.predicates import reference_values as rv
from lamslsa.predicates._common import to_wire
from lamslsa.predicates.emit import verify_descriptors
from lamslsa.predicates.reference_values import EnclaveBuild, ReferenceValues, VouchesFor
from lamslsa.statement import Statement, Subject

__all__ = ["Masked", "Proposal", "make_statement", "measurement_of"]

_MEASURED: Final = frozenset(
    {dataset.PREDICATE_TYPE, evaluation.PREDICATE_TYPE, inference.PREDICATE_TYPE, model.PREDICATE_TYPE}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Masked:
    """Bits of a part that a builder's file fixes: those that are set in ``mask``."""

    value: bytes
    mask: bytes

    def agrees(self, other: bytes) -> bool:
        """Whether other bytes of the same length have the fixed bits."""
        pairs = zip(self.value, self.mask, other, strict=True)
        return all(value & mask == given & mask for value, mask, given in pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What a builder's file says of a measurement: a proposal, until somebody signs a reference value for it.

    Attributes:
        parts: what the file fixes; wire name to lower-case hexadecimal.
        defaults: values of parts that may be given otherwise.
        masks: what a value of a part has to agree with.
        minimum_svns: security version numbers that the file asks for.
        left_out: what the file says and a reference value cannot, in words.
    """

    tee: Tee
    parts: Mapping[str, str]
    defaults: Mapping[str, str] = field(default_factory=dict)
    masks: Mapping[str, Masked] = field(default_factory=dict)
    minimum_svns: Mapping[str, int] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    def complete(self, given: Mapping[str, str]) -> Measurement:
        """The complete measurement: what the file fixes, then what is given, then what the file has as default.

        Args:
            given: parts by wire name, in lower-case hexadecimal.

        Raises:
            FormatError: a part is unknown, fixed already, missing, of another size, or disagrees with the file.
        """
        sizes = MEASUREMENT_PARTS[self.tee]
        for name in given:
            if name not in sizes:
                raise FormatError(
                    f"expected a part of a measurement of {self.tee}: {', '.join(sizes)}; got {name[:80]!r}",
                    reason="measurement-part-unknown",
                )
            if name in self.parts:
                raise FormatError(
                    f"expected {name} once, got it on top of the one that is fixed already",
                    reason="measurement-part-twice",
                    hint="leave it out: the file has it",
                )
        parts = {**self.defaults, **given, **self.parts}
        missing = [name for name in sizes if name not in parts]
        if missing:
            raise FormatError(
                f"expected every part of a measurement of {self.tee}, got none for {', '.join(missing)}",
                reason="measurement-part-missing",
                hint=f"pass --part {missing[0]}=HEX for each",
            )
        measurement = Measurement(tee=self.tee, parts={name: parts[name] for name in sizes})
        for name, masked in self.masks.items():
            if not masked.agrees(bytes.fromhex(parts[name])):
                raise FormatError(
                    f"expected {name} to be {masked.value.hex()} where {masked.mask.hex()} has a 1, got {parts[name]}",
                    reason="measurement-part-mask",
                    hint="the file fixes these bits, so no such TEE would start",
                )
        return measurement


def make_statement(
    measurement: Measurement,
    *,
    release: str,
    build: EnclaveBuild,
    vouches_for: VouchesFor,
    minimum_svns: Mapping[str, int],
) -> bytes:
    """The payload of a reference-values statement about a measurement.

    Raises:
        FormatError: the result would be refused by `measurement_of`, or by the model of the predicate.
    """
    values = ReferenceValues(
        tee=measurement.tee,
        measurement=dict(measurement.parts),
        release=release,
        build=build,
        vouches_for=vouches_for,
        minimum_svns=dict(minimum_svns),
    )
    subject = Subject(name=f"{build.name}-{measurement.tee}", sha256=measurement.digest)
    payload = statements.make([subject], rv.PREDICATE_TYPE, to_wire(values))
    verify_descriptors(payload)
    measurement_of(statements.parse(payload), values)
    return payload


def measurement_of(statement: Statement, values: ReferenceValues) -> Measurement:
    """The measurement that a reference-values statement is about.

    1. The statement has exactly one subject.
    2. It names every part of a measurement of its kind of TEE, and no other.
    3. The digest of those parts is that of the subject.
    4. Minimum security version numbers are ones that this kind of TEE has.
    5. No list names anything twice, and every predicate type could be vouched for: provenance needs a buildType,
       datasheets and evaluations a measurer, and training by code of a user's own the digest of that code.

    Signed by whom, and by somebody who signs no attestations: that is for the policy.

    Args:
        statement: the statement.
        values: its predicate.

    Raises:
        FormatError: one of these does not hold.
    """
    if len(statement.subjects) != 1:  # (1)
        raise FormatError(
            f"expected exactly one subject, got {len(statement.subjects)}", reason="statement-one-subject"
        )
    measurement = Measurement(tee=values.tee, parts=values.measurement)  # (2)
    if not hmac.compare_digest(measurement.digest, statement.subjects[0].sha256):  # (3)
        raise FormatError(
            f"expected the subject {measurement.digest}, the digest of the parts, got {statement.subjects[0].sha256}",
            reason="reference-values-subject",
        )
    known = SECURITY_VERSIONS[values.tee]
    for name in values.minimum_svns:  # (4)
        if name not in known:
            raise FormatError(
                f"expected a security version number of {values.tee}, one of: {', '.join(known) or 'none'}; "
                f"got {name[:80]!r}",
                reason="reference-values-svn",
            )
    _refuse_useless(values.vouches_for)  # (5)
    return measurement


def _refuse_useless(vouches: VouchesFor) -> None:
    lists: dict[str, Sequence[str]] = {
        "predicateTypes": vouches.predicate_types,
        "buildTypes": vouches.build_types,
        "measurers": vouches.measurers,
        "ownCode": vouches.own_code,
    }
    for name, listed in lists.items():
        if len(set(listed)) != len(listed):
            raise FormatError(f"expected each entry of {name} once, got one twice", reason="reference-values-duplicate")
    types = set(vouches.predicate_types)
    needed = {
        "predicateTypes": True,
        "buildTypes": provenance.PREDICATE_TYPE in types,
        "measurers": bool(types & _MEASURED),
        "ownCode": provenance.OWN_TRAINING_BUILD_TYPE in vouches.build_types,
    }
    for name, listed in lists.items():
        if needed[name] and not listed:
            raise FormatError(
                f"expected entries in {name}, got none: the measurement could vouch for nothing",
                reason="reference-values-empty",
            )
