"""Parsing of bundles: every rule of lamslsa/sign/dsse.py has a bundle here that only that rule refuses."""

from __future__ import annotations

import base64
import contextlib
import copy
import dataclasses
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamslsa.errors import FormatError, LamslsaError
from lamslsa.sign import dsse
from lamslsa.sign.interface import Envelope, Material, SignedMessage

HINT = base64.b64encode(bytes(32)).decode()
OTHER_HINT = base64.b64encode(bytes(31) + b"\1").decode()
PAYLOAD = b'{"_type":"https://in-toto.io/Statement/v1"}'

Edit = Callable[[dict[str, Any]], object]


def bundle(edit: Edit | None = None) -> bytes:
    value = json.loads(dsse.make_bundle(PAYLOAD, signature=b"signature", key_hint=HINT))
    if edit is not None:
        edit(value)
    return json.dumps(value).encode()


def put(*path: str | int, value: Any) -> Edit:
    def edit(bundle: dict[str, Any]) -> None:
        target: Any = bundle
        for part in path[:-1]:
            target = target[part]
        target[path[-1]] = value

    return edit


def drop(*path: str | int) -> Edit:
    def edit(bundle: dict[str, Any]) -> None:
        target: Any = bundle
        for part in path[:-1]:
            target = target[part]
        del target[path[-1]]

    return edit


def sign_twice(bundle: dict[str, Any]) -> None:
    signatures = bundle["dsseEnvelope"]["signatures"]
    signatures.append(copy.deepcopy(signatures[0]))


def use_message_signature(bundle: dict[str, Any]) -> None:
    del bundle["dsseEnvelope"]
    bundle["messageSignature"] = {"messageDigest": {"algorithm": "SHA2_256", "digest": HINT}, "signature": "AAAA"}


def use_certificate(**material: Any) -> Edit:
    def edit(bundle: dict[str, Any]) -> None:
        bundle["verificationMaterial"] = material
        bundle["dsseEnvelope"]["signatures"][0]["keyid"] = ""

    return edit


STAMPS = ("timestampVerificationData",)
MATERIAL = "verificationMaterial"
ENVELOPE = "dsseEnvelope"
SIGNATURE = (ENVELOPE, "signatures", 0)

