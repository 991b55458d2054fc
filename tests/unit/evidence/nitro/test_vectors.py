"""Runs tests/vectors/evidence-nitro: each case builds evidence, and its refusal names class and reason."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from lamslsa import errors
from lamslsa.evidence import verifier_for
from lamslsa.evidence.nitro.parse import PROTECTED, signed_bytes
from lamslsa.evidence.nitro.verify import NitroVerifier
from lamslsa.evidence.simulated.nitro_document import sign
from lamslsa.predicates.tee_evidence import NITRO_DOCUMENT_MEDIA_TYPE
from lamslsa.testing.simulated_nitro import PCRS, SimulatedNitroVendor

VECTORS = Path(__file__).parents[3] / "vectors" / "evidence-nitro"
CASES = sorted(path.name for path in VECTORS.iterdir() if path.is_dir())
NOW = dt.datetime(2026, 11, 22, 6, tzinfo=dt.UTC)
REPORT_DATA = bytes(range(64))
MEMBERS = {
    "description",
    "windows",
    "leaf_key",
    "user_data",
    "pcrs",
    "payload",
    "certificates",
    "signed_payload",
    "cose",
    "bytes",
    "collateral",
    "call",
    "at",
    "roots",
}


def hours(count: float) -> dt.datetime:
    return NOW + dt.timedelta(hours=count)


def value(written: Any) -> Any:
    """A value of CBOR: ``h'…`` stands for bytes, and ``[n]h'…`` for n times these."""
    if isinstance(written, str) and "h'" in written:
        count, _, text = written.partition("h'")
        return bytes.fromhex(text) * int(count.strip("[]") or 1)
    if isinstance(written, dict):
        return {int(key) if key.lstrip("-").isdigit() else key: value(item) for key, item in written.items()}
    if isinstance(written, list):
        return [value(item) for item in written]
    return written


def changed_members(members: dict[str, Any], case: dict[str, Any], other: SimulatedNitroVendor) -> dict[str, Any]:
    for name, written in case.get("payload", {}).items():
        if written == "absent":
            del members[name]
        else:
            members[name] = value(written)
    for change in case.get("certificates", []):
        match change:
            case ["flip", "leaf", int(at)]:
                members["certificate"] = flipped(members["certificate"], at)
            case ["flip", int(number), int(at)]:
                members["cabundle"][number] = flipped(members["cabundle"][number], at)
            case ["other", "leaf"]:
                members["certificate"] = other.der("leaf")
            case ["other", "instance"]:
                members["cabundle"][1] = other.der("instance")
            case ["other", "root"]:
                members["cabundle"][0] = other.der("root")
            case ["count", int(count)]:
                members["cabundle"] = (members["cabundle"] * count)[:count]
            case ["drop", "instance"]:
                del members["cabundle"][1]
            case ["reverse"]:
                members["cabundle"].reverse()
            case _:
                pytest.fail(f"unknown change {change}")
    return members


def flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def changed_cose(parts: list[Any], changes: list[list[Any]]) -> Any:
    result: Any = parts
    for change in changes:
        match change:
            case ["put", int(number), written]:
                result[number] = value(written)
            case ["flip", int(number), int(at)]:
                result[number] = flipped(result[number], at)
            case ["append", written]:
                result.append(value(written))
            case ["drop"]:
                result.pop()
            case ["tag", int(tag)]:
                result = cbor2.CBORTag(tag, result)
            case _:
                pytest.fail(f"unknown change {change}")
    return result


def build(case: dict[str, Any]) -> dict[str, Any]:
    curve = {"P-256": ec.SECP256R1()}.get(case.get("leaf_key", ""), ec.SECP384R1())
    vendor = SimulatedNitroVendor(
        NOW,
        windows={role: (hours(first), hours(last)) for role, (first, last) in case.get("windows", {}).items()},
        keys={"leaf": ec.generate_private_key(curve)},
    )
    other = SimulatedNitroVendor(NOW)
    pcrs = {**PCRS, **{int(key): bytes.fromhex(item) for key, item in case.get("pcrs", {}).items()}}
    user_data = value(case.get("user_data", "h'" + REPORT_DATA.hex()))
    members = changed_members(vendor.members(user_data, pcrs=pcrs), case, other)
    payload = bytes.fromhex(case["signed_payload"]) if "signed_payload" in case else cbor2.dumps(members)
    parts = [PROTECTED, {}, payload, sign(vendor.keys["leaf"], signed_bytes(payload))]
    document = cbor2.dumps(changed_cose(parts, case.get("cose", [])))
    for change in case.get("bytes", []):
        match change:
            case ["append", str(text)]:
                document += bytes.fromhex(text)
            case ["keep", int(count)]:
                document = document[:count]
            case ["set", int(at), str(text)]:
                document = document[:at] + bytes.fromhex(text) + document[at + len(text) // 2 :]
            case ["size", int(size)]:
                document += bytes(size - len(document))
            case _:
                pytest.fail(f"unknown change {change}")
    roots = {"own": vendor.root, "other": other.root}
    return {
        "quote": document,
        "collateral": case["collateral"].encode() if "collateral" in case else None,
        "roots": [roots[name] for name in case.get("roots", ["own"])],
        "at": hours(case.get("at", 0)),
    }


def call(case: dict[str, Any]) -> Any:
    arguments = build(case)
    verifier = verifier_for(NITRO_DOCUMENT_MEDIA_TYPE)
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
        for key, item in expected["result"].items():
            assert getattr(result, key) == value(item), key
        return
    with pytest.raises(errors.LamslsaError) as caught:
        call(case)
    assert (type(caught.value).__name__, caught.value.reason) == (expected["class"], expected["reason"])


def test_every_reason_has_a_case() -> None:
    covered = {
        json.loads((VECTORS / name / "expected.json").read_text(encoding="utf-8")).get("reason") for name in CASES
    }
    source = Path(NitroVerifier.verify.__code__.co_filename).parent
    named = set()
    for file in ("parse.py", "verify.py"):
        text = (source / file).read_text(encoding="utf-8")
        named |= {part.split('"')[0] for part in text.split('reason="')[1:]}
    assert named
    assert named <= covered
