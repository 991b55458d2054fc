"""Runs tests/vectors/evidence-nvidia: each case builds a GPU's report, and its refusal names class and reason."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from lamslsa import errors
from lamslsa.evidence.nvidia.parse import parse
from lamslsa.evidence.nvidia.verify import NvidiaVerifier
from lamslsa.evidence.simulated.gpu_report import Gpu, generate_key
from lamslsa.testing.simulated_gpu import SimulatedGpuVendor

VECTORS = Path(__file__).parents[3] / "vectors" / "evidence-nvidia"
CASES = sorted(path.name for path in VECTORS.iterdir() if path.is_dir())
NOW = dt.datetime(2026, 11, 22, 6, tzinfo=dt.UTC)
NONCE = bytes(range(100, 132))
MEMBERS = {
    "description",
    "gpu",
    "windows",
    "leaf",
    "dice",
    "signed",
    "bytes",
    "chain",
    "json",
    "nonce",
    "manifests",
    "roots",
    "at",
}


def days(count: float) -> dt.datetime:
    return NOW + dt.timedelta(days=count)


def window(value: Sequence[float]) -> tuple[dt.datetime, dt.datetime]:
    return days(value[0]), days(value[1])


def changed_bytes(data: bytes, changes: list[list[Any]]) -> bytes:
    changed = bytearray(data)
    for change in changes:
        before = bytes(changed)
        match change:
            case ["flip", int(at)]:
                changed[at] ^= 1
            case ["set", int(at), str(text)]:
                part = bytes.fromhex(text)
                start = at % len(changed)
                changed[start : start + len(part)] = part
            case ["cut", int(at), int(count)]:
                start = at % len(changed)
                del changed[start : start + count]
            case ["keep", int(count)]:
                del changed[count:]
            case ["grow", int(count)]:
                changed += bytes(count)
            case _:
                pytest.fail(f"unknown change {change}")
        assert changed != before
    return bytes(changed)


def changed_chain(chain: list[bytes], changes: list[list[Any]], other: SimulatedGpuVendor) -> list[bytes]:
    for change in changes:
        match change:
            case ["flip", int(number), int(at)]:
                chain[number] = changed_bytes(chain[number], [["flip", at]])
            case ["set", int(number), str(text)]:
                chain[number] = bytes.fromhex(text)
            case ["drop", int(number)]:
                del chain[number]
            case ["repeat", int(number)]:
                chain.append(chain[number])
            case ["swap", int(one), int(two)]:
                chain[one], chain[two] = chain[two], chain[one]
            case ["other", int(number)]:
                chain[number] = other.chain[number]
            case _:
                pytest.fail(f"unknown change {change}")
    return chain


def changed_text(text: str, changes: list[list[str]]) -> str:
    for change in changes:
        before = text
        match change:
            case ["replace", str(old), str(new)]:
                text = text.replace(old, new)
            case ["put", str(new)]:
                text = new
            case ["pad", str(count)]:
                text += " " * int(count)
            case ["cut", str(first), str(last)]:
                text = text[: text.index(first)] + text[text.index(last) + len(last) :]
            case ["twice", str(first), str(last)]:
                part = text[text.index(first) : text.index(last) + len(last)]
                text = text.replace(part, part + part)
            case ["wrap"]:
                text = wrapped(text)
            case _:
                pytest.fail(f"unknown change {change}")
        assert text != before
    return text


def wrapped(text: str) -> str:
    """What was signed, moved aside into a document that says something else, whose signature stays."""
    signature = text[text.index("<ds:Signature") : text.index("</ds:Signature>") + len("</ds:Signature>")]
    honest = text.replace(signature, "")
    body = honest[honest.index("<Meta") : honest.index("</SoftwareIdentity>")]
    evil = body.replace("550.54.14", "550.54.15")
    return honest.replace(body, f"{evil}<Aside>{honest}</Aside>{signature}")


def manifest(vendor: SimulatedGpuVendor, other: SimulatedGpuVendor, terms: dict[str, Any]) -> bytes:
    assert terms.keys() <= {"kind", "maker", "product", "version", "measurements", "window", "said", "text"}
    maker = other if terms.get("maker") == "other" else vendor
    values = {"right": lambda index: vendor.gpu.measurements[index], "wrong": lambda index: bytes([index] * 48)}
    measurements = {
        int(index): [values[value](int(index)) for value in listed]
        for index, listed in terms.get("measurements", {}).items()
    }
    data = maker.manifest(
        terms["kind"],
        product=terms.get("product"),
        version=terms.get("version"),
        measurements=measurements,
        window=window(terms["window"]) if "window" in terms else None,
        change=lambda text: changed_text(text, terms.get("said", [])),
    )
    return changed_text(data.decode(), terms.get("text", [])).encode()


def dice(terms: list[str] | None) -> x509.UnrecognizedExtension | None:
    if terms is None:
        return None
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(terms[0]), bytes.fromhex(terms[1]))


def gpu(terms: dict[str, Any]) -> Gpu:
    opaque: dict[int, bytes] = dict(Gpu().opaque)
    for kind, text in terms.get("opaque", {}).items():
        opaque.pop(int(kind), None)
        if text is not None:
            opaque[int(kind)] = bytes.fromhex(text)
    return Gpu(chip=terms.get("chip", "GH100"), opaque=opaque)


def build(case: dict[str, Any]) -> dict[str, Any]:
    assert case.keys() <= MEMBERS
    other = SimulatedGpuVendor(NOW)
    vendor = SimulatedGpuVendor(
        NOW,
        gpu=gpu(case.get("gpu", {})),
        windows={role: window(value) for role, value in case.get("windows", {}).items()},
        keys={"report": ec.generate_private_key(ec.SECP256R1()) if case.get("leaf") == "P-256" else generate_key()},
        dice=dice(case.get("dice")),
    )
    raw = vendor.raw_report(NONCE, change=lambda said: changed_bytes(said, case.get("signed", [])))
    chain = changed_chain(list(vendor.chain), case.get("chain", []), other)
    evidence = json.dumps(
        {
            "report": base64.b64encode(changed_bytes(raw, case.get("bytes", []))).decode(),
            "certificates": [base64.b64encode(der).decode() for der in chain],
        }
    )
    return {
        "report": changed_text(evidence, case.get("json", [])).encode(),
        "nonce": bytes(32) if case.get("nonce") == "other" else NONCE,
        "manifests": [manifest(vendor, other, terms) for terms in case.get("manifests", [])],
        "roots": [{"own": vendor, "other": other}[name].root for name in case.get("roots", ["own"])],
        "at": days(case.get("at", 0)),
    }


def load(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    case, expected = (
        json.loads((VECTORS / name / file).read_text(encoding="utf-8")) for file in ("case.json", "expected.json")
    )
    return case, expected


@pytest.mark.parametrize("name", CASES)
def test_vector(name: str) -> None:
    case, expected = load(name)
    arguments = build(case)
    verifier = NvidiaVerifier()
    if expected["class"] is None:
        assert not name.endswith("_fail")
        claims = verifier.verify(**arguments)
        assert claims.simulated
        assert claims.root == arguments["roots"][0].sha256
        for key, value in expected["claims"].items():
            found = getattr(claims, key)
            assert (list(found) if isinstance(found, tuple) else found) == value
    else:
        assert name.endswith("_fail")
        with pytest.raises(errors.LamslsaError) as caught:
            verifier.verify(**arguments)
        assert (type(caught.value).__name__, caught.value.reason) == (expected["class"], expected["reason"])


def test_every_reason_of_the_verifier_has_a_case() -> None:
    reasons = {load(name)[1].get("reason") for name in CASES}
    source = Path(parse.__code__.co_filename).parent
    for file in ("verify.py", "parse.py", "dice.py", "rim.py"):
        text = (source / file).read_text(encoding="utf-8")
        named = {part.split('"')[0] for part in text.split('reason="')[1:]}
        # Another maker's manifest counts as not held; the package is tested where it is taken away.
        assert named - {"evidence-manifest-root", "manifest-package"} <= reasons


def test_every_case_is_in_the_readme() -> None:
    readme = (VECTORS / "README.md").read_text(encoding="utf-8")
    assert all(f"`{member}`" in readme for member in MEMBERS)
