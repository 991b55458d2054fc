"""What no vector shows: sweeps over all bytes, the interface, claims. Refusals: tests/vectors/evidence-snp."""

from __future__ import annotations

import contextlib
import datetime as dt
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamslsa.errors import FormatError, LamslsaError, VerificationError
from lamslsa.evidence.interface import EvidenceVerifier, Root
from lamslsa.evidence.simulated.snp_report import SnpChip, SnpGuest, generate_keys
from lamslsa.evidence.snp.collateral import parse, render
from lamslsa.evidence.snp.parse import Tcb
from lamslsa.evidence.snp.verify import SnpClaims, SnpVerifier
from lamslsa.testing.simulated_snp import SimulatedSnpVendor

DATA = bytes(range(64))
AMD_MILAN = "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd"
GUEST = SnpGuest(
    measurement=b"M" * 48,
    host_data=b"H" * 32,
    family_id=b"F" * 16,
    image_id=b"I" * 16,
    guest_svn=7,
    vmpl=1,
    id_key_digest=b"K" * 48,
    author_key_digest=b"A" * 48,
)


@pytest.fixture(scope="module")
def report(snp_vendor: SimulatedSnpVendor) -> bytes:
    return snp_vendor.report(DATA, guest=GUEST)


@pytest.fixture(scope="module")
def collateral(snp_vendor: SimulatedSnpVendor) -> bytes:
    return snp_vendor.collateral()


def verify(vendor: SimulatedSnpVendor, report: bytes, collateral: bytes, at: dt.datetime | None = None) -> SnpClaims:
    return SnpVerifier().verify(report, collateral=collateral, roots=[vendor.root], at=at or vendor.now)


def test_claims(snp_vendor: SimulatedSnpVendor, report: bytes, collateral: bytes) -> None:
    tcb = Tcb(bootloader=4, tee=0, snp=24, microcode=219)
    assert verify(snp_vendor, report, collateral) == SnpClaims(
        tee="snp",
        simulated=True,
        root=snp_vendor.root.sha256,
        measurement={
            "measurement": "4d" * 48,
            "hostData": "48" * 32,
            "policy": "0000000000030000",
            "vmpl": "00000001",
        },
        versions={"bootloader": 4, "tee": 0, "snp": 24, "microcode": 219, "guest": 7},
        report_data=DATA,
        debug=False,
        tcb_status=None,
        advisories=(),
        tcb_evaluation_data_number=None,
        platform_id="53" * 64,
        vmpl=1,
        signing_key="vcek",
        product="Milan",
        smt_allowed=True,
        migration_agent_allowed=False,
        single_socket=False,
        current_tcb=tcb,
        committed_tcb=tcb,
        launch_tcb=tcb,
        platform_info=1,
        family_id="46" * 16,
        image_id="49" * 16,
        id_key_digest="4b" * 48,
        author_key_digest="41" * 48,
        report_id="00" * 32,
        chip_id="53" * 64,
        csp_id=None,
    )


def test_without_author_key_there_is_no_digest_of_one(snp_vendor: SimulatedSnpVendor, collateral: bytes) -> None:
    body = bytearray(snp_vendor.body(DATA))
    body[0x110:0x140] = b"A" * 48
    assert verify(snp_vendor, snp_vendor.sign(bytes(body)), collateral).author_key_digest == ""


def test_each_patch_level_is_its_own(snp_vendor: SimulatedSnpVendor, collateral: bytes) -> None:
    body = bytearray(snp_vendor.body(DATA))
    for at, number in ((0x38, 61), (0x1E0, 62), (0x1F0, 63)):
        body[at] = number
    claims = verify(snp_vendor, snp_vendor.sign(bytes(body)), collateral)
    assert claims.versions["bootloader"] == 4
    levels = (claims.current_tcb, claims.committed_tcb, claims.launch_tcb)
    assert [level.bootloader for level in levels] == [61, 62, 63]


