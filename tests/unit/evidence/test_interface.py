"""Measurements: every part, in one spelling, and one digest for all of them."""

from __future__ import annotations

import hashlib
import json

import pytest

from lamslsa.errors import FormatError
from lamslsa.evidence.interface import MEASUREMENT_PARTS, Measurement, Tee


def parts(tee: Tee) -> dict[str, str]:
    return {name: "0a" * size for name, size in MEASUREMENT_PARTS[tee].items()}


@pytest.mark.parametrize("tee", list(MEASUREMENT_PARTS))
def test_the_digest_covers_every_part_and_the_kind_of_tee(tee: Tee) -> None:
    measurement = Measurement(tee=tee, parts=parts(tee))
    text = json.dumps({"tee": tee, **parts(tee)}, sort_keys=True, separators=(",", ":"))
    assert measurement.digest == hashlib.sha256(text.encode()).hexdigest()
    for name, value in parts(tee).items():
        changed = Measurement(tee=tee, parts={**parts(tee), name: "f" + value[1:]})
        assert changed.digest != measurement.digest


@pytest.mark.parametrize("tee", list(MEASUREMENT_PARTS))
def test_parts_that_are_missing_or_unknown(tee: Tee) -> None:
    for name in parts(tee):
        wanting = {other: value for other, value in parts(tee).items() if other != name}
        with pytest.raises(FormatError, match=f"in a measurement of {tee}") as caught:
            Measurement(tee=tee, parts=wanting)
        assert caught.value.reason == "measurement-parts"
    with pytest.raises(FormatError, match=r"got .*, more") as caught:
        Measurement(tee=tee, parts={**parts(tee), "more": ""})
    assert caught.value.reason == "measurement-parts"


@pytest.mark.parametrize("tee", list(MEASUREMENT_PARTS))
def test_parts_in_another_spelling(tee: Tee) -> None:
    for name, value in parts(tee).items():
        for other in (value[:-1], value[:-2], value + "0", value + "00", "A" + value[1:], "g" + value[1:], ""):
            with pytest.raises(FormatError, match=f"expected {len(value)} lower-case .* as {name}, got") as caught:
                Measurement(tee=tee, parts={**parts(tee), name: other})
            assert caught.value.reason == "measurement-parts"
