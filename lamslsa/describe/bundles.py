"""Bundles: who signed, by when, and the statement inside."""

from __future__ import annotations

import dataclasses
from typing import Any

from lamslsa import _codec
from lamslsa.describe.model import Description, Surroundings, plain
from lamslsa.describe.statements import describe_statement
from lamslsa.errors import FormatError, VerificationError
from lamslsa.sign.interface import Envelope, Witnessed

__all__ = ["describe_bundle"]


def describe_bundle(envelope: Envelope, around: Surroundings) -> Description:
    """A bundle: its envelope, whose signature it carries, what dates it, and the statement inside.

    Evidence inside is judged as of the earliest trusted time, as `lamslsa.verification` does.
    """
    material = envelope.material
    facts: dict[str, Any] = {
        "payloadType": envelope.payload_type,
        "payloadSha256": _codec.sha256_hex(envelope.payload),
        "logEntries": len(material.log_entries),
        "timestamps": len(material.timestamps),
    }
    if material.certificates:
        verified, unverified, witnessed = _certified(envelope, around, facts)
    else:
        facts["keyHint"] = material.key_hint
        verified, unverified, witnessed = _with_keys(envelope, around)
    dated = around if not witnessed.times else dataclasses.replace(around, at=witnessed.times[0].at)
    return Description(
        kind="Sigstore bundle",
        facts=facts,
        verified=(*verified, *_witnesses(witnessed)),
        unverified=(*unverified, *([witnessed.message] if witnessed.message else [])),
        parts=(describe_statement(envelope.payload, dated),),
    )


def _certified(
    envelope: Envelope, around: Surroundings, facts: dict[str, Any]
) -> tuple[tuple[str, ...], tuple[str, ...], Witnessed]:
    """Who signed by the certificate of a Sigstore."""
    if around.root is None:
        return (), ("its signature: no trusted root at hand",), Witnessed()
    try:
        found = around.root.verify(envelope)
    except (FormatError, VerificationError) as err:
        return (), (f"its signature: {err} [{err.reason}]",), Witnessed()
    identity = plain(found.certificate)
    facts["identity"] = {name: value for name, value in identity.items() if value}
    return (f"signed by {found.certificate.signer}, under {around.root_name}",), (), found.witnessed


def _with_keys(envelope: Envelope, around: Surroundings) -> tuple[tuple[str, ...], tuple[str, ...], Witnessed]:
    """Which of the keys at hand signed."""
    signers: list[str] = []
    witnessed = Witnessed()
    for name, key in around.keys.items():
        try:
            witnessed = key.verify(envelope).witnessed
        except VerificationError:
            continue
        signers.append(name)
    if signers:
        return (f"signed with {', '.join(signers)}",), (), witnessed
    tried = f"none of the {len(around.keys)} keys at hand made it" if around.keys else "no key at hand (--key)"
    return (), (f"its signature: {tried}",), witnessed


def _witnesses(witnessed: Witnessed) -> tuple[str, ...]:
    words = {"timestamp": "a timestamp authority", "log": "a transparency log"}
    return (
        *(f"{words[time.source]} had seen the signature by {plain(time.at)}" for time in witnessed.times),
        *(["the signature is in a transparency log"] if witnessed.logged else []),
    )
