"""CoRIM import: what a profile defines comes in, what it does not is listed, and two answers refuse."""

from __future__ import annotations

import datetime as dt
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from lamslsa.errors import FormatError, LamslsaError, VerificationError
from lamslsa.evidence.corim import MAX_CORIM_BYTES, Corim, read

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
EPOCH = int(NOW.timestamp())
Tag = cbor2.CBORTag

SNP = Tag(32, "tag:amd.com,2024:snp-corim-profile")
INTEL = Tag(111, bytes.fromhex("6086480186f84d011001"))
BY_CHIP = Tag(111, bytes.fromhex("2b060104019c780301"))
ENCLAVE = Tag(111, bytes.fromhex("6086480186f84d0102030501"))
LAUNCH, HOST_DATA = b"\x41" * 48, b"\x42" * 32
POLICY, VMPL = (0x30000).to_bytes(8, "little"), bytes(4)
SNP_VALUES: dict[Any, Any] = {
    2: {4: Tag(560, POLICY)},
    5: {4: Tag(560, VMPL)},
    641: {2: [[7, LAUNCH]]},
    642: {4: Tag(560, HOST_DATA)},
}
SNP_PARTS = {"policy": "0000000000030000", "vmpl": "00" * 4, "measurement": "41" * 48, "hostData": "42" * 32}
SGX_VALUES: dict[Any, Any] = {
    -83: [[1, b"\x11" * 32]],
    -84: [1, b"\x22" * 32],
    -82: bytes.fromhex("0500000000000000e700000000000000"),
    -81: Tag(560, bytes(4)),
    -73: Tag(60010, [2, 3]),
}
TDX_VALUES: dict[Any, Any] = {
    -83: [7, b"\x11" * 48],
    -82: Tag(563, [bytes(8), b"\xff" * 8]),
    14: {number: [[7, bytes([number]) * 48]] for number in range(4)},
}


def triple(values: Any, *, key: Any = None, environment: Any = None) -> list[Any]:
    measurement = {1: values} if key is None else {0: key, 1: values}
    return [{0: {0: ENCLAVE}} if environment is None else environment, [measurement]]


def snp(values: dict[Any, Any] | None = None, *, environment: Any = None) -> list[Any]:
    measurements = [{0: key, 1: value} for key, value in (SNP_VALUES | (values or {})).items()]
    return [[{0: {0: BY_CHIP}} if environment is None else environment, measurements]]


def comid(triples: Any, **fields: Any) -> Any:
    return Tag(506, cbor2.dumps({1: {0: "an id"}, 4: {0: triples}} | {int(key[1:]): fields[key] for key in fields}))


def corim(profile: Any, *tags: Any, more: dict[Any, Any] | None = None) -> Any:
    return Tag(501, {0: "a corim", 1: list(tags), 3: profile} | (more or {}))


def take(document: Any, *, key: bytes | None = None, at: dt.datetime = NOW) -> Corim:
    return read(document if isinstance(document, bytes) else cbor2.dumps(document), key=key, at=at)


def refusal(document: Any, *, key: bytes | None = None, at: dt.datetime = NOW) -> str:
    with pytest.raises(LamslsaError) as caught:
        take(document, key=key, at=at)
    expected = VerificationError if caught.value.reason.startswith("evidence-") else FormatError
    assert type(caught.value) is expected
    return caught.value.reason


def test_snp() -> None:
    found = take(corim(SNP, comid(snp())))
    assert found.signature == "none"
    assert found.proposal.tee == "snp"
    assert found.proposal.complete({}).parts == SNP_PARTS
    assert not found.proposal.left_out
    assert not found.proposal.minimum_svns


@pytest.mark.parametrize(
    "profile",
    [
        SNP,
        [SNP],
        Tag(32, "tag:amd.com,2025:snp-corim-profile"),
        Tag(32, "http://amd.com/2024/snp-corim-profile"),
    ],
)
def test_snp_profiles(profile: Any) -> None:
    assert take(corim(profile, comid(snp()))).proposal.parts == SNP_PARTS


@pytest.mark.parametrize(
    "class_id",
    [
        "d82550d05e6d1b9f464ae2a610ce3e6ee7e153",
        "d8255089a7a1f0e7044faaacbd81c86df8a961",
        "d86f492b060104019c780302",
    ],
)
def test_snp_classes(class_id: str) -> None:
    inner = cbor2.dumps({1: {0: "an id"}, 4: {0: snp(environment={0: {0: "CLASS"}})}})
    changed = inner.replace(cbor2.dumps("CLASS"), bytes.fromhex(class_id))
    assert take(corim(SNP, Tag(506, changed))).proposal.parts == SNP_PARTS


