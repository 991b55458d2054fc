from __future__ import annotations

import contextlib
import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamslsa.errors import FormatError, LamslsaError
from lamslsa.evidence import collateral
from lamslsa.testing.simulated import SimulatedVendor

DAY = dt.timedelta(days=1)


@pytest.fixture(scope="module")
def value(vendor: SimulatedVendor) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(vendor.collateral())
    return parsed


def inner(value: dict[str, Any], document: str, **members: Any) -> bytes:
    changed = {**json.loads(value[document]), **members}
    kept = {key: item for key, item in changed.items() if item is not ...}
    return json.dumps({**value, document: json.dumps(kept)}).encode()


def refused(data: bytes) -> str:
    with pytest.raises(FormatError) as caught:
        collateral.parse(data)
    return caught.value.reason


def test_parsed(vendor: SimulatedVendor, value: dict[str, Any], now: dt.datetime) -> None:
    parsed = collateral.parse(vendor.collateral(evaluation_data_number=5))
    assert (parsed.tcb_info_id, parsed.qe_identity_id) == ("SGX", "QE")
    assert (parsed.fmspc, parsed.pce_id, parsed.tcb_evaluation_data_number) == ("53494d000000", "0000", 5)
    assert (parsed.issued, parsed.expires) == (now - DAY, now + 29 * DAY)
    assert all(parsed.chains[key][-1] == vendor.root.der for key in parsed.chains)
    assert len(parsed.chains) == 3
    assert value.keys() == set(collateral.KEYS)


def test_the_narrower_window_counts(value: dict[str, Any]) -> None:
    later = collateral.parse(inner(value, "qe_identity", issueDate="2026-11-22T00:00:00Z"))
    assert later.issued == dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
    sooner = collateral.parse(inner(value, "tcb_info", nextUpdate="2026-11-23T00:00:00Z"))
    assert sooner.expires == dt.datetime(2026, 11, 23, tzinfo=dt.UTC)


def test_the_lower_number_counts(value: dict[str, Any]) -> None:
    assert collateral.parse(inner(value, "tcb_info", tcbEvaluationDataNumber=9)).tcb_evaluation_data_number == 9
    assert collateral.parse(inner(value, "qe_identity", tcbEvaluationDataNumber=8)).tcb_evaluation_data_number == 8


def test_further_keys_are_ignored(value: dict[str, Any]) -> None:
    assert collateral.parse(json.dumps({**value, "pck_certificate_chain": "x"}).encode())


@pytest.mark.parametrize("key", collateral.KEYS)
@pytest.mark.parametrize("bad", [..., None, 1, "", ["x"], {}])
def test_required_strings(value: dict[str, Any], key: str, bad: Any) -> None:
    changed = {name: bad if name == key else item for name, item in value.items() if not (name == key and bad is ...)}
    assert refused(json.dumps(changed).encode()) == "collateral-shape"


@pytest.mark.parametrize("key", ["root_ca_crl", "pck_crl", "tcb_info_signature", "qe_identity_signature"])
@pytest.mark.parametrize("bad", ["0", "xx", "00 00", "0x00", "00\n"])
def test_hexadecimal(value: dict[str, Any], key: str, bad: str) -> None:
    assert refused(json.dumps({**value, key: bad}).encode()) == "collateral-hex"


@pytest.mark.parametrize("key", ["pck_crl_issuer_chain", "tcb_info_issuer_chain", "qe_identity_issuer_chain"])
def test_chains(value: dict[str, Any], key: str) -> None:
    assert refused(json.dumps({**value, key: value[key] + "\n"}).encode()) == "pem-chain"


@pytest.mark.parametrize("document", ["tcb_info", "qe_identity"])
@pytest.mark.parametrize(
    ("text", "reason"), [("[]", "collateral-shape"), ("{", "json-syntax"), ("1", "collateral-shape")]
)
def test_documents(value: dict[str, Any], document: str, text: str, reason: str) -> None:
    assert refused(json.dumps({**value, document: text}).encode()) == reason


@pytest.mark.parametrize("document", ["tcb_info", "qe_identity"])
@pytest.mark.parametrize("member", ["issueDate", "nextUpdate"])
@pytest.mark.parametrize(
    "bad",
    [
        "2026-11-22",
        "2026-11-22T00:00:00",
        "2026-11-22T00:00:00+00:00",
        "2026-13-22T00:00:00Z",
        "2026-11-22T00:00:00.5Z",
    ],
)
def test_times(value: dict[str, Any], document: str, member: str, bad: str) -> None:
    assert refused(inner(value, document, **{member: bad})) == "collateral-time"


