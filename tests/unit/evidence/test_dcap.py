"""How platforms stand now, and which collateral is about them: SGX and TDX alike."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamslsa.errors import FormatError, VerificationError
from lamslsa.evidence import verifier_for
from lamslsa.evidence._pem import parse_chain, render_chain
from lamslsa.evidence.interface import EvidenceVerifier, Standing
from lamslsa.evidence.roots import INTEL_SGX_ROOT
from lamslsa.evidence.simulated.certificates import Cpu, sign
from lamslsa.evidence.simulated.endorse import Endorsement, endorse
from lamslsa.predicates.tee_evidence import SGX_QUOTE_MEDIA_TYPE, TDX_QUOTE_MEDIA_TYPE
from lamslsa.testing.simulated import SimulatedVendor
from lamslsa.testing.simulated_tdx import SimulatedTdxVendor

DAY = dt.timedelta(days=1)
Tee = Literal["sgx", "tdx"]
Vendor = SimulatedVendor | SimulatedTdxVendor
Mint = Callable[..., Vendor]
TEES: tuple[Tee, ...] = ("sgx", "tdx")


@pytest.fixture(scope="module", params=TEES)
def tee(request: pytest.FixtureRequest) -> Tee:
    value: Tee = request.param
    return value


@pytest.fixture(scope="module")
def mint(tee: Tee) -> Mint:
    return SimulatedVendor if tee == "sgx" else SimulatedTdxVendor


@pytest.fixture(scope="module")
def own(mint: Mint, now: dt.datetime) -> Vendor:
    return mint(now)


@pytest.fixture(scope="module")
def verifier(tee: Tee) -> EvidenceVerifier:
    return verifier_for(SGX_QUOTE_MEDIA_TYPE if tee == "sgx" else TDX_QUOTE_MEDIA_TYPE)


def standing(verifier: EvidenceVerifier, vendor: Vendor, *, days: int = 0, **collateral: Any) -> Standing:
    return verifier.standing(
        vendor.quote(bytes(64)),
        collateral=vendor.collateral(**collateral),
        roots=[vendor.root],
        now=vendor.now + days * DAY,
    )


def test_in_good_standing(verifier: EvidenceVerifier, own: Vendor) -> None:
    stood = standing(verifier, own, advisories=("INTEL-SA-1", "INTEL-SA-2"), evaluation_data_number=9)
    assert stood == Standing(revoked=False, advisories=("INTEL-SA-1", "INTEL-SA-2"), tcb_evaluation_data_number=9)


@pytest.mark.parametrize("role", ["pck", "pck-ca", "root", "tcb-signing"])
def test_a_revoked_certificate_is_an_answer(verifier: EvidenceVerifier, own: Vendor, role: str) -> None:
    assert standing(verifier, own, revoked=[role]) == Standing(revoked=True)


def test_a_revoked_level_is_an_answer(verifier: EvidenceVerifier, own: Vendor) -> None:
    assert standing(verifier, own, tcb_status="Revoked") == Standing(revoked=True)
    assert standing(verifier, own, qe_tcb_status="Revoked") == Standing(revoked=True)
    assert not standing(verifier, own, tcb_status="OutOfDate", qe_tcb_status="OutOfDate").revoked


def test_revoked_stays_revoked_when_the_certificate_has_expired(mint: Mint, verifier: EvidenceVerifier) -> None:
    now = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
    vendor = mint(now, windows={"pck": (now - 2 * DAY, now + 5 * DAY)})
    assert standing(verifier, vendor, days=9, revoked=["pck"]).revoked
    with pytest.raises(VerificationError) as caught:
        standing(verifier, vendor, days=9)
    assert caught.value.reason == "evidence-collateral-window"


@pytest.mark.parametrize("days", [-2, 30])
def test_collateral_of_another_time_says_nothing(verifier: EvidenceVerifier, own: Vendor, days: int) -> None:
    for revoked in ([], ["pck"]):
        with pytest.raises(VerificationError) as caught:
            standing(verifier, own, days=days, revoked=revoked)
        assert caught.value.reason == "evidence-collateral-window"


def test_collateral_of_another_vendor_says_nothing(verifier: EvidenceVerifier, mint: Mint, own: Vendor) -> None:
    other = mint(own.now)
    quote = own.quote(bytes(64))
    for collateral, roots, reason in (
        (other.collateral(revoked=["pck"]), [own.root], "evidence-collateral-root"),
        (own.collateral(revoked=["pck"]), [other.root], "evidence-root"),
        (own.collateral(revoked=["pck"]), [INTEL_SGX_ROOT], "evidence-root"),
        (own.collateral(tcb_info={"fmspc": "000000000000"}), [own.root], "evidence-quote"),
        (None, [own.root], "evidence-collateral-missing"),
    ):
        with pytest.raises(VerificationError) as caught:
            verifier.standing(quote, collateral=collateral, roots=roots, now=own.now)
        assert caught.value.reason == reason


def test_nobody_else_can_revoke(verifier: EvidenceVerifier, tee: Tee, mint: Mint, own: Vendor) -> None:
    """A list in the CA's name that names the PCK certificate, signed with another key: no word of the vendor's."""
    other = mint(own.now)
    window = (own.now - DAY, own.now + 29 * DAY)
    terms = Endorsement(form=tee, window=window, revoked=frozenset({"pck", "pck-ca"}))
    forged = json.loads(endorse(other._keys, own._certificates, own._cpu, terms))
    for key in ("pck_crl", "root_ca_crl"):
        value = {**json.loads(own.collateral()), key: forged[key]}
        with pytest.raises(VerificationError) as caught:
            verifier.standing(
                own.quote(bytes(64)), collateral=json.dumps(value).encode(), roots=[own.root], now=own.now
            )
        assert caught.value.reason == "evidence-quote"


def test_a_list_speaks_of_its_own_issuer(verifier: EvidenceVerifier, tee: Tee, own: Vendor) -> None:
    """The serial number of a PCK certificate in the root's list means another certificate, which the root issued."""
    window = (own.now - DAY, own.now + 29 * DAY)
    terms = Endorsement(form=tee, window=window, revoked=frozenset({"tcb-signing"}))
    renamed = {**own._certificates, "tcb-signing": own._certificates["pck"]}
    listed = json.loads(endorse(own._keys, renamed, own._cpu, terms))["root_ca_crl"]
    for tcb_info, expected in (({}, None), ({"fmspc": "000000000000"}, "evidence-quote")):
        value = {**json.loads(own.collateral(tcb_info=tcb_info)), "root_ca_crl": listed}
        call = partial(
            verifier.standing,
            own.quote(bytes(64)),
            collateral=json.dumps(value).encode(),
            roots=[own.root],
            now=own.now,
        )
        if expected is None:
            assert not call().revoked
        else:
            with pytest.raises(VerificationError) as caught:
                call()
            assert caught.value.reason == expected


