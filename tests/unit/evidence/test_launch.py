"""Launch values: a measurement is complete or refused, and what is missing is named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamslsa.errors import FormatError, LamslsaError
from lamslsa.evidence import launch
from lamslsa.evidence.interface import MEASUREMENT_PARTS, TEES, Measurement, Tee


def parts(tee: Tee) -> dict[str, str]:
    return {name: f"{number:02x}" * size for number, (name, size) in enumerate(MEASUREMENT_PARTS[tee].items(), 1)}


def parse(value: Any) -> Any:
    return launch.parse(json.dumps(value).encode())


def refusal(value: Any) -> str:
    with pytest.raises(FormatError) as caught:
        parse(value)
    return caught.value.reason


@pytest.mark.parametrize("tee", TEES)
def test_a_whole_file(tee: Tee) -> None:
    assert parse({"tee": tee, "measurement": parts(tee)}).complete({}) == Measurement(tee=tee, parts=parts(tee))


@pytest.mark.parametrize("tee", TEES)
def test_every_part_is_needed_and_may_come_from_elsewhere(tee: Tee) -> None:
    whole = parts(tee)
    for name, value in whole.items():
        proposal = parse({"tee": tee, "measurement": {key: item for key, item in whole.items() if key != name}})
        with pytest.raises(FormatError, match=f"got none for {name}$") as caught:
            proposal.complete({})
        assert caught.value.reason == "measurement-part-missing"
        assert proposal.complete({name: value}).parts == whole


def test_a_part_is_given_once_and_known() -> None:
    proposal = parse({"tee": "snp", "measurement": {"vmpl": "00000000"}})
    for given_, reason in (
        ({"vmpl": "00000000"}, "measurement-part-twice"),
        ({"mrTd": "00" * 48}, "measurement-part-unknown"),
    ):
        with pytest.raises(FormatError) as caught:
            proposal.complete(given_)
        assert caught.value.reason == reason


@pytest.mark.parametrize("value", ["00" * 47, "00" * 49, "AA" * 48, "0" * 95, "", "zz" * 48])
def test_a_part_has_its_size_and_spelling(value: str) -> None:
    whole = parts("nitro") | {"pcr8": value}
    with pytest.raises(FormatError) as caught:
        parse({"tee": "nitro", "measurement": whole}).complete({})
    assert caught.value.reason == "measurement-parts"


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        {"tee": "tdx"},
        {"measurement": {}},
        {"tee": "simulated", "measurement": {}},
        {"tee": "TDX", "measurement": {}},
        {"tee": "tdx", "measurement": []},
        {"tee": "tdx", "measurement": {"mrTd": 1}},
        {"tee": "tdx", "measurement": {"mrTd": None}},
        {"tee": "tdx", "measurement": {}, "simulated": False},
        {"tee": "tdx", "measurement": {f"part{number}": "" for number in range(33)}},
    ],
)
def test_what_is_no_file_of_launch_values(value: Any) -> None:
    assert refusal(value) == "predicate-schema"


def test_a_part_of_another_tee() -> None:
    assert refusal({"tee": "tdx", "measurement": parts("snp")}) == "measurement-part-unknown"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"tee": "tdx", "tee": "snp", "measurement": {}}', "json-duplicate-key"),
        (b"{", "json-syntax"),
        (b" " * (launch.MAX_LAUNCH_BYTES + 1), "json-size"),
    ],
)
def test_strict_json(data: bytes, reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        launch.parse(data)
    assert caught.value.reason == reason


@given(data=st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    with pytest.raises(LamslsaError):
        launch.parse(data)