@pytest.mark.parametrize("class_id", [ENCLAVE, Tag(111, BY_CHIP.value[:-1]), Tag(560, BY_CHIP.value), BY_CHIP.value])
def test_snp_of_another_class(class_id: Any) -> None:
    assert refusal(corim(SNP, comid(snp(environment={0: {0: class_id}})))) == "corim-class"
    assert refusal(corim(SNP, comid(snp(environment={0: {1: "AMD"}})))) == "corim-class"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (642, {2: [[7, HOST_DATA]]}),
        (642, {2: [["sha-256", HOST_DATA]]}),
        (641, {2: [["sha-384", LAUNCH]]}),
        (641, {2: [7, LAUNCH]}),
        (2, {4: POLICY}),
        (2, {4: Tag(560, POLICY), 5: b"\xff" * 8}),
        (2, {4: Tag(560, POLICY), 5: Tag(560, b"\xff" * 8)}),
        (2, {4: Tag(563, [POLICY, b"\xff" * 8])}),
    ],
)
def test_snp_spellings(key: int, value: Any) -> None:
    assert take(corim(SNP, comid(snp({key: value})))).proposal.complete({}).parts == SNP_PARTS


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (2, {4: Tag(560, POLICY[::-1])}, "corim-policy"),
        (2, {4: Tag(560, POLICY[:-1])}, "corim-value"),
        (2, {4: "text"}, "corim-value"),
        (2, {2: [[7, LAUNCH]]}, "corim-value"),
        (2, {4: Tag(563, [POLICY, b"\xff" * 7])}, "corim-value"),
        (2, {4: Tag(563, [POLICY, b"\xff" * 8]), 5: b"\xff" * 8}, "corim-value"),
        (2, {4: Tag(560, POLICY), 5: b"\xff" * 7}, "corim-value"),
        (5, {4: Tag(560, b"\0\0\0\1")}, "corim-vmpl"),
        (5, {4: Tag(560, b"\4\0\0\0")}, "corim-vmpl"),
        (5, {4: 0}, "corim-value"),
        (641, {2: [[1, LAUNCH]]}, "corim-value"),
        (641, {2: [[7, LAUNCH[:-1]]]}, "corim-value"),
        (641, {2: [[True, LAUNCH]]}, "corim-value"),
        (641, {2: [[7, LAUNCH], [7, LAUNCH]]}, "corim-value"),
        (641, {2: []}, "corim-value"),
        (641, {4: Tag(560, LAUNCH)}, "corim-value"),
        (642, {2: [[7, LAUNCH]]}, "corim-value"),
        (642, {2: [[8, HOST_DATA]]}, "corim-value"),
        (642, {4: Tag(560, LAUNCH)}, "corim-value"),
    ],
)
def test_snp_values_of_another_type(key: int, value: Any, reason: str) -> None:
    assert refusal(corim(SNP, comid(snp({key: value})))) == reason


def test_snp_vmpl_is_a_number() -> None:
    assert take(corim(SNP, comid(snp({5: {4: Tag(560, b"\3\0\0\0")}})))).proposal.parts["vmpl"] == "00000003"


def test_what_is_missing_comes_from_elsewhere_and_agrees_with_the_mask() -> None:
    values = {2: {4: Tag(563, [POLICY, bytes.fromhex("0000ffffffffffff")])}}
    proposal = take(corim(SNP, comid(snp(values)))).proposal
    with pytest.raises(FormatError, match=r"got none for policy$"):
        proposal.complete({})
    assert proposal.complete({"policy": "000000000003011f"}).parts["policy"] == "000000000003011f"
    with pytest.raises(FormatError) as caught:
        proposal.complete({"policy": "000000000002011f"})
    assert caught.value.reason == "measurement-part-mask"


@pytest.mark.parametrize(
    ("value", "minimum"),
    [
        (Tag(553, 4), {"isvSvn": 4}),
        (Tag(60010, [2, 4]), {"isvSvn": 4}),
        (Tag(60010, [2, 0]), {"isvSvn": 0}),
        (Tag(552, 4), {}),
        (4, {}),
        (Tag(553, True), {}),
        (Tag(553, -1), {}),
    ],
)
def test_minimums(value: Any, minimum: dict[str, int]) -> None:
    proposal = take(corim(INTEL, comid([triple(SGX_VALUES | {-73: value})]))).proposal
    left_out = () if minimum else ("isvSvn, which is no minimum",)
    assert (proposal.minimum_svns, proposal.left_out) == (minimum, left_out)


