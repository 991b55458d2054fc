"""Keys on a token or in a hardware security module, through PKCS#11: they sign there and never leave it.

Rules:
- The URI (RFC 7512, `pkcs11_uri`) names one token and one key on it: a token with two such keys, or two such tokens,
  is refused.
- The PIN comes from ``pin-source=file:…`` or the variable ``LAMSLSA_PKCS11_PIN``, the module from ``module-path`` or
  ``LAMSLSA_PKCS11_MODULE``.
- ECDSA over P-256 only, as with every other key here. The hash is made here and the token signs it (``CKM_ECDSA``),
  which every token can do.
- Every signature is verified under the token's public key before it is used: a public key object of another pair would
  otherwise show only at the relying party.

Spec: PKCS #11 v2.40, section 2.3.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lamslsa._files import open_regular
from lamslsa.errors import FormatError, LamslsaError, UnavailableError
from lamslsa.sign.dsse import make_bundle, pae
from lamslsa.sign.key import KeyVerifier
from lamslsa.sign.pkcs11_uri import TokenAddress
from lamslsa.statement import PAYLOAD_TYPE

__all__ = ["TokenSigner", "open_token"]

_MAX_PIN_BYTES: Final = 1024
_PREHASHED: Final = ec.ECDSA(utils.Prehashed(hashes.SHA256()))
_SIGNATURE_BYTES: Final = 64
_POINT_BYTES: Final = 65
_OCTET_STRING: Final = bytes([0x04, _POINT_BYTES])


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSigner:
    """Signs statements with a key on a token.

    Attributes:
        key_id: base64(SHA-256(DER SubjectPublicKeyInfo)).
        public_pem: what a policy names as this signer's key.
    """

    key_id: str
    public_pem: bytes
    _key: ec.EllipticCurvePublicKey = field(repr=False)
    _sign: Callable[[bytes], bytes] = field(repr=False)

    @property
    def identity(self) -> str:
        """Who signs, for people."""
        return f"key {self.key_id}"

    def verifier(self) -> KeyVerifier:
        """Knows this key: says whether a bundle is its own."""
        return KeyVerifier.load(self.public_pem)

    def sign(self, payload: bytes) -> bytes:
        """A Sigstore bundle v0.3 (JSON bytes) over the payload as in-toto statement.

        Raises:
            UnavailableError: the token does not sign, or signs with another key than its public one.
            FormatError: the bundle would be larger than a reader takes.
        """
        return make_bundle(payload, signature=self.sign_raw(payload), key_hint=self.key_id)

    def sign_raw(self, payload: bytes) -> bytes:
        """The bare signature over the payload as in-toto statement, ECDSA in DER.

        Raises:
            UnavailableError: the token does not sign, or signs with another key than its public one.
        """
        digest = hashlib.sha256(pae(PAYLOAD_TYPE, payload)).digest()
        raw = self._sign(digest)
        half = _SIGNATURE_BYTES // 2
        signature = utils.encode_dss_signature(int.from_bytes(raw[:half]), int.from_bytes(raw[half:]))
        try:
            self._key.verify(signature, digest, _PREHASHED)
        except InvalidSignature as err:
            raise UnavailableError(
                "expected a signature that verifies under the token's public key, got another one",
                reason="pkcs11-signature",
                hint="the public key object on the token belongs to another private key",
            ) from err
        return signature


@contextmanager
def open_token(uri: str, *, environment: Mapping[str, str]) -> Iterator[TokenSigner]:
    """The key that a URI names, for as long as the session with its token lasts.

    Raises:
        FormatError: no such URI, no single key on P-256 of that name, or another PIN.
        UnavailableError: the module or the token cannot be reached.
        ModuleNotFoundError: the package python-pkcs11 is not installed.
    """
    import pkcs11

    address = TokenAddress.parse(uri)
    pin = _pin(address, environment)
    path = address.module or environment.get("LAMSLSA_PKCS11_MODULE", "")
    if not path:
        raise UnavailableError(
            "expected the path of a PKCS#11 module, got none",
            reason="pkcs11-module-missing",
            hint="add ?module-path=/usr/lib/….so to the URI, or set LAMSLSA_PKCS11_MODULE",
        )
    with _translated(f"module {path[-80:]}", "pkcs11-module"):
        library = pkcs11.lib(path)
    with _translated(f"token {address.token[:80]}", "pkcs11-token"):
        token = library.get_token(token_label=address.token, **_serial(address))
        session = token.open(user_pin=pin)
    try:
        yield _signer(session, address)
    finally:
        with suppress(pkcs11.PKCS11Error):  # a token that was pulled out has closed it
            session.close()


def _serial(address: TokenAddress) -> dict[str, Any]:
    return {"token_serial": address.serial.encode("utf-8")} if address.serial else {}


def _signer(session: Any, address: TokenAddress) -> TokenSigner:
    import pkcs11

    with _translated(f"key on token {address.token[:80]}", "pkcs11-key"):
        named: dict[Any, Any] = {}
        if address.label:
            named[pkcs11.Attribute.LABEL] = address.label
        if address.key_id:
            named[pkcs11.Attribute.ID] = address.key_id
        private = _single(session, pkcs11.ObjectClass.PRIVATE_KEY, named)
        kind = private.key_type
        if kind != pkcs11.KeyType.EC:
            raise _other_key(str(getattr(kind, "name", kind)))
        identifier = private[pkcs11.Attribute.ID]
        pair = {pkcs11.Attribute.ID: identifier} if identifier else named
        point = _single(session, pkcs11.ObjectClass.PUBLIC_KEY, pair)[pkcs11.Attribute.EC_POINT]
    key = _public_key(point)
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def sign(digest: bytes) -> bytes:
        with _translated(f"token {address.token[:80]}", "pkcs11-sign"):
            raw: bytes = private.sign(digest, mechanism=pkcs11.Mechanism.ECDSA)
        if len(raw) != _SIGNATURE_BYTES:
            raise UnavailableError(
                f"expected {_SIGNATURE_BYTES} bytes of signature from the token, got {len(raw)}",
                reason="pkcs11-signature",
            )
        return raw

    return TokenSigner(key_id=KeyVerifier.load(pem).key_id, public_pem=pem, _key=key, _sign=sign)


def _single(session: Any, kind: Any, named: Mapping[Any, Any]) -> Any:
    """The one object of a kind; listed to its end, since a search that is left open outlives its session."""
    import pkcs11

    found = list(session.get_objects({pkcs11.Attribute.CLASS: kind, **named}))
    if not found:
        raise pkcs11.NoSuchKey
    if len(found) > 1:
        raise pkcs11.MultipleObjectsReturned
    return found[0]


def _public_key(point: bytes) -> ec.EllipticCurvePublicKey:
    """CKA_EC_POINT is a DER OCTET STRING with the point, PKCS #11 v2.40 section 2.3.3; some tokens leave that out."""
    if len(point) == _POINT_BYTES + 2 and point.startswith(_OCTET_STRING):
        point = point[2:]
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError as err:
        raise _other_key("a point on another curve") from err


