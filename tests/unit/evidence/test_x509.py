from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lamslsa.errors import FormatError, VerificationError
from lamslsa.evidence import _x509

NOW = dt.datetime(2026, 11, 22, 6, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
KEYS = [ec.generate_private_key(ec.SECP256R1()) for _ in range(5)]
ED25519 = ed25519.Ed25519PrivateKey.generate()
Window = tuple[dt.datetime, dt.datetime]
Extensions = Sequence[tuple[x509.ExtensionType, bool]]


def usage(*, signs: bool = False, certifies: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certifies,
        crl_sign=certifies,
        encipher_only=False,
        decipher_only=False,
    )


def authority(limit: int | None = None) -> Extensions:
    return [(x509.BasicConstraints(ca=True, path_length=limit), True), (usage(certifies=True), True)]


LEAF: Extensions = [(usage(signs=True), True)]


def name(number: int) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"number {number}")])


def certificate(
    number: int,
    issuer: int,
    extensions: Extensions,
    *,
    window: Window = (NOW - DAY, NOW + DAY),
    signed_by: int | None = None,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(number))
        .issuer_name(name(issuer))
        .public_key(KEYS[number].public_key())
        .serial_number(1000 + number)
        .not_valid_before(window[0])
        .not_valid_after(window[1])
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(KEYS[issuer if signed_by is None else signed_by], hashes.SHA256())


ROOT = certificate(0, 0, authority())
MIDDLE = certificate(1, 0, authority(0))
END = certificate(2, 1, LEAF)


def refused(call: Callable[[], object], reason: str = "evidence-chain") -> str:
    with pytest.raises(VerificationError) as caught:
        call()
    assert caught.value.reason == reason
    return str(caught.value)


def path(*certificates: x509.Certificate, at: dt.datetime | None = NOW, to_authority: bool = False) -> None:
    _x509.verify_path(certificates, at=at, what="a test", to_authority=to_authority)


def test_paths() -> None:
    path(END, MIDDLE, ROOT)
    path(MIDDLE, ROOT, to_authority=True)
    path(ROOT, to_authority=True)
    path(certificate(2, 0, []), ROOT)


def test_a_path_starts_with_a_leaf_unless_said_otherwise() -> None:
    _x509.verify_path([END, MIDDLE, ROOT], at=NOW, what="a test")
    refused(lambda: _x509.verify_path([MIDDLE, ROOT], at=NOW, what="a test"))


def test_length() -> None:
    assert "got 0" in refused(path)
    assert "got 11" in refused(lambda: path(*[ROOT] * 11))
    path(*[ROOT] * 10, to_authority=True)


def test_names_and_signatures() -> None:
    refused(lambda: path(END, ROOT))
    refused(lambda: path(END, MIDDLE))
    refused(lambda: path(certificate(2, 1, LEAF, signed_by=0), MIDDLE, ROOT))
    refused(lambda: path(certificate(2, 0, LEAF, signed_by=1), MIDDLE, ROOT))
    refused(lambda: path(MIDDLE, ROOT, END))
    refused(lambda: path(certificate(0, 0, authority(), signed_by=1), to_authority=True))


def test_the_root_comes_first() -> None:
    wrong = certificate(1, 0, authority(0), signed_by=3)
    assert "'CN=number 1'" in refused(lambda: path(certificate(2, 1, LEAF, signed_by=3), wrong, ROOT))


def test_what_was_found_valid_is_remembered_and_what_was_not_is_not() -> None:
    _x509._verify_issued.cache_clear()
    forged = certificate(2, 1, LEAF, signed_by=3)
    for _ in range(2):
        path(END, MIDDLE, ROOT)
        refused(lambda: path(forged, MIDDLE, ROOT))
    assert _x509._verify_issued.cache_info().currsize == 3