def test_no_minimum_of_what_the_host_sets() -> None:
    proposal = take(corim(SNP, comid(snp({1: {1: Tag(553, 4)}})))).proposal
    assert (proposal.minimum_svns, proposal.left_out) == ({}, ("measurement 1, value 1",))


def test_what_has_no_place_is_listed() -> None:
    environment = {0: {0: BY_CHIP, 2: "Milan"}, 1: Tag(560, bytes(64)), 2: Tag(37, bytes(16))}
    values = {6: {1: Tag(552, 1)}, 641: {2: [[7, LAUNCH]], 11: "a name"}}
    triples = snp(values, environment=environment)
    triples[0][1] += [{1: {3: {0: True}}}, {0: "text", 1: {4: b""}}, {0: 7, 1: {4: b""}, 2: [b"key"]}]
    document = corim(
        SNP,
        Tag(506, cbor2.dumps({1: {0: "an id"}, 3: [{}], 4: {0: triples, 1: [], 3: [], 99: []}})),
        Tag(505, b""),
        more={2: [], 5: []},
    )
    assert set(take(document).proposal.left_out) == {
        "RIMs that it depends on",
        "links to other tags",
        "endorsed values",
        "attestation keys",
        "triples of kind 99",
        "a document with tag 505",
        "the environment's instance",
        "the environment's group",
        "the environment's model",
        "who may sign a measurement",
        "measurements whose key is no number",
        "a measurement without key, value 3",
        "measurement 6, value 1",
        "measurement 7, value 4",
        "measurement 641, value 11",
    }


def test_several_measurements() -> None:
    same = take(corim(SNP, comid(snp()), comid(snp())))
    assert same.proposal.parts == SNP_PARTS
    for values in ({641: {2: [[7, HOST_DATA + bytes(16)]]}}, {2: {4: Tag(563, [POLICY, bytes(8)])}}):
        assert refusal(corim(SNP, comid(snp()), comid(snp(values)))) == "corim-several"
        assert refusal(corim(SNP, comid(snp(values)), comid(snp()))) == "corim-several"
    masked = [comid(snp({2: {4: Tag(563, [POLICY, bytes(7) + mask])}})) for mask in (b"\0", b"\1")]
    assert take(corim(SNP, masked[0], masked[0]))
    assert refusal(corim(SNP, *masked)) == "corim-several"
    svns = [comid([triple(SGX_VALUES | {-73: Tag(553, number)})]) for number in (1, 2)]
    assert take(corim(INTEL, svns[0], svns[0]))
    assert refusal(corim(INTEL, *svns)) == "corim-several"


def test_sgx() -> None:
    proposal = take(corim(INTEL, comid([triple(SGX_VALUES)]))).proposal
    assert proposal.tee == "sgx"
    assert proposal.minimum_svns == {"isvSvn": 3}
    assert proposal.complete({"configId": "00" * 64}).parts == {
        "mrEnclave": "11" * 32,
        "mrSigner": "22" * 32,
        "attributes": "0500000000000000e700000000000000",
        "miscSelect": "00" * 4,
        "configId": "00" * 64,
    }
    with pytest.raises(FormatError, match=r"got none for configId$"):
        proposal.complete({})


def test_tdx() -> None:
    proposal = take(corim([INTEL], comid([triple(TDX_VALUES)]))).proposal
    assert proposal.tee == "tdx"
    given_ = {"mrConfigId": "00" * 48, "xfam": "e702060000000000"}
    assert proposal.complete(given_).parts == {
        "mrTd": "11" * 48,
        **{f"rtmr{number}": f"0{number}" * 48 for number in range(4)},
        "tdAttributes": "00" * 8,
        **given_,
    }
    with pytest.raises(FormatError, match=r"got none for mrConfigId, xfam$"):
        proposal.complete({})


