"""What the results of a verification say by themselves."""

from __future__ import annotations

import datetime as dt

import pytest

from lamslsa import sign
from lamslsa.sign.interface import TrustedTime, Witnessed

AT = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
LOG, STAMP = TrustedTime(at=AT, source="log"), TrustedTime(at=AT, source="timestamp")


@pytest.mark.parametrize(("times", "expected"), [((), False), ((LOG,), False), ((STAMP,), True), ((LOG, STAMP), True)])
def test_a_log_is_no_timestamp_authority(times: tuple[TrustedTime, ...], expected: bool) -> None:
    assert Witnessed(times=times, logged=True).timestamped is expected


def test_what_a_verification_returns_is_exported() -> None:
    assert {"Signature", "Witnessed", "TrustedTime", "Material", "parse_message_bundle"} <= set(sign.__all__)