@pytest.mark.parametrize("document", ["tcb_info", "qe_identity"])
@pytest.mark.parametrize("bad", [..., True, -1, "17", 1.5])
def test_numbers(value: dict[str, Any], document: str, bad: Any) -> None:
    assert refused(inner(value, document, tcbEvaluationDataNumber=bad)) == "collateral-shape"


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"version": 2}, "collateral-version"),
        ({"version": ...}, "collateral-shape"),
        ({"id": ...}, "collateral-shape"),
        ({"id": ""}, "collateral-shape"),
        ({"fmspc": ...}, "collateral-shape"),
        ({"fmspc": "zz"}, "collateral-hex"),
        ({"pceId": 0}, "collateral-shape"),
    ],
)
def test_tcb_info(value: dict[str, Any], members: dict[str, Any], reason: str) -> None:
    assert refused(inner(value, "tcb_info", **members)) == reason


def test_not_strict_json(value: dict[str, Any]) -> None:
    text = json.dumps(value)
    assert refused(text[:-1].encode() + b',"tcb_info":"{}"}') == "json-duplicate-key"
    assert refused(b"[]") == "collateral-shape"
    assert refused(b" " * (collateral.MAX_COLLATERAL_BYTES + 1)) == "json-size"


@pytest.mark.parametrize("text", ["[" * 100_000, '{"x":' * 100_000, '{"id":"SGX"'])
@pytest.mark.parametrize("document", ["tcb_info", "qe_identity"])
def test_deep_or_broken_documents(value: dict[str, Any], document: str, text: str) -> None:
    assert refused(json.dumps({**value, document: text}).encode()) in {"json-syntax", "collateral-shape"}


def test_deep_collateral() -> None:
    assert refused(b"[" * 4096 + b"]" * 4096) == "json-syntax"
    assert refused(b"[" * 4097 + b"]" * 4097) == "json-depth"


def test_brackets_in_strings_are_no_depth(value: dict[str, Any]) -> None:
    assert collateral.parse(json.dumps({**value, "more": "[" * 5000}).encode())


def test_what_is_remembered_is_small(value: dict[str, Any]) -> None:
    small = json.dumps(value).encode()
    large = json.dumps({**value, "more": "x" * 128 * 1024}).encode()
    assert collateral.parse(small) is collateral.parse(small)
    assert collateral.parse(large) is not collateral.parse(large)
    assert collateral.parse(large) == collateral.parse(small)


def test_what_is_remembered_at_most(value: dict[str, Any]) -> None:
    text = json.dumps({**value, "more": ""})
    size = 128 * 1024
    for length, remembered in ((size, True), (size + 1, False)):
        data = json.dumps({**value, "more": "x" * (length - len(text))}).encode()
        assert len(data) == length
        assert (collateral.parse(data) is collateral.parse(data)) is remembered


@pytest.mark.parametrize("key", ["root_ca_crl", "pck_crl", "tcb_info_signature", "qe_identity_signature"])
def test_a_refusal_names_the_member(value: dict[str, Any], key: str) -> None:
    with pytest.raises(FormatError, match=f"hexadecimal {key},"):
        collateral.parse(json.dumps({**value, key: "xx"}).encode())


@pytest.mark.parametrize("document", ["tcb_info", "qe_identity"])
def test_a_refusal_names_the_document_and_its_member(value: dict[str, Any], document: str) -> None:
    for text, message in (("{", f"JSON in {document},"), ("1", f"{document} of Intel's shape")):
        with pytest.raises(FormatError, match=message):
            collateral.parse(json.dumps({**value, document: text}).encode())
    for member in ("issueDate", "nextUpdate"):
        with pytest.raises(FormatError, match=f"expected {member} as"):
            collateral.parse(inner(value, document, **{member: "today"}))


@pytest.mark.parametrize("member", ["fmspc", "pceId"])
def test_a_refusal_names_what_the_collateral_is_about(value: dict[str, Any], member: str) -> None:
    with pytest.raises(FormatError, match=f"hexadecimal {member},"):
        collateral.parse(inner(value, "tcb_info", **{member: "xx"}))


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    with pytest.raises(LamslsaError):
        collateral.parse(data)


@given(st.sampled_from(collateral.KEYS), st.text(max_size=60))
def test_any_text_in_any_member(value: dict[str, Any], key: str, text: str) -> None:
    with contextlib.suppress(LamslsaError):
        collateral.parse(json.dumps({**value, key: text}).encode())