@pytest.mark.parametrize(
    "mrtee",
    [
        [1, b"\x11" * 32],
        [["sha-256", b"\x11" * 32]],
        Tag(60020, [6, [[1, b"\x11" * 32]]]),
        Tag(60010, [6, [[1, b"\x11" * 32]]]),
    ],
)
def test_intel_digests(mrtee: Any) -> None:
    proposal = take(corim(INTEL, comid([triple({-83: mrtee})]))).proposal
    assert (proposal.tee, proposal.parts) == ("sgx", {"mrEnclave": "11" * 32})


@pytest.mark.parametrize(
    "values",
    [
        {-83: Tag(60020, [7, [[1, b"\x11" * 32]]])},
        {-83: Tag(60020, [6, [[1, b"\x11" * 32], [1, b"\x12" * 32]]])},
        {-83: Tag(60021, [6, [[1, b"\x11" * 32]]])},
        {-83: []},
        {-83: b"\x11" * 32},
        {-83: [8, b"\x11" * 64]},
        {-83: [1, b"\x11" * 48]},
        {-83: [7, b"\x11" * 32]},
        {-84: [7, b"\x11" * 32]},
        {-84: [1, b"\x11" * 31]},
        {-82: bytes(8)},
        {-82: Tag(60010, [2, bytes(16), bytes(16)])},
        {-81: bytes(5)},
    ],
)
def test_intel_values_of_another_type(values: Any) -> None:
    assert refusal(corim(INTEL, comid([triple(SGX_VALUES | values)]))) == "corim-value"


@pytest.mark.parametrize(
    "values",
    [
        {-82: bytes(16)},
        {14: []},
        {14: {0: []}},
        {14: {3: [[1, bytes(32)]]}},
        {14: {0: [[7, bytes(48)], [7, bytes(48)]]}},
    ],
)
def test_td_values_of_another_type(values: Any) -> None:
    assert refusal(corim(INTEL, comid([triple(TDX_VALUES | values)]))) == "corim-value"


def test_intel_values_that_have_no_place() -> None:
    others = {-85: 7, -88: ["UpToDate"], 14: {0: [[1, bytes(32)]]}, -73: Tag(552, 3)}
    sgx = take(corim(INTEL, comid([triple(SGX_VALUES | others)]))).proposal
    assert set(sgx.left_out) == {"value -85", "value -88", "value 14", "isvSvn, which is no minimum"}
    others = {-84: [1, bytes(32)], -81: bytes(4), -73: 1, 14: {4: [[7, bytes(48)]], "rtmr0": [[7, bytes(48)]]}}
    tdx = take(corim(INTEL, comid([triple(TDX_VALUES | others)]))).proposal
    assert set(tdx.left_out) == {
        *("value -84", "value -81", "value -73", "integrity register 4", "integrity register 'rtmr0'")
    }


def test_intel_values_of_one_environment_belong_together() -> None:
    split = [triple({-83: SGX_VALUES[-83]}), triple({-84: SGX_VALUES[-84]})]
    assert set(take(corim(INTEL, comid(split))).proposal.parts) == {"mrEnclave", "mrSigner"}
    other = {0: {0: Tag(111, b"\x2a")}}
    beside = [triple({-83: SGX_VALUES[-83]}), triple({-84: SGX_VALUES[-84]}, environment=other)]
    found = take(corim(INTEL, comid(beside))).proposal
    assert set(found.parts) == {"mrEnclave"}
    assert found.left_out == ("value -84 of another environment or measurement",)
    keyed = [triple({-83: SGX_VALUES[-83]}), triple({-84: SGX_VALUES[-84]}, key=84)]
    assert set(take(corim(INTEL, comid(keyed))).proposal.parts) == {"mrEnclave"}
    twice = [triple(SGX_VALUES), triple(SGX_VALUES, environment=other)]
    assert refusal(corim(INTEL, comid(twice))) == "corim-several"


def test_intel_without_a_measurement() -> None:
    for triples in ([triple({-84: SGX_VALUES[-84]})], [triple(SGX_VALUES, key=83)], []):
        assert refusal(corim(INTEL, comid(triples))) == "corim-no-measurement"


@pytest.mark.parametrize(
    "profile",
    [Tag(32, "http://amd.com/please-permalink-me"), Tag(32, "https://example.com"), Tag(111, b"\x2a"), Tag(111, b"")],
)
def test_other_profiles(profile: Any) -> None:
    assert refusal(corim(profile, comid(snp()))) == "corim-profile"


INNER = {1: {0: "an id"}, 4: {0: snp()}}


