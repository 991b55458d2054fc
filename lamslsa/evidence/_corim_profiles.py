"""What the reference triples of a CoRIM say of a measurement, by profile.

A profile says what the measurement keys of a vendor mean. Two are read:

- AMD SEV-SNP, draft-deeglaze-amd-sev-snp-corim-profile: keys 2 (POLICY) and 5 (VMPL) as they stand in the report, 641
  (MEASUREMENT) and 642 (HOST_DATA). Key 1 (GUEST_SVN) is left out, since the host sets it.
- Intel, draft-cds-rats-intel-corim-profile: mrtee is MRENCLAVE where it is a SHA-256 and MRTD where it is a SHA-384;
  mrsigner, attributes, miscselect, isvsvn where it is a minimum. RTMR 0 to 3 of a TD are the integrity registers of
  these numbers (draft-ietf-rats-corim), since the profile has none of its own.

Two values for one part refuse. What has no place in a measurement is listed, so that nothing is passed over in silence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from lamslsa.errors import FormatError
from lamslsa.evidence._cbor import Tagged
from lamslsa.evidence.interface import Tee
from lamslsa.evidence.reference import Masked, Proposal

__all__ = ["propose"]

_SNP_PROFILES: Final = frozenset(
    {
        "tag:amd.com,2024:snp-corim-profile",
        "tag:amd.com,2025:snp-corim-profile",
        "http://amd.com/2024/snp-corim-profile",
    }
)
_INTEL_PROFILE: Final = bytes.fromhex("6086480186f84d011001")  # 2.16.840.1.113741.1.16.1
_SNP_CLASSES: Final = (
    Tagged(37, bytes.fromhex("d05e6d1b9f464ae2a610ce3e6ee7e153")),  # by chip
    Tagged(37, bytes.fromhex("89a7a1f0e7044faaacbd81c86df8a961")),  # by cloud provider
    Tagged(111, bytes.fromhex("2b060104019c780301")),  # 1.3.6.1.4.1.3704.3.1, by chip
    Tagged(111, bytes.fromhex("2b060104019c780302")),  # 1.3.6.1.4.1.3704.3.2, by cloud provider
)
_SHA256: Final = (1, "sha-256")
_SHA384: Final = (7, "sha-384")
_DIGESTS, _RAW, _RAW_MASK, _REGISTERS = 2, 4, 5, 14
_MRTEE: Final = -83
_POLICY_RESERVED_ONE: Final = 1 << 17
_MAX_VMPL: Final = 3

Triples = Sequence[tuple[Any, int | None, Mapping[Any, Any]]]


def propose(profile: str | bytes, triples: Triples, left_out: list[str]) -> Proposal:
    """What a CoRIM proposes.

    Args:
        profile: a URI, or the bytes of an object identifier.
        triples: class identifier of the environment, measurement key and measured values, of every measurement.
        left_out: what was left out so far.

    Raises:
        FormatError: another profile, a value that is none of its type, or two values for one part.
    """
    if profile in _SNP_PROFILES:
        return _Snp(left_out).read(triples)
    if profile == _INTEL_PROFILE:
        return _Intel(left_out).read(triples)
    shown = profile.hex() if isinstance(profile, bytes) else repr(profile[:120])
    raise FormatError(
        f"expected a CoRIM of the Intel or the AMD SEV-SNP profile, got profile {shown}",
        reason="corim-profile",
        hint="give the parts of the measurement with --launch or --part",
    )


class _Reader:
    """Collects the parts of one measurement."""

    tee: Tee

    def __init__(self, left_out: list[str]) -> None:
        self._parts: dict[str, bytes] = {}
        self._masks: dict[str, Masked] = {}
        self._svns: dict[str, int] = {}
        self._left_out = left_out

    def proposal(self) -> Proposal:
        return Proposal(
            tee=self.tee,
            parts={name: value.hex() for name, value in self._parts.items()},
            masks=self._masks,
            minimum_svns=self._svns,
            left_out=tuple(dict.fromkeys(self._left_out)),
        )

    def _put(self, name: str, value: bytes, mask: bytes | None = None) -> None:
        """A part, or with a mask that leaves bits open what it has to agree with."""
        if mask is None or not any(0xFF & ~byte for byte in mask):
            if name in self._masks or self._parts.setdefault(name, value) != value:
                raise _several(name)
        elif name in self._parts or self._masks.setdefault(name, Masked(value=value, mask=mask)) != Masked(
            value=value, mask=mask
        ):
            raise _several(name)

    def _minimum(self, name: str, value: Any) -> None:
        match value:
            case Tagged(553, int(least)) | Tagged(60010, [2, int(least)]) if type(least) is int and least >= 0:
                if self._svns.setdefault(name, least) != least:
                    raise _several(name)
            case _:
                self._left_out.append(f"{name}, which is no minimum")


class _Snp(_Reader):
    tee: Tee = "snp"

    def read(self, triples: Triples) -> Proposal:
        for class_id, key, values in triples:
            if class_id not in _SNP_CLASSES:
                raise FormatError(
                    "expected environments of AMD SEV-SNP in a CoRIM of its profile, got another class",
                    reason="corim-class",
                )
            used = self._take(key, values)
            self._left_out += [
                f"{'a measurement without key' if key is None else f'measurement {key}'}, value {item!r:.40}"
                for item in values
                if item not in used
            ]
        return self.proposal()

    def _take(self, key: int | None, values: Mapping[Any, Any]) -> tuple[int, ...]:
        """Take one measurement over, and say which of its values that used up."""
        match key:
            case 2:
                self._policy(*_raw(values, 8, "POLICY"))
            case 5:
                self._vmpl(*_raw(values, 4, "VMPL"))
            case 641:
                self._put("measurement", _one_digest(values.get(_DIGESTS), _SHA384, 48, "MEASUREMENT"))
                return (_DIGESTS,)
            case 642 if _DIGESTS in values:
                self._put("hostData", _one_digest(values[_DIGESTS], (*_SHA384, *_SHA256), 32, "HOST_DATA"))
                return (_DIGESTS,)
            case 642:
                self._put("hostData", *_raw(values, 32, "HOST_DATA"))
            case _:
                return ()
        return (_RAW, _RAW_MASK)

    def _policy(self, value: bytes, mask: bytes | None) -> None:
        """POLICY as it stands in the report, little-endian; some tools write it the other way round."""
        number = int.from_bytes(value, "little")
        if not number & _POLICY_RESERVED_ONE:
            raise FormatError(
                f"expected POLICY as it stands in the report, with bit 17 set, got {value.hex()}",
                reason="corim-policy",
                hint="its bytes seem to be in reverse order: give it with --part policy=HEX, as a big-endian number",
            )
        self._put("policy", value[::-1], None if mask is None else mask[::-1])

    def _vmpl(self, value: bytes, mask: bytes | None) -> None:
        if int.from_bytes(value, "little") > _MAX_VMPL:
            raise FormatError(
                f"expected a VMPL of 0 to {_MAX_VMPL} as it stands in the report, got {value.hex()}",
                reason="corim-vmpl",
            )
        self._put("vmpl", value[::-1], None if mask is None else mask[::-1])


class _Intel(_Reader):
    def read(self, triples: Triples) -> Proposal:
        measured = [(class_id, values[_MRTEE]) for class_id, key, values in triples if key is None and _MRTEE in values]
        if not measured:
            raise FormatError(
                "expected a measurement (mrtee) in a CoRIM of the Intel profile, got none",
                reason="corim-no-measurement",
                hint="give the parts of the measurement with --launch or --part",
            )
        target, value = measured[0]
        if any(class_id != target for class_id, _ in measured):
            raise _several("mrtee")
        self.tee = "sgx" if _digest(value, "mrtee")[0] in _SHA256 else "tdx"
        for class_id, key, values in triples:
            for item, value in values.items():
                if class_id == target and key is None:
                    self._take(item, value)
                else:
                    self._left_out.append(f"value {item!r:.40} of another environment or measurement")
        return self.proposal()

    def _take(self, item: Any, value: Any) -> None:
        sgx = self.tee == "sgx"
        match item:
            case -83:  # _MRTEE
                name, algorithms, size = ("mrEnclave", _SHA256, 32) if sgx else ("mrTd", _SHA384, 48)
                self._put(name, _one_digest(value, algorithms, size, "mrtee"))
            case -84 if sgx:
                self._put("mrSigner", _one_digest(value, _SHA256, 32, "mrsigner"))
            case -82:
                self._put("attributes" if sgx else "tdAttributes", *_masked(value, 16 if sgx else 8, "attributes"))
            case -81 if sgx:
                self._put("miscSelect", *_masked(value, 4, "miscselect"))
            case -73 if sgx:
                self._minimum("isvSvn", value)
            case 14 if not sgx:
                self._registers(value)
            case _:
                self._left_out.append(f"value {item!r:.40}")

    def _registers(self, registers: Any) -> None:
        for index, digests in _items(registers):
            if index in (0, 1, 2, 3):
                self._put(f"rtmr{index}", _one_digest(digests, _SHA384, 48, f"integrity register {index}"))
            else:
                self._left_out.append(f"integrity register {index!r:.40}")


def _items(value: Any) -> Iterator[tuple[Any, Any]]:
    if not isinstance(value, dict):
        raise _mistyped("a map of integrity registers")
    yield from value.items()


def _raw(values: Mapping[Any, Any], size: int, what: str) -> tuple[bytes, bytes | None]:
    """The raw value of a measurement, and its mask where it has one."""
    value, mask = _masked(values.get(_RAW), size, what)
    match values.get(_RAW_MASK):
        case None:
            return value, mask
        case bytes(old) | Tagged(560, bytes(old)) if len(old) == size and mask is None:
            return value, old
    raise _mistyped(f"one mask of {size} bytes for {what}")


def _masked(value: Any, size: int, what: str) -> tuple[bytes, bytes | None]:
    match value:
        case bytes(data) | Tagged(560, bytes(data)) if len(data) == size:
            return data, None
        case Tagged(563, [bytes(data), bytes(mask)]) | Tagged(60010, [1, bytes(data), bytes(mask)]) if (
            len(data) == len(mask) == size
        ):
            return data, mask
    raise _mistyped(f"{size} bytes as {what}")


def _digest(value: Any, what: str) -> tuple[Any, bytes]:
    """The one digest of a digest, of a set of them, or of an expression that asks for a member of a set."""
    match value:
        case (
            Tagged(60010 | 60020, [6, [[algorithm, bytes(data)]]])
            | [[algorithm, bytes(data)]]
            | [
                algorithm,
                bytes(data),
            ]
        ) if type(algorithm) in (int, str):
            return algorithm, data
    raise _mistyped(f"exactly one digest as {what}")


def _one_digest(value: Any, algorithms: Sequence[int | str], size: int, what: str) -> bytes:
    algorithm, data = _digest(value, what)
    if algorithm not in algorithms or len(data) != size:
        raise _mistyped(f"{size} bytes of {algorithms[1]} as {what}")
    return data


def _mistyped(expected: str) -> FormatError:
    return FormatError(f"expected {expected} in the CoRIM, got something else", reason="corim-value")


def _several(name: str) -> FormatError:
    return FormatError(
        f"expected one value for {name} in the CoRIM, got several",
        reason="corim-several",
        hint="a reference value names one measurement: import them one by one",
    )
