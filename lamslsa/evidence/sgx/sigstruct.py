"""SIGSTRUCT, the signature structure of an SGX enclave (``.sig``): its measurement without Gramine and without SGX.

Rules:
- Every byte is accounted for: fixed headers, reserved bytes that are zero, and the quotients q1 and q2 that EINIT reads
  beside the signature, so that a file with one flipped bit is refused wherever that bit is.
- The signature is under the enclave author's own key, whose hash is MRSIGNER. It says that the file is whole; whether
  the code is trusted is for whoever signs the reference value.
- The structure fixes only those bits of ATTRIBUTES and MISCSELECT that its masks cover. The processor reports the
  enclave as initialised (INIT), and the features (XFRM) of the bits left open are the host's choice.

Layout: Intel SDM vol. 3D, "Enclave Signature Structure (SIGSTRUCT)"; rules of EINIT in the same volume. Integers are
little-endian.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import struct
from dataclasses import dataclass
from typing import Final

from lamslsa.errors import FormatError, VerificationError
from lamslsa.evidence.reference import Masked, Proposal

__all__ = ["SIGSTRUCT_BYTES", "Sigstruct", "verify"]

SIGSTRUCT_BYTES: Final = 1808
# header, vendor, date, header 2, software defined, reserved, modulus, exponent, signature, miscselect and mask,
# CET attributes and mask, reserved, ISVFAMILYID, attributes and mask, MRENCLAVE, reserved, ISVEXTPRODID, ISVPRODID,
# ISVSVN, reserved, q1, q2
_LAYOUT: Final = struct.Struct("<16sII16sI84s384sI384s4s4sBB2s16s16s16s32s16s16sHH12s384s384s")
_HEADER: Final = bytes.fromhex("06000000e10000000000010000000000")
_HEADER2: Final = bytes.fromhex("01010000600000006000000001000000")
_VENDORS: Final = (0, 0x8086)
_KEY_BITS: Final = 3072
_EXPONENT: Final = 3
_SIGNED: Final = (slice(0, 128), slice(900, 1028))
_INIT: Final = 0x01
_DEBUG: Final = 0x02


@dataclass(frozen=True, slots=True, kw_only=True)
class Sigstruct:
    """What a SIGSTRUCT says of an enclave.

    Attributes:
        date: when it was signed, says whoever signed it; None where that is no date.
        mr_signer: SHA-256 of the key's modulus.
        attributes: 8 bytes of flags, then XFRM; only the bits in ``attributes_mask`` bind.
    """

    date: dt.date | None
    mr_enclave: bytes
    mr_signer: bytes
    misc_select: bytes
    misc_mask: bytes
    attributes: bytes
    attributes_mask: bytes
    isv_prod_id: int
    isv_svn: int

    @property
    def debug(self) -> bool:
        """Whether the enclave is signed to run open to a debugger on the host."""
        return bool(self.attributes[0] & _DEBUG)

    @property
    def open_bits(self) -> bytes:
        """The bits of ATTRIBUTES that the mask leaves to the host."""
        return bytes(0xFF & ~mask for mask in self.attributes_mask)

    def proposal(self) -> Proposal:
        """What the structure says of the measurement, for `Proposal.complete`.

        ATTRIBUTES and MISCSELECT default to the values in the structure, CONFIGID to zeros.

        Raises:
            FormatError: a debug enclave: no verifier takes its quotes.
        """
        if self.debug:
            raise FormatError(
                "expected an enclave for production, got one that is signed for debugging",
                reason="sigstruct-debug",
                hint="build it without debug: no verifier takes quotes of a debug enclave",
            )
        flags, mask = bytearray(self.attributes), bytearray(self.attributes_mask)
        flags[0] |= _INIT
        mask[0] |= _INIT | _DEBUG
        return Proposal(
            tee="sgx",
            parts={"mrEnclave": self.mr_enclave.hex(), "mrSigner": self.mr_signer.hex()},
            defaults={
                "attributes": flags.hex(),
                "miscSelect": self.misc_select.hex(),
                "configId": bytes(64).hex(),
            },
            masks={
                "attributes": Masked(value=bytes(flags), mask=bytes(mask)),
                "miscSelect": Masked(value=self.misc_select, mask=self.misc_mask),
            },
            minimum_svns={"isvSvn": self.isv_svn},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signature:
    """What makes a SIGSTRUCT whole."""

    modulus: int
    value: int
    quotients: tuple[int, int]
    signed: bytes


def _parse(data: bytes) -> tuple[Sigstruct, _Signature]:
    """Take a SIGSTRUCT apart; nothing about it is authentic yet."""
    if len(data) != SIGSTRUCT_BYTES:
        raise FormatError(f"expected {SIGSTRUCT_BYTES} bytes of SIGSTRUCT, got {len(data)}", reason="sigstruct-size")
    fields = _LAYOUT.unpack(data)
    header, vendor, date, header2, _, reserved1, modulus, exponent, signature, misc_select, misc_mask = fields[:11]
    _, _, reserved2, _, attributes, attributes_mask, mr_enclave, reserved3 = fields[11:19]
    _, isv_prod_id, isv_svn, reserved4, q1, q2 = fields[19:]
    if header != _HEADER or header2 != _HEADER2 or vendor not in _VENDORS:
        raise FormatError("expected the headers of a SIGSTRUCT, got other bytes", reason="sigstruct-header")
    if any(reserved1 + reserved2 + reserved3 + reserved4):
        raise FormatError(
            "expected zeros in the reserved bytes of a SIGSTRUCT, got others", reason="sigstruct-reserved"
        )
    key = int.from_bytes(modulus, "little")
    if exponent != _EXPONENT or key.bit_length() != _KEY_BITS or key % 2 == 0:
        raise FormatError(
            f"expected an RSA key of {_KEY_BITS} bits with exponent {_EXPONENT}, got another", reason="sigstruct-key"
        )
    stated = Sigstruct(
        date=_date(date),
        mr_enclave=mr_enclave,
        mr_signer=hashlib.sha256(modulus).digest(),
        misc_select=misc_select,
        misc_mask=misc_mask,
        attributes=attributes,
        attributes_mask=attributes_mask,
        isv_prod_id=isv_prod_id,
        isv_svn=isv_svn,
    )
    return stated, _Signature(
        modulus=key,
        value=int.from_bytes(signature, "little"),
        quotients=(int.from_bytes(q1, "little"), int.from_bytes(q2, "little")),
        signed=b"".join(data[part] for part in _SIGNED),
    )


def _date(number: int) -> dt.date | None:
    """The date, binary-coded as yyyymmdd."""
    text = f"{number:08x}"
    try:
        return dt.date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None


def verify(data: bytes) -> Sigstruct:
    """Take a SIGSTRUCT apart and see that it is whole, signed by the key that is in it.

    1. It has the right shape.
    2. The signature over header and body verifies: RSA PKCS#1 v1.5 with SHA-256.
    3. The quotients that EINIT reads are those of this signature and key.

    Raises:
        FormatError: not a SIGSTRUCT.
        VerificationError: the signature (evidence-sigstruct-signature) or a quotient (evidence-sigstruct-quotients) is
            of something else.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    stated, signature = _parse(data)  # (1)
    modulus, value = signature.modulus, signature.value
    try:
        key = rsa.RSAPublicNumbers(_EXPONENT, modulus).public_key()
        key.verify(value.to_bytes(_KEY_BITS // 8, "big"), signature.signed, padding.PKCS1v15(), hashes.SHA256())  # (2)
    except (InvalidSignature, ValueError) as err:
        raise VerificationError(
            "expected a SIGSTRUCT signed by the key in it, got a signature that does not verify",
            reason="evidence-sigstruct-signature",
            hint="the file was changed after gramine-sgx-sign wrote it",
        ) from err
    first = value * value // modulus
    if signature.quotients != (first, (value**3 - first * value * modulus) // modulus):  # (3)
        raise VerificationError(
            "expected the quotients q1 and q2 of this signature, got others", reason="evidence-sigstruct-quotients"
        )
    return stated