@pytest.mark.parametrize(
    "document",
    [
        1,
        {},
        Tag(500, {}),
        Tag(506, b""),
        Tag(501, []),
        Tag(501, {0: "id", 1: []}),
        Tag(501, {1: [], 3: SNP}),
        Tag(501, {0: "id", 3: SNP}),
        corim(SNP, more={6: 0}),
        corim(SNP, more={"x": 0}),
        corim(SNP, more={1: {}}),
        corim("tag:amd.com,2024:snp-corim-profile"),
        corim([SNP, SNP]),
        corim([]),
        corim(Tag(111, "x")),
        corim(SNP, 1),
        corim(SNP, {}),
        corim(SNP, Tag(506, [])),
        corim(SNP, Tag(506, "x")),
        corim(SNP, Tag(506, {4: {}})),
        corim(SNP, Tag(506, {1: {}})),
        corim(SNP, Tag(506, INNER | {5: 0})),
        corim(SNP, Tag(506, INNER | {4: []})),
        corim(SNP, Tag(506, INNER | {4: {0: {}}})),
        corim(SNP, comid([{}])),
        corim(SNP, comid([[{}]])),
        corim(SNP, comid([[{}, {}]])),
        corim(SNP, comid([[[], []]])),
        corim(SNP, comid([[{3: 0}, []]])),
        corim(SNP, comid([[{0: []}, []]])),
        corim(SNP, comid([[{0: {5: 0}}, []]])),
        corim(SNP, comid([[{0: {0: BY_CHIP}}, [[]]]])),
        corim(SNP, comid([[{0: {0: BY_CHIP}}, [{}]]])),
        corim(SNP, comid([[{0: {0: BY_CHIP}}, [{1: {}}]]])),
        corim(SNP, comid([[{0: {0: BY_CHIP}}, [{1: []}]]])),
        corim(SNP, comid([[{0: {0: BY_CHIP}}, [{1: {4: b""}, 3: 0}]]])),
    ],
)
def test_what_is_no_corim(document: Any) -> None:
    assert refusal(document) == "corim-value"


def test_tags_of_older_drafts() -> None:
    inside = Tag(506, INNER)
    for document in (
        corim(SNP, inside),
        corim(SNP, cbor2.dumps(inside)),
        Tag(500, corim(SNP, inside)),
        Tag(500, Tag(502, signed(corim(SNP, inside)))),
    ):
        assert take(document).proposal.parts == SNP_PARTS


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "cbor-truncated"),
        (cbor2.dumps(corim(SNP, comid(snp()))) + b"\0", "cbor-trailing"),
        (cbor2.dumps(corim(SNP, Tag(506, cbor2.dumps(INNER) + b"\0"))), "cbor-trailing"),
        (cbor2.dumps(corim(SNP, b"\xd9\x01\xfa\x40\0")), "cbor-trailing"),
        (b"\xd9\x01\xf5\xbf\xff", "cbor-indefinite"),
        (b"\0" * (MAX_CORIM_BYTES + 1), "cbor-size"),
    ],
)
def test_strict_cbor(data: bytes, reason: str) -> None:
    assert refusal(data) == reason


@given(data=st.binary(max_size=120))
def test_any_bytes(data: bytes) -> None:
    for document in (data, b"\xd9\x01\xf5" + data, b"\xd2\x84" + data):
        with pytest.raises(LamslsaError):
            read(document, key=None, at=NOW)


WHOLE = cbor2.dumps(corim(SNP, comid(snp())))


@given(at=st.integers(0, len(WHOLE) - 1), bit=st.integers(0, 7))
def test_any_bit(at: int, bit: int) -> None:
    changed = WHOLE[:at] + bytes([WHOLE[at] ^ 1 << bit]) + WHOLE[at + 1 :]
    try:
        read(changed, key=None, at=NOW)
    except LamslsaError:
        return


@pytest.mark.parametrize("at", [NOW, NOW + dt.timedelta(days=1), NOW - dt.timedelta(days=1)])
def test_validity(at: dt.datetime) -> None:
    def window(**bounds: int) -> Any:
        names = {"after": 0, "until": 1}
        return corim(SNP, comid(snp()), more={4: {names[key]: Tag(1, value) for key, value in bounds.items()}})

    now = int(at.timestamp())
    encoded = {
        name: cbor2.dumps(window(**bounds))
        for name, bounds in {
            "both": {"after": now, "until": now},
            "until": {"until": now},
            "early": {"after": now + 1, "until": now + 9},
            "late": {"after": now - 9, "until": now - 1},
            "late alone": {"until": now - 1},
        }.items()
    }
    for name in ("both", "until"):
        assert take(encoded[name], at=at).proposal.parts == SNP_PARTS
    for name in ("early", "late", "late alone"):
        assert refusal(encoded[name], at=at) == "evidence-corim-window"


