"""Runs tests/vectors/evidence-snp: each case builds evidence, and its refusal names class and reason."""

from __future__ import annotations

import base64
import datetime as dt
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from lamslsa import errors
from lamslsa.evidence import verifier_for
from lamslsa.evidence.simulated._folder import Key
from lamslsa.evidence.simulated.snp_report import SnpChip, SnpGuest, SnpRole, Window, generate_keys
from lamslsa.evidence.snp.parse import Tcb
from lamslsa.evidence.snp.verify import SnpVerifier
from lamslsa.predicates.tee_evidence import SNP_REPORT_MEDIA_TYPE
from lamslsa.testing.simulated_snp import SimulatedSnpVendor

VECTORS = Path(__file__).parents[3] / "vectors" / "evidence-snp"
CASES = sorted(path.name for path in VECTORS.iterdir() if path.is_dir())
NOW = dt.datetime(2026, 11, 22, 6, tzinfo=dt.UTC)
REPORT_DATA = bytes(range(64))
MEMBERS = {
    "description",
    "chip",
    "certified",
    "windows",
    "names",
    "extensions",
    "leaf_key",
    "guest",
    "version",
    "signed",
    "bytes",
    "list",
    "without",
    "other",
    "text",
    "call",
    "at",
    "roots",
}


@functools.cache
def keys(whose: str) -> Mapping[SnpRole, Key]:
    """Made once for each name: RSA keys take their time."""
    assert whose
    return generate_keys()


def days(count: float) -> dt.datetime:
    return NOW + dt.timedelta(days=count)


def window(value: list[float]) -> Window:
    return days(value[0]), days(value[1])


def chip(value: dict[str, Any]) -> SnpChip:
    fields = dict(value)
    if "tcb" in fields:
        fields["tcb"] = Tcb(**fields["tcb"])
    if "cpuid" in fields:
        fields["cpuid"] = tuple(fields["cpuid"])
    if "chip_id" in fields:
        fields["chip_id"] = bytes.fromhex(fields["chip_id"])
    return SnpChip(**fields)


def changed(data: bytes, changes: list[list[Any]]) -> bytes:
    result = bytearray(data)
    for change in changes:
        match change:
            case ["flip", int(at)]:
                result[at] ^= 1
            case ["set", int(at), str(text)]:
                new = bytes.fromhex(text)
                result[at : at + len(new)] = new
            case ["append", str(text)]:
                result += bytes.fromhex(text)
            case ["keep", int(count)]:
                del result[count:]
            case _:
                pytest.fail(f"unknown change {change}")
    assert not changes or bytes(result) != data
    return bytes(result)


def revocations(vendor: SimulatedSnpVendor, terms: dict[str, Any]) -> bytes:
    keywords = dict(terms)
    if "window" in keywords:
        keywords["window"] = window(keywords["window"])
    if keywords.pop("critical", False):
        keywords["extensions"] = [x509.DeltaCRLIndicator(1)]
    return vendor.revocation_list(**keywords)


def build_collateral(vendor: SimulatedSnpVendor, other: SimulatedSnpVendor, case: dict[str, Any]) -> bytes | None:
    if case.get("text") == "none":
        return None
    terms = case.get("list", {})
    listed = {"listed": False} if terms is None else {"revocations": revocations(vendor, terms)}
    collateral = json.loads(vendor.collateral(without=case.get("without", []), **listed))
    foreign = json.loads(other.collateral())
    for member in case.get("other", []):
        collateral[member] = foreign[member]
    for change in case.get("text", []):
        match change:
            case ["put", str(member), value]:
                collateral[member] = value
            case ["drop", str(member)]:
                del collateral[member]
            case ["put-der", str(member), str(role)]:
                collateral[member] = base64.b64encode(vendor.certificates[role].public_bytes(Encoding.DER)).decode()  # type: ignore[index]  # a role by its name
            case ["whole", value]:
                return json.dumps(value).encode()
            case _:
                pytest.fail(f"unknown change {change}")
    return json.dumps(collateral).encode()


def build(case: dict[str, Any]) -> dict[str, Any]:
    own = dict(keys("own"))
    if case.get("leaf_key") == "P-256":
        own["leaf"] = ec.generate_private_key(ec.SECP256R1())
    extensions = {
        arc: None if value is None else bytes.fromhex(value) for arc, value in case.get("extensions", {}).items()
    }
    vendor = SimulatedSnpVendor(
        NOW,
        chip=chip(case.get("chip", {})),
        certified=chip(case["certified"]) if "certified" in case else None,
        windows={role: window(value) for role, value in case.get("windows", {}).items()},
        names=case.get("names"),
        extensions=extensions,
        keys=own,
    )
    other = SimulatedSnpVendor(NOW, chip=vendor.chip, keys=keys("other"))
    guest = SnpGuest(**{"measurement": b"\x11" * 48, **case.get("guest", {})})
    body = vendor.body(REPORT_DATA, guest=guest, version=case.get("version", 3))
    report = vendor.sign(changed(body, case.get("signed", [])))
    roots = {"own": vendor.root, "other": other.root}
    return {
        "quote": changed(report, case.get("bytes", [])),
        "collateral": build_collateral(vendor, other, case),
        "roots": [roots[name] for name in case.get("roots", ["own"])],
        "at": days(case.get("at", 0)),
    }


def call(case: dict[str, Any]) -> Any:
    arguments = build(case)
    verifier = verifier_for(SNP_REPORT_MEDIA_TYPE)
    match case.get("call", "verify"):
        case "verify":
            return verifier.verify(**arguments)
        case "standing":
            return verifier.standing(
                arguments["quote"],
                collateral=arguments["collateral"],
                roots=arguments["roots"],
                now=arguments["at"],
            )
        case "presented_root":
            return verifier.presented_root(arguments["quote"], arguments["collateral"])
        case unknown:
            pytest.fail(f"unknown call {unknown}")


@pytest.mark.parametrize("name", CASES)
def test_vector(name: str) -> None:
    case = json.loads((VECTORS / name / "case.json").read_text(encoding="utf-8"))
    expected = json.loads((VECTORS / name / "expected.json").read_text(encoding="utf-8"))
    assert case.keys() <= MEMBERS
    assert name.endswith("_fail") == (expected["class"] is not None)
    if expected["class"] is None:
        result = call(case)
        for key, value in expected["result"].items():
            assert getattr(result, key) == value, key
        return
    with pytest.raises(errors.LamslsaError) as caught:
        call(case)
    assert (type(caught.value).__name__, caught.value.reason) == (expected["class"], expected["reason"])


def test_every_reason_has_a_case() -> None:
    covered = {
        json.loads((VECTORS / name / "expected.json").read_text(encoding="utf-8")).get("reason") for name in CASES
    }
    source = Path(SnpVerifier.verify.__code__.co_filename).parent
    named = set()
    for file in ("parse.py", "collateral.py", "certificates.py", "verify.py"):
        text = (source / file).read_text(encoding="utf-8")
        named |= {part.split('"')[0] for part in text.split('reason="')[1:]}
    assert named
    # what a host hands over before there is collateral: test_collateral.py
    assert named - {"snp-certificates", "snp-certificate-table"} <= covered
