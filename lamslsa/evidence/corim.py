"""CoRIM import: reference values of a vendor as a proposal for one of ours.

Rules:
- CBOR is read strictly, every field of the documents is known by name, and what is left out is listed.
- A signature is verified where a key is given, and then it has to be there. What is imported is a proposal in any case:
  it counts once the identity that a policy names has signed a reference value for it.
- Validity is judged as of a time that the caller names.

Specs: draft-ietf-rats-corim (CoRIM and CoMID, tags 500 to 506), RFC 9052 (COSE_Sign1); profiles in
`lamslsa.evidence._corim_profiles`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from lamslsa.errors import FormatError, VerificationError
from lamslsa.evidence import _cbor
from lamslsa.evidence._cbor import Tagged
from lamslsa.evidence._corim_profiles import propose
from lamslsa.evidence.reference import Proposal

__all__ = ["MAX_CORIM_BYTES", "Corim", "CorimSignature", "read"]

MAX_CORIM_BYTES: Final = _cbor.MAX_CBOR_BYTES
CorimSignature = Literal["none", "verified", "not verified"]

_CONTENT_TYPES: Final = ("application/rim+cbor", "application/corim-unsigned+cbor")
_ALG, _CRIT, _CONTENT_TYPE, _META, _CWT_CLAIMS = 1, 2, 3, 8, 15
_ID, _TAGS, _DEPENDENT, _PROFILE, _VALIDITY, _ENTITIES = range(6)
_LANGUAGE, _TAG_IDENTITY, _COMID_ENTITIES, _LINKED, _TRIPLES = range(5)
_MAX_PEM_BYTES: Final = 16 * 1024
_TRIPLE_NAMES: Final = {
    1: "endorsed values",
    2: "identity keys",
    3: "attestation keys",
    4: "dependencies",
    5: "memberships",
    6: "CoSWID triples",
    8: "conditional endorsement series",
    10: "conditional endorsements",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Corim:
    """What a CoRIM proposes, and whether its signature was verified."""

    signature: CorimSignature
    proposal: Proposal


def read(data: bytes, *, key: bytes | None, at: dt.datetime) -> Corim:
    """Read a CoRIM.

    1. The bytes are strict CBOR: a CoRIM, or a COSE_Sign1 over one.
    2. With a key, the CoRIM is signed and its signature verifies.
    3. The CoRIM, and its signature where there is one, is valid at ``at``.
    4. Its profile is one that says how measurements are written, and there is one value for each part.

    Args:
        data: the file.
        key: public key in PEM that signs it; None takes an unsigned one, or one with a signature that nobody looks at.
        at: when it has to be valid.

    Raises:
        FormatError: not such a file, or one with more than a measurement in it.
        VerificationError: not signed by the key (evidence-corim-unsigned, evidence-corim-signature), or not valid at
            this time (evidence-corim-window).
        ValueError: ``at`` has no time zone.
    """
    if at.utcoffset() is None:
        raise ValueError("expected a time with a time zone, got one without")
    document = _unwrapped(_cbor.loads(data, what="the CoRIM", max_bytes=MAX_CORIM_BYTES), 500, 502)  # (1)
    signature: CorimSignature = "none"
    if isinstance(document, Tagged) and document.tag == 18:
        protected, document = _signed(document.value, key)  # (2)
        signature = "verified" if key is not None else "not verified"
        _refuse_outside(_signature_windows(protected), at)  # (3)
    elif key is not None:
        raise VerificationError(
            "expected a CoRIM that this key signed, got one without a signature", reason="evidence-corim-unsigned"
        )
    if not isinstance(document, Tagged) or document.tag != 501:
        raise _mistyped("a CoRIM (tag 501)")
    fields = _fields(document.value, "CoRIM", required={_ID, _TAGS, _PROFILE}, known=set(range(6)))
    _refuse_outside([fields.get(_VALIDITY)], at)
    left_out = ["RIMs that it depends on"] if _DEPENDENT in fields else []
    triples = [triple for tag in _list(fields[_TAGS], "tags") for triple in _comid(tag, left_out)]
    return Corim(signature=signature, proposal=propose(_profile(fields[_PROFILE]), triples, left_out))  # (4)


def _unwrapped(value: Any, *tags: int) -> Any:
    """The value without the outer tags that older drafts put around it."""
    for tag in tags:
        if isinstance(value, Tagged) and value.tag == tag:
            value = value.value
    return value


def _signed(value: Any, key: bytes | None) -> tuple[Mapping[Any, Any], Any]:
    """Protected header and payload of a COSE_Sign1, its signature verified where a key is given."""
    match value:
        case [bytes(protected), dict(), bytes(payload), bytes(signature)]:
            header = _cbor.loads(protected, what="the protected header")
        case _:
            raise _mistyped("a COSE_Sign1 with its payload")
    if not isinstance(header, dict) or _CRIT in header or header.get(_CONTENT_TYPE) not in _CONTENT_TYPES:
        raise _mistyped(f"a protected header with the content type {_CONTENT_TYPES[0]} and nothing critical")
    if key is not None:
        parts = (_cbor.head(2, len(part)) + part for part in (protected, b"", payload))
        _verify(
            key, header.get(_ALG), _cbor.head(4, 4) + _cbor.head(3, 10) + b"Signature1" + b"".join(parts), signature
        )
    return header, _cbor.loads(payload, what="the payload")


def _verify(pem: bytes, algorithm: Any, signed: bytes, signature: bytes) -> None:
    """ES256 or ES384 (RFC 9053, section 2.1), whichever goes with the key."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, utils
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if len(pem) > _MAX_PEM_BYTES or pem.count(b"-----BEGIN ") != 1:
        raise FormatError("expected exactly one PEM block with a public key, got other bytes", reason="corim-key")
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as err:
        raise FormatError("expected a public key in PEM, got other bytes", reason="corim-key") from err
    digest: hashes.HashAlgorithm
    match key:
        case ec.EllipticCurvePublicKey(curve=ec.SECP256R1()):
            size, expected, digest = 32, -7, hashes.SHA256()
        case ec.EllipticCurvePublicKey(curve=ec.SECP384R1()):
            size, expected, digest = 48, -35, hashes.SHA384()
        case _:
            raise FormatError("expected an ECDSA key on P-256 or P-384, got another", reason="corim-key")
    refusal = VerificationError(
        "expected a CoRIM that this key signed, got a signature that does not verify",
        reason="evidence-corim-signature",
    )
    if algorithm != expected or len(signature) != 2 * size:
        raise refusal
    r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
    try:
        key.verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(digest))
    except InvalidSignature as err:
        raise refusal from err