@pytest.mark.parametrize(
    "validity", [[], {2: Tag(1, 0)}, {1: 5}, {1: Tag(0, "2026-11-22T00:00:00Z")}, {1: Tag(1, "x")}]
)
def test_validity_of_another_type(validity: Any) -> None:
    assert refusal(corim(SNP, comid(snp()), more={4: validity})) == "corim-value"


def test_a_time_has_a_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        read(WHOLE, key=None, at=NOW.replace(tzinfo=None))


KEYS = {-7: ec.generate_private_key(ec.SECP256R1()), -35: ec.generate_private_key(ec.SECP384R1())}


def public(key: Any) -> bytes:
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


def signed(
    document: Any,
    *,
    algorithm: int = -7,
    key: ec.EllipticCurvePrivateKey | None = None,
    header: dict[Any, Any] | None = None,
    context: str = "Signature1",
) -> Any:
    signer = key or KEYS[algorithm]
    protected = cbor2.dumps({1: algorithm, 3: "application/rim+cbor"} | (header or {}))
    payload = cbor2.dumps(document)
    digest = hashes.SHA384() if signer.curve.key_size == 384 else hashes.SHA256()
    der = signer.sign(cbor2.dumps([context, protected, b"", payload]), ec.ECDSA(digest))
    size = signer.curve.key_size // 8
    raw = b"".join(number.to_bytes(size, "big") for number in utils.decode_dss_signature(der))
    return Tag(18, [protected, {}, payload, raw])


@pytest.mark.parametrize("algorithm", [-7, -35])
def test_a_signature(algorithm: int) -> None:
    document = signed(corim(SNP, comid(snp())), algorithm=algorithm)
    found = take(document, key=public(KEYS[algorithm]))
    assert (found.signature, found.proposal.parts) == ("verified", SNP_PARTS)
    assert take(document).signature == "not verified"


def test_a_signature_has_to_be_there() -> None:
    assert refusal(WHOLE, key=public(KEYS[-7])) == "evidence-corim-unsigned"


def test_another_signature() -> None:
    document = corim(SNP, comid(snp()))
    good = signed(document)
    pem = public(KEYS[-7])
    protected, unprotected, payload, raw = good.value
    other = cbor2.dumps(corim(SNP, comid(snp({5: {4: Tag(560, b"\1\0\0\0")}}))))
    forged = [
        signed(document, key=ec.generate_private_key(ec.SECP256R1())),
        signed(document, context="Signature"),
        signed(document, algorithm=-7, header={1: -35}),
        signed(document, algorithm=-7, header={1: True}),
        Tag(18, [protected, unprotected, other, raw]),
        Tag(18, [cbor2.dumps({1: -7, 3: "application/corim-unsigned+cbor"}), unprotected, payload, raw]),
        Tag(18, [cbor2.dumps({3: "application/rim+cbor"}), {1: -7}, payload, raw]),
        Tag(18, [protected, unprotected, payload, raw[:-1]]),
        Tag(18, [protected, unprotected, payload, raw + b"\0"]),
        Tag(18, [protected, unprotected, payload, b""]),
        Tag(18, [protected, unprotected, payload, bytes(64)]),
        Tag(18, [protected, unprotected, payload, bytes([raw[0] ^ 1]) + raw[1:]]),
    ]
    for item in forged:
        assert refusal(item, key=pem) == "evidence-corim-signature"
    assert refusal(good, key=public(KEYS[-35])) == "evidence-corim-signature"


def test_what_is_no_cose_sign1() -> None:
    protected, unprotected, payload, raw = signed(corim(SNP, comid(snp()))).value
    values: tuple[Any, ...] = (
        [],
        {},
        [protected, unprotected, payload],
        [protected, unprotected, None, raw],
        [protected, [], payload, raw],
        [{}, unprotected, payload, raw],
        [cbor2.dumps([]), unprotected, payload, raw],
        [cbor2.dumps({1: -7}), unprotected, payload, raw],
        [cbor2.dumps({1: -7, 3: "text/plain"}), unprotected, payload, raw],
        [cbor2.dumps({1: -7, 3: "application/rim+cbor", 2: [3]}), unprotected, payload, raw],
        [protected, unprotected, cbor2.dumps({}), raw],
    )
    for value in values:
        assert refusal(Tag(18, value)) == "corim-value"
    assert refusal(Tag(18, [protected, unprotected, payload + b"\0", raw])) == "cbor-trailing"
    assert refusal(Tag(18, [protected + b"\0", unprotected, payload, raw])) == "cbor-trailing"
    assert refusal(signed(signed(corim(SNP, comid(snp()))))) == "corim-value"