def test_members_that_stand_twice_in_signed_documents(verifier: EvidenceVerifier, own: Vendor) -> None:
    for document, member in (("tcb_info", '"fmspc":"53494D000000"'), ("qe_identity", '"id":"QE"')):
        value = json.loads(own.collateral())
        value[document] = "{" + member + "," + value[document][1:]
        value[f"{document}_signature"] = sign(own._keys["tcb-signing"], value[document].encode()).hex()
        with pytest.raises(VerificationError) as caught:
            verifier.verify(own.quote(bytes(64)), collateral=json.dumps(value).encode(), roots=[own.root], at=own.now)
        assert caught.value.reason == "evidence-quote"


def test_times_need_a_zone(verifier: EvidenceVerifier, own: Vendor) -> None:
    with pytest.raises(ValueError, match="time zone"):
        verifier.standing(
            own.quote(bytes(64)), collateral=own.collateral(), roots=[own.root], now=own.now.replace(tzinfo=None)
        )


def test_malformed_inputs_are_format_errors(verifier: EvidenceVerifier, own: Vendor) -> None:
    for quote, collateral in ((b"junk", own.collateral()), (own.quote(bytes(64)), b"junk")):
        with pytest.raises(FormatError):
            verifier.standing(quote, collateral=collateral, roots=[own.root], now=own.now)
        assert not verifier.concerns(quote, collateral)


