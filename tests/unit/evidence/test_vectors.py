"""Runs tests/vectors/evidence and evidence-tdx: each case builds evidence, and its refusal names class and reason."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import lamslsa.evidence
from lamslsa import errors
from lamslsa.evidence import verifier_for
from lamslsa.evidence._pem import parse_chain, render_chain
from lamslsa.evidence.interface import Claims
from lamslsa.evidence.roots import INTEL_SGX_ROOT
from lamslsa.evidence.sgx.parse import parse as parse_sgx
from lamslsa.evidence.simulated.quote import QUOTING_ENCLAVE, Enclave
from lamslsa.evidence.simulated.td_quote import TD_QUOTING_ENCLAVE
from lamslsa.evidence.tdx.ccel import Event, replay, verify_event_log
from lamslsa.evidence.tdx.parse import parse as parse_tdx
from lamslsa.evidence.tdx.verify import TdxClaims
from lamslsa.predicates.tee_evidence import SGX_QUOTE_MEDIA_TYPE, TDX_QUOTE_MEDIA_TYPE
from lamslsa.testing.simulated import DEBUG_ATTRIBUTES, SimulatedVendor
from lamslsa.testing.simulated_tdx import TRUST_DOMAIN, SimulatedTdxVendor, render_event_log

FOLDER = Path(__file__).parents[2] / "vectors"
SOURCES = Path(lamslsa.evidence.__file__).parent
NOW = dt.datetime(2026, 11, 22, 6, tzinfo=dt.UTC)
CHAINS = ("pck_crl_issuer_chain", "tcb_info_issuer_chain", "qe_identity_issuer_chain")
REPORT_DATA = bytes(range(64))
Vendor = SimulatedVendor | SimulatedTdxVendor


@dataclass(frozen=True, kw_only=True)
class Area:
    """What differs between SGX and TDX: vendor, quotes, verifier, and which files raise the reasons."""

    media_type: str
    vendor: Callable[..., Vendor]
    quoting_enclave: Enclave
    chain: Callable[[bytes], tuple[bytes, ...]]
    lengths: Callable[[bytes], tuple[int, ...]]
    members: frozenset[str]
    sources: tuple[str, ...]


COMMON = {"description", "windows", "quoting_enclave", "collateral", "no_collateral", "bytes", "other", "text", "at"}
SHARED_SOURCES = ("_dcap.py", "_dcap_quote.py")
AREAS: Mapping[str, Area] = {
    "evidence": Area(
        media_type=SGX_QUOTE_MEDIA_TYPE,
        vendor=SimulatedVendor,
        quoting_enclave=QUOTING_ENCLAVE,
        chain=lambda quote: parse_sgx(quote).chain,
        lengths=lambda quote: (432,),
        members=frozenset({*COMMON, "roots", "enclave"}),
        sources=(*SHARED_SOURCES, "sgx/parse.py", "sgx/verify.py"),
    ),
    "evidence-tdx": Area(
        media_type=TDX_QUOTE_MEDIA_TYPE,
        vendor=SimulatedTdxVendor,
        quoting_enclave=TD_QUOTING_ENCLAVE,
        chain=lambda quote: parse_tdx(quote).chain,
        lengths=lambda quote: (632, 766),
        members=frozenset({*COMMON, "roots", "version", "domain", "log"}),
        sources=(*SHARED_SOURCES, "tdx/parse.py", "tdx/verify.py", "tdx/ccel.py"),
    ),
}
CASES = [(area, path.name) for area in AREAS for path in sorted((FOLDER / area).iterdir()) if path.is_dir()]


def days(count: float) -> dt.datetime:
    return NOW + dt.timedelta(days=count)


def window(value: Sequence[float]) -> tuple[dt.datetime, dt.datetime]:
    return days(value[0]), days(value[1])


def with_root(quote: bytes, root: bytes | None, area: Area) -> bytes:
    """The quote with another last certificate, or without it, its lengths put right."""
    chain = area.chain(quote)
    old, new = render_chain(chain), render_chain([*chain[:-1], *([root] if root else [])])
    start = quote.index(old)
    changed = bytearray(quote[:start] + new + quote[start + len(old) :])
    for at in (*area.lengths(quote), start - 4):
        struct.pack_into("<I", changed, at, struct.unpack_from("<I", quote, at)[0] + len(new) - len(old))
    return bytes(changed)


def change_bytes(data: bytes, change: list[Any]) -> bytes:
    changed = bytearray(data)
    match change:
        case ["flip", int(at)]:
            changed[at] ^= 1
        case ["set", int(at), str(text)]:
            part = bytes.fromhex(text)
            changed[at : at + len(part)] = part
        case ["add", int(at), int(amount)]:
            struct.pack_into("<I", changed, at, struct.unpack_from("<I", changed, at)[0] + amount)
        case ["append", str(text)]:
            changed += bytes.fromhex(text)
        case ["truncate", int(count)]:
            del changed[-count:]
        case ["keep", int(count)]:
            del changed[count:]
        case ["pad", int(count)]:
            changed += bytes(count - len(changed))
        case _:
            pytest.fail(f"unknown change {change}")
    assert bytes(changed) != data
    return bytes(changed)


def change_quote(quote: bytes, change: list[Any], area: Area) -> bytes:
    match change:
        case ["flip-certificate", int(number), int(at)]:
            chain = [bytearray(der) for der in area.chain(quote)]
            chain[number][at] ^= 1
            return quote.replace(render_chain(area.chain(quote)), render_chain([bytes(der) for der in chain]))
        case ["drop-root"]:
            return with_root(quote, None, area)
        case ["swap-root"]:
            return with_root(quote, INTEL_SGX_ROOT.der, area)
        case ["to-version-5"]:
            return b"\x05" + quote[1:48] + struct.pack("<HI", 2, 584) + quote[48:]
    return change_bytes(quote, change)


def change_collateral(collateral: dict[str, str], change: list[Any]) -> None:
    before = dict(collateral)
    match change:
        case ["replace", str(key), str(old), str(new)]:
            collateral[key] = collateral[key].replace(old, new)
        case ["put", str(key), str(text)]:
            collateral[key] = text
        case ["swap", str(one), str(two)]:
            collateral[one], collateral[two] = collateral[two], collateral[one]
        case ["swap-root"]:
            for key in CHAINS:
                chain = parse_chain(collateral[key].encode(), what=key)
                collateral[key] = render_chain([*chain[:-1], INTEL_SGX_ROOT.der]).decode()
        case _:
            pytest.fail(f"unknown change {change}")
    assert collateral != before


def events(listed: Sequence[Sequence[Any]]) -> list[Event]:
    return [
        Event(register=register, kind=kind, digest=hashlib.sha384(text.encode()).digest(), data=text.encode())
        for register, kind, text in listed
    ]


def quote_of(vendor: Vendor, case: dict[str, Any]) -> bytes:
    if isinstance(vendor, SimulatedVendor):
        debug = Enclave(mr_enclave=b"\x11" * 32, mr_signer=b"\x22" * 32, attributes=DEBUG_ATTRIBUTES)
        return vendor.quote(REPORT_DATA, enclave=debug if case.get("enclave") == "debug" else None)
    domain = {name: bytes.fromhex(text) for name, text in case.get("domain", {}).items()}
    changed = dataclasses.replace(TRUST_DOMAIN, **domain)  # type: ignore[arg-type]  # every member named is bytes
    if "log" in case:
        measured = case["log"].get("measured", case["log"]["events"])
        changed = dataclasses.replace(changed, rtmrs=replay(events(measured)))
    return vendor.quote(REPORT_DATA, domain=changed, version=case.get("version", 4))


def build(case: dict[str, Any], area: Area) -> dict[str, Any]:
    normal = area.quoting_enclave
    debug = dataclasses.replace(normal, attributes=bytes((normal.attributes[0] | 2, *normal.attributes[1:])))
    vendor = area.vendor(
        NOW,
        windows={role: window(value) for role, value in case.get("windows", {}).items()},
        quoting_enclave=debug if case.get("quoting_enclave") == "debug" else normal,
    )
    other = area.vendor(NOW)
    quote = quote_of(vendor, case)
    for change in case.get("bytes", []):
        quote = change_quote(quote, change, area)
    keywords = dict(case.get("collateral", {}))
    if "crl_window" in keywords:
        keywords["crl_window"] = window(keywords["crl_window"])
    collateral = json.loads(vendor.collateral(**keywords))
    foreign = json.loads(other.collateral())
    for key in foreign if case.get("other") == "all" else case.get("other", []):
        collateral[key] = foreign[key]
    for change in case.get("text", []):
        change_collateral(collateral, change)
    roots = {"own": vendor.root, "other": other.root, "intel": INTEL_SGX_ROOT}
    return {
        "quote": quote,
        "collateral": None if case.get("no_collateral") else json.dumps(collateral).encode(),
        "roots": [roots[name] for name in case.get("roots", ["own"])],
        "at": days(case.get("at", 0)),
    }


def verify(case: dict[str, Any], area: Area) -> Claims:
    claims = verifier_for(area.media_type).verify(**build(case, area))
    if "log" in case:
        log = render_event_log(events(case["log"]["events"]))
        for change in case["log"].get("bytes", []):
            log = change_bytes(log, change)
        assert isinstance(claims, TdxClaims)
        assert len(verify_event_log(log, claims)) == len(case["log"]["events"])
    return claims


def read(area: str, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    case, expected = (
        json.loads((FOLDER / area / name / file).read_text(encoding="utf-8")) for file in ("case.json", "expected.json")
    )
    return case, expected


@pytest.mark.parametrize(("area", "name"), CASES)
def test_vector(area: str, name: str) -> None:
    case, expected = read(area, name)
    assert case.keys() <= AREAS[area].members
    if expected["class"] is None:
        assert not name.endswith("_fail")
        claims = verify(case, AREAS[area])
        assert claims.report_data == REPORT_DATA
        for key, value in expected["claims"].items():
            found = getattr(claims, key)
            assert (list(found) if isinstance(found, tuple) else found) == value
    else:
        assert name.endswith("_fail")
        with pytest.raises(errors.LamslsaError) as caught:
            verify(case, AREAS[area])
        assert (type(caught.value).__name__, caught.value.reason) == (expected["class"], expected["reason"])


@pytest.mark.parametrize("area", AREAS)
def test_every_reason_of_the_verifier_has_a_case(area: str) -> None:
    covered = {read(area, name)[1].get("reason") for where, name in CASES if where == area}
    raised: set[str] = set()
    for file in AREAS[area].sources:
        text = (SOURCES / file).read_text(encoding="utf-8")
        raised |= {part.split('"')[0] for part in text.split('reason="')[1:]}
    assert raised - {"quote-report"} <= covered  # a report of another size, which no quote can have
