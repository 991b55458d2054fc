"""Each question that is asked of a platform, refused and accepted at its edge."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest

from lamslsa.evidence import Claims, Measurement, PlatformTerms, Standing, Vouched, appraise
from lamslsa.evidence.appraise import AcceptedCode, AdvisoryTerms, Denied, GpuTerms, Vouches
from lamslsa.evidence.appraise.terms import SNP_PRODUCTS
from lamslsa.evidence.interface import SECURITY_VERSIONS, DeviceClaims
from lamslsa.evidence.roots import INTEL_SGX_ROOT
from lamslsa.evidence.snp.parse import PRODUCTS
from lamslsa.evidence.verify import VerifiedEvidence

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
SIMULATED_ROOT = "ab" * 32
PARTS = {
    "mrEnclave": "11" * 32,
    "mrSigner": "22" * 32,
    "attributes": "05" + "00" * 15,
    "miscSelect": "00" * 4,
    "configId": "00" * 64,
}
CLAIMS = Claims(
    tee="sgx",
    simulated=True,
    root=SIMULATED_ROOT,
    measurement=PARTS,
    versions={"isvProdId": 0, "isvSvn": 3},
    report_data=bytes(64),
    debug=False,
    tcb_status="UpToDate",
    advisories=("INTEL-SA-00001",),
    tcb_evaluation_data_number=17,
    platform_id="00" * 16,
)
GENUINE = dataclasses.replace(CLAIMS, simulated=False, root=INTEL_SGX_ROOT.sha256)
DIGEST = CLAIMS.measurement_digest
EVALUATION = Vouched(predicate_type="https://lamslsa.dev/evaluation/v1", measurer="tabular-evaluation/1")
PROVENANCE = Vouched(
    predicate_type="https://slsa.dev/provenance/v1",
    build_type="https://lamslsa.dev/training/v1",
    builder="https://lamslsa.dev/enclave/0.1.0",
)
EVERYTHING = Vouches(
    predicate_types=frozenset({EVALUATION.predicate_type, PROVENANCE.predicate_type}),
    build_types=frozenset({"https://lamslsa.dev/training/v1"}),
    measurers=frozenset({"tabular-evaluation/1"}),
)
REHEARSAL = PlatformTerms(
    name="rehearsal",
    tee=frozenset({"sgx"}),
    simulated=True,
    roots=frozenset({SIMULATED_ROOT}),
    tcb=frozenset({"UpToDate"}),
    code=(AcceptedCode(measurement=DIGEST),),
)
SPELLED_OUT = AcceptedCode(measurement=DIGEST, tee="sgx", release="0.1.0", vouches=EVERYTHING)
PRODUCTION = dataclasses.replace(REHEARSAL, name="production", simulated=False, roots=frozenset(), code=(SPELLED_OUT,))
GOOD = Standing(revoked=False, tcb_evaluation_data_number=17)
SNP_VERSIONS = {"bootloader": 4, "tee": 0, "snp": 22, "microcode": 213}
SNP = dataclasses.replace(
    CLAIMS,
    tee="snp",
    measurement={"measurement": "aa" * 48, "hostData": "00" * 32, "policy": "00" * 8, "vmpl": "00" * 4},
    versions={**SNP_VERSIONS, "guest": 7},
    tcb_status=None,
    tcb_evaluation_data_number=None,
    product="Milan",
    signing_key="vcek",
)
GUESTS = dataclasses.replace(
    REHEARSAL,
    tee=frozenset({"snp", "tdx"}),
    tcb=frozenset(),
    code=(AcceptedCode(measurement=SNP.measurement_digest),),
)
GPU = DeviceClaims(
    kind="nvidia-gpu",
    simulated=True,
    root="cd" * 32,
    device_id="ef" * 32,
    architecture="hopper",
    driver_version="570.1",
    vbios_version="96.0",
    golden_values="matched",
)
GPU_TERMS = GpuTerms(architectures=frozenset({"hopper"}), roots=frozenset({"cd" * 32}))


def look(
    claims: Claims,
    terms: PlatformTerms,
    *,
    standing: Standing | None = GOOD,
    statement: Vouched = EVALUATION,
    now: dt.datetime = NOW,
) -> list[str]:
    evidence = VerifiedEvidence(
        claims=claims,
        statement="0" * 64,
        covers=(),
        as_of=NOW,
        standing=standing,
        standing_message="no endorsements at hand",
    )
    refusals = appraise(evidence, terms, now=now, statement=statement)
    assert all(item.message.startswith("expected ") and item.mend for item in refusals)
    assert all(terms.name in item.message or "measurement" in item.message for item in refusals)
    return [item.reason for item in refusals]


def test_accepted() -> None:
    assert look(CLAIMS, REHEARSAL) == []
    assert look(GENUINE, PRODUCTION) == []
    assert look(GENUINE, dataclasses.replace(PRODUCTION, roots=frozenset({INTEL_SGX_ROOT.sha256}))) == []
    assert look(SNP, GUESTS) == []


@pytest.mark.parametrize(
    ("claims", "terms", "changes", "expected"),
    [
        (CLAIMS, PRODUCTION, {}, ["platform-simulated"]),
        (CLAIMS, PRODUCTION, {"roots": frozenset({SIMULATED_ROOT})}, ["platform-simulated"]),
        (GENUINE, REHEARSAL, {}, ["platform-hardware"]),
        (GENUINE, REHEARSAL, {"roots": frozenset({INTEL_SGX_ROOT.sha256})}, ["platform-hardware"]),
        (GENUINE, PRODUCTION, {"roots": frozenset({"cd" * 32})}, ["platform-root"]),
        (CLAIMS, REHEARSAL, {"roots": frozenset({"cd" * 32})}, ["platform-root"]),
        (CLAIMS, REHEARSAL, {"roots": frozenset()}, ["platform-root"]),
        (CLAIMS, REHEARSAL, {"tee": frozenset({"tdx"})}, ["platform-tee"]),
        (CLAIMS, REHEARSAL, {"tee": frozenset()}, ["platform-tee"]),
        (CLAIMS, REHEARSAL, {"code": (AcceptedCode(measurement="cd" * 32),)}, ["platform-measurement"]),
        (CLAIMS, REHEARSAL, {"code": ()}, ["platform-measurement"]),
        (CLAIMS, REHEARSAL, {"code": (), "unsafe_any_measurement": True}, []),
        (GENUINE, PRODUCTION, {"code": (), "unsafe_any_measurement": True}, []),
        (
            CLAIMS,
            REHEARSAL,
            {"code": (AcceptedCode(measurement="cd" * 32),), "unsafe_any_measurement": True},
            ["platform-measurement"],
        ),
        (CLAIMS, REHEARSAL, {"code": (AcceptedCode(measurement="11" * 32),)}, ["platform-measurement"]),
        (CLAIMS, REHEARSAL, {"code": (AcceptedCode(measurement=DIGEST, tee="tdx"),)}, ["platform-measurement"]),
        (CLAIMS, REHEARSAL, {"tcb": frozenset({"OutOfDate"})}, ["platform-tcb"]),
        (CLAIMS, REHEARSAL, {"tcb": frozenset()}, ["platform-tcb"]),
    ],
)
def test_kind_root_code_and_tcb(
    claims: Claims, terms: PlatformTerms, changes: dict[str, Any], expected: list[str]
) -> None:
    assert look(claims, dataclasses.replace(terms, **changes)) == expected


def test_a_status_that_nobody_states_is_none() -> None:
    assert look(dataclasses.replace(CLAIMS, tcb_status=None), REHEARSAL) == ["platform-tcb"]
    assert look(dataclasses.replace(SNP, tcb_status="OutOfDate"), GUESTS) == []


def test_debug() -> None:
    for claims, terms in ((CLAIMS, REHEARSAL), (GENUINE, PRODUCTION), (SNP, GUESTS)):
        assert look(dataclasses.replace(claims, debug=True), terms) == ["platform-debug"]


def test_vmpl() -> None:
    for level in ("00000001", "00000003", "01000000"):
        claims = dataclasses.replace(SNP, measurement={**SNP.measurement, "vmpl": level})
        terms = dataclasses.replace(GUESTS, code=(AcceptedCode(measurement=claims.measurement_digest),))
        assert look(claims, terms) == ["platform-vmpl"]


def test_all_refusals_in_order() -> None:
    terms = PlatformTerms(
        name="nothing",
        tee=frozenset(),
        simulated=False,
        roots=frozenset(),
        tcb=frozenset(),
        code=(),
        advisories=AdvisoryTerms(deny=frozenset({"INTEL-SA-00001"}), accept={}),
        minimum_tcb_evaluation_data_number=18,
        minimum_svns={"sgx": {"isvSvn": 4}},
        gpu=GPU_TERMS,
        platform_ids=frozenset(),
        denied=Denied(platform_ids=frozenset({"00" * 16}), measurements=frozenset({DIGEST})),
    )
    claims = dataclasses.replace(CLAIMS, debug=True, advisories=("INTEL-SA-00001", "INTEL-SA-00002"))
    assert look(claims, terms, standing=None) == [
        "platform-tee",
        "platform-debug",
        "platform-simulated",
        "platform-denied",
        "platform-denied",
        "platform-measurement",
        "platform-tcb",
        "platform-advisory-denied",
        "platform-advisory",
        "platform-tcb-number",
        "platform-svn",
        "platform-id",
        "platform-standing",
        "gpu-missing",
    ]


def test_advisories_are_named() -> None:
    evidence = VerifiedEvidence(claims=CLAIMS, statement="0" * 64, covers=(), as_of=NOW, standing=GOOD)
    terms = dataclasses.replace(REHEARSAL, tcb=frozenset({"OutOfDate"}))
    (refusal,) = appraise(evidence, terms, now=NOW, statement=EVALUATION)
    assert refusal.message == "expected TCB OutOfDate for platform rehearsal, got UpToDate (INTEL-SA-00001)"


def test_each_part_of_the_measurement_counts() -> None:
    digests = {DIGEST}
    for name, value in PARTS.items():
        other = dataclasses.replace(CLAIMS, measurement={**PARTS, name: "33" * (len(value) // 2)})
        assert look(other, REHEARSAL) == ["platform-measurement"]
        digests.add(other.measurement_digest)
    assert len(digests) == 1 + len(PARTS)
    assert Measurement(tee="sgx", parts=dict(sorted(PARTS.items(), reverse=True))).digest == DIGEST


class TestVouching:
    def vouching(self, statement: Vouched = EVALUATION, **changes: Any) -> list[str]:
        code = dataclasses.replace(SPELLED_OUT, **changes)
        return look(GENUINE, dataclasses.replace(PRODUCTION, code=(code,)), statement=statement)

    def test_accepted(self) -> None:
        assert self.vouching() == self.vouching(PROVENANCE) == []

    def test_a_digest_alone_vouches_on_a_simulated_platform_only(self) -> None:
        assert look(CLAIMS, REHEARSAL, statement=PROVENANCE) == []
        assert self.vouching(vouches=None) == ["platform-vouches"]
        assert self.vouching(PROVENANCE, vouches=None) == ["platform-vouches"]

    def test_lists_hold_on_a_simulated_platform_too(self) -> None:
        code = dataclasses.replace(SPELLED_OUT, vouches=Vouches(predicate_types=frozenset()))
        assert look(CLAIMS, dataclasses.replace(REHEARSAL, code=(code,))) == ["platform-vouches"]

    @pytest.mark.parametrize(
        ("statement", "changes"),
        [
            (EVALUATION, {"predicate_types": frozenset({PROVENANCE.predicate_type})}),
            (EVALUATION, {"measurers": frozenset({"tabular-evaluation/2"})}),
            (EVALUATION, {"measurers": frozenset()}),
            (PROVENANCE, {"predicate_types": frozenset({EVALUATION.predicate_type})}),
            (PROVENANCE, {"build_types": frozenset({"https://lamslsa.dev/transform/v1"})}),
            (PROVENANCE, {"build_types": frozenset()}),
        ],
    )
    def test_what_is_not_listed(self, statement: Vouched, changes: dict[str, Any]) -> None:
        vouches = dataclasses.replace(EVERYTHING, **changes)
        assert self.vouching(statement, vouches=vouches) == ["platform-vouches"]

    def test_a_statement_of_neither_kind(self) -> None:
        neither = dataclasses.replace(EVALUATION, measurer=None)
        assert self.vouching(neither) == ["platform-vouches"]

    @pytest.mark.parametrize("simulated", [False, True])
    def test_the_measurement_of_one_code_does_not_speak_for_another(self, simulated: bool) -> None:
        kind = "https://lamslsa.dev/own-training/v1"
        ours = Vouches(
            predicate_types=EVERYTHING.predicate_types, build_types=frozenset({kind}), own_code=frozenset({"a"})
        )
        code = dataclasses.replace(SPELLED_OUT, vouches=ours)
        claims, terms = (CLAIMS, REHEARSAL) if simulated else (GENUINE, PRODUCTION)
        terms = dataclasses.replace(terms, code=(code,))

        def reasons(*own: str, build_type: str = kind) -> list[str]:
            statement = dataclasses.replace(PROVENANCE, build_type=build_type, own_code=own)
            return look(claims, terms, statement=statement)

        assert reasons("a") == []
        assert reasons("b") == reasons() == reasons("a", "b") == ["platform-vouches"]
        code = dataclasses.replace(SPELLED_OUT, vouches=EVERYTHING)
        terms = dataclasses.replace(terms, code=(code,))
        assert reasons(build_type="https://lamslsa.dev/training/v1") == []
        assert reasons("a", build_type="https://lamslsa.dev/training/v1") == ["platform-vouches"]

    def test_the_release_is_the_builder(self) -> None:
        assert self.vouching(PROVENANCE, release="0.1.1") == ["platform-release"]
        assert self.vouching(PROVENANCE, release=None) == ["platform-release"]
        assert self.vouching(release="0.1.1") == [], "an evaluation has no builder"
        longer = dataclasses.replace(PROVENANCE, builder="https://lamslsa.dev/enclave/0.1.0/x")
        assert self.vouching(longer) == ["platform-release"]

    def test_minimum_versions_of_the_measurement(self) -> None:
        assert self.vouching(minimum_svns={"isvSvn": 3}) == []
        assert self.vouching(minimum_svns={"isvSvn": 4}) == ["platform-svn"]
        assert self.vouching(minimum_svns={"other": 0}) == ["platform-svn"]
        low = AcceptedCode(measurement=DIGEST, minimum_svns={"isvSvn": 4})
        assert look(CLAIMS, dataclasses.replace(REHEARSAL, code=(low,))) == ["platform-svn"]

    def test_some_reference_value_is_enough(self) -> None:
        none = dataclasses.replace(SPELLED_OUT, release="9", vouches=Vouches(predicate_types=frozenset()))
        for codes in ((none, SPELLED_OUT), (SPELLED_OUT, none)):
            assert look(GENUINE, dataclasses.replace(PRODUCTION, code=codes), statement=PROVENANCE) == []
        halves = (
            dataclasses.replace(SPELLED_OUT, vouches=dataclasses.replace(EVERYTHING, build_types=frozenset())),
            dataclasses.replace(SPELLED_OUT, release="9"),
        )
        assert len(look(GENUINE, dataclasses.replace(PRODUCTION, code=halves), statement=PROVENANCE)) == 1


class TestAdvisories:
    def look(
        self,
        *,
        then: tuple[str, ...] = (),
        since: tuple[str, ...] = (),
        now: dt.datetime = NOW,
        as_of_only: bool = False,
        **terms: Any,
    ) -> list[str]:
        platform = dataclasses.replace(REHEARSAL, advisories=AdvisoryTerms(**terms), unsafe_as_of_only=as_of_only)
        standing = dataclasses.replace(GOOD, advisories=since)
        return look(dataclasses.replace(CLAIMS, advisories=then), platform, standing=standing, now=now)

    def test_denied(self) -> None:
        deny = frozenset({"A"})
        assert self.look(then=("A",), deny=deny) == ["platform-advisory-denied"]
        assert self.look(since=("A",), deny=deny) == ["platform-advisory-denied"]
        assert self.look(then=("B",), since=("B",), deny=deny) == []

    def test_since_is_not_asked_for_where_it_is_given_up(self) -> None:
        assert self.look(since=("A",), deny=frozenset({"A"}), accept={}, as_of_only=True) == []
        assert self.look(then=("A",), accept={}, as_of_only=True) == ["platform-advisory"]

    def test_accepted_until(self) -> None:
        until = {"A": NOW}
        assert self.look(then=("A",), since=("A",), accept=until, now=NOW - dt.timedelta(seconds=1)) == []
        assert self.look(then=("A",), accept=until) == ["platform-advisory"]
        assert self.look(since=("A",), accept=until) == ["platform-advisory"]
        assert self.look(then=("A", "B"), accept={"A": NOW + dt.timedelta(days=1)}) == ["platform-advisory"]
        assert self.look(accept={}) == []

    def test_denied_beats_accepted(self) -> None:
        later = NOW + dt.timedelta(days=1)
        assert self.look(then=("A",), deny=frozenset({"A"}), accept={"A": later}) == ["platform-advisory-denied"]
        assert self.look(then=("A",), deny=frozenset({"A"}), accept={}) == ["platform-advisory-denied"]


@pytest.mark.parametrize(
    ("then", "now", "expected"),
    [
        (17, 17, []),
        (18, 18, []),
        (16, 17, ["platform-tcb-number"]),
        (17, 16, ["platform-tcb-number"]),
        (None, 17, ["platform-tcb-number"]),
        (17, None, ["platform-tcb-number"]),
        (16, 16, ["platform-tcb-number", "platform-tcb-number"]),
    ],
)
def test_minimum_number(then: int | None, now: int | None, expected: list[str]) -> None:
    terms = dataclasses.replace(REHEARSAL, minimum_tcb_evaluation_data_number=17)
    claims = dataclasses.replace(CLAIMS, tcb_evaluation_data_number=then)
    standing = dataclasses.replace(GOOD, tcb_evaluation_data_number=now)
    assert look(claims, terms, standing=standing) == expected
    given_up = dataclasses.replace(terms, unsafe_as_of_only=True)
    assert look(claims, given_up, standing=standing) == ["platform-tcb-number"] * (then != 17 and then != 18)


def test_there_is_no_number_of_another_manufacturer() -> None:
    assert look(SNP, dataclasses.replace(GUESTS, minimum_tcb_evaluation_data_number=17)) == []


class TestSecurityVersions:
    def test_minimums_by_kind(self) -> None:
        for least, expected in ((2, []), (3, []), (4, ["platform-svn"])):
            terms = dataclasses.replace(REHEARSAL, minimum_svns={"sgx": {"isvSvn": least}, "snp": {"snp": 99}})
            assert look(CLAIMS, terms) == expected

    def test_an_absent_version_is_below_every_minimum(self) -> None:
        turin = dataclasses.replace(SNP, product="Turin")
        terms = dataclasses.replace(GUESTS, snp_minimum_svns={"turin": {"fmc": 0}})
        assert look(turin, terms) == ["platform-svn"]
        assert look(dataclasses.replace(turin, versions={**SNP_VERSIONS, "fmc": 0}), terms) == []

    def test_each_version_counts(self) -> None:
        for name, version in SNP_VERSIONS.items():
            minimums = {**SNP_VERSIONS, name: version + 1}
            assert look(SNP, dataclasses.replace(GUESTS, snp_minimum_svns={"milan": minimums})) == ["platform-svn"]
        assert look(SNP, dataclasses.replace(GUESTS, snp_minimum_svns={"milan": SNP_VERSIONS})) == []

    def test_minimums_of_the_kind_hold_beside_those_of_the_product_line(self) -> None:
        terms = dataclasses.replace(GUESTS, snp_minimum_svns={"milan": SNP_VERSIONS}, minimum_svns={"snp": {"snp": 23}})
        assert look(SNP, terms) == ["platform-svn"]


class TestProductLines:
    """Versions of SEV-SNP are counted for each product line by itself."""

    @pytest.fixture
    def genuine(self) -> PlatformTerms:
        code = dataclasses.replace(SPELLED_OUT, measurement=SNP.measurement_digest, tee="snp")
        return dataclasses.replace(GUESTS, simulated=False, roots=frozenset(), code=(code,))

    def test_spelled_as_claims_are(self) -> None:
        assert tuple(SNP_PRODUCTS) == tuple(product.lower() for product in PRODUCTS)
        assert {name for names in SNP_PRODUCTS.values() for name in names} == set(SECURITY_VERSIONS["snp"])

    def test_what_holds_for_one_does_not_for_another(self) -> None:
        listed = {"milan": SNP_VERSIONS, "genoa": {**SNP_VERSIONS, "microcode": 1}}
        terms = dataclasses.replace(GUESTS, snp_minimum_svns=listed)
        old = dataclasses.replace(SNP, versions={**SNP_VERSIONS, "microcode": 1})
        assert look(old, terms) == ["platform-svn"]
        assert look(dataclasses.replace(old, product="Genoa"), terms) == []

    @pytest.mark.parametrize("product", ["Turin", "milan ", "", None])
    def test_only_those_that_are_listed(self, genuine: PlatformTerms, product: str | None) -> None:
        claims = dataclasses.replace(SNP, product=product)
        listed = dataclasses.replace(GUESTS, snp_minimum_svns={"milan": SNP_VERSIONS, "genoa": SNP_VERSIONS})
        assert look(claims, listed) == ["platform-product"]
        assert look(claims, GUESTS) == [], "a rehearsal that lists none"
        hardware = dataclasses.replace(claims, simulated=False)
        assert look(hardware, dataclasses.replace(genuine, snp_minimum_svns=listed.snp_minimum_svns)) == [
            "platform-product"
        ]
        assert look(hardware, genuine) == ["platform-product"]

    def test_genuine_ones_need_minimums(self, genuine: PlatformTerms) -> None:
        claims = dataclasses.replace(SNP, simulated=False)
        assert look(claims, dataclasses.replace(genuine, snp_minimum_svns={"milan": SNP_VERSIONS})) == []
        assert look(claims, dataclasses.replace(genuine, minimum_svns={"snp": SNP_VERSIONS})) == ["platform-product"]
        assert look(claims, genuine) == ["platform-product"]
        for name in SNP_VERSIONS:
            some = {key: value for key, value in SNP_VERSIONS.items() if key != name}
            listed = {"milan": some, "genoa": SNP_VERSIONS}
            assert look(claims, dataclasses.replace(genuine, snp_minimum_svns=listed)) == ["platform-svn"]
            assert look(SNP, dataclasses.replace(GUESTS, snp_minimum_svns=listed)) == [], "a rehearsal"

    def test_no_other_kind_of_tee_has_them(self) -> None:
        assert look(CLAIMS, dataclasses.replace(REHEARSAL, snp_minimum_svns={"milan": SNP_VERSIONS})) == []

    def test_what_is_said(self, genuine: PlatformTerms) -> None:
        listed = dataclasses.replace(GUESTS, snp_minimum_svns={"turin": {}, "genoa": {}})
        words = "expected a processor of product line genoa or turin for platform rehearsal, got "
        assert said(SNP, listed).startswith(f"{words}Milan | attest on")
        assert said(dataclasses.replace(SNP, product=None), listed).startswith(f"{words}none |")
        claims = dataclasses.replace(SNP, simulated=False)
        assert "of product line none at all for platform rehearsal, got Milan |" in said(claims, genuine)
        some = dataclasses.replace(genuine, snp_minimum_svns={"milan": {"bootloader": 0, "snp": 0}})
        assert "expected minimums of tee, microcode on Milan for platform rehearsal, got none in" in said(claims, some)
        high = dataclasses.replace(GUESTS, snp_minimum_svns={"milan": {"snp": 23}})
        assert said(SNP, high).startswith("expected snp 23 or more on Milan for platform rehearsal, got 22 |")


def test_kinds_of_key() -> None:
    chip, both = frozenset({"vcek"}), frozenset({"vcek", "vlek"})
    by_provider = dataclasses.replace(SNP, signing_key="vlek")
    assert look(SNP, dataclasses.replace(GUESTS, snp_keys=chip)) == []
    assert look(by_provider, GUESTS) == look(by_provider, dataclasses.replace(GUESTS, snp_keys=both)) == []
    assert look(CLAIMS, dataclasses.replace(REHEARSAL, snp_keys=chip)) == [], "no other kind of TEE has them"
    terms = dataclasses.replace(GUESTS, snp_keys=chip)
    words = "expected a report signed by a key of kind vcek for platform rehearsal, got "
    for claims, got in ((by_provider, "vlek"), (dataclasses.replace(SNP, signing_key=None), "none")):
        assert look(claims, terms) == ["platform-key"]
        assert said(claims, terms).startswith(f"{words}{got} | attest where such a key signs")


class TestInstances:
    """What AWS calls a Nitro enclave is new with every launch."""

    INSTANCE = "i-020b6af9246d90e92"
    CLAIMS = dataclasses.replace(
        CLAIMS,
        tee="nitro",
        measurement=dict.fromkeys(("pcr0", "pcr1", "pcr2", "pcr8"), "00" * 48),
        versions={},
        platform_id=f"{INSTANCE}-enc0183d09086c24190",
    )
    TERMS = dataclasses.replace(
        REHEARSAL, tee=frozenset({"nitro"}), code=(AcceptedCode(measurement=CLAIMS.measurement_digest),)
    )

    @pytest.mark.parametrize(
        ("listed", "matches"),
        [
            (INSTANCE, True),
            (f"{INSTANCE}-enc0183d09086c24190", True),
            (f"{INSTANCE}-enc0183d09086c24191", False),
            (f"{INSTANCE}-enc", False),
            (INSTANCE[:-1], False),
            ("i-1", False),
        ],
    )
    def test_listed(self, listed: str, matches: bool) -> None:
        ids = frozenset({listed})
        expected = [] if matches else ["platform-id"]
        assert look(self.CLAIMS, dataclasses.replace(self.TERMS, platform_ids=ids)) == expected
        expected = ["platform-denied"] if matches else []
        assert look(self.CLAIMS, dataclasses.replace(self.TERMS, denied=Denied(platform_ids=ids))) == expected

    def test_an_instance_of_no_enclave(self) -> None:
        claims = dataclasses.replace(self.CLAIMS, platform_id=self.INSTANCE)
        assert look(claims, dataclasses.replace(self.TERMS, platform_ids=frozenset({self.INSTANCE}))) == []
        nameless = dataclasses.replace(self.CLAIMS, platform_id="-enc1")
        assert look(nameless, dataclasses.replace(self.TERMS, platform_ids=frozenset({"i"}))) == ["platform-id"]

    def test_the_instance_ends_at_the_first_mark(self) -> None:
        claims = dataclasses.replace(self.CLAIMS, platform_id="i-1-enc2-enc3")
        for listed, expected in (("i-1", []), ("i-1-enc2-enc3", []), ("i-1-enc2", ["platform-id"])):
            assert look(claims, dataclasses.replace(self.TERMS, platform_ids=frozenset({listed}))) == expected

    def test_denied_by_both_names(self) -> None:
        ids = frozenset({self.INSTANCE, self.CLAIMS.platform_id})
        terms = dataclasses.replace(self.TERMS, denied=Denied(platform_ids=ids))
        assert look(self.CLAIMS, terms) == ["platform-denied"] * 2
        one = dataclasses.replace(self.TERMS, denied=Denied(platform_ids=frozenset({self.INSTANCE})))
        assert f"got platform id {self.INSTANCE} |" in said(self.CLAIMS, one)

    def test_of_nitro_only(self) -> None:
        claims = dataclasses.replace(CLAIMS, platform_id=self.CLAIMS.platform_id)
        terms = dataclasses.replace(REHEARSAL, platform_ids=frozenset({self.INSTANCE}))
        assert look(claims, terms) == ["platform-id"]


def test_platform_ids() -> None:
    listed = frozenset({"00" * 16})
    assert look(CLAIMS, dataclasses.replace(REHEARSAL, platform_ids=listed)) == []
    for claims in (dataclasses.replace(CLAIMS, platform_id="11" * 16), dataclasses.replace(CLAIMS, platform_id="")):
        assert look(claims, dataclasses.replace(REHEARSAL, platform_ids=listed)) == ["platform-id"]
    assert look(CLAIMS, dataclasses.replace(REHEARSAL, platform_ids=frozenset())) == ["platform-id"]


def test_denied() -> None:
    def denying(**lists: frozenset[str]) -> PlatformTerms:
        return dataclasses.replace(REHEARSAL, denied=Denied(**lists), platform_ids=frozenset({"00" * 16, ""}))

    hidden = dataclasses.replace(CLAIMS, platform_id="")
    with_gpu = dataclasses.replace(CLAIMS, devices=(GPU,))
    assert look(CLAIMS, denying(platform_ids=frozenset({"00" * 16}))) == ["platform-denied"]
    assert look(hidden, denying(platform_ids=frozenset({"11" * 16}))) == ["platform-denied"]
    assert look(hidden, denying(measurements=frozenset({"11" * 32}))) == []
    assert look(CLAIMS, denying(measurements=frozenset({DIGEST}))) == ["platform-denied"]
    assert look(with_gpu, denying(device_ids=frozenset({"ef" * 32}))) == ["platform-denied"]
    assert look(with_gpu, denying(device_ids=frozenset({"11" * 32}), platform_ids=frozenset({"11" * 16}))) == []


def test_standing() -> None:
    revoked = dataclasses.replace(GOOD, revoked=True)
    given_up = dataclasses.replace(REHEARSAL, unsafe_as_of_only=True)
    assert look(CLAIMS, REHEARSAL, standing=None) == ["platform-standing"]
    assert look(CLAIMS, REHEARSAL, standing=revoked) == ["platform-revoked"]
    assert look(GENUINE, PRODUCTION, standing=None) == ["platform-standing"]
    assert look(CLAIMS, given_up, standing=None) == look(CLAIMS, given_up, standing=revoked) == []


def test_how_to_learn_of_the_standing() -> None:
    for claims, terms, words in (
        (GENUINE, PRODUCTION, "lamslsa fetch-collateral"),
        (CLAIMS, REHEARSAL, "attest again"),
    ):
        evidence = VerifiedEvidence(
            claims=claims,
            statement="0" * 64,
            covers=(),
            as_of=NOW,
            standing=None,
            standing_message="no endorsements at hand",
        )
        (refusal,) = appraise(evidence, terms, now=NOW, statement=EVALUATION)
        assert refusal.message.endswith(": no endorsements at hand")
        assert words in refusal.mend


class TestGpus:
    def look(self, *devices: DeviceClaims, simulated: bool = True, **changes: Any) -> list[str]:
        claims = dataclasses.replace(SNP, devices=devices, simulated=simulated)
        terms = dataclasses.replace(GUESTS, gpu=dataclasses.replace(GPU_TERMS, **changes))
        return look(claims, terms)

    def test_accepted(self) -> None:
        assert self.look(GPU) == []
        drivers, vbios, device_ids = frozenset({"570.1"}), frozenset({"96.0"}), frozenset({"ef" * 32})
        assert self.look(GPU, drivers=drivers, vbios=vbios, device_ids=device_ids) == []
        assert self.look(GPU, GPU, minimum=2) == []

    def test_without_terms_nothing_is_asked(self) -> None:
        different = dataclasses.replace(GPU, golden_values="different", root="0" * 64)
        assert look(dataclasses.replace(SNP, devices=(different,)), GUESTS) == []

    @pytest.mark.parametrize(
        ("devices", "changes", "expected"),
        [
            ((), {}, ["gpu-missing"]),
            ((GPU,), {"minimum": 2}, ["gpu-missing"]),
            ((GPU,), {"architectures": frozenset({"blackwell"})}, ["gpu-architecture"]),
            ((GPU,), {"architectures": frozenset()}, ["gpu-architecture"]),
            ((GPU,), {"drivers": frozenset({"570.2"})}, ["gpu-driver"]),
            ((GPU,), {"vbios": frozenset()}, ["gpu-vbios"]),
            ((GPU,), {"device_ids": frozenset({"00" * 32})}, ["gpu-device"]),
            ((GPU,), {"roots": frozenset()}, ["gpu-root"]),
            ((dataclasses.replace(GPU, root="0" * 64),), {}, ["gpu-root"]),
            ((dataclasses.replace(GPU, simulated=False, root="0" * 64),), {}, ["gpu-root"]),
            ((dataclasses.replace(GPU, golden_values="not compared"),), {}, ["gpu-golden-values"]),
            ((dataclasses.replace(GPU, golden_values="not compared"),), {"unsafe_not_compared": True}, []),
            ((dataclasses.replace(GPU, golden_values="different"),), {}, ["gpu-golden-values"]),
            (
                (dataclasses.replace(GPU, golden_values="different", differing=(3,)),),
                {"unsafe_not_compared": True},
                ["gpu-golden-values"],
            ),
        ],
    )
    def test_refused(self, devices: tuple[DeviceClaims, ...], changes: dict[str, Any], expected: list[str]) -> None:
        assert self.look(*devices, **changes) == expected

    def test_every_device_counts(self) -> None:
        other = dataclasses.replace(GPU, device_id="00" * 32, driver_version="1")
        drivers = frozenset({"570.1"})
        for devices in ((GPU, other), (other, GPU)):
            assert self.look(*devices, drivers=drivers) == ["gpu-driver"]

    def test_no_simulated_gpu_beside_hardware(self) -> None:
        genuine = dataclasses.replace(SNP, simulated=False, devices=(GPU,))
        code = dataclasses.replace(SPELLED_OUT, measurement=SNP.measurement_digest, tee="snp")
        terms = dataclasses.replace(
            GUESTS,
            simulated=False,
            roots=frozenset(),
            code=(code,),
            snp_minimum_svns={"milan": SNP_VERSIONS},
            gpu=GPU_TERMS,
        )
        assert look(genuine, terms) == ["gpu-simulated"]
        real = dataclasses.replace(genuine, devices=(dataclasses.replace(GPU, simulated=False, root="0" * 64),))
        assert look(real, terms) == []


def said(claims: Claims, terms: PlatformTerms, *, statement: Vouched = EVALUATION, standing: Standing = GOOD) -> str:
    """Message and mend of the only refusal."""
    evidence = VerifiedEvidence(claims=claims, statement="0" * 64, covers=(), as_of=NOW, standing=standing)
    (refusal,) = appraise(evidence, terms, now=NOW, statement=statement)
    return f"{refusal.message} | {refusal.mend}"


def test_what_is_said_of_a_platform() -> None:
    vmpl = dataclasses.replace(SNP, measurement={**SNP.measurement, "vmpl": "00000012"})
    guests = dataclasses.replace(GUESTS, code=(AcceptedCode(measurement=vmpl.measurement_digest),))
    assert "expected a report of VMPL 0 for platform rehearsal, got one of VMPL 18 |" in said(vmpl, guests)
    quiet = dataclasses.replace(CLAIMS, advisories=(), tcb_status="OutOfDate")
    assert "got OutOfDate |" in said(quiet, REHEARSAL)
    nameless = dataclasses.replace(CLAIMS, platform_id="")
    listed = dataclasses.replace(REHEARSAL, platform_ids=frozenset({"11"}))
    assert f"got {'00' * 16} |" in said(CLAIMS, listed)
    assert "got no id |" in said(nameless, listed)


def test_what_is_said_of_advisories() -> None:
    def look_at(**accept: dt.datetime) -> str:
        terms = AdvisoryTerms(accept={key.replace("_", "-"): value for key, value in accept.items()})
        return said(CLAIMS, dataclasses.replace(REHEARSAL, advisories=terms))

    assert "platform rehearsal, got INTEL-SA-00001 |" in look_at()
    assert "got INTEL-SA-00001, of which the time is up for INTEL-SA-00001 |" in look_at(INTEL_SA_00001=NOW)


def test_what_is_said_of_numbers() -> None:
    terms = dataclasses.replace(REHEARSAL, minimum_tcb_evaluation_data_number=17)
    for number, words in ((16, "16"), (None, "none")):
        then = said(dataclasses.replace(CLAIMS, tcb_evaluation_data_number=number), terms)
        assert f"got {words} as of the quote | attest with newer endorsements" in then
        now = said(CLAIMS, terms, standing=dataclasses.replace(GOOD, tcb_evaluation_data_number=number))
        assert f"got {words} now | fetch newer ones with lamslsa fetch-collateral" in now


def test_what_is_said_of_a_measurement() -> None:
    low = AcceptedCode(measurement=DIGEST, minimum_svns={"isvSvn": 4})
    terms = dataclasses.replace(REHEARSAL, code=(low,))
    assert said(CLAIMS, terms).startswith(f"expected isvSvn 4 or more for measurement {DIGEST[:12]}, got 3 |")
    code = dataclasses.replace(SPELLED_OUT, vouches=dataclasses.replace(EVERYTHING, measurers=frozenset()))
    terms = dataclasses.replace(PRODUCTION, code=(code,))
    assert f"measurement {DIGEST[:12]} of platform production may vouch for, got measurer 'tab" in said(GENUINE, terms)
    for length, words in ((120, "m" * 120 + "' |"), (121, "m" * 120 + "…' |")):
        assert words in said(GENUINE, terms, statement=dataclasses.replace(EVALUATION, measurer="m" * length))
    nobody = dataclasses.replace(PROVENANCE, builder=None)
    assert "got none |" in said(GENUINE, PRODUCTION, statement=nobody)


def test_what_is_said_of_gpus() -> None:
    def look_at(device: DeviceClaims, **changes: Any) -> str:
        gpu = dataclasses.replace(GPU_TERMS, **changes)
        return said(dataclasses.replace(SNP, devices=(device,)), dataclasses.replace(GUESTS, gpu=gpu))

    versions: dict[str, Any] = {"driver_version": "d" * 41, "vbios_version": "v" * 41}
    other = dataclasses.replace(GPU, golden_values="different", differing=tuple(range(9)), **versions)
    cut = f"driver '{'d' * 40}' and VBIOS '{'v' * 40}' "
    assert f"of which they are different: 0, 1, 2, 3, 4, 5, 6, 7 | run {cut}as published" in look_at(other)
    bare = dataclasses.replace(other, golden_values="not compared", differing=())
    assert f"of which they are not compared | name the manifests of {cut}under" in look_at(bare)
    assert "with driver none at all for platform rehearsal, got '570.1' |" in look_at(GPU, drivers=frozenset())
    assert "of architecture ampere or blackwell for" in look_at(GPU, architectures=frozenset({"blackwell", "ampere"}))
    assert f"got '{'x' * 80}' |" in look_at(dataclasses.replace(GPU, driver_version="x" * 81), drivers=frozenset())


def test_what_is_said_of_lists() -> None:
    nameless = dataclasses.replace(CLAIMS, platform_id="")
    denying = dataclasses.replace(REHEARSAL, denied=Denied(platform_ids=frozenset({"11"})))
    assert "got a platform that keeps its id to itself |" in said(nameless, denying)
    several = dataclasses.replace(CLAIMS, advisories=("B", "A", "C"))
    denied = AdvisoryTerms(deny=frozenset({"A", "B"}), accept=None)
    words = said(several, dataclasses.replace(REHEARSAL, advisories=denied))
    assert "without A or B for platform rehearsal, got A and B |" in words
    accepted = AdvisoryTerms(accept={"A": NOW, "B": NOW})
    words = said(several, dataclasses.replace(REHEARSAL, advisories=accepted))
    assert "got A and B and C, of which the time is up for A and B |" in words
    absent = dataclasses.replace(REHEARSAL, minimum_svns={"sgx": {"more": 1}})
    assert said(CLAIMS, absent).startswith("expected more 1 or more for platform rehearsal, got none |")


def test_what_is_said_of_a_statement() -> None:
    other = dataclasses.replace(PROVENANCE, builder="https://example.com/b")
    assert "got 'https://example.com/b' |" in said(GENUINE, PRODUCTION, statement=other)
    for changes, words in (
        ({"predicate_type": "https://example.com/p"}, "got predicate type 'https://example.com/p' |"),
        ({"build_type": "https://example.com/t"}, "got build type 'https://example.com/t' |"),
        ({"own_code": ("x",)}, "got training code 'x' |"),
    ):
        statement = dataclasses.replace(EVALUATION, **changes)
        assert words in said(GENUINE, PRODUCTION, statement=statement)


def test_what_is_said_of_the_values_of_a_gpu() -> None:
    other = dataclasses.replace(SNP, devices=(dataclasses.replace(GPU, golden_values="different"),))
    words = said(other, dataclasses.replace(GUESTS, gpu=GPU_TERMS))
    assert "the published ones for platform rehearsal, got one of which they are different |" in words
