"""Keys on a token: the real PKCS#11 through SoftHSM, in a token store of the test's own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from lamslsa.errors import FormatError, LamslsaError, UnavailableError
from lamslsa.sign import KeyVerifier, parse_bundle
from lamslsa.sign.pkcs11 import TokenSigner, open_token
from lamslsa.sign.pkcs11_uri import TokenAddress
from lamslsa.sign.sources import open_key

MODULE = next(
    (
        path
        for path in ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")
        if Path(path).is_file()
    ),
    "",
)
PIN = "fixture-pin-7261"
SETTINGS = {"LAMSLSA_PKCS11_PIN": PIN, "LAMSLSA_PKCS11_MODULE": MODULE}


def softhsm(*words: str, store: Path) -> None:
    environment = os.environ | {"SOFTHSM2_CONF": str(store / "softhsm2.conf")}
    subprocess.run(["softhsm2-util", *words], check=True, capture_output=True, env=environment)


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A token named ``release`` with the keys that the tests name; SoftHSM reads its configuration once a process."""
    if not MODULE or shutil.which("softhsm2-util") is None:
        message = "SoftHSM is not installed (Debian: softhsm2)"
        if os.environ.get("CI_REQUIRE_PEERS") == "1":
            pytest.fail(message)
        pytest.skip(message)
    store = tmp_path_factory.mktemp("softhsm")
    (store / "tokens").mkdir()
    (store / "softhsm2.conf").write_text(f"directories.tokendir = {store / 'tokens'}\nlog.level = ERROR\n")
    for label in ("release", "twin", "twin"):
        softhsm("--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "so-pin-7261", store=store)
    keys: list[tuple[str, str, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey]] = [
        ("signing", "01", ec.generate_private_key(ec.SECP256R1())),
        ("double", "02", ec.generate_private_key(ec.SECP256R1())),
        ("double", "03", ec.generate_private_key(ec.SECP256R1())),
        ("p384", "04", ec.generate_private_key(ec.SECP384R1())),
        ("rsa", "05", rsa.generate_private_key(65537, 2048)),
        ("lonely", "06", ec.generate_private_key(ec.SECP256R1())),
        ("swapped", "07", ec.generate_private_key(ec.SECP256R1())),
    ]
    for label, identifier, key in keys:
        path = store / f"{identifier}.pem"
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        words = ["--import", str(path), "--token", "release", "--label", label, "--id", identifier, "--pin", PIN]
        softhsm(*words, store=store)
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(store / "softhsm2.conf")
    change_public_objects()
    yield store
    import pkcs11

    pkcs11.lib(MODULE).finalize()
    if before is None:
        del os.environ["SOFTHSM2_CONF"]
    else:
        os.environ["SOFTHSM2_CONF"] = before


def change_public_objects() -> None:
    """Take the public key of ``lonely`` away, and give ``swapped`` that of ``signing``."""
    import pkcs11

    def public(session: pkcs11.Session, label: str) -> pkcs11.PublicKey:
        return session.get_key(object_class=pkcs11.ObjectClass.PUBLIC_KEY, label=label)  # type: ignore[return-value]  # by its class

    library = pkcs11.lib(MODULE)
    library.reinitialize()
    with library.get_token(token_label="release").open(rw=True, user_pin=PIN) as session:
        public(session, "lonely").destroy()
        public(session, "swapped").destroy()
        other = public(session, "signing")
        session.create_object(
            {
                pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PUBLIC_KEY,
                pkcs11.Attribute.KEY_TYPE: pkcs11.KeyType.EC,
                pkcs11.Attribute.EC_PARAMS: other[pkcs11.Attribute.EC_PARAMS],
                pkcs11.Attribute.EC_POINT: other[pkcs11.Attribute.EC_POINT],
                pkcs11.Attribute.LABEL: "swapped",
                pkcs11.Attribute.ID: b"\x07",
                pkcs11.Attribute.TOKEN: True,
            }
        )


def refusal(uri: str, **settings: str) -> LamslsaError:
    with pytest.raises(LamslsaError) as caught, open_token(uri, environment=SETTINGS | settings) as signer:
        signer.sign(b"{}")
    assert PIN not in str(caught.value) + str(caught.value.hint)
    return caught.value


@pytest.mark.parametrize("name", ["object=signing", "id=%01", "object=signing;id=%01;type=private"])
def test_a_token_signs_what_its_public_key_verifies(token: Path, name: str) -> None:
    with open_token(f"pkcs11:token=release;{name}", environment=SETTINGS) as signer:
        envelope = parse_bundle(signer.sign(b'{"a":1}'))
        assert signer.verifier().verify(envelope).key_id == signer.key_id
        assert KeyVerifier.load(signer.public_pem).key_id == signer.key_id == envelope.key_hint
        assert signer.identity == f"key {signer.key_id}"
        assert envelope.payload == b'{"a":1}'


def test_many_signatures_all_verify(token: Path) -> None:
    """r and s have leading zeros and high bits in turn."""
    with open_key("pkcs11:token=release;id=%01", passphrase=None, environment=SETTINGS) as signer:
        verifier = signer.verifier()
        for number in range(64):
            verifier.verify(parse_bundle(signer.sign(b"%d" % number)))


def test_settings_in_the_uri_go_before_those_of_the_environment(token: Path, tmp_path: Path) -> None:
    pin = tmp_path / "pin"
    pin.write_text(f"{PIN}\r\nother\n")
    wrong = {"LAMSLSA_PKCS11_PIN": "0000", "LAMSLSA_PKCS11_MODULE": "/nowhere.so"}
    for source in (f"file:{pin}", f"file://{pin}", str(pin)):
        uri = f"pkcs11:token=release;object=signing?module-path={MODULE}&pin-source={source}"
        with open_token(uri, environment=wrong) as signer:
            assert signer.sign(b"{}")


def test_sessions_follow_each_other(token: Path) -> None:
    for _ in range(2):
        with open_token("pkcs11:token=release;object=signing", environment=SETTINGS) as signer:
            assert signer.sign(b"{}")


@pytest.mark.parametrize(
    ("uri", "settings", "reason", "kind"),
    [
        ("pkcs11:token=release;object=signing", {"LAMSLSA_PKCS11_PIN": "0000"}, "pkcs11-pin", FormatError),
        ("pkcs11:token=release;object=signing", {"LAMSLSA_PKCS11_PIN": ""}, "pkcs11-pin-missing", FormatError),
        (
            "pkcs11:token=release;object=signing",
            {"LAMSLSA_PKCS11_MODULE": ""},
            "pkcs11-module-missing",
            UnavailableError,
        ),
        (
            "pkcs11:token=release;object=signing",
            {"LAMSLSA_PKCS11_MODULE": "/nowhere.so"},
            "pkcs11-module",
            UnavailableError,
        ),
        ("pkcs11:token=other;object=signing", {}, "pkcs11-token", UnavailableError),
        ("pkcs11:token=release;serial=0;object=signing", {}, "pkcs11-token", UnavailableError),
        ("pkcs11:token=twin;object=signing", {}, "pkcs11-ambiguous", FormatError),
        ("pkcs11:token=release;object=double", {}, "pkcs11-ambiguous", FormatError),
        ("pkcs11:token=release;object=absent", {}, "pkcs11-key", UnavailableError),
        ("pkcs11:token=release;object=signing;id=%02", {}, "pkcs11-key", UnavailableError),
        ("pkcs11:token=release;object=lonely", {}, "pkcs11-key", UnavailableError),
        ("pkcs11:token=release;object=p384", {}, "pkcs11-key-type", FormatError),
        ("pkcs11:token=release;object=rsa", {}, "pkcs11-key-type", FormatError),
        ("pkcs11:token=release;object=swapped", {}, "pkcs11-signature", UnavailableError),
    ],
)
def test_what_is_not_one_key_behind_its_pin_is_refused(
    token: Path, uri: str, settings: dict[str, str], reason: str, kind: type[LamslsaError]
) -> None:
    error = refusal(uri, **settings)
    assert (error.reason, type(error)) == (reason, kind)


def test_a_passphrase_is_no_pin() -> None:
    with (
        pytest.raises(FormatError) as caught,
        open_key("pkcs11:token=release;object=signing", passphrase=b"secret", environment=SETTINGS),
    ):
        pass
    assert caught.value.reason == "key-passphrase-token"


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("pkcs11:object=signing", "pkcs11-uri-incomplete"),
        ("pkcs11:token=release", "pkcs11-uri-incomplete"),
        ("pkcs11:token=;object=a", "pkcs11-uri-incomplete"),
        ("pkcs11:token=release;object=a;type=public", "pkcs11-uri-type"),
        ("pkcs11:token=release;object=a;slot-id=0", "pkcs11-uri-attribute"),
        ("pkcs11:token=release;object", "pkcs11-uri-attribute"),
        ("pkcs11:token=release;object=a?token=b", "pkcs11-uri-attribute"),
        ("pkcs11:token=release;object=a;pin-value=1234", "pkcs11-pin-value"),
        ("pkcs11:token=release;object=a?pin-value=1234", "pkcs11-pin-value"),
        ("pkcs11:token=release;object=a?pin-source=|cat%20/pin", "pkcs11-pin-source"),
        ("pkcs11:token=release;object=a?pin-source=https://example.test/pin", "pkcs11-pin-source"),
        ("pkcs11:token=release;object=a;object=b", "pkcs11-uri"),
        ("pkcs11:token=release;object=a%2", "pkcs11-uri"),
        ("pkcs11:token=release;object=%ff", "pkcs11-uri"),
        ("pkcs11:token=release;object=" + "a" * 4096, "pkcs11-uri"),
        ("PKCS11:token=release;object=a", "pkcs11-uri"),
    ],
)
def test_a_uri_that_names_no_single_key_is_refused(uri: str, reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        TokenAddress.parse(uri)
    assert caught.value.reason == reason
    assert "1234" not in str(caught.value)


def test_a_uri_is_decoded() -> None:
    address = TokenAddress.parse("pkcs11:token=my%20token;id=%00%FF;serial=12?module-path=/a%3Db.so&pin-source=file:/p")
    assert address == TokenAddress(token="my token", serial="12", key_id=b"\x00\xff", pin_file="/p", module="/a=b.so")


def test_a_signature_of_another_size_is_refused(token: Path) -> None:
    with open_token("pkcs11:token=release;object=signing", environment=SETTINGS) as signer:
        short = TokenSigner(key_id=signer.key_id, public_pem=signer.public_pem, _key=signer._key, _sign=lambda _: b"\0")
        with pytest.raises(UnavailableError) as caught:
            short.sign(b"{}")
    assert caught.value.reason == "pkcs11-signature"


def test_after_its_session_a_key_signs_nothing(token: Path) -> None:
    with open_token("pkcs11:token=release;object=signing", environment=SETTINGS) as signer:
        pass
    with pytest.raises(UnavailableError) as caught:
        signer.sign(b"{}")
    assert caught.value.reason == "pkcs11-sign"
