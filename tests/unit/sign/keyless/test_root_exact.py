"""Trusted roots: periods to the second, what has ended since, what a root leaves out, and who exactly stamps."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID

from lamslsa.errors import FormatError, VerificationError
from lamslsa.sign.dsse import parse_bundle
from lamslsa.sign.interface import Witnessed
from lamslsa.sign.key import KeyVerifier
from lamslsa.sign.keyless import FulcioIdentity, KeylessTerms, SigstoreRoot
from lamslsa.sign.keyless._patterns import compiled
from lamslsa.testing.sigstore import Clock, LocalSigstore
from lamslsa.testing.sigstore._pki import make_root
from tests.unit.sign.keyless.bundles import Signing, base64_text, put
from tests.unit.sign.keyless.test_certificate import ARC, FIELDS, KEY

Edit = Callable[[dict[str, Any]], object]
SECOND = dt.timedelta(seconds=1)
STAMPS = ("verificationMaterial", "timestampVerificationData", "rfc3161Timestamps")


def edited(sigstore: LocalSigstore, edit: Edit) -> SigstoreRoot:
    root = sigstore.trusted_root()
    edit(root)
    return SigstoreRoot.load(json.dumps(root).encode())


def text(at: dt.datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def by_key(root: SigstoreRoot, signing: Signing, bundle: bytes) -> Witnessed:
    return KeyVerifier.load(signing.public_pem, root).verify(parse_bundle(bundle)).witnessed


def sources(found: Witnessed) -> list[str]:
    return sorted(time.source for time in found.times)


def times(found: Witnessed) -> dict[str, dt.datetime]:
    return {time.source: time.at for time in found.times}


def of_logs(period: dict[str, str] | None) -> Edit:
    def edit(root: dict[str, Any]) -> None:
        for log in root["tlogs"]:
            log["publicKey"]["validFor"] = period

    return edit


def of_authorities(part: str, period: dict[str, str]) -> Edit:
    def edit(root: dict[str, Any]) -> None:
        for authority in root[part]:
            authority["validFor"] = period

    return edit


@pytest.mark.parametrize(
    ("start", "end", "counts"),
    [(0, None, True), (1, None, False), (-9, 0, True), (-9, -1, False), (0, 0, True)],
)
def test_the_period_of_a_log_is_closed(
    faulty_sigstore: LocalSigstore, start: int, end: int | None, counts: bool
) -> None:
    signing = Signing(faulty_sigstore)
    faulty_sigstore.rekor1.clock.offset = -dt.timedelta(hours=1)  # keys of the future are left out by the client
    bundle = signing.envelope()
    at = times(by_key(edited(faulty_sigstore, lambda root: None), signing, bundle))["log"]
    period = {"start": text(at + start * SECOND)} | ({} if end is None else {"end": text(at + end * SECOND)})
    found = by_key(edited(faulty_sigstore, of_logs(period)), signing, bundle)
    assert found.logged is counts
    assert sources(found) == (["log"] if counts else [])


@pytest.mark.parametrize(
    ("start", "end", "counts"),
    [(0, None, True), (1, None, False), (-9, 0, True), (-9, -1, False), (0, 0, True)],
)
def test_the_period_of_a_timestamp_authority_is_closed(
    faulty_sigstore: LocalSigstore, monkeypatch: pytest.MonkeyPatch, start: int, end: int | None, counts: bool
) -> None:
    signing = Signing(faulty_sigstore)
    whole = dt.datetime.now(dt.UTC).replace(microsecond=0) - dt.timedelta(hours=1)
    monkeypatch.setattr(faulty_sigstore.tsa, "clock", Clock(lambda: whole))
    bundle = signing.envelope(rekor=None, stamped=True)
    period = {"start": text(whole + start * SECOND)} | ({} if end is None else {"end": text(whole + end * SECOND)})
    found = by_key(edited(faulty_sigstore, of_authorities("timestampAuthorities", period)), signing, bundle)
    assert sources(found) == (["timestamp"] if counts else [])
    assert (found.message == "") == counts


def test_a_root_without_periods(local_sigstore: LocalSigstore) -> None:
    """A part that is given for no time is given for all times."""
    signing = Signing.of(local_sigstore)
    found = edited(local_sigstore, of_logs(None)).verify(parse_bundle(signing.envelope()))
    assert sources(found.witnessed) == ["log"]


def test_the_first_of_two_authorities_need_not_be_the_one(local_sigstore: LocalSigstore) -> None:
    with LocalSigstore() as other:
        foreign = other.trusted_root()["timestampAuthorities"]
    signing = Signing(local_sigstore)
    bundle = signing.envelope(rekor=None, stamped=True)
    for order in (1, -1):

        def both(root: dict[str, Any], order: int = order) -> None:
            root["timestampAuthorities"] = [*foreign, *root["timestampAuthorities"]][::order]

        assert sources(by_key(edited(local_sigstore, both), signing, bundle)) == ["timestamp"]


@pytest.mark.parametrize("stamp", [b"", b"junk", b"\x30\x00"])
def test_a_timestamp_that_is_none_hides_nothing(local_sigstore: LocalSigstore, stamp: bytes) -> None:
    signing = Signing(local_sigstore)
    good = parse_bundle(signing.envelope(stamped=True)).material.timestamps
    edit = put(*STAMPS, value=[{"signedTimestamp": base64_text(stamp)}])
    bundle = signing.envelope(stamped=True, edit=edit)
    found = by_key(edited(local_sigstore, lambda root: None), signing, bundle)
    assert len(good) == 1
    assert found.logged
    assert sources(found) == ["log"]
    assert found.message.startswith("expected a timestamp over the signature by an authority")


def test_the_signer_of_a_timestamp_is_the_one_that_the_root_names(
    faulty_sigstore: LocalSigstore, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = dt.datetime.now(dt.UTC)
    above = make_root("tsa-root", now=now)
    own, sister = (above.below("tsa", path_length=None, now=now) for _ in range(2))

    def named(pair: Any) -> Edit:
        def edit(root: dict[str, Any]) -> None:
            ders = [item.certificate.public_bytes(Encoding.DER) for item in (pair, above)]
            chain = [{"rawBytes": base64.b64encode(der).decode()} for der in ders]
            root["timestampAuthorities"][0]["certChain"]["certificates"] = chain

        return edit

    monkeypatch.setattr(faulty_sigstore.tsa, "_authority", own)
    signing = Signing(faulty_sigstore)
    bundle = signing.envelope(rekor=None, stamped=True)
    assert sources(by_key(edited(faulty_sigstore, named(own)), signing, bundle)) == ["timestamp"]
    assert sources(by_key(edited(faulty_sigstore, named(sister)), signing, bundle)) == []


# certificates and terms


def extended(*extensions: x509.ExtensionType) -> x509.Certificate:
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(
        subject_name=x509.Name([]),
        issuer_name=x509.Name([]),
        public_key=KEY.public_key(),
        serial_number=1,
        not_valid_before=start,
        not_valid_after=start + dt.timedelta(minutes=10),
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(KEY, hashes.SHA256())


def test_extensions_that_cannot_be_read() -> None:
    junk = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"junk")
    with pytest.raises(FormatError) as caught:
        FulcioIdentity.parse(extended(junk))
    assert caught.value.reason == "certificate-extension"


def test_what_stands_elsewhere_is_no_field() -> None:
    other = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.8"), b"junk")
    own = x509.UnrecognizedExtension(x509.ObjectIdentifier(f"{ARC}.8"), FIELDS["8"])
    name = x509.SubjectAlternativeName([x509.RFC822Name("me@example.com")])
    assert FulcioIdentity.parse(extended(other, own, name)) == FulcioIdentity.parse(extended(own, name))


@pytest.mark.parametrize(("length", "taken"), [(0, False), (1, True), (256, True), (257, False)])
def test_how_long_a_pattern_is(length: int, taken: bool) -> None:
    if taken:
        assert compiled("a" * length).fullmatch("a" * length)
        return
    with pytest.raises(FormatError) as caught:
        compiled("a" * length)
    assert caught.value.reason == "terms-pattern"


@pytest.mark.parametrize(("length", "taken"), [(1024, True), (1025, False)])
def test_how_long_a_term_is(length: int, taken: bool) -> None:
    if taken:
        assert KeylessTerms(issuer="https://a.example", identity="a" * length).identity == "a" * length
        return
    with pytest.raises(FormatError) as caught:
        KeylessTerms(issuer="https://a.example", identity="a" * length)
    assert caught.value.reason == "terms-value"


def test_another_certificate_authority_of_the_same_name(local_sigstore: LocalSigstore) -> None:
    """An authority that ended before the signature is none, though its log entry is good."""
    signing = Signing.of(local_sigstore)
    bundle = parse_bundle(signing.envelope())
    at = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    ended = edited(
        local_sigstore,
        of_authorities("certificateAuthorities", {"start": text(at - dt.timedelta(days=9)), "end": text(at)}),
    )
    with pytest.raises(VerificationError) as caught:
        ended.verify(bundle)
    assert caught.value.reason == "signature-certificate"


def test_an_authority_that_has_ended_since(faulty_sigstore: LocalSigstore) -> None:
    hour = dt.timedelta(hours=1)
    for service in (faulty_sigstore.oidc, faulty_sigstore.fulcio, faulty_sigstore.fulcio.log, faulty_sigstore.rekor1):
        service.clock.offset = -hour
    bundle = parse_bundle(Signing.of(faulty_sigstore).envelope())
    now = dt.datetime.now(dt.UTC)
    period = {"start": text(now - 9 * hour), "end": text(now - hour / 2)}

    def ended(root: dict[str, Any]) -> None:
        of_authorities("certificateAuthorities", period)(root)
        for log in (*root["tlogs"], *root["ctlogs"]):
            log["publicKey"]["validFor"] = period

    assert sources(edited(faulty_sigstore, ended).verify(bundle).witnessed) == ["log"]


def test_a_timestamp_authority_below_another(faulty_sigstore: LocalSigstore, monkeypatch: pytest.MonkeyPatch) -> None:
    now = dt.datetime.now(dt.UTC)
    above = make_root("tsa-root", now=now)
    between = above.below("between", path_length=0, now=now)
    own = between.below("tsa", path_length=None, now=now)
    monkeypatch.setattr(faulty_sigstore.tsa, "_authority", own)

    def chained(root: dict[str, Any]) -> None:
        ders = [item.certificate.public_bytes(Encoding.DER) for item in (own, between, above)]
        chain = [{"rawBytes": base64.b64encode(der).decode()} for der in ders]
        root["timestampAuthorities"][0]["certChain"]["certificates"] = chain

    signing = Signing(faulty_sigstore)
    bundle = signing.envelope(rekor=None, stamped=True)
    assert sources(by_key(edited(faulty_sigstore, chained), signing, bundle)) == ["timestamp"]