def _other_key(got: str) -> FormatError:
    return FormatError(f"expected an ECDSA key on P-256 on the token, got {got}", reason="pkcs11-key-type")


def _pin(address: TokenAddress, environment: Mapping[str, str]) -> str:
    if address.pin_file:
        with open_regular(Path(address.pin_file), what="PIN") as file:
            data = file.read(_MAX_PIN_BYTES)
        pin = data.split(b"\n", 1)[0].removesuffix(b"\r").decode("utf-8", "replace")
    else:
        pin = environment.get("LAMSLSA_PKCS11_PIN", "")
    if not pin:
        raise FormatError(
            "expected a PIN for the token, got none",
            reason="pkcs11-pin-missing",
            hint="add pin-source=file:/run/pin to the URI, or set LAMSLSA_PKCS11_PIN",
        )
    return pin


@contextmanager
def _translated(what: str, reason: str) -> Iterator[None]:
    """Errors of python-pkcs11 into ours; they name a return code and nothing secret, and often have no text at all."""
    import pkcs11

    try:
        yield
    except LamslsaError:
        raise
    except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange) as err:
        raise FormatError(
            f"expected the PIN of the {what}, got another one",
            reason="pkcs11-pin",
            hint="tokens lock themselves after a few wrong PINs",
        ) from err
    except (pkcs11.MultipleTokensReturned, pkcs11.MultipleObjectsReturned) as err:
        raise FormatError(
            f"expected one {what} of that name, got several",
            reason="pkcs11-ambiguous",
            hint="add serial=… for the token or id=… for the key",
        ) from err
    except (pkcs11.NoSuchToken, pkcs11.NoSuchKey) as err:
        raise UnavailableError(
            f"expected the {what}, got none of that name, or no public key beside the private one",
            reason=reason,
            hint="list what is there with: pkcs11-tool --module MODULE --list-objects",
        ) from err
    except (pkcs11.PKCS11Error, RuntimeError, OSError) as err:
        raise UnavailableError(f"expected the {what} to answer, got {type(err).__name__}", reason=reason) from err