def test_authorities() -> None:
    for extensions in (
        [],
        LEAF,
        [(x509.BasicConstraints(ca=False, path_length=None), True), (usage(certifies=True), True)],
        [(usage(certifies=True), True)],
    ):
        assert "not a CA" in refused(lambda made=extensions: path(END, certificate(1, 0, made), ROOT))  # type: ignore[misc]  # a lambda with a default
        assert "not a CA" in refused(lambda made=extensions: path(certificate(1, 0, made), ROOT, to_authority=True))  # type: ignore[misc]  # a lambda with a default
    without_usage = [(x509.BasicConstraints(ca=True, path_length=None), True)]
    path(END, certificate(1, 0, without_usage), ROOT)
    other_usage: Extensions = [*without_usage, (usage(signs=True), True)]
    assert "may not sign certificates" in refused(lambda: path(END, certificate(1, 0, other_usage), ROOT))


def test_how_many_authorities_an_authority_allows() -> None:
    end, lower = certificate(3, 2, LEAF), certificate(2, 1, authority())
    for limit in (None, 1, 2):
        path(end, lower, certificate(1, 0, authority(limit)), ROOT)
        path(lower, certificate(1, 0, authority(limit)), ROOT, to_authority=True)
    strict = certificate(1, 0, authority(0))
    assert "allows 0" in refused(lambda: path(end, lower, strict, ROOT))
    assert "allows 0" in refused(lambda: path(lower, strict, ROOT, to_authority=True))
    path(end, certificate(2, 1, authority(0)), certificate(1, 0, authority(1)), certificate(0, 0, authority(2)))
    refused(lambda: path(end, lower, certificate(1, 0, authority(1)), certificate(0, 0, authority(1))))


def test_leaves() -> None:
    path(certificate(2, 1, []), MIDDLE, ROOT)
    assert "may not sign data" in refused(
        lambda: path(certificate(2, 1, [(usage(certifies=True), True)]), MIDDLE, ROOT)
    )
    refused(lambda: path(certificate(1, 0, authority()), ROOT))


def test_critical_extensions() -> None:
    known = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), True)
    path(certificate(2, 1, [*LEAF, known]), MIDDLE, ROOT)
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\x05\x00")
    path(certificate(2, 1, [*LEAF, (unknown, False)]), MIDDLE, ROOT)
    assert "1.2.3" in refused(lambda: path(certificate(2, 1, [*LEAF, (unknown, True)]), MIDDLE, ROOT))
    refused(lambda: path(END, certificate(1, 0, [*authority(), (unknown, True)]), ROOT))
    refused(lambda: path(END, MIDDLE, certificate(0, 0, [*authority(), (unknown, True)])))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_windows(place: int) -> None:
    def chain(window: Window) -> list[x509.Certificate]:
        windows = [(NOW - 9 * DAY, NOW + 9 * DAY)] * 3
        windows[place] = window
        return [
            certificate(2, 1, LEAF, window=windows[0]),
            certificate(1, 0, authority(), window=windows[1]),
            certificate(0, 0, authority(), window=windows[2]),
        ]

    path(*chain((NOW, NOW + DAY)))
    path(*chain((NOW - DAY, NOW)))
    for window in ((NOW + dt.timedelta(seconds=1), NOW + DAY), (NOW - DAY, NOW - dt.timedelta(seconds=1))):
        refused(lambda chosen=window: path(*chain(chosen)), "evidence-certificate-window")  # type: ignore[misc]  # a lambda with a default
        path(*chain(window), at=None)


def test_certificates_are_read() -> None:
    der = END.public_bytes(Encoding.DER)
    loaded = _x509.load_certificate(der, what="a test")
    assert loaded == END
    assert _x509.serial_number(loaded) == 1002