def test_the_interface(snp_vendor: SimulatedSnpVendor, report: bytes, collateral: bytes) -> None:
    verifier: EvidenceVerifier = SnpVerifier()
    assert verifier.tee == "snp"
    assert verifier.media_type == "application/vnd.lamslsa.quote.snp+bin"
    assert verifier.collateral_media_type == "application/vnd.lamslsa.collateral.snp+json"
    assert verifier.presented_root(report, collateral) == snp_vendor.root
    assert verifier.presented_report_data(report) == DATA
    with pytest.raises(FormatError):
        verifier.presented_root(b"junk", collateral)
    with pytest.raises(FormatError):
        verifier.presented_root(report, b"junk")
    with pytest.raises(FormatError):
        verifier.presented_report_data(b"junk")


def test_one_root_of_several(snp_vendor: SimulatedSnpVendor, report: bytes, collateral: bytes) -> None:
    roots = [Root(der=b"another", sha256="00" * 32), snp_vendor.root]
    assert SnpVerifier().verify(report, collateral=collateral, roots=roots, at=snp_vendor.now).simulated
    assert not SnpVerifier().standing(report, collateral=collateral, roots=roots, now=snp_vendor.now).revoked


def test_a_fingerprint_that_a_caller_wrote_counts_for_nothing(
    snp_vendor: SimulatedSnpVendor, report: bytes, collateral: bytes
) -> None:
    lie = Root(der=snp_vendor.root.der, sha256=AMD_MILAN)
    claims = SnpVerifier().verify(report, collateral=collateral, roots=[lie], at=snp_vendor.now)
    assert claims.simulated
    assert claims.root == snp_vendor.root.sha256
    with pytest.raises(VerificationError) as caught:
        SnpVerifier().verify(
            report, collateral=collateral, roots=[Root(der=b"", sha256=snp_vendor.root.sha256)], at=snp_vendor.now
        )
    assert caught.value.reason == "evidence-root"


def test_a_time_without_zone_is_a_bug(snp_vendor: SimulatedSnpVendor, report: bytes, collateral: bytes) -> None:
    naive = snp_vendor.now.replace(tzinfo=None)
    with pytest.raises(ValueError, match="time zone"):
        verify(snp_vendor, report, collateral, at=naive)
    with pytest.raises(ValueError, match="time zone"):
        SnpVerifier().standing(report, collateral=collateral, roots=[snp_vendor.root], now=naive)


def test_other_zones_are_the_same_moment(snp_vendor: SimulatedSnpVendor, report: bytes, collateral: bytes) -> None:
    zone = dt.timezone(dt.timedelta(hours=9))
    assert verify(snp_vendor, report, collateral, at=snp_vendor.now.astimezone(zone))


@pytest.mark.parametrize("year", [1, 1969, 9999])
def test_times_far_away(snp_vendor: SimulatedSnpVendor, report: bytes, collateral: bytes, year: int) -> None:
    with pytest.raises(VerificationError) as caught:
        verify(snp_vendor, report, collateral, at=dt.datetime(year, 1, 1, tzinfo=dt.UTC))
    assert caught.value.reason == "evidence-certificate-window"


def test_any_byte_of_the_report_changed(snp_vendor: SimulatedSnpVendor, report: bytes, collateral: bytes) -> None:
    accepted = []
    for position in range(len(report)):
        changed = bytearray(report)
        changed[position] ^= 1
        try:
            verify(snp_vendor, bytes(changed), collateral)
        except (FormatError, VerificationError):
            continue
        else:
            accepted.append(position)
    assert accepted == []


@pytest.mark.parametrize("member", ["leaf", "issuer", "root", "revocation_list"])
def test_any_byte_of_a_certificate_changed(
    snp_vendor: SimulatedSnpVendor, report: bytes, collateral: bytes, member: str
) -> None:
    found = parse(collateral)
    members = {name: getattr(found, name) for name in ("leaf", "issuer", "root", "revocation_list")}
    accepted = []
    for position in range(0, len(members[member]), 3):
        changed = bytearray(members[member])
        changed[position] ^= 1
        try:
            verify(snp_vendor, report, render(**(members | {member: bytes(changed)})))
        except (FormatError, VerificationError):
            continue
        else:
            accepted.append(position)
    assert accepted == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_bytes(snp_vendor: SimulatedSnpVendor, report: bytes, data: bytes, more: bytes) -> None:
    hostile = render(leaf=data, issuer=more, root=data, revocation_list=more)
    for quote, collateral in ((data, more), (report, data), (report, hostile)):
        with contextlib.suppress(LamslsaError):
            verify(snp_vendor, quote, collateral)
        with contextlib.suppress(LamslsaError):
            SnpVerifier().standing(quote, collateral=collateral, roots=[snp_vendor.root], now=snp_vendor.now)
        assert not SnpVerifier().concerns(quote, collateral)