REFUSED: dict[str, tuple[Edit, str]] = {
    "media type absent": (drop("mediaType"), "bundle-media-type"),
    "media type null": (put("mediaType", value=None), "bundle-media-type"),
    "media type v0.1": (
        put("mediaType", value="application/vnd.dev.sigstore.bundle+json;version=0.1"),
        "bundle-media-type",
    ),
    "media type v0.3 in its older spelling": (
        put("mediaType", value="application/vnd.dev.sigstore.bundle+json;version=0.3"),
        "bundle-media-type",
    ),
    "media type of a later version": (
        put("mediaType", value="application/vnd.dev.sigstore.bundle.v0.4+json"),
        "bundle-media-type",
    ),
    "message signature": (use_message_signature, "bundle-message-signature"),
    "message signature beside the envelope": (put("messageSignature", value={}), "bundle-message-signature"),
    "message signature null": (put("messageSignature", value=None), "bundle-message-signature"),
    "foreign part of the bundle": (put("extra", value=1), "bundle-foreign-part"),
    "foreign part of the material": (put(MATERIAL, "rawKey", value={}), "bundle-foreign-part"),
    "material absent": (drop(MATERIAL), "bundle-shape"),
    "material a list": (put(MATERIAL, value=[]), "bundle-shape"),
    "material empty": (put(MATERIAL, value={}), "bundle-signer"),
    "certificate beside the key": (put(MATERIAL, "certificate", value={"rawBytes": "AAAA"}), "bundle-signer"),
    "certificate chain null beside the key": (put(MATERIAL, "x509CertificateChain", value=None), "bundle-signer"),
    "certificate beside a chain": (
        use_certificate(certificate={"rawBytes": "AAAA"}, x509CertificateChain={"certificates": []}),
        "bundle-signer",
    ),
    "certificate without a log entry": (use_certificate(certificate={"rawBytes": "AAAA"}), "bundle-log-entries"),
    "certificate a string": (use_certificate(certificate="AAAA", tlogEntries=[{}]), "bundle-shape"),
    "certificate without bytes": (use_certificate(certificate={}, tlogEntries=[{}]), "bundle-shape"),
    "certificate too long": (
        use_certificate(certificate={"rawBytes": "AAAA" * 11_000}, tlogEntries=[{}]),
        "base64-size",
    ),
    "chain a list": (use_certificate(x509CertificateChain=[]), "bundle-shape"),
    "chain empty": (use_certificate(x509CertificateChain={"certificates": []}), "bundle-certificates"),
    "chain too long": (
        use_certificate(x509CertificateChain={"certificates": [{"rawBytes": "AAAA"}] * 9}),
        "bundle-certificates",
    ),
    "two log entries": (put(MATERIAL, "tlogEntries", value=[{}, {}]), "bundle-log-entries"),
    "log entries null": (put(MATERIAL, "tlogEntries", value=None), "bundle-shape"),
    "log entry a string": (put(MATERIAL, "tlogEntries", value=["x"]), "bundle-shape"),
    "timestamps a list": (put(MATERIAL, "timestampVerificationData", value=[]), "bundle-shape"),
    "timestamp without bytes": (put(MATERIAL, *STAMPS, value={"rfc3161Timestamps": [{}]}), "bundle-shape"),
    "timestamp too long": (
        put(MATERIAL, *STAMPS, value={"rfc3161Timestamps": [{"signedTimestamp": "AAAA" * 22_000}]}),
        "base64-size",
    ),
    "too many timestamps": (
        put(MATERIAL, *STAMPS, value={"rfc3161Timestamps": [{"signedTimestamp": "AAAA"}] * 5}),
        "bundle-timestamps",
    ),
    "hint absent": (drop(MATERIAL, "publicKey", "hint"), "bundle-shape"),
    "hint a number": (put(MATERIAL, "publicKey", "hint", value=1), "bundle-shape"),
    "hint empty": (put(MATERIAL, "publicKey", "hint", value=""), "bundle-key-hint"),
    "hint too short": (put(MATERIAL, "publicKey", "hint", value="AAAA"), "bundle-key-hint"),
    "hint in upper case hexadecimal": (put(MATERIAL, "publicKey", "hint", value="E8" * 32), "bundle-key-hint"),
    "hint of more hexadecimal": (put(MATERIAL, "publicKey", "hint", value="e8" * 33), "bundle-key-hint"),
    "key in the bundle too long": (put(MATERIAL, "publicKey", value={"rawBytes": "AAAA" * 6_000}), "base64-size"),
    "key in the bundle a number": (put(MATERIAL, "publicKey", value={"rawBytes": 1}), "bundle-shape"),
    "hint null beside a key": (put(MATERIAL, "publicKey", value={"hint": None, "rawBytes": "AAAA"}), "bundle-shape"),
    "hint not canonical": (put(MATERIAL, "publicKey", "hint", value=HINT[:-2] + "B="), "bundle-key-hint"),
    "envelope absent": (drop(ENVELOPE), "bundle-shape"),
    "envelope null": (put(ENVELOPE, value=None), "bundle-shape"),
    "payload type absent": (drop(ENVELOPE, "payloadType"), "envelope-payload-type"),
    "payload type other": (put(ENVELOPE, "payloadType", value="application/json"), "envelope-payload-type"),
    "payload type in other case": (
        put(ENVELOPE, "payloadType", value="application/vnd.in-toto+JSON"),
        "envelope-payload-type",
    ),
    "signatures absent": (drop(ENVELOPE, "signatures"), "envelope-signatures"),
    "signatures an object": (put(ENVELOPE, "signatures", value={"0": {}}), "envelope-signatures"),
    "no signature": (put(ENVELOPE, "signatures", value=[]), "envelope-signatures"),
    "two signatures": (sign_twice, "envelope-signatures"),
    "signature a string": (put(*SIGNATURE, value="AAAA"), "bundle-shape"),
    "keyid of another key": (put(*SIGNATURE, "keyid", value=OTHER_HINT), "envelope-keyid"),
    "keyid a number": (put(*SIGNATURE, "keyid", value=1), "bundle-shape"),
    "sig absent": (drop(*SIGNATURE, "sig"), "bundle-shape"),
    "sig base64url": (put(*SIGNATURE, "sig", value="_-__"), "base64"),
    "sig too long": (put(*SIGNATURE, "sig", value="AAAA" * 400), "base64-size"),
    "payload absent": (drop(ENVELOPE, "payload"), "bundle-shape"),
    "payload a number": (put(ENVELOPE, "payload", value=1), "bundle-shape"),
    "payload without padding": (put(ENVELOPE, "payload", value="e30"), "base64"),
    "payload with a line end": (put(ENVELOPE, "payload", value="e30=\n"), "base64"),
    "payload with stray bits": (put(ENVELOPE, "payload", value="e31="), "base64"),
}


def test_a_bundle_comes_back_as_it_was_made() -> None:
    assert dsse.parse_bundle(bundle()) == Envelope(
        payload=PAYLOAD,
        payload_type="application/vnd.in-toto+json",
        signature=b"signature",
        material=Material(key_hint=HINT),
        raw=bundle(),
    )