@pytest.mark.parametrize(
    "data", [b"", b"junk", bytes(100), END.public_bytes(Encoding.DER)[:-1], END.public_bytes(Encoding.PEM)]
)
def test_what_is_no_certificate(data: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        _x509.load_certificate(data, what="a test")
    assert caught.value.reason == "evidence-certificates"
    with pytest.raises(FormatError) as caught:
        _x509.load_revocation_list(data, what="a test")
    assert caught.value.reason == "evidence-certificates"


def test_a_signature_in_another_spelling() -> None:
    """One bit of an even signature declared unused: the library would not mind."""
    for load, make in (
        (_x509.load_certificate, lambda: certificate(2, 1, LEAF)),
        (_x509.load_revocation_list, revocation_list),
    ):
        made = make()
        while made.signature[-1] & 1:
            made = make()
        der = bytearray(made.public_bytes(Encoding.DER))
        der[-len(made.signature) - 1] = 1
        with pytest.raises(FormatError, match="whole bytes"):
            load(bytes(der), what="a test")


def test_a_number_that_is_zero() -> None:
    """AMD numbers leaves so; the library warns, and warnings are errors here."""
    der = END.public_bytes(Encoding.DER)
    zero = der.replace(bytes.fromhex("020203ea"), bytes.fromhex("02020000"))
    with pytest.raises(FormatError):  # not the shortest form
        _x509.load_certificate(zero, what="a test")
    small = (
        certificate_with_serial(5)
        .public_bytes(Encoding.DER)
        .replace(bytes.fromhex("020105"), bytes.fromhex("020100"), 1)
    )
    assert _x509.serial_number(_x509.load_certificate(small, what="a test")) == 0


def certificate_with_serial(number: int) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(name(2))
        .issuer_name(name(1))
        .public_key(KEYS[2].public_key())
        .serial_number(number)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .sign(KEYS[1], hashes.SHA256())
    )


def test_sizes() -> None:
    for size, message in ((16 * 1024, "in DER"), (16 * 1024 + 1, "at most 16384")):
        with pytest.raises(FormatError, match=message):
            _x509.load_certificate(bytes(size), what="a test")
    for size, message in ((1024 * 1024, "in DER"), (1024 * 1024 + 1, "at most 1048576")):
        with pytest.raises(FormatError, match=message):
            _x509.load_revocation_list(bytes(size), what="a test")


def revocation_der(
    serials: Sequence[int] = (),
    *,
    issuer: int = 0,
    signed_by: int = 0,
    window: Window = (NOW - DAY, NOW + DAY),
    extensions: Extensions = (),
    entry_extensions: Extensions = (),
) -> bytes:
    builder = (
        x509.CertificateRevocationListBuilder().issuer_name(name(issuer)).last_update(window[0]).next_update(window[1])
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    for serial in serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW - DAY)
        for extension, critical in entry_extensions:
            entry = entry.add_extension(extension, critical=critical)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(KEYS[signed_by], hashes.SHA256()).public_bytes(Encoding.DER)


def revocation_list(serials: Sequence[int] = (), **made: Any) -> x509.CertificateRevocationList:
    return _x509.load_revocation_list(revocation_der(serials, **made), what="a test")


def revoked(
    found: x509.CertificateRevocationList, *, issuer: x509.Certificate = ROOT, at: dt.datetime = NOW
) -> frozenset[int]:
    return _x509.revoked_serials(found, issuer=issuer, at=at, what="a test")


def test_revocation_lists() -> None:
    assert revoked(revocation_list()) == frozenset()
    assert revoked(revocation_list([5, 7])) == {5, 7}
    reason = (x509.CRLReason(x509.ReasonFlags.key_compromise), False)
    assert revoked(revocation_list([5], extensions=[(x509.CRLNumber(3), False)], entry_extensions=[reason])) == {5}


def test_revocation_lists_of_others() -> None:
    reason = "evidence-revocation-list"
    refused(lambda: revoked(revocation_list(issuer=1)), reason)
    refused(lambda: revoked(revocation_list(signed_by=1)), reason)
    refused(lambda: revoked(revocation_list(), issuer=MIDDLE), reason)
    delta = (x509.DeltaCRLIndicator(1), True)
    assert "2.5.29.27" in refused(lambda: revoked(revocation_list(extensions=[delta])), reason)
    indirect = (x509.CertificateIssuer([x509.DirectoryName(name(3))]), True)
    assert "2.5.29.29" in refused(lambda: revoked(revocation_list([5], entry_extensions=[indirect])), reason)


def test_an_issuer_that_signs_otherwise() -> None:
    issuer = (
        x509.CertificateBuilder()
        .subject_name(name(0))
        .issuer_name(name(0))
        .public_key(ED25519.public_key())
        .serial_number(1)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .sign(ED25519, None)
    )
    refused(lambda: revoked(revocation_list(), issuer=issuer), "evidence-revocation-list")