def test_an_extension_twice(snp_vendor: SimulatedSnpVendor, report: bytes, collateral: bytes) -> None:
    """Neither of the two is chosen."""
    found = parse(collateral)
    assert found.leaf is not None
    bootloader, tee = (bytes.fromhex("060a2b060104019c78010301"), bytes.fromhex("060a2b060104019c78010302"))
    assert found.leaf.count(bootloader) == found.leaf.count(tee) == 1
    twice = render(leaf=found.leaf.replace(tee, bootloader), issuer=found.issuer, root=found.root)
    with pytest.raises(FormatError) as caught:
        verify(snp_vendor, report, twice)
    assert caught.value.reason == "evidence-certificates"


def test_collateral_that_concerns_a_report(snp_vendor: SimulatedSnpVendor, report: bytes) -> None:
    verifier = SnpVerifier()
    whole, product = snp_vendor.collateral(), snp_vendor.collateral(without=["leaf"])
    assert verifier.concerns(report, whole)
    assert verifier.concerns(report, snp_vendor.collateral(listed=False))
    assert verifier.concerns(report, product)
    second = snp_vendor.report(DATA, version=2)
    assert verifier.concerns(second, whole)
    assert not verifier.concerns(second, product)
    for role in ("issuer", "root"):
        assert not verifier.concerns(report, snp_vendor.collateral(without=[role]))
    assert not verifier.concerns(b"junk", whole)
    assert not verifier.concerns(report, b"junk")


@pytest.fixture(scope="module")
def neighbour(snp_vendor: SimulatedSnpVendor) -> SimulatedSnpVendor:
    """Another chip of the same vendor."""
    keys = {**snp_vendor.keys, "leaf": generate_keys()["leaf"]}
    return SimulatedSnpVendor(snp_vendor.now, chip=SnpChip(chip_id=b"N" * 64), keys=keys)


def test_collateral_of_another_chip(
    snp_vendor: SimulatedSnpVendor, neighbour: SimulatedSnpVendor, report: bytes
) -> None:
    """The product line is the same, and the leaf says that it is about another chip."""
    assert not SnpVerifier().concerns(report, neighbour.collateral())
    assert SnpVerifier().concerns(report, neighbour.collateral(without=["leaf"]))
    for call in (
        lambda: verify(neighbour, report, neighbour.collateral()),
        lambda: SnpVerifier().standing(
            report, collateral=neighbour.collateral(), roots=[neighbour.root], now=neighbour.now
        ),
    ):
        with pytest.raises(VerificationError) as caught:
            call()
        assert caught.value.reason == "evidence-signature"


def test_the_patch_level_of_another_report_of_the_chip(snp_vendor: SimulatedSnpVendor, collateral: bytes) -> None:
    """Each patch level has a key of its own; a report that says another one than its key's is refused."""
    body = bytearray(snp_vendor.body(DATA))
    body[0x187] += 1
    with pytest.raises(VerificationError) as caught:
        verify(snp_vendor, snp_vendor.sign(bytes(body)), collateral)
    assert caught.value.reason == "evidence-tcb"


def test_hostile_keys_are_not_used_before_they_are_certified(
    snp_vendor: SimulatedSnpVendor, report: bytes, collateral: bytes
) -> None:
    """The issuer is verified under the root before the leaf is under the issuer."""
    found = parse(collateral)
    assert found.leaf is not None
    broken = bytearray(found.leaf)
    broken[-1] ^= 1
    other = SimulatedSnpVendor(snp_vendor.now, keys={**snp_vendor.keys, "root": generate_keys()["root"]})
    mixed = render(leaf=bytes(broken), issuer=other.der("issuer"), root=found.root)
    with pytest.raises(VerificationError, match="did not issue: 'CN=SEV-Milan"):
        verify(snp_vendor, report, mixed)


def test_no_warnings(snp_vendor: SimulatedSnpVendor, report: bytes, collateral: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert verify(snp_vendor, report, collateral)