def _signature_windows(header: Mapping[Any, Any]) -> Iterator[Any]:
    """Validity maps of the signature: in the CoRIM's own header, and as CWT claims (RFC 9597) exp and nbf."""
    if _META in header:
        meta = header[_META]
        if not isinstance(meta, bytes):
            raise _mistyped("CoRIM metadata as bytes in the protected header")
        yield _fields(_cbor.loads(meta, what="the metadata"), "metadata", required={0}, known={0, 1}).get(1)
    if _CWT_CLAIMS in header:
        claims = header[_CWT_CLAIMS]
        if not isinstance(claims, dict):
            raise _mistyped("CWT claims as a map in the protected header")
        named = {0: claims.get(5), 1: claims.get(4)}
        yield {bound: Tagged(1, time) for bound, time in named.items() if time is not None}


def _refuse_outside(windows: Any, at: dt.datetime) -> None:
    now = int(at.timestamp())
    for window in windows:
        if window is None:
            continue
        for bound, time in _fields(window, "validity", required=set(), known={0, 1}).items():
            match time:
                case Tagged(1, int(seconds)):
                    if (now < seconds) if bound == 0 else (now > seconds):
                        raise VerificationError(
                            f"expected a CoRIM valid at {at.isoformat()}, got one that is not",
                            reason="evidence-corim-window",
                            hint="get the vendor's current one",
                        )
                case _:
                    raise _mistyped("times in whole seconds (tag 1)")


def _profile(value: Any) -> str | bytes:
    match value:
        case [Tagged(32, str(name))] | Tagged(32, str(name)):
            return name
        case [Tagged(111, bytes(identifier))] | Tagged(111, bytes(identifier)):
            return identifier
    raise _mistyped("one profile")


def _comid(tag: Any, left_out: list[str]) -> Iterator[tuple[Any, int | None, Mapping[Any, Any]]]:
    """Class, key and values of every measurement in the reference triples of one tag."""
    if isinstance(tag, bytes):
        tag = _cbor.loads(tag, what="a tag of the CoRIM")
    if not isinstance(tag, Tagged):
        raise _mistyped("tagged documents as tags")
    if tag.tag != 506:
        left_out.append(f"a document with tag {tag.tag}")
        return
    content = _cbor.loads(tag.value, what="the CoMID") if isinstance(tag.value, bytes) else tag.value
    comid = _fields(content, "CoMID", required={_TAG_IDENTITY, _TRIPLES}, known=set(range(5)))
    if _LINKED in comid:
        left_out.append("links to other tags")
    triples = comid[_TRIPLES]
    if not isinstance(triples, dict):
        raise _mistyped("a map of triples")
    left_out += [_TRIPLE_NAMES.get(kind, f"triples of kind {kind!r:.40}") for kind in triples if kind != 0]
    for triple in _list(triples.get(0, []), "reference triples"):
        yield from _reference(triple, left_out)


def _reference(triple: Any, left_out: list[str]) -> Iterator[tuple[Any, int | None, Mapping[Any, Any]]]:
    match triple:
        case [named, [*measurements]]:
            environment = _fields(named, "environment", required=set(), known={0, 1, 2})
        case _:
            raise _mistyped("an environment and its measurements")
    described = _fields(environment.get(0, {}), "class", required=set(), known=set(range(5)))
    left_out += [f"the environment's {name}" for key, name in {1: "instance", 2: "group"}.items() if key in environment]
    names = {1: "vendor", 2: "model", 3: "layer", 4: "index"}
    left_out += [f"the environment's {names[key]}" for key in described if key]
    for measurement in measurements:
        fields = _fields(measurement, "measurement", required={1}, known={0, 1, 2})
        if 2 in fields:
            left_out.append("who may sign a measurement")
        key, values = fields.get(0), fields[1]
        if not isinstance(values, dict) or not values:
            raise _mistyped("measured values as a map")
        if key is not None and type(key) is not int:
            left_out.append("measurements whose key is no number")
            continue
        yield described.get(0), key, values


def _fields(value: Any, what: str, *, required: set[int], known: set[int]) -> Mapping[Any, Any]:
    if not isinstance(value, dict) or not required <= set(value) <= known:
        raise _mistyped(f"the fields of a {what}")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise _mistyped(f"a list of {what}")
    return value


def _mistyped(expected: str) -> FormatError:
    return FormatError(f"expected {expected} in the CoRIM, got something else", reason="corim-value")