def test_windows_of_revocation_lists() -> None:
    second = dt.timedelta(seconds=1)
    assert revoked(revocation_list([5], window=(NOW, NOW + DAY))) == {5}
    assert revoked(revocation_list([5], window=(NOW - DAY, NOW))) == {5}
    for at in (NOW - DAY - second, NOW + DAY + second):
        refused(lambda when=at: revoked(revocation_list(), at=when), "evidence-collateral-window")  # type: ignore[misc]  # a lambda with a default


# --- what is read late by the library is read on loading --------------------------------------------------------------

BASIC_CONSTRAINTS = x509.UnrecognizedExtension(x509.BasicConstraints.oid, b"\x05\x00")
CRL_NUMBER = x509.UnrecognizedExtension(x509.CRLNumber.oid, b"\x05\x00")
CRL_REASON = x509.UnrecognizedExtension(x509.CRLReason.oid, b"\x05\x00")
LATE = dt.datetime(2060, 1, 1, tzinfo=dt.UTC)  # its year has four digits in DER: year 0 can be written


def changed(der: bytes, old: bytes, new: bytes) -> bytes:
    assert old in der
    return der.replace(old, new)


def late(*, before: dt.datetime) -> bytes:
    after = LATE if before == NOW else LATE.replace(year=2061)
    return certificate(2, 1, LEAF, window=(before, after)).public_bytes(Encoding.DER)


def unreadable_certificates() -> dict[str, bytes]:
    der = END.public_bytes(Encoding.DER)
    key = bytes.fromhex("06082a8648ce3d030107")  # the curve's name
    return {
        "subject": changed(der, b"number 2", b"number \xff"),
        "issuer": changed(der, b"number 1", b"number \xff"),
        "not before": changed(late(before=LATE), b"20600101", b"00000101"),
        "not after": changed(late(before=NOW), b"20600101", b"00000101"),
        "extension": certificate(2, 1, [(BASIC_CONSTRAINTS, False)]).public_bytes(Encoding.DER),
        "key": changed(der, key, key[:-1] + b"\x7f"),
    }


@pytest.mark.parametrize("part", unreadable_certificates())
def test_certificates_that_cannot_be_read_to_their_end(part: str) -> None:
    with pytest.raises(FormatError, match="expected a certificate in DER in a test") as caught:
        _x509.load_certificate(unreadable_certificates()[part], what="a test")
    assert caught.value.reason == "evidence-certificates"


def unreadable_lists() -> dict[str, bytes]:
    return {
        "issuer": changed(revocation_der(), b"number 0", b"number \xff"),
        "last update": changed(revocation_der(window=(LATE, LATE + DAY)), b"20600101", b"00000101"),
        "next update": changed(revocation_der(window=(NOW, LATE)), b"20600101", b"00000101"),
        "extension": revocation_der(extensions=[(CRL_NUMBER, False)]),
        "entry": revocation_der([5], entry_extensions=[(CRL_REASON, False)]),
    }


@pytest.mark.parametrize("part", unreadable_lists())
def test_revocation_lists_that_cannot_be_read_to_their_end(part: str) -> None:
    with pytest.raises(FormatError, match="expected a revocation list in DER as a test") as caught:
        _x509.load_revocation_list(unreadable_lists()[part], what="a test")
    assert caught.value.reason == "evidence-certificates"


def test_every_refusal_of_bytes_has_its_reason() -> None:
    even = next(made for made in iter(lambda: certificate(2, 1, LEAF), None) if not made.signature[-1] & 1)
    spelled = bytearray(even.public_bytes(Encoding.DER))
    spelled[-len(even.signature) - 1] = 1
    for load, data in (
        (_x509.load_certificate, bytes(16 * 1024 + 1)),
        (_x509.load_revocation_list, bytes(1024 * 1024 + 1)),
        (_x509.load_certificate, bytes(spelled)),
    ):
        with pytest.raises(FormatError) as caught:
            load(data, what="a test")
        assert caught.value.reason == "evidence-certificates"
