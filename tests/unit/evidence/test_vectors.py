"""Runs tests/vectors/evidence: each case builds evidence, and its refusal names class and reason."""

from __future__ import annotations

import datetime as dt
import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lamslsa import errors
from lamslsa.evidence import verifier_for
from lamslsa.evidence._pem import parse_chain, render_chain
from lamslsa.evidence.roots import INTEL_SGX_ROOT
from lamslsa.evidence.sgx.parse import parse
from lamslsa.evidence.sgx.verify import MEDIA_TYPE
from lamslsa.evidence.simulated.quote import QUOTING_ENCLAVE, Enclave
from lamslsa.testing.simulated import DEBUG_ATTRIBUTES, SimulatedVendor

VECTORS = Path(__file__).parents[2] / "vectors" / "evidence"
CASES = sorted(path.name for path in VECTORS.iterdir() if path.is_dir())
NOW = dt.datetime(2026, 11, 22, 6, tzinfo=dt.UTC)
CHAINS = ("pck_crl_issuer_chain", "tcb_info_issuer_chain", "qe_identity_issuer_chain")
REPORT_DATA = bytes(range(64))


def days(count: float) -> dt.datetime:
    return NOW + dt.timedelta(days=count)


def window(value: Sequence[float]) -> tuple[dt.datetime, dt.datetime]:
    return days(value[0]), days(value[1])


def with_root(quote: bytes, root: bytes | None) -> bytes:
    """The quote with another last certificate, or without it, its lengths put right."""
    chain = parse(quote).chain
    old, new = render_chain(chain), render_chain([*chain[:-1], *([root] if root else [])])
    start = quote.index(old)
    section, size = struct.unpack_from("<I", quote, 432)[0], struct.unpack_from("<I", quote, start - 4)[0]
    grown = len(new) - len(old)
    head = quote[:432] + struct.pack("<I", section + grown) + quote[436 : start - 4] + struct.pack("<I", size + grown)
    return head + new + quote[start + len(old) :]


def change_quote(quote: bytes, change: list[Any]) -> bytes:
    changed = bytearray(quote)
    match change:
        case ["flip", int(at)]:
            changed[at] ^= 1
        case ["set", int(at), str(text)]:
            data = bytes.fromhex(text)
            changed[at : at + len(data)] = data
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
        case ["flip-certificate", int(number), int(at)]:
            chain = [bytearray(der) for der in parse(quote).chain]
            chain[number][at] ^= 1
            return quote.replace(render_chain(parse(quote).chain), render_chain([bytes(der) for der in chain]))
        case ["drop-root"]:
            return with_root(quote, None)
        case ["swap-root"]:
            return with_root(quote, INTEL_SGX_ROOT.der)
        case _:
            pytest.fail(f"unknown change {change}")
    assert bytes(changed) != quote
    return bytes(changed)


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


def build(case: dict[str, Any]) -> dict[str, Any]:
    debug = Enclave(mr_enclave=b"\x11" * 32, mr_signer=b"\x22" * 32, attributes=DEBUG_ATTRIBUTES)
    quoting = Enclave(
        mr_enclave=QUOTING_ENCLAVE.mr_enclave,
        mr_signer=QUOTING_ENCLAVE.mr_signer,
        isv_prod_id=QUOTING_ENCLAVE.isv_prod_id,
        isv_svn=QUOTING_ENCLAVE.isv_svn,
        attributes=bytes((QUOTING_ENCLAVE.attributes[0] | 2, *QUOTING_ENCLAVE.attributes[1:])),
    )
    vendor = SimulatedVendor(
        NOW,
        windows={role: window(value) for role, value in case.get("windows", {}).items()},
        quoting_enclave=quoting if case.get("quoting_enclave") == "debug" else QUOTING_ENCLAVE,
    )
    other = SimulatedVendor(NOW)
    quote = vendor.quote(REPORT_DATA, enclave=debug if case.get("enclave") == "debug" else None)
    for change in case.get("bytes", []):
        quote = change_quote(quote, change)
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
        "collateral": json.dumps(collateral).encode(),
        "roots": [roots[name] for name in case.get("roots", ["own"])],
        "at": days(case.get("at", 0)),
    }


@pytest.mark.parametrize("name", CASES)
def test_vector(name: str) -> None:
    case = json.loads((VECTORS / name / "case.json").read_text(encoding="utf-8"))
    expected = json.loads((VECTORS / name / "expected.json").read_text(encoding="utf-8"))
    known = {
        "description",
        "windows",
        "enclave",
        "quoting_enclave",
        "collateral",
        "bytes",
        "other",
        "text",
        "at",
        "roots",
    }
    assert case.keys() <= known
    arguments = build(case)
    verifier = verifier_for(MEDIA_TYPE)
    if expected["class"] is None:
        assert not name.endswith("_fail")
        claims = verifier.verify(**arguments)
        assert claims.report_data == REPORT_DATA
        for key, value in expected["claims"].items():
            found = getattr(claims, key)
            assert (list(found) if isinstance(found, tuple) else found) == value
    else:
        assert name.endswith("_fail")
        with pytest.raises(errors.LamslsaError) as caught:
            verifier.verify(**arguments)
        assert (type(caught.value).__name__, caught.value.reason) == (expected["class"], expected["reason"])


def test_every_reason_of_the_verifier_has_a_case() -> None:
    reasons = {
        json.loads((VECTORS / name / "expected.json").read_text(encoding="utf-8")).get("reason") for name in CASES
    }
    source = Path(parse.__code__.co_filename).parent
    for file in ("verify.py", "parse.py"):
        text = (source / file).read_text(encoding="utf-8")
        named = {part.split('"')[0] for part in text.split('reason="')[1:]}
        assert named - {"quote-report"} <= reasons