@pytest.mark.parametrize(
    "header",
    [
        {8: cbor2.dumps({0: {0: "signer"}, 1: {1: Tag(1, EPOCH)}})},
        {8: cbor2.dumps({0: {0: "signer"}})},
        {15: {4: EPOCH, 5: EPOCH, 1: "issuer"}},
        {15: {}},
    ],
)
def test_the_signature_is_valid_now(header: dict[Any, Any]) -> None:
    assert take(signed(corim(SNP, comid(snp())), header=header)).proposal.parts == SNP_PARTS


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({8: cbor2.dumps({0: {0: "signer"}, 1: {1: Tag(1, EPOCH - 1)}})}, "evidence-corim-window"),
        ({8: cbor2.dumps({0: {}, 1: {0: Tag(1, EPOCH + 1), 1: Tag(1, EPOCH + 2)}})}, "evidence-corim-window"),
        ({15: {4: EPOCH - 1}}, "evidence-corim-window"),
        ({15: {5: EPOCH + 1}}, "evidence-corim-window"),
        ({8: {}}, "corim-value"),
        ({8: cbor2.dumps({})}, "corim-value"),
        ({8: cbor2.dumps({0: {}, 2: 0})}, "corim-value"),
        ({8: cbor2.dumps({0: {}}) + b"\0"}, "cbor-trailing"),
        ({15: []}, "corim-value"),
        ({15: {4: "x"}}, "corim-value"),
    ],
)
def test_the_signature_is_not_valid_now(header: dict[Any, Any], reason: str) -> None:
    document = signed(corim(SNP, comid(snp())), header=header)
    assert refusal(document) == reason
    assert refusal(document, key=public(KEYS[-7])) == reason


def test_keys() -> None:
    document = signed(corim(SNP, comid(snp())))
    other_curve = public(ec.generate_private_key(ec.SECP521R1()))
    private = KEYS[-7].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pem = public(KEYS[-7])
    for key in (b"", pem * 2, private, other_curve, pem.replace(b"M", b"N"), b" " * 20000 + pem):
        assert refusal(document, key=key) == "corim-key"


# --- what a refusal says, and what is optional ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "named"),
    [
        (corim(SNP, more={6: 0}), "the fields of a CoRIM"),
        (Tag(501, {0: "id", 1: {}, 3: SNP}), "a list of tags"),
        (corim(SNP, Tag(506, {4: {}})), "the fields of a CoMID"),
        (corim(SNP, Tag(506, INNER | {4: {0: {}}})), "a list of reference triples"),
        (corim(SNP, comid([[{3: 0}, []]])), "the fields of a environment"),
        (corim(SNP, comid([[{0: {5: 0}}, []]])), "the fields of a class"),
        (corim(SNP, comid([[{0: {0: BY_CHIP}}, [{}]]])), "the fields of a measurement"),
        (corim(SNP, more={4: {2: Tag(1, 0)}}), "the fields of a validity"),
        (signed(corim(SNP), header={8: cbor2.dumps({})}), "the fields of a metadata"),
        (corim(SNP, comid(snp({2: {4: "x"}}))), "8 bytes as POLICY"),
        (corim(SNP, comid(snp({5: {4: "x"}}))), "4 bytes as VMPL"),
        (corim(SNP, comid(snp({641: {2: [[1, LAUNCH]]}}))), "48 bytes of sha-384 as MEASUREMENT"),
        (corim(SNP, comid(snp({642: {2: [[7, LAUNCH]]}}))), "32 bytes of sha-384 as HOST_DATA"),
        (corim(SNP, comid(snp({642: {4: LAUNCH}}))), "32 bytes as HOST_DATA"),
        (corim(INTEL, comid([triple({-83: []})])), "exactly one digest as mrtee"),
        (corim(INTEL, comid([triple(SGX_VALUES | {-83: [1, b""]})])), "32 bytes of sha-256 as mrtee"),
        (corim(INTEL, comid([triple(SGX_VALUES | {-84: [1, b""]})])), "32 bytes of sha-256 as mrsigner"),
        (corim(INTEL, comid([triple(SGX_VALUES | {-82: b""})])), "16 bytes as attributes"),
        (corim(INTEL, comid([triple(TDX_VALUES | {-82: b""})])), "8 bytes as attributes"),
        (corim(INTEL, comid([triple(SGX_VALUES | {-81: b""})])), "4 bytes as miscselect"),
        (corim(INTEL, comid([triple(TDX_VALUES | {14: {2: [[7, b""]]}})])), "as integrity register 2"),
    ],
)
def test_a_refusal_names_what_it_is_about(document: Any, named: str) -> None:
    with pytest.raises(FormatError, match=f"{named} in the CoRIM") as caught:
        take(document)
    assert caught.value.reason == "corim-value"