def test_witnesses_come_back_as_they_were_put_in() -> None:
    entry = {"logIndex": "1"}
    made = dsse.make_bundle(
        PAYLOAD, signature=b"signature", key_hint=HINT, log_entries=[entry], timestamps=[b"one", b"two"]
    )
    assert dsse.parse_bundle(made).material == Material(
        key_hint=HINT, log_entries=(entry,), timestamps=(b"one", b"two")
    )


def test_certificates_are_read() -> None:
    parsed = dsse.parse_bundle(bundle(use_certificate(certificate={"rawBytes": "AAAA"}, tlogEntries=[{"a": 1}])))
    assert parsed.material == Material(certificates=(bytes(3),), log_entries=({"a": 1},))
    chain = {"certificates": [{"rawBytes": "AAAA"}, {"rawBytes": "AAEA"}]}
    parsed = dsse.parse_bundle(bundle(use_certificate(x509CertificateChain=chain)))
    assert parsed.material == Material(certificates=(bytes(3), b"\0\1\0"))
    assert parsed.key_hint == ""


def test_a_keyid_beside_a_certificate_is_refused() -> None:
    def edit(value: dict[str, Any]) -> None:
        use_certificate(certificate={"rawBytes": "AAAA"}, tlogEntries=[{}])(value)
        value["dsseEnvelope"]["signatures"][0]["keyid"] = HINT

    with pytest.raises(FormatError) as caught:
        dsse.parse_bundle(bundle(edit))
    assert caught.value.reason == "envelope-keyid"


def test_a_hint_as_model_signing_writes_it() -> None:
    def edit(value: dict[str, Any]) -> None:
        value["verificationMaterial"]["publicKey"]["hint"] = "e8" * 32
        value["dsseEnvelope"]["signatures"][0]["keyid"] = ""

    assert dsse.parse_bundle(bundle(edit)).key_hint == "e8" * 32


def test_of_a_key_in_the_bundle_only_the_digest_is_taken() -> None:
    def edit(value: dict[str, Any]) -> None:
        value["verificationMaterial"]["publicKey"] = {"rawBytes": base64.b64encode(b"PEM").decode()}
        value["dsseEnvelope"]["signatures"][0]["keyid"] = None

    assert dsse.parse_bundle(bundle(edit)).material == Material(key_hint=hashlib.sha256(b"PEM").hexdigest())


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    edit, reason = REFUSED[case]
    with pytest.raises(FormatError) as caught:
        dsse.parse_bundle(bundle(edit))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "edit",
    [
        put(*SIGNATURE, "keyid", value=""),
        put(*SIGNATURE, "keyid", value=None),
        drop(*SIGNATURE, "keyid"),
        drop(MATERIAL, "tlogEntries"),
        put(MATERIAL, "timestampVerificationData", value={}),
        put(MATERIAL, "timestampVerificationData", value=None),
        put(MATERIAL, "timestampVerificationData", value={"rfc3161Timestamps": []}),
        put(ENVELOPE, "extension", value=1),
    ],
)
def test_what_grants_nothing_changes_nothing(edit: Edit) -> None:
    parsed = dsse.parse_bundle(bundle(edit))
    assert dataclasses.replace(parsed, raw=bundle()) == dsse.parse_bundle(bundle())


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"1", b'"bundle"'])
def test_other_json_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        dsse.parse_bundle(data)


def test_a_second_envelope_under_the_same_key_is_refused() -> None:
    data = bundle()
    with pytest.raises(FormatError) as caught:
        dsse.parse_bundle(data[:-1] + b',"dsseEnvelope":{}}')
    assert caught.value.reason == "json-duplicate-key"


def test_the_size_is_capped_before_parsing() -> None:
    with pytest.raises(FormatError) as caught:
        dsse.parse_bundle(b" " * (dsse.MAX_BUNDLE_BYTES + 1))
    assert caught.value.reason == "bundle-size"


def test_no_bundle_is_made_that_a_reader_would_refuse() -> None:
    with pytest.raises(FormatError) as caught:
        dsse.make_bundle(bytes(dsse.MAX_BUNDLE_BYTES), signature=b"", key_hint=HINT)
    assert caught.value.reason == "bundle-size"


def test_one_bundle_in_a_bundle_file() -> None:
    (result,) = dsse.parse_bundles("folder/a.sigstore.json", bundle())
    assert result.source == "folder/a.sigstore.json"
    assert result.outcome == dsse.parse_bundle(bundle())


def test_a_bad_bundle_file_is_a_result() -> None:
    (result,) = dsse.parse_bundles("a.sigstore.json", b"{")
    assert isinstance(result.outcome, FormatError)
    assert result.outcome.reason == "json-syntax"