def test_which_collateral_concerns_a_quote(verifier: EvidenceVerifier, tee: Tee, mint: Mint, own: Vendor) -> None:
    quote = own.quote(bytes(64))
    assert verifier.concerns(quote, own.collateral())
    assert verifier.concerns(quote, own.collateral(tcb_status="Revoked", revoked=["pck"]))
    assert verifier.concerns(quote, own.collateral(window=(own.now - 400 * DAY, own.now - 300 * DAY)))
    others: tuple[Any, ...] = ({"fmspc": "000000000000"}, {"pceId": "0001"}, {"id": "TDX" if tee == "sgx" else "SGX"})
    for tcb_info in others:
        assert not verifier.concerns(quote, own.collateral(tcb_info=tcb_info))
    assert not verifier.concerns(quote, own.collateral(qe_identity={"id": "QVE"}))
    assert not verifier.concerns(quote, mint(own.now).collateral())
    assert not verifier.concerns(mint(own.now, cpu=Cpu(fmspc=b"OTHER!")).quote(bytes(64)), own.collateral())


def test_the_ca_of_the_pck_certificate(verifier: EvidenceVerifier, own: Vendor) -> None:
    """Intel has one list for each CA under one root: that of the other CA does not say whether this one is revoked."""
    value = json.loads(own.collateral())
    assert not verifier.concerns(own.quote(bytes(64)), json.dumps({**value, "pck_crl": value["root_ca_crl"]}).encode())
    assert not verifier.concerns(own.quote(bytes(64)), json.dumps({**value, "pck_crl": "00ff"}).encode())


@pytest.mark.parametrize("key", ["pck_crl_issuer_chain", "tcb_info_issuer_chain", "qe_identity_issuer_chain"])
def test_each_chain_ends_in_the_root_of_the_quote(verifier: EvidenceVerifier, own: Vendor, key: str) -> None:
    value = {**json.loads(own.collateral()), key: render_chain([INTEL_SGX_ROOT.der]).decode()}
    assert not verifier.concerns(own.quote(bytes(64)), json.dumps(value).encode())


@pytest.mark.parametrize("key", ["pck_crl_issuer_chain", "tcb_info_issuer_chain", "qe_identity_issuer_chain"])
def test_it_is_the_last_certificate_of_each_chain_that_counts(
    verifier: EvidenceVerifier, mint: Mint, own: Vendor, key: str
) -> None:
    value = json.loads(own.collateral())
    own_chain = parse_chain(value[key].encode(), what=key)
    value[key] = render_chain([*own_chain, mint(own.now).root.der]).decode()
    for roots in ([own.root], [own.root, mint(own.now).root]):
        with pytest.raises(VerificationError) as caught:
            verifier.verify(own.quote(bytes(64)), collateral=json.dumps(value).encode(), roots=roots, at=own.now)
        assert caught.value.reason == "evidence-collateral-root"


def test_endorsements_hold_until_their_last_second(verifier: EvidenceVerifier, own: Vendor) -> None:
    for window in ((own.now - DAY, own.now), (own.now, own.now + DAY)):
        collateral = own.collateral(window=window, crl_window=(own.now - DAY, own.now + DAY))
        quote = own.quote(bytes(64))
        assert verifier.verify(quote, collateral=collateral, roots=[own.root], at=own.now).simulated
        for at in (window[0] - dt.timedelta(seconds=1), window[1] + dt.timedelta(seconds=1)):
            with pytest.raises(VerificationError) as caught:
                verifier.verify(quote, collateral=collateral, roots=[own.root], at=at)
            assert caught.value.reason == "evidence-collateral-window"


def test_a_quote_whose_pck_certificate_is_none(verifier: EvidenceVerifier, own: Vendor) -> None:
    quote, chain = own.quote(bytes(64)), own.chain
    for der in (b"\x31" + chain[0][1:], own._certificates["pck-ca"].public_bytes(Encoding.DER)):
        padded = der.ljust(len(chain[0]), b"\0")[: len(chain[0])]
        changed = quote.replace(render_chain(chain), render_chain([padded, *chain[1:]]))
        assert changed != quote
        assert not verifier.concerns(changed, own.collateral())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200), at=st.integers(0, 9000))
def test_concerns_never_raises(verifier: EvidenceVerifier, own: Vendor, data: bytes, at: int) -> None:
    quote, collateral = own.quote(bytes(64)), own.collateral()
    assert verifier.concerns(quote[:at] + data + quote[at + len(data) :], collateral) in {True, False}
    assert verifier.concerns(quote, collateral[:at] + data + collateral[at + len(data) :]) in {True, False}
