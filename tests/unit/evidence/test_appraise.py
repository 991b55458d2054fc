from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from lamslsa.evidence import Claims, Measurement, PlatformTerms, appraise
from lamslsa.evidence.roots import INTEL_SGX_ROOT

SIMULATED_ROOT = "ab" * 32
CLAIMS = Claims(
    tee="sgx",
    simulated=True,
    root=SIMULATED_ROOT,
    measurement={"mrEnclave": "11" * 32, "mrSigner": "22" * 32},
    versions={"isvProdId": 0, "isvSvn": 0},
    report_data=bytes(64),
    debug=False,
    tcb_status="UpToDate",
    advisories=("INTEL-SA-00001",),
    tcb_evaluation_data_number=17,
    platform_id="00" * 16,
)
GENUINE = dataclasses.replace(CLAIMS, simulated=False, root=INTEL_SGX_ROOT.sha256)
DIGEST = CLAIMS.measurement_digest
REHEARSAL = PlatformTerms(
    name="rehearsal",
    tee=frozenset({"sgx"}),
    simulated=True,
    roots=frozenset({SIMULATED_ROOT}),
    tcb=frozenset({"UpToDate"}),
    measurements=frozenset({DIGEST}),
)
PRODUCTION = dataclasses.replace(REHEARSAL, name="production", simulated=False, roots=frozenset())


def reasons(claims: Claims, terms: PlatformTerms) -> list[str]:
    refusals = appraise(claims, terms)
    assert all(item.message.startswith("expected ") and terms.name in item.message and item.mend for item in refusals)
    return [item.reason for item in refusals]


def test_accepted() -> None:
    assert appraise(CLAIMS, REHEARSAL) == ()
    assert appraise(GENUINE, PRODUCTION) == ()
    assert appraise(GENUINE, dataclasses.replace(PRODUCTION, roots=frozenset({INTEL_SGX_ROOT.sha256}))) == ()


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
        (CLAIMS, REHEARSAL, {"measurements": frozenset({"cd" * 32})}, ["platform-measurement"]),
        (CLAIMS, REHEARSAL, {"measurements": frozenset()}, ["platform-measurement"]),
        (CLAIMS, REHEARSAL, {"measurements": None}, ["platform-measurement"]),
        (CLAIMS, REHEARSAL, {"measurements": None, "unsafe_any_measurement": True}, []),
        (
            CLAIMS,
            REHEARSAL,
            {"measurements": frozenset({"cd" * 32}), "unsafe_any_measurement": True},
            ["platform-measurement"],
        ),
        (CLAIMS, REHEARSAL, {"measurements": frozenset({"11" * 32})}, ["platform-measurement"]),
        (CLAIMS, REHEARSAL, {"tcb": frozenset({"OutOfDate"})}, ["platform-tcb"]),
        (CLAIMS, REHEARSAL, {"tcb": frozenset()}, ["platform-tcb"]),
    ],
)
def test_matrix(claims: Claims, terms: PlatformTerms, changes: dict[str, Any], expected: list[str]) -> None:
    assert reasons(claims, dataclasses.replace(terms, **changes)) == expected


def test_debug() -> None:
    for claims, terms in ((CLAIMS, REHEARSAL), (GENUINE, PRODUCTION)):
        assert reasons(dataclasses.replace(claims, debug=True), terms) == ["platform-debug"]


def test_all_refusals_in_order() -> None:
    terms = PlatformTerms(
        name="nothing",
        tee=frozenset(),
        simulated=False,
        roots=frozenset(),
        tcb=frozenset(),
        measurements=None,
    )
    assert reasons(dataclasses.replace(CLAIMS, debug=True), terms) == [
        "platform-tee",
        "platform-debug",
        "platform-simulated",
        "platform-measurement",
        "platform-tcb",
    ]


def test_advisories_are_named() -> None:
    (refusal,) = appraise(CLAIMS, dataclasses.replace(REHEARSAL, tcb=frozenset({"OutOfDate"})))
    assert refusal.message == "expected TCB OutOfDate for platform rehearsal, got UpToDate (INTEL-SA-00001)"


def test_each_part_of_the_measurement_counts() -> None:
    digests = {DIGEST}
    for name in CLAIMS.measurement:
        digests.add(dataclasses.replace(CLAIMS, measurement={**CLAIMS.measurement, name: "33" * 32}).measurement_digest)
    digests.add(Measurement(tee="sgx", parts={"mrEnclave": "11" * 32}).digest)
    assert len(digests) == 4
    assert Measurement(tee="sgx", parts=dict(sorted(CLAIMS.measurement.items(), reverse=True))).digest == DIGEST