def test_a_bad_line_hides_no_other_line() -> None:
    lines = [
        b"not json",
        bundle(),
        b"",
        b'{"mediaType":"application/vnd.example+json"}',
        b"[1]",
        bundle(sign_twice),
        b"  ",
        bundle() + b"\r",
        b'{"payload":"","payloadType":"","signatures":[]}',
    ]
    results = dsse.parse_bundles("all.intoto.jsonl", b"\n".join(lines) + b"\n")
    assert [
        (result.source, result.outcome.reason if isinstance(result.outcome, FormatError) else None)
        for result in results
    ] == [
        ("all.intoto.jsonl:1", "bundle-line"),
        ("all.intoto.jsonl:2", None),
        ("all.intoto.jsonl:5", "bundle-line"),
        ("all.intoto.jsonl:6", "envelope-signatures"),
        ("all.intoto.jsonl:8", None),
    ]


def test_the_order_of_lines_is_free() -> None:
    lines = [bundle(), bundle(sign_twice), b"x"]
    forth = dsse.parse_bundles("a.intoto.jsonl", b"\n".join(lines))
    back = dsse.parse_bundles("a.intoto.jsonl", b"\n".join(reversed(lines)))
    assert [str(result.outcome) for result in forth] == [str(result.outcome) for result in reversed(back)]


def test_other_file_names_are_refused() -> None:
    with pytest.raises(FormatError) as caught:
        dsse.parse_bundles("bundle.json", bundle())
    assert caught.value.reason == "bundle-file-name"


def test_lines_are_capped() -> None:
    with pytest.raises(FormatError) as caught:
        dsse.parse_bundles("a.intoto.jsonl", b"\n" * (dsse.MAX_LINES + 1))
    assert caught.value.reason == "bundle-lines"


def message(edit: Edit | None = None) -> bytes:
    def change(value: dict[str, Any]) -> None:
        use_message_signature(value)
        if edit is not None:
            edit(value)

    return bundle(change)


def test_the_signature_of_a_file_is_read() -> None:
    assert dsse.parse_message_bundle(message()) == SignedMessage(
        sha256="00" * 32, signature=bytes(3), material=Material(key_hint=HINT), raw=message()
    )
    assert dsse.parse_message_bundle(message(drop("messageSignature", "messageDigest"))).sha256 is None


DIGEST = ("messageSignature", "messageDigest")
REFUSED_MESSAGES: dict[str, tuple[Edit, str]] = {
    "no message": (drop("messageSignature"), "bundle-shape"),
    "an envelope too": (put(ENVELOPE, value={}), "bundle-shape"),
    "message a string": (put("messageSignature", value="AAAA"), "bundle-shape"),
    "no signature": (drop("messageSignature", "signature"), "bundle-shape"),
    "signature too long": (put("messageSignature", "signature", value="AAAA" * 400), "base64-size"),
    "digest a string": (put(*DIGEST, value="00"), "bundle-shape"),
    "digest of another algorithm": (put(*DIGEST, "algorithm", value="SHA2_512"), "bundle-shape"),
    "digest too short": (put(*DIGEST, "digest", value="AAAA"), "bundle-message-digest"),
    "digest too long": (put(*DIGEST, "digest", value="AAAA" * 11), "base64-size"),
    "another media type": (put("mediaType", value="application/json"), "bundle-media-type"),
}


@pytest.mark.parametrize("case", REFUSED_MESSAGES)
def test_refused_messages(case: str) -> None:
    edit, reason = REFUSED_MESSAGES[case]
    with pytest.raises(FormatError) as caught:
        dsse.parse_message_bundle(message(edit))
    assert caught.value.reason == reason


def test_the_size_of_a_message_is_capped_before_parsing() -> None:
    with pytest.raises(FormatError) as caught:
        dsse.parse_message_bundle(b" " * (dsse.MAX_BUNDLE_BYTES + 1))
    assert caught.value.reason == "json-size"


@given(st.binary(max_size=200))
def test_any_bytes_are_an_envelope_or_an_error(data: bytes) -> None:
    with contextlib.suppress(LamslsaError):
        assert isinstance(dsse.parse_bundle(data), Envelope)
    for result in dsse.parse_bundles("a.intoto.jsonl", data):
        assert isinstance(result.outcome, Envelope | FormatError)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
PATHS = [
    ("mediaType",),
    (MATERIAL,),
    (MATERIAL, "publicKey"),
    (MATERIAL, "publicKey", "hint"),
    (ENVELOPE,),
    (ENVELOPE, "payload"),
    (ENVELOPE, "payloadType"),
    (ENVELOPE, "signatures"),
    SIGNATURE,
    (*SIGNATURE, "sig"),
    (*SIGNATURE, "keyid"),
]


@given(st.sampled_from(PATHS), JSON)
def test_any_value_anywhere_is_an_envelope_or_an_error(path: tuple[str | int, ...], value: Any) -> None:
    with contextlib.suppress(LamslsaError):
        assert isinstance(dsse.parse_bundle(bundle(put(*path, value=value))), Envelope)