@pytest.mark.parametrize(
    ("profile", "named"),
    [(Tag(32, "https://example.com"), "profile 'https://example.com'$"), (Tag(111, b"\x2a\x0b"), "profile 2a0b$")],
)
def test_a_refusal_names_the_profile(profile: Any, named: str) -> None:
    with pytest.raises(FormatError, match=named):
        take(corim(profile, comid(snp())))


def test_triples_of_other_kinds_alone() -> None:
    beside = Tag(506, cbor2.dumps({1: {0: "an id"}, 4: {3: []}}))
    found = take(corim(SNP, beside, comid(snp()))).proposal
    assert (found.parts, found.left_out) == (SNP_PARTS, ("attestation keys",))


def test_an_environment_without_a_class() -> None:
    assert refusal(corim(SNP, comid(snp(environment={1: Tag(560, bytes(64))})))) == "corim-class"
    proposal = take(corim(INTEL, comid([triple(SGX_VALUES, environment={2: Tag(37, bytes(16))})]))).proposal
    assert (proposal.tee, proposal.left_out) == ("sgx", ("the environment's group",))


def test_all_of_a_class_is_listed() -> None:
    environment = {0: {0: BY_CHIP, 1: "AMD", 2: "Milan", 3: 0, 4: 1}}
    found = take(corim(SNP, comid(snp(environment=environment)))).proposal.left_out
    assert found == tuple(f"the environment's {name}" for name in ("vendor", "model", "layer", "index"))


def test_a_mask_of_the_vmpl_turns_with_its_value() -> None:
    """Bytes stand as in the report, the first one lowest; a part is written with the highest one first."""
    proposal = take(corim(SNP, comid(snp({5: {4: Tag(563, [b"\1\0\0\0", b"\xff\xff\0\0"])}})))).proposal
    assert proposal.complete({"vmpl": "ffff0001"}).parts["vmpl"] == "ffff0001"
    for other in ("ffff0000", "ffff0101", "01000000"):
        with pytest.raises(FormatError) as caught:
            proposal.complete({"vmpl": other})
        assert caught.value.reason == "measurement-part-mask"


@pytest.mark.parametrize("tag", [563, 60010])
def test_a_value_with_its_mask(tag: int) -> None:
    value, mask = bytes([5, *bytes(15)]), bytes([255, *bytes(15)])
    spelled = Tag(tag, [value, mask] if tag == 563 else [1, value, mask])
    proposal = take(corim(INTEL, comid([triple(SGX_VALUES | {-82: spelled})]))).proposal
    given_ = {"configId": "00" * 64, "attributes": "05" + "ff" * 15}
    assert proposal.complete(given_).parts["attributes"] == "05" + "ff" * 15
    with pytest.raises(FormatError) as caught:
        proposal.complete(given_ | {"attributes": "04" + "ff" * 15})
    assert caught.value.reason == "measurement-part-mask"


def test_no_window_hides_the_next_one() -> None:
    """The metadata states none; the claims beside them do."""
    header = {8: cbor2.dumps({0: {0: "signer"}}), 15: {4: EPOCH - 1}}
    assert refusal(signed(corim(SNP, comid(snp())), header=header)) == "evidence-corim-window"


def test_the_largest_key() -> None:
    pem, document = public(KEYS[-7]), signed(corim(SNP, comid(snp())))
    assert take(document, key=pem.ljust(16 * 1024, b"\n")).signature == "verified"
    assert refusal(document, key=pem.ljust(16 * 1024 + 1, b"\n")) == "corim-key"
